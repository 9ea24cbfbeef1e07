"""Watch the machine while it is measured."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.backends.gpu import has_gpu, read_gpu
from harness.errors import HarnessError
from harness.measure.nvml import read_gpu_facts
from harness.measure.telemetry_process import TelemetryProcess
from harness.measuring import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
def open_telemetry(environment: Mapping[str, Any]) -> Iterator[Watch]:
    """Read the state of the machine that ``environment`` describes until the block ends."""
    gpu = environment.get("gpu")
    uuid = None if gpu is None else str(gpu["uuid"])

    def driver() -> str | None:
        told = None if uuid is None else _facts(uuid).get("driver")
        return None if told is None else str(told)

    with TelemetryProcess(uuid) as telemetry:
        yield Watch(telemetry.states, uuid, driver)
