"""Comparisons and reports made by hand: what a gate finds is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.comparison.model import Comparison, Figure, Series, SeriesComparison, Side
from harness.gate.judge import judge
from harness.gate.limits import Limits
from harness.stats.pairs import PairStatus, PairVerdict
from harness.types import Case, Replication, Variant
from tests.history.records import measurement, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.gate_model import Check, GateReport
    from harness.types import Record

VARIANT, CASE = Variant("onnxruntime", "fp32"), Case(1.0, 1)
SLOWER, FASTER, SAME, INCONCLUSIVE = (
    PairStatus.SLOWER,
    PairStatus.FASTER,
    PairStatus.SAME,
    PairStatus.INCONCLUSIVE,
)
# What a terminal, Markdown, XML and GitHub each take for something else.
HOSTILE = 'a|b`*_<script>&"]]>\x1b[31m\n::error::%0A@org#1 [x](y) \u202e\ud800é'


def row(
    component: str = "pipeline",
    status: PairStatus = SAME,
    ratio: float = 1.0,
    base_ms: float = 10.0,
    *,
    figures: tuple[Figure, ...] = (),
    is_discovery: bool = True,
    variant: Variant = VARIANT,
    reason: str = "",
    mode: str = "hot",
) -> SeriesComparison:
    return SeriesComparison(
        series=Series(component, variant, CASE, mode),
        base_s=base_ms * 1e-3,
        head_s=base_ms * ratio * 1e-3,
        time=PairVerdict(status, ratio, ratio - 0.004, ratio + 0.004, 0.98, 0.001, 8, reason),
        figures=figures,
        is_discovery=is_discovery,
    )


# The vocoder is 0.6 ms slower, the encoder 0.1 ms faster, and the decoder as it was.
MOVED = (
    row("encoder", FASTER, 0.95, 2.0),
    row("vocoder", SLOWER, 1.1, 6.0),
    row("decoder", SAME, 1.001, 1.0),
    row("pipeline", SLOWER, 1.05, 10.0),
)


def side(label: str, **changes: Any) -> Side:
    return Side(label, "01" * 20, (label,), {"cpu": "some"}, **changes)


def comparison(
    rows: Sequence[SeriesComparison] = MOVED,
    *,
    base: Side | None = None,
    head: Side | None = None,
    differences: tuple[str, ...] = (),
    findings: tuple[str, ...] = (),
    is_paired: bool = True,
) -> Comparison:
    return Comparison(
        pipeline="tiny",
        base=base or side("main"),
        head=head or side("a"),
        rows=tuple(rows),
        margin=0.002,
        is_paired=is_paired,
        differences=differences,
        findings=findings,
    )


def samples(count: int = 400, ms: float = 10.0) -> tuple[float, ...]:
    """Enough for the interval of a p99, and no two alike."""
    return tuple(ms * 1e-3 * (1.0 + 1e-4 * ((7 * i) % 13)) for i in range(count))


def head(ms: float = 10.0, count: int = 400, **changes: Any) -> Record:
    """A record with a budget of 50 ms at 1 s."""
    held = ("encoder", "vocoder", "decoder", "pipeline")
    measured = [measurement(name, latency_s=samples(count, ms)) for name in held]
    return replace(record("a", measured), **changes)


def found(report: GateReport, name: str) -> Check:
    """The one check of that name."""
    (check,) = (check for check in report.checks if check.name == name)
    return check


def hostile_report() -> GateReport:
    """Names that each format could take for its own syntax."""
    wholes = (row(HOSTILE, SLOWER, 1.1, 6.0), row("pipeline", SLOWER, 1.06, 10.0))
    sides = {"base": side(HOSTILE), "head": side(f"{HOSTILE}.parquet", is_simulated=True)}
    compared = comparison(wholes, **sides, findings=(HOSTILE,), differences=(HOSTILE,))
    return judge(head(pipeline=HOSTILE), Limits(), compared)


def hostile_open_report() -> GateReport:
    """The same names in what is open: other series, no turns, no figure, another environment."""
    figures = (Figure("memory_bytes", None, 5e6),)
    wholes = (row("pipeline", SLOWER, 1.06, 10.0, figures=figures),)
    compared = comparison(
        wholes, base=side(HOSTILE), head=side(HOSTILE), findings=(HOSTILE,), is_paired=False
    )
    odd = measurement(HOSTILE, backend=HOSTILE, latency_s=samples())
    lost = (odd, replace(odd, component="pipeline"), replace(odd, backend="onnxruntime"))
    base = replace(record(HOSTILE, lost), replication=Replication(1, 1, experiment=HOSTILE))
    made = head(pipeline=HOSTILE, record_id=HOSTILE, environment={"cpu": HOSTILE, "gpu": None})
    limits = Limits(max_energy_rise=0.05, max_memory_rise=0.05)
    return judge(made, limits, compared, [base], remarks=(HOSTILE,))


def moved_report() -> GateReport:
    """Slower, with energy and memory; a floor that is kept."""
    figures = (Figure("energy_j", 0.5, 0.52), Figure("memory_bytes", 5e6, 5.5e6))
    rows = (*MOVED[:-1], row("pipeline", SLOWER, 1.05, 10.0, figures=figures))
    made = head(environment={"cpu": "some", "gpu": {"name": "NVIDIA H200"}})
    limits = Limits(max_energy_rise=0.05, max_memory_rise=0.05)
    return judge(made, limits, comparison(rows), remarks=("there is no calibration",))
