"""The noise of a pipeline on this machine: an A/A in fresh processes, and real slowdowns."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.ab.experiment import (
    Experiment,
    Outcome,
    launcher_of,
    measure_prepared,
    measure_sides,
    new_name,
)
from harness.ab.running import Ended, PairPlan, SideRun
from harness.ab.schedule import BASE, HEAD, SIDES
from harness.comparison.sides import measured_by
from harness.errors import MeasurementError
from harness.measure.slowdown import Slowdown, write_slowdown
from harness.noise.calibration import Calibration, SeriesNoise
from harness.noise.resampling import Pairs, margin_of, slower_share, smallest_caught
from harness.stats.fingerprint import fingerprint
from harness.stats.pairs import PairRule
from harness.stats.variance import Sampled, components_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.comparison.model import Series
    from harness.observer import Observer
    from harness.types import Record


@dataclass(frozen=True)
class NoisePlan:
    """How much is measured and resampled.

    ``pairs`` of processes of the A/A, slowdowns of the shares ``sizes`` really measured, and
    ``trials`` resampled for each figure, by the seed ``seed``. ``rule`` is that of the gate.
    """

    pairs: int = 16
    sizes: tuple[float, ...] = (0.01, 0.03, 0.1)
    trials: int = 1000
    seed: int = 0
    rule: PairRule = field(default_factory=PairRule)


@dataclass(frozen=True)
class Noise:
    """What was found: the calibration, the A/A, and what became of each slowdown."""

    calibration: Calibration
    equal: Outcome
    slowed: Mapping[float, Outcome]


def measure_noise(
    arguments: Sequence[str],
    experiment: Experiment,
    plan: NoisePlan,
    folder: Path,
    observer: Observer,
) -> Noise:
    """Measure what ``arguments`` of ``harness run`` say against itself, then slowed.

    Args:
        arguments: ``run``, a pipeline and options.
        experiment: what else is told to processes; its plan is not used.
        plan: how much is measured.
        folder: a scratch of this run.
        observer: told of each phase.

    Raises:
        HarnessError: nothing could be measured, or no calibration be made of it.
        KeyboardInterrupt: it was interrupted; no calibration is made of a part.
    """
    every = replace(plan.rule, looks=(plan.pairs,))
    names = {BASE: "as it is", HEAD: "as it is, again"}
    equal = measure_sides(
        dict.fromkeys(SIDES, arguments),
        names,
        replace(experiment, plan=PairPlan(every), wants=lambda _: True),
        folder,
        observer,
    )
    _check_whole(equal)
    slowed = {}
    for size in plan.sizes:
        found = _measure_slowed(arguments, equal, size, experiment, plan, folder, observer)
        _check_whole(found)
        slowed[size] = found
    observer.phase("Resampling", len(equal.comparison.rows))
    return Noise(_calibration(equal, slowed, experiment, plan, observer), equal, slowed)


def _calibration(
    equal: Outcome,
    slowed: Mapping[float, Outcome],
    experiment: Experiment,
    plan: NoisePlan,
    observer: Observer,
) -> Calibration:
    now_utc = _now_utc()
    processes = sum(len({one.process for one in side.measurements}) for side in _sides(equal))
    settings = {
        "processes": processes,
        "pairs": plan.rule.looks[-1],
        "trials": plan.trials,
        "margin": plan.rule.margin,
        "threads": sorted({one.threads for one in equal.base.measurements}),
        "words": list(experiment.place.words),
    }
    rows = tuple(
        replace(row, created_utc=now_utc, settings=settings, is_simulated=equal.is_simulated)
        for row in noise_rows(equal.base, equal.head, plan, observer)
    )
    return Calibration(
        fingerprint=fingerprint(equal.base.environment),
        pipeline=equal.base.pipeline,
        created_utc=now_utc,
        rows=rows,
        processes=processes,
        pairs=plan.rule.looks[-1],
        trials=plan.trials,
        injected=tuple(_injected(equal, 0.0))
        + tuple(one for size, outcome in slowed.items() for one in _injected(outcome, size)),
    )


def _check_whole(outcome: Outcome) -> None:
    """Refuse what tells of a part, or of a machine that was not as it should be.

    Raises:
        KeyboardInterrupt: it was interrupted.
        MeasurementError: processes are missing, or the run is invalid.
    """
    if outcome.ended is Ended.INTERRUPTED:
        raise KeyboardInterrupt("while noise was measured; its records are kept")
    reasons = list(outcome.invalid)
    for side, record in zip(SIDES, _sides(outcome), strict=True):
        missing = record.replication.missing if record.replication else ()
        if missing:
            reasons.append(f"{side}: {len(missing)} processes are missing: {missing[0].reason}")
    if reasons or not all(record.is_complete for record in _sides(outcome)):
        what = f"no calibration is made of this run: {'; '.join(reasons) or 'it is not complete'}"
        raise MeasurementError(what, fix="its records are kept; mend that, and measure it again")


def _sides(outcome: Outcome) -> tuple[Record, Record]:
    return outcome.base, outcome.head


def _now_utc() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")


def _measure_slowed(
    arguments: Sequence[str],
    equal: Outcome,
    size: float,
    experiment: Experiment,
    plan: NoisePlan,
    folder: Path,
    observer: Observer,
) -> Outcome:
    """As it is against itself made slower by the share ``size``, with what was prepared."""
    own = folder / f"slowed-{size:g}"
    own.mkdir()
    slowdown = own / "slowdown.json"
    write_slowdown(delays_of(equal, size), slowdown)
    name, sides = new_name(), {}
    simulation = experiment.simulation
    for side, record in ((BASE, equal.base), (HEAD, equal.head)):
        orders = own / side
        orders.mkdir()
        (orders / "build-0").symlink_to((folder / f"{side}-orders" / "build-0").resolve())
        its, words = experiment, list(arguments)
        if side == HEAD and simulation is not None:
            its = replace(experiment, simulation=simulation.slowed(size))
        elif side == HEAD:
            words += ["--slowdown", str(slowdown)]
        launch = launcher_of(words, orders, its, f"{side}, {size:g}")
        label = f"slowed by {100.0 * size:g} %" if side == HEAD else "as it is"
        prepared = replace(
            record,
            created_utc=_now_utc(),
            measurements=(),
            telemetry=(),
            blocks=(),
            validity=None,
            phases_s={},
        )
        share = size if side == HEAD else 0.0
        sides[side] = SideRun(label, launch, prepared=prepared, slowed_by=share)
    rule = replace(plan.rule, looks=_looks_to(plan.rule, plan.pairs))
    observer.phase(f"Slowed by {100.0 * size:g} %", 1)
    return measure_prepared(sides, replace(experiment, plan=PairPlan(rule)), name, observer)


def _looks_to(rule: PairRule, pairs: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*(look for look in rule.looks if look < pairs), pairs)))


def delays_of(equal: Outcome, size: float) -> Slowdown:
    """The seconds that each series must take longer to be slower by the share ``size``."""
    return Slowdown(
        {
            (row.series.component, str(row.series.variant), str(row.series.case)): size * row.base_s
            for row in equal.comparison.rows
        }
    )


def noise_rows(
    base: Record, head: Record, plan: NoisePlan, observer: Observer
) -> tuple[SeriesNoise, ...]:
    """The noise of each series of an A/A, and what a gate could tell in it.

    Raises:
        MeasurementError: too few pairs measured anything.
    """
    measured = measured_by([base]), measured_by([head])
    rows = []
    for series, its in measured[0].items():
        other = measured[1].get(series)
        both = [
            {number: value for (_, number), value in side.latency_s.items()}
            for side in (its, other)
            if side is not None
        ]
        numbers = sorted(set.intersection(*map(set, both)))
        if len(both) < len(SIDES) or len(numbers) < plan.rule.looks[0]:
            what = f"{len(numbers)} pairs of processes have measured {series}"
            fix = f"measure it again, with --pairs {plan.rule.looks[0]} or more"
            raise MeasurementError(what, fix=fix)
        pairs = Pairs(*(tuple(side[number] for number in numbers) for side in both))
        rows.append(_row(series, pairs, (base, head), plan))
        observer.step(str(series))
    return tuple(rows)


def _row(
    series: Series, pairs: Pairs, records: tuple[Record, Record], plan: NoisePlan
) -> SeriesNoise:
    # Each series has numbers of its own, whatever else is resampled.
    rng = np.random.default_rng([plan.seed, *str(series).encode()])
    margin = margin_of(pairs, plan.rule, max(100, plan.trials // 4), rng)
    rule = replace(plan.rule, margin=margin)
    parts = components_of(_sampled(series, records))
    smallest, caught = smallest_caught(pairs, rule, plan.trials, rng)
    return SeriesNoise(
        series=str(series),
        within_sd=parts.within,
        process_sd=parts.process.sd if parts.process else 0.0,
        margin=margin,
        false_alarms=slower_share(pairs, rule, plan.trials, rng),
        smallest_caught=smallest,
        caught=caught,
    )


def _sampled(series: Series, records: tuple[Record, Record]) -> list[Sampled]:
    """Every process of both sides, numbered through."""
    return [
        Sampled(2 * one.process + side, 0, one.latency_s)
        for side, record in enumerate(records)
        for one in record.measurements
        if (one.component, one.variant, one.duration_s, one.batch, one.mode)
        == (
            *(series.component, series.variant),
            *(series.case.duration_s, series.case.batch, series.mode),
        )
    ]


def _injected(outcome: Outcome, size: float) -> list[dict[str, Any]]:
    """What each series of a real A/B against a slowdown of ``size`` ended as."""
    return [
        {
            "size": size,
            "series": str(row.series),
            "status": row.time.status.value,
            "ratio": row.time.ratio,
            "lower": row.time.lower,
            "upper": row.time.upper,
            "pairs": row.time.pairs,
            "reason": row.time.reason,
            "is_simulated": outcome.is_simulated,
        }
        for row in outcome.comparison.rows
    ]
