"""One component that cannot be built keeps none of the others from being built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.cache import Cache
from harness.artifacts.export import export_pipeline
from harness.backends.protocol import Workshop
from harness.backends.tensorrt.engines import EngineFactory
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.errors import ContractError, EngineError, HarnessError, WorkerError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.export import OnnxModel
    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Built
    from harness.backends.tensorrt.library import Library
    from harness.pipeline.pipeline import Pipeline

FP32 = Recipe("fp32", "", "fp32", strong=True)


class FailingPool:
    """Builds whatever has no error to its name."""

    is_closed = False

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors
        self.asked: list[str] = []

    def run(self, _function: str, request: dict[str, Any], *, threads: int) -> dict[str, Any]:
        name = request["component"]
        self.asked.append(name)
        if name in self.errors:
            raise self.errors[name]
        return {"size_bytes": 9, "build_s": 1.5}


@pytest.fixture
def pipeline(onnx_toy: Callable[..., Path]) -> Pipeline:
    return load_pipeline(onnx_toy())


@pytest.fixture
def models(pipeline: Pipeline, tmp_path: Path, shared_pool: WorkerPool) -> dict[str, OnnxModel]:
    return export_pipeline(pipeline, Cache(tmp_path / "exports"), shared_pool)


@pytest.fixture
def build(
    tmp_path: Path, pipeline: Pipeline, models: dict[str, OnnxModel], rtx: Library
) -> Callable[..., dict[str, Built]]:
    """Build the toy; whoever is in ``done`` was told to be."""
    cache = Cache(tmp_path / "engines")

    def call(pool: Any, done: list[str]) -> dict[str, Built]:
        workshop = Workshop(cache, pool, None, lambda name, _built: done.append(name))
        return EngineFactory(rtx, FP32, TensorRTOptions()).build(pipeline, models, workshop)

    return call


def test_what_comes_after_a_component_that_failed_is_built(
    build: Callable[..., dict[str, Built]],
) -> None:
    failing, done = FailingPool(encoder=EngineError("no tactic", where="encoder")), list[str]()

    with pytest.raises(EngineError, match="no tactic"):
        build(failing, done)

    assert failing.asked == ["encoder", "decoder"]
    assert done == ["decoder"]
    # When it is mended, only what failed is left to do.
    mended = FailingPool()
    built = build(mended, done)
    assert mended.asked == ["encoder"]
    assert (built["encoder"].was_cached, built["decoder"].was_cached) == (False, True)
    assert list(built) == ["encoder", "decoder"]


@pytest.mark.parametrize(
    ("first", "second"),
    [(EngineError("one"), ContractError("other")), (ContractError("one"), EngineError("other"))],
)
def test_of_several_failures_the_first_is_told(
    build: Callable[..., dict[str, Built]], first: HarnessError, second: HarnessError
) -> None:
    pool, done = FailingPool(encoder=first, decoder=second), list[str]()

    with pytest.raises(HarnessError) as caught:
        build(pool, done)

    assert caught.value is first
    assert pool.asked == ["encoder", "decoder"]
    assert done == []


def test_the_last_component_can_fail_too(build: Callable[..., dict[str, Built]]) -> None:
    done: list[str] = []

    with pytest.raises(EngineError, match="no tactic"):
        build(FailingPool(decoder=EngineError("no tactic")), done)

    assert done == ["encoder"]


@pytest.mark.parametrize("error", [WorkerError("killed"), KeyboardInterrupt(), MemoryError()])
def test_what_is_no_fault_of_a_component_ends_the_build_at_once(
    build: Callable[..., dict[str, Built]], error: BaseException
) -> None:
    pool, done = FailingPool(encoder=error), list[str]()

    with pytest.raises(type(error)):
        build(pool, done)

    assert pool.asked == ["encoder"]
    assert done == []
