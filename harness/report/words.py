"""Verdicts and notes as sentences."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from harness.pipeline.pipeline import CANARY
from harness.report.promises import mostly_other, named_precision
from harness.stats.budget import BudgetVerdict, Verdict
from harness.stats.proportions import upper_bound
from harness.types import CALL, COLD, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.budgets import BudgetFigure
    from harness.report.canaries import CanaryFigure
    from harness.report.figures import Figures
    from harness.report.rows import Group, Row
    from harness.stats.quantiles import QuantileEstimate
    from harness.types import Measurement, NodeCounts, Record

# An interval of a drift that is wider, and holds 0, tells nothing of the machine.
_VAGUE = 0.5


def milliseconds(seconds: float) -> str:
    """``seconds`` in ms with three significant digits or more, and three places below 1."""
    value = seconds * 1e3
    if not math.isfinite(value):
        return "-"
    # What would be rounded up to another digit more has a place less.
    places = sum(value < step for step in (99.95, 9.995, 0.9995))
    return f"{value:.{places}f}".removeprefix("0") if value < 1 else f"{value:.{places}f}"


def bare_milliseconds(seconds: float) -> str:
    """``seconds`` in ms as somebody has written it: no more digits than it has."""
    return f"{seconds * 1e3:.6g}" if math.isfinite(seconds) else "-"


def percent(share: float) -> str:
    """``share`` in % with two significant digits; never as ``1e+02%``."""
    value = 100 * share
    return f"{value:.2g}%" if value < 99.5 else f"{value:.0f}%"  # noqa: PLR2004


def budget_sentence(figure: BudgetFigure) -> str:
    """The verdict on a budget in words, with the evidence."""
    arrival = f", {figure.arrival}" if figure.arrival else ""
    arrival += ", SIMULATED" if figure.simulated else ""
    limit = f"p99 <= {bare_milliseconds(figure.limit_s)} ms end to end at {figure.case}{arrival}"
    subject = f"{budget_subject(figure)}: {limit}"
    if figure.verdict is None:
        return f"{subject}: {figure.reason}"
    if figure.verdict.processes > 1:
        return f"{subject}: {_of_processes(figure.verdict)}"
    estimate = figure.verdict.estimate
    counted = f"n = {estimate.count}"
    if figure.verdict.verdict is Verdict.MISSED:
        factor = estimate.lower / figure.limit_s
        return (
            f"{subject}: MISSED. p99 is at least {milliseconds(estimate.lower)} ms, "
            f"{factor:.2g} times the budget (95 % confidence, {counted})"
        )
    if figure.verdict.verdict is Verdict.WITHIN:
        headroom = 1.0 - estimate.upper / figure.limit_s
        return (
            f"{subject}: WITHIN. p99 is {milliseconds(estimate.value)} ms, at most "
            f"{milliseconds(estimate.upper)} ms, headroom {headroom:.0%} "
            f"(95 % confidence, {counted})"
        )
    return (
        f"{subject}: INCONCLUSIVE ({counted}). p99 is about {milliseconds(estimate.value)} ms, "
        f"95 % interval {_interval(estimate)}; "
        + (
            f"{figure.verdict.samples_needed} samples or more can tell"
            if estimate.count < figure.verdict.samples_needed
            else "more samples can tell"
        )
    )


def _interval(estimate: QuantileEstimate) -> str:
    """In ms; and where the samples give no bound, that they do not."""
    lower, upper = milliseconds(estimate.lower), milliseconds(estimate.upper)
    if math.isfinite(estimate.upper):
        return f"{lower if math.isfinite(estimate.lower) else 'no bound'} to {upper} ms"
    return f"{lower} ms to no bound" if math.isfinite(estimate.lower) else "without bounds"


def _of_processes(found: BudgetVerdict) -> str:
    """The verdict of several processes: what holds in each of them, and not of others."""
    estimate, total = found.estimate, found.processes
    which = f"process {found.process}"
    if found.verdict is Verdict.MISSED:
        return (
            f"MISSED in {found.missed_in} of {total} processes. p99 of {which} is at least "
            f"{milliseconds(estimate.lower)} ms, {estimate.lower / found.limit_s:.2g} times the "
            f"budget (95 % confidence for all, n = {estimate.count})"
        )
    if found.verdict is Verdict.WITHIN:
        return (
            f"WITHIN in each of {total} processes. p99 is at most {milliseconds(estimate.upper)} "
            f"ms ({which}), headroom {1.0 - estimate.upper / found.limit_s:.0%} (95 % confidence, "
            f"n = {estimate.count}); of other processes up to {upper_bound(0, total):.0%} may miss "
            "it"
        )
    can_tell = (
        f"{found.samples_needed} samples or more of each process can tell"
        if estimate.count < found.samples_needed
        else "more samples of each process can tell"
    )
    return (
        f"INCONCLUSIVE: known to be within it in {found.within_in} of {total} processes. p99 of "
        f"{which} is about {milliseconds(estimate.value)} ms, 95 % interval {_interval(estimate)} "
        f"(n = {estimate.count}); {can_tell}"
    )


def deadline_sentences(figures: Figures) -> list[str]:
    """Which paced variants missed deadlines, and how many."""
    found = []
    for group in figures.groups:
        measured = group.pipeline.measurement
        if measured.missed_deadlines:
            launch = "" if measured.launch == CALL else f", {measured.launch}"
            count = len(measured.latency_s)
            found.append(
                f"Deadlines, {group.backend} {group.pipeline.label}{launch} at {group.case}: "
                f"MISSED {measured.missed_deadlines} of {count}, each done after the next chunk "
                f"had come (every {bare_milliseconds(measured.period_s or 0.0)} ms)"
            )
    return found


def budget_subject(figure: BudgetFigure) -> str:
    """What a budget's verdict is of: ``tensorrt fp16 by flag, graph``."""
    launch = figure.variant.launch
    text = f"{figure.variant.backend} {figure.label}"
    return text if launch == CALL else f"{text}, {launch}"


