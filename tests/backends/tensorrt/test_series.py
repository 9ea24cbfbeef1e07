"""What of a session can be timed, and with which clock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.errors import MissingDependencyError
from harness.types import ENQUEUE, GRAPH
from tests.backends.tensorrt.fakes import (
    FakeDevice,
    bind,
    expected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backends.tensorrt.session import TensorRTSession
    from harness.pipeline.pipeline import Pipeline
    from tests.backends.tensorrt.fakes import FakeDevice


NAMES = ["encoder", "decoder", "pipeline"]
WITH_COPIES = ["host_to_device", "encoder", "decoder", "device_to_host", "pipeline"]
HOST = "host, without waiting"


@pytest.mark.parametrize(
    ("launches", "series_of_it"),
    [
        (
            (GRAPH,),
            [
                (GRAPH, WITH_COPIES, "cuda events, queued ahead"),
                (GRAPH, ["host_enqueue"], HOST),
            ],
        ),
        (
            (ENQUEUE,),
            [
                (ENQUEUE, WITH_COPIES, "cuda events, as enqueued"),
                (ENQUEUE, ["host_enqueue"], HOST),
            ],
        ),
        (
            (GRAPH, ENQUEUE),
            [
                (GRAPH, WITH_COPIES, "cuda events, queued ahead"),
                (GRAPH, ["host_enqueue"], HOST),
                (ENQUEUE, NAMES, "cuda events, as enqueued"),
                (ENQUEUE, ["host_enqueue"], HOST),
            ],
        ),
    ],
)
def test_what_can_be_timed(
    open_session: Callable[..., TensorRTSession],
    pipeline: Pipeline,
    device: FakeDevice,
    launches: tuple[str, ...],
    series_of_it: list[Any],
) -> None:
    session = open_session(*launches)
    inputs = bind(session, pipeline)

    found = session.series()

    assert [(s.launch, list(s.targets), s.clock.name) for s in found if s.clock] == series_of_it
    assert len(device.graphs) == (3 if GRAPH in launches else 0)
    # What a graph needs beforehand is no part of what is timed.
    assert device.queue == []
    for series in found:
        assert series.clock is not None
        for name, target in series.targets.items():
            times_s = series.clock.time_block([target] * 60)
            assert len(times_s) == 60, name
            assert all(time_s > 0 for time_s in times_s)
    np.testing.assert_allclose(session.read("decoder", "level"), expected(inputs)[1], rtol=1e-5)


def test_the_copies_are_of_the_inputs_and_of_the_last_output(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session()
    inputs = bind(session, pipeline)
    copies = session.series()[0].targets
    device.uploads = device.downloads = 0

    copies["host_to_device"]()
    assert (device.uploads, device.downloads) == (2, 0)
    copies["pipeline"]()
    copies["device_to_host"]()
    device.synchronize()

    assert (device.uploads, device.downloads) == (2, 1)
    ((host, _),) = session._buffers._staged_outputs
    np.testing.assert_allclose(host, expected(inputs)[1], rtol=1e-5)


def test_asking_again_for_what_can_be_timed_records_nothing_again(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, device: FakeDevice
) -> None:
    session = open_session()
    bind(session, pipeline)

    session.series()
    session.series()

    assert len(device.graphs) == 3


def test_marks_for_profilers_need_nvtx(
    open_session: Callable[..., TensorRTSession],
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nvtx", None)
    session = open_session(nvtx=True)
    bind(session, pipeline)

    with pytest.raises(MissingDependencyError, match="nvtx is not installed") as caught:
        session.series()

    assert caught.value.fix == "pip install 'trt-harness[cuda]'"
