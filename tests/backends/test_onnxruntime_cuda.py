"""ONNX Runtime's CUDA provider, on machines that do not have it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import onnxruntime
import pytest

from harness.backends import onnxruntime as family
from harness.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from harness.backends.protocol import Built
from harness.errors import FeatureUnavailableError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

PROVIDER = "CUDAExecutionProvider"
BUILT = {name: Built(Path(f"{name}.onnx")) for name in ("encoder", "decoder")}


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A runtime that has the provider, and graphs that it takes to itself."""
    calls: list[dict[str, Any]] = []

    def open_graph(path: Path, **options: Any) -> Any:
        calls.append({"path": path, **options})
        return SimpleNamespace(get_providers=lambda: [PROVIDER])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER])
    monkeypatch.setattr(family, "open_graph", open_graph)
    return calls


@pytest.mark.skipif(PROVIDER in onnxruntime.get_available_providers(), reason="it is here")
def test_a_runtime_without_the_provider_says_what_to_install(pipeline: Pipeline) -> None:
    backend = OnnxRuntimeCudaBackend()
    for call in (
        backend.check_can_run,
        lambda: backend.open(pipeline, BUILT),
        lambda: backend.inspect(pipeline, {}, {}, {}),
    ):
        with pytest.raises(FeatureUnavailableError, match="install onnxruntime-gpu"):
            call()


def test_the_provider_comes_first_and_without_tf32(
    pipeline: Pipeline, opened: list[dict[str, Any]]
) -> None:
    backend = OnnxRuntimeCudaBackend(precision="fp16")
    backend.open(pipeline, BUILT)

    assert [call["path"].stem for call in opened] == ["encoder", "decoder"]
    (name, options), other = opened[0]["providers"]
    assert (name, other) == (PROVIDER, "CPUExecutionProvider")
    assert options["use_tf32"] == "0"
    assert (backend.name, backend.precision, backend.graph_precision) == (
        "onnxruntime-cuda",
        "fp16",
        "fp16",
    )
    found = backend.inspect(pipeline, BUILT, {}, {})
    assert found["encoder"].details["tf32"] is False


def test_a_provider_that_does_not_start_is_no_gpu(
    pipeline: Pipeline, opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(family, "open_graph", lambda *_, **__: other)
    with pytest.raises(FeatureUnavailableError, match=r"does not start; .*LD_LIBRARY_PATH"):
        OnnxRuntimeCudaBackend().open(pipeline, BUILT)


def test_a_round_trip_copies_in_runs_all_and_copies_the_last_output_back(
    pipeline: Pipeline, opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Value:
        def __init__(self, array: Any) -> None:
            self.shape = array.shape

        def update_inplace(self, array: Any) -> None:
            assert array.shape == self.shape
            assert array.flags.c_contiguous
            done.append("in")

        def numpy(self) -> None:
            done.append("out")

    class Binding:
        def bind_ortvalue_input(self, name: str, value: Any) -> None:
            pass

        bind_ortvalue_output = bind_ortvalue_input

        def synchronize_outputs(self) -> None:
            done.append("wait")

    graph = SimpleNamespace(
        get_providers=lambda: [PROVIDER],
        io_binding=Binding,
        run_with_iobinding=lambda _: done.append("run"),
    )
    monkeypatch.setattr(family, "open_graph", lambda *_, **__: graph)
    session = OnnxRuntimeCudaBackend().open(pipeline, BUILT)
    monkeypatch.setattr(session, "place", Value)
    sizes = pipeline.sizes(duration_s=0.5, batch=1)
    session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=1))

    session.round_trips()["call"].call()

    assert done == ["in", "in", "run", "wait", "run", "wait", "out"]
