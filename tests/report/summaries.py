"""Records, and what is told of them: real ones, and some made by hand."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.gate.comparing import compare_with
from harness.gate.records import Baseline
from harness.report.summarize import summarize_record
from harness.report.summary_comparison import Against
from harness.states import FAIL, FLAG, DeviceState, Finding, GpuState, HostState, Validity
from harness.store.parquet import read_record
from tests.cli.test_gate import side
from tests.gate.made import HOSTILE, head, samples
from tests.history.records import measurement, record

if TYPE_CHECKING:
    from harness.report.summary import Summary
    from harness.types import Measurement, Record

EXAMPLES = Path(__file__).parents[2] / "reports" / "examples"
HOT = Finding(FAIL, "the GPU was throttled by heat in 12 of 60 readings", "cool it, measure again")
BUSY = Finding(FLAG, "other processes took 50% of all cores' time", "end them")


@functools.cache
def real(name: str) -> Record:
    """A record of ``reports/examples``."""
    return read_record(EXAMPLES / f"{name}.parquet")


def states(count: int = 60) -> tuple[DeviceState, ...]:
    """A GPU that becomes warm, and then slower."""
    return tuple(
        DeviceState(
            float(i),
            HostState(load_average_1min=1.0 + 0.01 * i, busy=0.5, others_busy=0.0),
            GpuState(
                "GPU-0",
                power_w=300.0 + i,
                sm_clock_mhz=1980.0 - (15.0 * (i - 40) if i > 40 else 0.0),
                temperature_c=40.0 + 0.5 * i,
            ),
        )
        for i in range(count)
    )


def parts(ms: float = 10.0, **changes: Any) -> list[Measurement]:
    """Three components and their whole, which is 1 ms more than they are."""
    shares = {"encoder": 0.2, "vocoder": 0.6, "decoder": 0.1, "pipeline": 1.0}
    return [
        measurement(name, latency_s=samples(400, share * ms), **changes)
        for name, share in shares.items()
    ]


def simulated() -> Record:
    made = parts(30.0, backend="simulated", clock="simulated", simulated=True)
    return record("simulated", made)


def invalid() -> Record:
    validity = Validity((HOT, BUSY))
    return record("invalid", parts(), validity=validity, telemetry=states())


def interrupted() -> Record:
    """Of a run over two sizes the first, and nothing of the budget's."""
    return record("interrupted", parts(duration_s=0.1), is_complete=False)


def missed() -> Record:
    """Over its budget, and under its floor."""
    return record("missed", parts(60.0, snr_db=39.0, min_snr_db=40.0), telemetry=states())


def hostile() -> Record:
    """Names that each format could take for its own syntax."""
    names = (HOSTILE, "=1+1", "[bold red]x[/]", "名前", "pipeline")
    measured = [measurement(name, latency_s=samples(), backend=HOSTILE) for name in names]
    return head(
        measurements=tuple(measured),
        pipeline=HOSTILE,
        record_id=HOSTILE,
        command=(HOSTILE,),
        environment={"cpu": HOSTILE, "gpu": {"name": HOSTILE}},
        validity=Validity((Finding(FLAG, HOSTILE, HOSTILE),)),
        telemetry=states(),
    )


def many(count: int = 1000) -> Record:
    """A record of very many components."""
    measured = [
        measurement(f"part_{i:04d}", latency_s=samples(20, 1e-3 * (i + 1))) for i in range(count)
    ]
    return record("many", [*measured, measurement(latency_s=samples(400, 40.0))])


def against(base: Record, made: Record, **options: Any) -> Against:
    """What is told of ``made`` beside ``base``."""
    held = Baseline(base.record_id, (base,))
    return Against(compare_with(held, made, 0.002, **options), ("it was looked for by hand",))


@functools.cache
def summary(name: str) -> Summary:
    """What is told of one of the records."""
    if name == "baseline":
        base, made = side("base"), side("head", slower=0.5)
        return summarize_record(made, against(base, made))
    if name == "other-machine":
        base = side("base", environment={"cpu": "other", "gpu": None}, replication=None)
        made = side("head", slower=0.5)
        return summarize_record(made, against(base, made))
    made = MADE[name]() if name in MADE else real(name.replace("-", "/", 1))
    return summarize_record(made)


MADE = {
    "simulated": simulated,
    "invalid": invalid,
    "interrupted": interrupted,
    "missed": missed,
    "hostile": hostile,
    "nothing": lambda: record("nothing", ()),
    "no-budget": lambda: replace(head(), budget=None),
}
SHOWN = (
    *("h200-pinned", "h200-routes", "h200-processes", "h200-paced", "cpu-processes"),
    *("simulated", "invalid", "interrupted", "missed", "baseline", "other-machine"),
)
EVERY = (*SHOWN, "h200-concurrent", "h200-builds", "h200-cold", "hostile", "nothing", "no-budget")
