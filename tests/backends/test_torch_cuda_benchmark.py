"""cuDNN may try its algorithms first: a switch of the process, and a choice of each session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.api import make_backends
from harness.backends import torch_cuda
from harness.backends.torch_cuda import TorchCudaBackend
from harness.errors import OptionError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from harness.types import ENQUEUE, GRAPH, Variant
from tests.backends.torch_fakes import FakeDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory


@pytest.fixture(autouse=True)
def _switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch_cuda, "open_device", FakeDevice)


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


def _is_on() -> bool:
    return bool(torch.backends.cudnn.benchmark)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How the switch was at each run of a module."""
    found: list[bool] = []
    forward = torch.nn.Module.__call__

    def spy(self: Any, *arguments: Any) -> Any:
        found.append(_is_on())
        return forward(self, *arguments)

    monkeypatch.setattr(torch.nn.Module, "__call__", spy)
    return found


@pytest.fixture
def open_bound(pipeline: Pipeline) -> Callable[..., Any]:
    def call(route: str, *launches: str) -> Any:
        session = TorchCudaBackend(route=route, launches=launches).open(pipeline, {})
        sizes = pipeline.sizes(duration_s=0.5)
        session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=1))
        return session

    return call


@pytest.mark.parametrize(("route", "is_tuned"), [("", False), ("benchmark", True)])
@pytest.mark.parametrize("launch", [GRAPH, ENQUEUE])
def test_every_run_of_a_session_is_with_the_switch_as_it_was_asked_for(
    open_bound: Callable[..., Any],
    seen: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    is_tuned: bool,
    launch: str,
) -> None:
    # However it was before.
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not is_tuned)

    session = open_bound(route, launch)
    session.launch("encoder")
    session.launch_pipeline()

    assert set(seen) == {is_tuned}
    assert session.details("encoder")["cudnn_benchmark"] is is_tuned


@pytest.mark.parametrize("is_tuned_first", [False, True])
def test_sessions_that_are_timed_in_turn_keep_each_to_its_own(
    open_bound: Callable[..., Any], seen: list[bool], pipeline: Pipeline, is_tuned_first: bool
) -> None:
    """Both are open and bound before the first is timed."""
    order = [is_tuned_first, not is_tuned_first]
    sessions = [open_bound("benchmark" if is_tuned else "", ENQUEUE) for is_tuned in order]
    series = [session.series()[0] for session in sessions]

    for _ in range(2):
        for is_tuned, one in zip(order, series, strict=True):
            for name in (*pipeline.order, "pipeline"):
                seen.clear()
                one.targets[name]()
                assert set(seen) == {is_tuned}
    for is_tuned, session in zip(order, sessions, strict=True):
        seen.clear()
        sizes = pipeline.sizes(duration_s=0.25)
        session.infer("encoder", {"signal": synthetic_inputs(pipeline, sizes, seed=2)["signal"]}
                      | {"gain": _gain()})  # fmt: skip
        assert set(seen) == {is_tuned}


def _gain() -> Any:
    return torch.tensor(0.5).numpy()


def test_it_is_a_backend_by_its_name() -> None:
    made = make_backends(
        ["torch-cuda", "torch-cuda-benchmark", "torch-cuda-compile"], ["fp16", "int8"]
    )

    assert [str(Variant(b.name, b.precision, b.route)) for b in made] == [
        "torch-cuda fp16",
        "torch-cuda fp16 by benchmark",
        "torch-cuda fp16 by compile",
    ]


def test_there_is_no_other_route() -> None:
    with pytest.raises(OptionError, match="torch-cuda has no 'tuned'") as caught:
        TorchCudaBackend(route="tuned")

    assert caught.value.fix == "choose of: benchmark, compile"
