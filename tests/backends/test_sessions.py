"""Sessions: outputs feed inputs without a copy, and both backends compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.artifacts.export import export_pipeline
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import Built, as_built
from harness.backends.torch import TorchBackend
from harness.errors import ContractError, ModelError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Session
    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture(params=["onnxruntime", "torch"])
def session(
    request: pytest.FixtureRequest, pipeline: Pipeline, shared_cache: Cache, shared_pool: WorkerPool
) -> Session:
    if request.param == "torch":
        return TorchBackend(threads=1).open(pipeline, {})
    models = export_pipeline(pipeline, shared_cache, shared_pool)
    return OnnxRuntimeBackend(threads=1).open(pipeline, as_built(models))


def _expected(inputs: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    return np.where(inputs["voiced"], features.sum(2), 0.0)


@pytest.mark.parametrize(("duration_s", "batch"), [(0.125, 1), (0.5, 2), (1.0, 1)])
def test_the_pipeline_runs_at_every_size(
    session: Session, pipeline: Pipeline, duration_s: float, batch: int
) -> None:
    sizes = pipeline.sizes(duration_s=duration_s, batch=batch)
    inputs = synthetic_inputs(pipeline, sizes, seed=1)

    session.bind(sizes, inputs)
    session.launch_pipeline()

    features = session.read("encoder", "features")
    assert features.shape == (batch, sizes["frames"], 6)
    assert np.abs(features).max() > 0
    level = session.read("decoder", "level")
    np.testing.assert_allclose(level, _expected(inputs, features), rtol=1e-5, atol=1e-5)


def test_the_declared_constant_is_fed(
    toy: ToyFactory, session: Session, pipeline: Pipeline
) -> None:
    sizes = pipeline.profile("opt")
    inputs = synthetic_inputs(pipeline, sizes, seed=1)
    session.bind(sizes, inputs)
    session.launch("encoder")
    fed = session.read("encoder", "features")

    asked = session.infer(
        "encoder", {"signal": inputs["signal"], "gain": np.array(0.5, np.float32)}
    )

    np.testing.assert_allclose(fed, asked["features"], rtol=1e-6)
    assert np.abs(fed).max() > 0


def test_another_input_gives_another_output(session: Session, pipeline: Pipeline) -> None:
    sizes = pipeline.profile("opt")
    levels = []
    for seed in (1, 2):
        session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=seed))
        session.launch_pipeline()
        levels.append(session.read("decoder", "level"))

    assert not np.allclose(levels[0], levels[1])


def test_read_gives_a_copy(session: Session, pipeline: Pipeline) -> None:
    sizes = pipeline.profile("opt")
    session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=1))
    session.launch_pipeline()
    kept = session.read("decoder", "level")
    before = kept.copy()

    kept[:] = 0

    np.testing.assert_array_equal(session.read("decoder", "level"), before)


def test_opening_is_timed_for_each_component(session: Session) -> None:
    assert set(session.load_s) == {"encoder", "decoder"}
    assert all(seconds > 0 for seconds in session.load_s.values())


def test_onnxruntime_hands_over_the_same_memory(
    pipeline: Pipeline, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    """The decoder reads the very buffer that the encoder writes, before and after a launch."""
    built = as_built(export_pipeline(pipeline, shared_cache, shared_pool))
    session = OnnxRuntimeBackend(threads=1).open(pipeline, built)
    sizes = pipeline.profile("opt")
    session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=1))
    address = session._values["encoder.features"].data_ptr()

    session.launch("encoder")
    produced = session._bindings["encoder"].get_outputs()[0].data_ptr()
    session.launch("decoder")
    first = session.read("decoder", "level")
    # What the decoder reads is this buffer: change it, and its output changes with it.
    session._values["encoder.features"].update_inplace(np.zeros((1, 8, 6), np.float32))
    session.launch("decoder")

    assert produced == address
    assert np.abs(first).max() > 0
    assert np.abs(session.read("decoder", "level")).max() == 0


def test_onnxruntime_names_a_graph_that_it_cannot_load(pipeline: Pipeline, tmp_path: Path) -> None:
    broken = tmp_path / "encoder.onnx"
    broken.write_bytes(b"no model")

    with pytest.raises(ContractError, match="cannot load") as caught:
        OnnxRuntimeBackend(threads=1).open(
            pipeline, {"encoder": Built(broken), "decoder": Built(broken)}
        )

    assert caught.value.where == str(broken)


def test_a_launch_that_fails_names_the_component(session: Session, pipeline: Pipeline) -> None:
    sizes = {**pipeline.profile("opt"), "samples": 33}
    inputs = synthetic_inputs(pipeline, pipeline.profile("opt"), seed=1)
    inputs["signal"] = np.zeros((1, 33), np.float32)
    session.bind(sizes, inputs)

    with pytest.raises(ModelError) as caught:
        session.launch("encoder")

    assert caught.value.where == f"{pipeline.manifest}: components.encoder"


def test_a_round_trip_runs_every_component(session: Session, pipeline: Pipeline) -> None:
    sizes = pipeline.sizes(duration_s=0.5, batch=1)
    inputs = synthetic_inputs(pipeline, sizes, seed=1)
    session.bind(sizes, inputs)
    trips = session.round_trips()

    assert list(trips) == ["call"]
    assert all(seconds > 0 for seconds in trips["call"].time_hot(2))

    expected = _expected(inputs, session.read("encoder", "features"))
    np.testing.assert_allclose(session.read("decoder", "level"), expected, rtol=1e-5)