def held_sentence(precision: str, nodes: NodeCounts) -> str:
    """What a graph of ``precision`` holds: ``25 of 33 convolutions and products in INT8``."""
    if not nodes.total:
        return "no convolutions or matrix products"
    mostly, named = mostly_other(precision, nodes), named_precision(precision)
    held = f"{getattr(nodes, named)} of {nodes.total} convolutions and products in {named}"
    return f"{held}, mostly {mostly}" if mostly else held


def ran_sentence(row: Row) -> str:
    """How little ran in the precision that was asked for, where most did not; else empty."""
    nodes = row.told_nodes
    if not row.mostly or nodes is None:
        return ""
    named = named_precision(row.measurement.precision)
    told = "are" if nodes is row.graph_nodes else "ran"
    return f"{getattr(nodes, named)} of {nodes.total} convolutions and products {told} in {named}"


def seen_words(record: Record) -> str:
    """Whether accuracy was taken on what INT8 was calibrated with; empty where nobody can tell."""
    calibration, inputs = record.calibration, record.inputs
    if calibration is None or calibration["kind"] == "foreign":
        return ""
    used = {file["content_hash"] for file in calibration.get("files", ())}
    if inputs.get("content_hash") in used:
        return ", which INT8 WAS CALIBRATED WITH"
    return " that calibrated nothing"


def floor_sentence(row: Row) -> str:
    """A missed accuracy floor in words."""
    measured = row.measurement
    return (
        f"{measured.component} ({measured.backend}, {row.label}) is wrong: "
        f"{under(measured.snr_db, measured.min_snr_db)} dB against PyTorch fp32, the floor is "
        f"{measured.min_snr_db:g} dB"
    )


def under(value: float | None, floor: float | None) -> str:
    """``value`` with one place, or as many as show that it is under ``floor``."""
    if value is None or floor is None:
        return "-"
    texts = [f"{value:.{places}f}" for places in range(1, 7)]
    return next((text for text in texts if float(text) < floor), texts[-1])


def given_sentences(record: Record) -> list[str]:
    """Which engines were given as files: they may be of anything."""
    return [
        f"{engine.component} ({Variant(engine.backend, engine.precision, engine.route)}): "
        f"{engine.details['given']}, given by --engine, not built here"
        for engine in record.engines
        if engine.details.get("given")
    ]


