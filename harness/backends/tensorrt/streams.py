"""Several streams of one device, each with contexts, buffers and CUDA graphs of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.backends.protocol import Sessions
from harness.measure.concurrent import EventStreams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.backends.tensorrt.session import TensorRTSession
    from harness.measure.concurrent import StreamDevice


class TensorRTStreams(Sessions):
    """Sessions on streams of their own, launched from one thread."""

    def __init__(
        self,
        sessions: Sequence[TensorRTSession],
        devices: Sequence[StreamDevice],
        launches: Sequence[str],
    ) -> None:
        super().__init__(sessions, threads=1)
        self._own = tuple(sessions)
        self._devices = tuple(devices)
        self._launches = tuple(launches)

    def clocks(self) -> Mapping[str, EventStreams]:
        """What queues round trips on every stream in turn, and times each there."""
        return {
            launch: EventStreams(
                [
                    (device, session.queued_round_trip(launch))
                    for device, session in zip(self._devices, self._own, strict=True)
                ]
            )
            for launch in self._launches
        }
