"""Telemetry: readings of the machine's state, as they are made or played back from a file.

A file of readings is lines of JSON: a header, then one line a reading. Times are those of the
system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.errors import HarnessError, RecordError
from harness.files import write_text
from harness.states import DeviceState, GpuState, HostState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT_INTERVAL_S: Final = 0.1
_FORMAT: Final = "trt-harness telemetry"
_VERSION: Final = 1


class Telemetry(Protocol):
    """What reads a machine; the extension point for other devices and for playing back."""

    def read(self) -> DeviceState:
        """The state now."""


class MachineTelemetry:
    """Reads the processor, and the GPU called ``gpu_uuid`` if that is given.

    ``problem`` says why the GPU cannot be read; its states are then without it.
    """

    def __init__(self, gpu_uuid: str | None, measured_pid: int) -> None:
        # Only where something is read, not where it is played back.
        from harness.measure.host_state import HostReader  # noqa: PLC0415
        from harness.measure.nvml import NvmlGpu  # noqa: PLC0415

        self.problem = ""
        self._host = HostReader(measured_pid)
        self._gpu: NvmlGpu | None = None
        if gpu_uuid is not None:
            try:
                self._gpu = NvmlGpu(gpu_uuid)
            except HarnessError as error:
                self.problem = str(error)

    def read(self) -> DeviceState:
        """The state now, of the GPU first: its energy belongs to this very moment."""
        now_s = time.monotonic()
        gpu = None if self._gpu is None else self._gpu.read()
        return DeviceState(now_s, self._host.read(), gpu)


class PlayedTelemetry:
    """Gives the states that it was made with, one a reading, and the last for ever after.

    It also stands in for a :class:`~harness.measure.telemetry_process.TelemetryProcess`, whose
    ``states()`` are then all of them.
    """

    problem = ""

    def __init__(self, states: Sequence[DeviceState]) -> None:
        if not states:
            message = "there are no states to play back"
            raise ValueError(message)
        self._states = tuple(states)
        self._position = 0

    def __enter__(self) -> PlayedTelemetry:  # noqa: PYI034  # typing.Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def read(self) -> DeviceState:
        """The next of them."""
        state = self._states[min(self._position, len(self._states) - 1)]
        self._position += 1
        return state

    def states(self) -> tuple[DeviceState, ...]:
        """All of them."""
        return self._states


@dataclass(frozen=True)
class RecordedTelemetry:
    """What a file of readings holds; ``is_simulated`` where no machine was read."""

    states: tuple[DeviceState, ...]
    is_simulated: bool
    interval_s: float
    problem: str = ""


def from_start(states: Sequence[DeviceState], started_s: float) -> tuple[DeviceState, ...]:
    """``states`` moved in time so that the first is at ``started_s``."""
    shift_s = started_s - states[0].monotonic_s if states else 0.0
    return tuple(replace(state, monotonic_s=state.monotonic_s + shift_s) for state in states)


def write_recorded(
    path: Path,
    states: Sequence[DeviceState],
    *,
    interval_s: float = DEFAULT_INTERVAL_S,
    is_simulated: bool = False,
    problem: str = "",
) -> None:
    """Write ``states`` to ``path``, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "interval_s": interval_s,
        "simulated": is_simulated,
        "problem": problem,
    }
    lines = [json.dumps(header), *(encode_state(state) for state in states)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_recorded(path: Path) -> RecordedTelemetry:
    """What :func:`write_recorded` wrote.

    Raises:
        RecordError: there is no such file, or it is something else or damaged.
    """
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        header = json.loads(first)
        if header.get("format") != _FORMAT or header.get("version") != _VERSION:
            what = f"is no file of {_FORMAT}, version {_VERSION}"
            raise RecordError(what, where=str(path), fix="make one: harness telemetry record")
        return RecordedTelemetry(
            tuple(decode_state(line) for line in rest),
            is_simulated=bool(header["simulated"]),
            interval_s=float(header["interval_s"]),
            problem=str(header["problem"]),
        )
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise RecordError(what, where=str(path), fix="is the path right?") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"is no telemetry, or damaged: {error}"
        raise RecordError(what, where=str(path), fix="record it again") from error


def encode_state(state: DeviceState) -> str:
    """A state as a line of JSON."""
    # Not asdict(), which copies all of it first: this is done while others are measured.
    row = {
        "monotonic_s": state.monotonic_s,
        "host": vars(state.host),
        "gpu": None if state.gpu is None else vars(state.gpu),
    }
    return json.dumps(row, separators=(",", ":"))


def decode_state(line: str) -> DeviceState:
    """The state that :func:`encode_state` wrote.

    Raises:
        ValueError, TypeError or KeyError: it is something else.
    """
    row: dict[str, Any] = json.loads(line)
    gpu = row["gpu"]
    if gpu is not None:
        pids = gpu["process_ids"]
        gpu = GpuState(**{**gpu, "process_ids": None if pids is None else tuple(pids)})
    return DeviceState(float(row["monotonic_s"]), HostState(**row["host"]), gpu)
