"""Round trips of a session, and several sessions on streams of their own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.cuda import CudaDevice
from harness.backends.protocol import Built
from harness.backends.tensorrt import backend as backends
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.backends.tensorrt.options import TensorRTOptions, make_recipe
from harness.backends.tensorrt.session import TensorRTSession
from harness.errors import EngineError
from harness.types import ENQUEUE, GRAPH
from tests.backends.tensorrt.fakes import (
    DECODER,
    ENCODER,
    FakeDevice,
    ICudaEngine,
    IExecutionContext,
    bind,
    expected,
    make_library,
    write_engine,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline


class Streamed(FakeDevice):
    """A device that gives streams; here each is a device of its own, with the same library."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[FakeDevice] = []
        self.opening = 0

    def stream(self) -> FakeDevice:
        self.given.append(FakeDevice())
        return self.given[-1]


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Streamed:
    made = Streamed()
    monkeypatch.setattr(backends, "_devices", [made])
    opening = TensorRTSession.__init__

    def note(self: TensorRTSession, *arguments: Any, **options: Any) -> None:
        made.opening = made.given.index(arguments[3])
        opening(self, *arguments, **options)

    monkeypatch.setattr(TensorRTSession, "__init__", note)
    return made


@pytest.fixture
def open_streams(
    own_library: None,
    parent: Streamed,
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Streams of the toy, launched kernel by kernel; each context works on its stream's device."""
    programs = {"encoder": ENCODER, "decoder": DECODER}
    built = {name: Built(write_engine(tmp_path / f"{name}.engine", name)) for name in programs}
    create = ICudaEngine.create_execution_context

    def create_on_latest(engine: ICudaEngine) -> IExecutionContext | None:
        context = create(engine)
        assert context is not None
        # One that is given back, as its weights cannot be shared, is made again for this stream.
        context.device = parent.given[parent.opening]
        return context

    monkeypatch.setattr(ICudaEngine, "create_execution_context", create_on_latest)
    library = make_library(parent, programs)
    backend = TensorRTBackend(
        library, make_recipe(library, "fp32", "graph", "qdq"), TensorRTOptions(), launches=[ENQUEUE]
    )
    return lambda count: backend.open_streams(pipeline, built, count)


@pytest.mark.parametrize("launch", [GRAPH, ENQUEUE])
def test_a_round_trip_copies_in_runs_all_copies_back_and_waits(
    open_session: Callable[..., TensorRTSession],
    pipeline: Pipeline,
    device: FakeDevice,
    launch: str,
) -> None:
    session = open_session(launch)
    inputs = bind(session, pipeline)
    trips = session.round_trips()
    device.uploads = device.downloads = device.waits = 0
    ((staged, _),) = session._buffers._staged_outputs
    staged[...] = np.nan

    assert list(trips) == [launch]
    trips[launch].call()

    assert (device.uploads, device.downloads, device.waits) == (2, 1, 1)
    assert device.queue == []
    np.testing.assert_allclose(staged, expected(inputs)[1], rtol=1e-5)
    # What lies on the host now is what is inferred next.
    for host, _ in session._buffers._staged_inputs:
        host[...] = 0
    trips[launch].call()
    np.testing.assert_array_equal(staged, np.zeros_like(staged))


def test_every_stream_has_its_own_buffers_and_computes_the_same(
    open_streams: Callable[..., Any], parent: Streamed, pipeline: Pipeline
) -> None:
    streams = open_streams(3)
    inputs = bind(streams, pipeline)

    (clock,) = streams.clocks().values()
    spans = clock.time_streams(0.0).spans

    assert [len(own) for own in spans] == [4] * 3
    assert len(parent.given) == 3
    assert parent.memory == {}
    for device in parent.given:
        assert device.downloads == 4
        assert device.memory
    for found in streams.read("decoder", "level"):
        np.testing.assert_allclose(found, expected(inputs)[1], rtol=1e-5)
    streams.close()
    assert all(device.memory == {} for device in parent.given)


def test_a_stream_that_does_not_fit_leaves_no_other_open(
    open_streams: Callable[..., Any], parent: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny() -> FakeDevice:
        parent.given.append(FakeDevice(capacity_bytes=1 << 20 if len(parent.given) < 2 else 8))
        return parent.given[-1]

    monkeypatch.setattr(parent, "stream", tiny)

    with pytest.raises(EngineError, match="out of memory"):
        open_streams(3)

    assert all(device.memory == {} for device in parent.given)


@pytest.mark.parametrize(("profile", "is_shared"), [(0, True), (-1, False), (None, False)])
def test_weights_are_shared_where_a_profile_may_have_several_contexts(
    open_session: Callable[..., TensorRTSession],
    monkeypatch: pytest.MonkeyPatch,
    profile: int | None,
    is_shared: bool,
) -> None:
    first = open_session(ENQUEUE)
    if profile is not None:
        monkeypatch.setattr(
            IExecutionContext, "active_optimization_profile", profile, raising=False
        )

    second = open_session(ENQUEUE, beside=first)

    for name, engine in second.engines.items():
        assert (engine.engine is first.engines[name].engine) is is_shared
        assert engine.context is not first.engines[name].context
        assert engine.tensors.keys() == first.engines[name].tensors.keys()


class Driver:
    """What CudaDevice asks of PyCUDA for a stream."""

    def __init__(self) -> None:
        self.made = 0

    def Stream(self) -> Any:  # noqa: N802
        self.made += 1
        return SimpleNamespace(handle=self.made, synchronize=lambda: None)


def test_another_stream_of_a_device_shares_its_memory_and_leaves_its_context_alone() -> None:
    driver = Driver()
    device: CudaDevice = object.__new__(CudaDevice)
    popped: list[int] = []
    device._driver = driver
    device._stream = driver.Stream()
    device._is_closed = False
    device._buffers = {1: SimpleNamespace(free=lambda: None)}
    device._context = SimpleNamespace(pop=lambda: popped.append(1))

    stream = device.stream()

    assert (device.stream_handle, stream.stream_handle) == (1, 2)
    stream.free(1)
    assert device._buffers == {}
    stream.close()
    assert popped == []
    device.close()
    assert popped == [1]


def test_an_event_is_waited_for_and_a_failure_told() -> None:
    device: CudaDevice = object.__new__(CudaDevice)
    waited: list[int] = []
    device.wait(SimpleNamespace(synchronize=lambda: waited.append(1)))
    assert waited == [1]

    def fail() -> None:
        message = "cuEventSynchronize failed: an illegal memory access"
        raise RuntimeError(message)

    with pytest.raises(EngineError, match="the device failed"):
        device.wait(SimpleNamespace(synchronize=fail))
