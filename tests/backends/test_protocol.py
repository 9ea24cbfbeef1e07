"""What backends share: the series of sessions that return when they are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.cache import Cache
from harness.artifacts.export import OnnxModel
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import Backend, Built, Series, Workshop, as_built, call_series
from harness.backends.torch import TorchBackend
from harness.pipeline.loader import load_pipeline
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Session
    from tests.conftest import ToyFactory


class Noting:
    """Notes what is launched, in the place of a session."""

    def __init__(self) -> None:
        self.launched: list[str] = []

    def launch(self, component: str) -> None:
        self.launched.append(component)

    def launch_pipeline(self) -> None:
        self.launched.append("all")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, OnnxModel]:
    return {
        name: OnnxModel(
            component=name,
            path=tmp_path / f"{name}.onnx",
            content_hash="00" * 20,
            size_bytes=7,
            was_cached=False,
            export_s=3.5,
            parameters=1,
            worst_relative_l2=0.0,
            weights_hash=None,
        )
        for name in ("encoder", "decoder")
    }


def _series(toy: ToyFactory, session: object) -> Series:
    return call_series(cast("Session", session), load_pipeline(toy()))


def test_the_series_of_calls_is_every_component_in_order_and_the_whole(toy: ToyFactory) -> None:
    series = _series(toy, Noting())

    assert series.launch == CALL
    assert list(series.targets) == ["encoder", "decoder", "pipeline"]
    # Whoever measures brings the clock: the host's is right.
    assert series.clock is None


def test_each_launch_of_the_series_is_that_of_its_name(toy: ToyFactory) -> None:
    session = Noting()
    series = _series(toy, session)
    assert session.launched == []

    for name in ("decoder", "pipeline", "encoder", "decoder"):
        series.targets[name]()

    assert session.launched == ["decoder", "all", "encoder", "decoder"]


@pytest.mark.parametrize(
    "make", [lambda: TorchBackend(threads=1), lambda: OnnxRuntimeBackend(threads=1)]
)
def test_backends_of_the_host_give_one_series_of_calls(
    make: Callable[[], Backend], onnx_toy: Callable[..., Path], toy: ToyFactory
) -> None:
    backend = make()
    pipeline = load_pipeline(toy() if backend.name == "torch" else onnx_toy())
    built = {name: Built(pipeline.root / f"{name}.onnx") for name in pipeline.components}

    session = backend.open(pipeline, built)

    (series,) = session.series()
    assert list(series.targets) == ["encoder", "decoder", "pipeline"]
    assert (series.launch, series.clock) == (CALL, None)
    session.close()


def test_graphs_that_are_opened_as_they_are_took_no_building(
    models: dict[str, OnnxModel],
) -> None:
    built = as_built(models)

    assert built == {name: Built(model.path) for name, model in models.items()}
    for one in built.values():
        # The seconds of the export are not those of an engine, nor is the graph's size.
        assert (one.build_s, one.size_bytes, one.was_cached, one.details) == (None, None, True, {})


def test_a_backend_that_builds_nothing_gives_the_graphs_and_tells_of_no_progress(
    toy: ToyFactory, models: dict[str, OnnxModel], shared_pool: WorkerPool, tmp_path: Path
) -> None:
    told: list[Any] = []
    cache = Cache(tmp_path / "cache")
    workshop = Workshop(
        cache, shared_pool, None, lambda *done: told.append(done), lambda *done: told.append(done)
    )
    pipeline = load_pipeline(toy())

    for precision in ("fp32", "int8"):
        backend: Backend = OnnxRuntimeBackend(threads=1, precision=precision)
        assert backend.build(pipeline, models, workshop) == as_built(models)
        assert backend.graph_precision == backend.precision == precision
        assert (backend.route, backend.builds_engines, backend.is_calibrated) == ("", False, False)
    peer: Backend = TorchBackend(threads=1)
    assert peer.build(pipeline, {}, workshop) == {}
    assert peer.graph_precision is None
    assert (peer.route, peer.builds_engines, peer.is_calibrated) == ("", False, False)
    assert told == []
    assert list(cache.entries()) == []
