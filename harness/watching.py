"""Watch the machine while it is measured."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.backends.gpu import has_gpu, read_gpu
from harness.errors import HarnessError
from harness.measure.nvml import read_gpu_facts
from harness.measure.telemetry_process import TelemetryProcess
from harness.measuring import Watch
from harness.stats.energy import estimate_idle_power_w

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.states import DeviceState

# About a dozen readings of the GPU with nothing to do.
IDLE_TIME_S: Final = 1.2


def describe_gpu() -> dict[str, Any] | None:
    """What CUDA and NVML tell of the first visible GPU; None where there is none."""
    if not has_gpu():
        return None
    told = asdict(read_gpu())
    return {**_facts(told["uuid"]), **told}


def _facts(uuid: str) -> dict[str, Any]:
    """What NVML tells; nothing where it is not installed or does not run."""
    try:
        return read_gpu_facts(uuid)
    except HarnessError as error:
        return {"nvml_problem": str(error)}


@contextmanager
def open_telemetry(environment: Mapping[str, Any], *, uses_gpu: bool) -> Iterator[Watch]:
    """Read the state of the machine that ``environment`` describes until the block ends.

    Its GPU is read only where ``uses_gpu``: what others do there is no part of the CPU's figures.
    """
    gpu = environment.get("gpu") if uses_gpu else None
    uuid = None if gpu is None else str(gpu["uuid"])

    def driver() -> str | None:
        told = None if uuid is None else _facts(uuid).get("driver")
        return None if told is None else str(told)

    with TelemetryProcess(uuid) as telemetry:
        yield Watch(telemetry.states, uuid, driver, lambda: telemetry.problem)


@dataclass(frozen=True)
class Idle:
    """The GPU's power with nothing to do, None where it was not read, and until when it was."""

    power_w: float | None = None
    until_s: float = float("-inf")


def watch_idle(watch: Watch, sleep: Callable[[float], None] = time.sleep) -> Idle:
    """Wait while the GPU is read with nothing to do; no wait where none is watched."""
    if watch.device_uuid is None:
        return Idle()
    sleep(IDLE_TIME_S)
    until_s = time.monotonic()
    return Idle(estimate_idle_power_w(watch.states(), until_s), until_s)


def kept_states(
    states: Sequence[DeviceState], idle: Idle, measured_from_s: float
) -> tuple[DeviceState, ...]:
    """Those while it was idle, and from the last before measuring on: not those of preparing."""
    before = [s.monotonic_s for s in states if s.monotonic_s <= measured_from_s]
    from_s = max(before, default=measured_from_s)
    return tuple(s for s in states if s.monotonic_s <= idle.until_s or s.monotonic_s >= from_s)