def fp16_sum_sentences(record: Record) -> list[str]:
    """What still sums products in fp16 where that was to be barred, by engine."""
    found = []
    for engine in record.engines:
        selection = engine.details.get("selection")
        if not selection:
            continue
        variant = Variant(engine.backend, engine.precision, engine.route)
        count = engine.details.get("layers", {}).get("fp16_sums")
        told = "nobody can tell which layers sum in fp16"
        if count is not None:
            told = f"{count} layers sum products in fp16 all the same"
        if count:
            told += f", {len(selection['without_choice'])} for want of another kernel"
        asked = selection["layers_asked"]
        found.append(f"{engine.component} ({variant}): {told}; kernels were chosen for {asked}")
    return found


def sum_sentence(group: Group) -> str:
    """How the components' medians add up to the pipeline's."""
    whole = group.pipeline.latency.median.value
    total = group.sum_of_medians_s
    text = (
        f"components' medians add up to {milliseconds(total)} ms, "
        f"{total / whole - 1:+.1%} against the pipeline's median"
    )
    if group.pipeline.measurement.mode != COLD:
        return text
    return f"{text}: each component's caches are flushed before it, the pipeline's once"


def canary_sentence(figure: CanaryFigure) -> str:
    """What the machine's frozen work took, and whether it drifted."""
    drift, told = figure.drift, len(figure.drifts)
    where = "the run"
    text = f"Canary ({figure.name}): p50 {milliseconds(figure.latency.median.value)} ms"
    if told > 1:
        where = f"any of {told} series"
        least, most = min(figure.medians_s), max(figure.medians_s)
        text += f" ({milliseconds(least)} to {milliseconds(most)} in {told} series)"
    if not drift.is_finite:
        return f"{text}, too few samples to tell a drift in {where}"
    is_vague = not drift.is_seen and drift.upper - drift.lower > _VAGUE
    if is_vague and told == 1:
        return (
            f"{text}, too little to tell a drift in {where}: the interval is "
            f"{100 * drift.lower:+.0f} % to {100 * drift.upper:+.0f} % (of {drift.before_count} "
            f"samples and {drift.after_count})"
        )
    bounds = f"[{100 * drift.lower:+.1f}, {100 * drift.upper:+.1f}]"
    if told == 1:
        return f"{text}, drift in the run {100 * drift.value:+.1f} % {bounds}"
    usual = 100 * statistics.median(one.value for one in figure.drifts)
    return (
        f"{text}, drift within a series {usual:+.1f} % in the median, {100 * drift.value:+.1f} % "
        f"at worst {bounds}{', which is hardly known' if is_vague else ''}"
    )


def environment_sentence(figures: Figures) -> str:
    """Where the figures come from, and how far to trust them; of that what the record tells."""
    environment = figures.record.environment
    measured = [m for m in figures.record.measurements if m.component != CANARY]
    threads = " or ".join(map(str, sorted({m.threads for m in measured})))
    packages = environment.get("packages", {})
    used = {m.backend for m in measured}
    # What makes times up takes outputs from ONNX Runtime.
    used |= {"onnxruntime"} if figures.is_simulated else set()
    backends = ", ".join(f"{name} {packages[name]}" for name in sorted(used & set(packages)))
    where = "SIMULATED on " if figures.is_simulated else ""
    machine = " (virtual machine)" if environment.get("is_virtual_machine") else ""
    cpu = environment.get("cpu") or "an unknown processor"
    python = [f"Python {environment['python']}"] if "python" in environment else []
    ran_on = f"{where}{_gpu(environment)}{cpu}{machine}, {threads} thread{'s' * (threads != '1')}"
    software = ", ".join([*filter(None, [backends]), *python])
    return "; ".join(filter(None, (f"{ran_on}{_load(environment)}", software, _clocks(measured))))


def _clocks(measured: Sequence[Measurement]) -> str:
    """A clock's name may hold a comma."""
    names = sorted({one.clock for one in measured})
    if len(names) == 1:
        return f"clock: {names[0]}"
    return "clocks: " + " and ".join(f'"{name}"' for name in names)


def _gpu(environment: dict[str, Any]) -> str:
    gpu = environment.get("gpu")
    if not gpu:
        return ""
    return f"{gpu['name']} ({gpu['uuid']}); " if "uuid" in gpu else f"{gpu['name']}; "


def _load(environment: dict[str, Any]) -> str:
    load = environment.get("load_average_1min")
    return "" if load is None else f", load {load:.1f} at the start"
