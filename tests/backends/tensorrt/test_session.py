"""A session of engines: one memory, on a device in which every copy and allocation is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.protocol import Built
from harness.errors import EngineError
from harness.pipeline.loader import load_pipeline
from harness.types import ENQUEUE, GRAPH
from tests.backends.tensorrt.fakes import (
    DECODER,
    FakeDevice,
    bind,
    expected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backends.tensorrt.session import TensorRTSession
    from harness.pipeline.pipeline import Pipeline
    from tests.backends.tensorrt.fakes import FakeDevice
    from tests.conftest import ToyFactory


@pytest.mark.parametrize("launch", [GRAPH, ENQUEUE])
@pytest.mark.parametrize(("frames", "batch"), [(2, 1), (8, 2), (16, 2)])
def test_the_pipeline_runs_at_every_size(
    open_session: Callable[..., TensorRTSession],
    pipeline: Pipeline,
    launch: str,
    frames: int,
    batch: int,
) -> None:
    session = open_session(launch)
    inputs = bind(session, pipeline, frames=frames, batch=batch)

    session.launch_pipeline()

    features, level = expected(inputs)
    np.testing.assert_allclose(session.read("encoder", "features"), features, rtol=1e-6)
    np.testing.assert_allclose(session.read("decoder", "level"), level, rtol=1e-5)
    assert np.abs(level).max() > 0


def test_an_output_is_the_next_ones_input_at_the_same_address(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    session = open_session()
    bind(session, pipeline)

    produced = session.engines["encoder"].context.addresses
    consumed = session.engines["decoder"].context.addresses
    assert produced["features"] == consumed["features"]
    assert len({*produced.values(), *consumed.values()}) == 5


@pytest.mark.parametrize("launch", [GRAPH, ENQUEUE])
def test_nothing_comes_to_the_host_between_the_stages(
    open_session: Callable[..., TensorRTSession],
    pipeline: Pipeline,
    device: FakeDevice,
    launch: str,
) -> None:
    session = open_session(launch)
    bind(session, pipeline)
    session.launch_pipeline()
    # The first launch holds the graph against its launches; from then on nothing is looked at.
    before, copies = device.waits, (device.uploads, device.downloads)
    assert device.downloads == (2 if launch == "graph" else 0)

    session.launch_pipeline()

    assert (device.uploads, device.downloads) == copies
    assert device.waits == before + 1, "it is waited for once, at the end"


def test_memory_is_taken_once_and_for_the_largest_size(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session()

    # signal, gain, features, voiced, level at two rows of 16 frames.
    assert sorted(device.allocations) == sorted([2 * 64 * 4, 4, 2 * 16 * 6 * 4, 2 * 16, 2 * 16 * 4])
    for frames, batch in ((16, 2), (2, 1), (8, 1), (16, 2)):
        bind(session, pipeline, frames=frames, batch=batch)
        session.launch_pipeline()
    assert len(device.allocations) == 5
    # The file, the fake's activations, and the outputs.
    file = Built(Path("x.engine"), size_bytes=10_000)
    assert session.memory_bytes("encoder", file) == 10_000 + 4096 + 768
    assert session.memory_bytes("decoder", file) == 10_000 + 4096 + 128
    assert session.memory_bytes("decoder", Built(Path("x.engine"))) is None


def test_a_graph_is_kept_while_the_sizes_are_and_recorded_again_after(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session()
    bind(session, pipeline, seed=1)
    session.launch_pipeline()
    again = bind(session, pipeline, seed=2)
    session.launch_pipeline()
    assert len(device.graphs) == 1
    np.testing.assert_allclose(session.read("decoder", "level"), expected(again)[1], rtol=1e-5)

    other = bind(session, pipeline, frames=4)
    assert device.graphs[0].is_closed
    session.launch_pipeline()

    assert [graph.is_closed for graph in device.graphs] == [True, False]
    np.testing.assert_allclose(session.read("decoder", "level"), expected(other)[1], rtol=1e-5)


def test_running_one_component_at_another_size_drops_the_graphs(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session()
    inputs = bind(session, pipeline)
    session.launch_pipeline()

    session.infer(
        "decoder", {"features": np.ones((1, 3, 6), np.float32), "voiced": np.ones((1, 3), bool)}
    )
    assert device.graphs[0].is_closed
    bind(session, pipeline)
    session.launch_pipeline()

    np.testing.assert_allclose(session.read("decoder", "level"), expected(inputs)[1], rtol=1e-5)


def test_one_component_runs_on_given_arrays(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    session = open_session()
    features = np.arange(18, dtype=np.float32).reshape(1, 3, 6)
    voiced = np.array([[True, False, True]])

    found = session.infer("decoder", {"features": features, "voiced": voiced})

    assert list(found) == ["level"]
    assert found["level"].tolist() == [[15.0, 0.0, 87.0]]


def test_an_output_that_is_not_written_is_no_former_one(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    writes = [True]

    def sometimes(**arrays: Any) -> dict[str, Any]:
        return DECODER.compute(**arrays) if writes.pop() else {}

    session = open_session(decoder=replace(DECODER, compute=sometimes))
    given = {"features": np.ones((1, 3, 6), np.float32), "voiced": np.ones((1, 3), bool)}
    assert session.infer("decoder", given)["level"].tolist() == [[6.0] * 3]

    writes.append(False)
    assert np.isnan(session.infer("decoder", given)["level"]).all()


def test_whole_numbers_of_64_bits_in_an_engine_of_32(
    open_session: Callable[..., TensorRTSession], toy: ToyFactory, device: FakeDevice
) -> None:
    for _ in range(2):
        root = toy(('voiced = { dtype = "bool"', 'voiced = { dtype = "int64"'))
    declared = load_pipeline(root)
    inputs = {**DECODER.inputs, "voiced": ("int32", *DECODER.inputs["voiced"][1:])}
    session = open_session(decoder=replace(DECODER, inputs=inputs), declared=declared)
    given = {
        "signal": np.ones((1, 8), np.float32),
        "voiced": np.array([[0, 2**31 - 1]], np.int64),
    }
    sizes = declared.sizes(duration_s=0.125)

    session.bind(sizes, given)
    session.launch_pipeline()

    level = session.read("decoder", "level")
    assert level[0, 0] == 0 != level[0, 1]
    given["voiced"] = np.array([[0, 2**31]], np.int64)
    with pytest.raises(EngineError, match="numbers that int32 cannot") as caught:
        session.bind(sizes, given)
    assert caught.value.where == "voiced"


def test_an_output_of_32_bits_is_read_as_declared(
    open_session: Callable[..., TensorRTSession], toy: ToyFactory
) -> None:
    root = toy(('outputs.level = { dtype = "float32"', 'outputs.level = { dtype = "int64"'))
    outputs = {"level": ("int32", [-1, -1])}
    session = open_session(decoder=replace(DECODER, outputs=outputs), declared=load_pipeline(root))

    found = session.infer(
        "decoder", {"features": np.ones((1, 3, 6), np.float32), "voiced": np.ones((1, 3), bool)}
    )

    assert found["level"].dtype == np.int64
    assert found["level"].tolist() == [[6, 6, 6]]


def test_closing_frees_everything(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session(GRAPH, ENQUEUE)
    bind(session, pipeline)
    session.series()
    assert len(device.graphs) == 3

    session.close()

    assert device.memory == {}
    assert all(graph.is_closed for graph in device.graphs)
    assert session.engines == {}
    session.close()
