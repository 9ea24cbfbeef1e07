"""Results of asv that no record holds, as series."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.dashboard.asv_reading import UNKNOWN
from harness.dashboard.changes import changes_of
from harness.dashboard.model import QUANTILES, Environment, Series
from harness.dashboard.sampling import around_changes, newest_commits, thinned
from harness.dashboard.series import change_points
from harness.history.importing import ASV_CLOCK
from harness.history.points import Environment as PointsEnvironment
from harness.history.points import Points, SeriesName
from harness.history.series import BENCHMARKS, PIPELINE_LATENCY, SECONDS, SIMULATED
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.quantiles import DEFAULT_CONFIDENCE, interval_ranks
from harness.types import HOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.dashboard.asv_reading import AsvFigure, AsvHistories, AsvName, Benchmark, Key
    from harness.dashboard.timeline import Timeline

ASV: Final = "asv"
_LATENCY: Final = ".track_latency"
# asv times what is so called itself, in seconds.
_TIMED: Final = ("time_", "timeraw_", "Time")
_NOT_LOOKED: Final = "its unit is {unit}: changes are looked for in times alone"


def environments_of_asv(found: AsvHistories, first_id: int) -> dict[Key, Environment]:
    """The environments of asv's own series, numbered from ``first_id`` on."""
    shown = {}
    for place, key in enumerate(dict.fromkeys(name.environment for name in found.figures)):
        machine, name, *_ = key
        label = f"{machine}, {name} (asv)"
        shown[key] = Environment(first_id + place, machine, label, "", found.facts[key])
    return shown


def series_of_asv(
    found: AsvHistories,
    environments: Mapping[Key, Environment],
    timeline: Timeline,
    first_id: int,
) -> tuple[Series, ...]:
    """All of it as series, numbered from ``first_id`` on; none of what has never had a figure."""
    held: dict[Key, set[int]] = {}
    had = {
        name: figures
        for name, figures in found.figures.items()
        if any(math.isfinite(one.value) for one in figures.values())
    }
    for name, figures in had.items():
        held.setdefault(name.environment, set()).update(timeline.places[one] for one in figures)
    bare = [
        _series(first_id + number, name, found, environments[name.environment].id, timeline)
        for number, name in enumerate(had)
    ]
    looked = [
        _with_changes(one, name, sorted(held[name.environment]), timeline)
        for one, name in zip(bare, had, strict=True)
    ]
    newest = newest_commits(looked)
    return tuple(
        _with_samples(one, figures, newest.get((one.environment, one.of_history), set()), timeline)
        for one, figures in zip(looked, had.values(), strict=True)
    )


def _series(
    number: int, name: AsvName, found: AsvHistories, environment: int, timeline: Timeline
) -> Series:
    figures = found.figures[name]
    commits = sorted(figures, key=lambda one: timeline.places[one])
    rows = _rows([figures[one] for one in commits])
    empty = np.full(len(commits), np.nan, dtype=np.float32)
    labels = _labels(name, found.benchmarks.get(name.benchmark))
    columns = rows.astype(np.float32)
    return Series(
        id=number,
        environment=environment,
        pipeline=ASV,
        component=labels["component"],
        variant=labels["variant"],
        backend=labels["backend"],
        precision=labels["precision"],
        size=labels["size"],
        route="",
        launch="",
        mode=HOT,
        streams=1,
        threads=1,
        clock=ASV_CLOCK,
        options="",
        simulated=SIMULATED in name.environment[0] or SIMULATED in labels["variant"],
        source=ASV,
        unit=_unit(name.benchmark, found.benchmarks),
        commits=np.array([timeline.places[one] for one in commits], dtype=np.int32),
        counts=np.ascontiguousarray(columns[:, 0]),
        quantiles=np.ascontiguousarray(columns[:, 4:]),
        median_s=np.ascontiguousarray(columns[:, 1]),
        lower_s=np.ascontiguousarray(columns[:, 2]),
        upper_s=np.ascontiguousarray(columns[:, 3]),
        levels_s=empty,
        energy_j=empty,
        snr_db=empty,
    )


def _rows(figures: Sequence[AsvFigure]) -> NDArray[np.float64]:
    """Of each figure its count, itself, its interval, and the sketch; NaN is what is not known.

    Of a figure without samples they are what asv has kept: its own interval, and quartiles.
    """
    values = np.array([one.value for one in figures])
    found = np.full((len(figures), 4 + len(QUANTILES)), np.nan)
    found[:, 0] = np.isfinite(values)
    found[:, 1] = found[:, 4 + QUANTILES.index(0.5)] = values
    by_count: dict[int, list[int]] = {}
    for place, one in enumerate(figures):
        by_count.setdefault(len(one.samples or ()), []).append(place)
    for place in by_count.pop(0, ()):
        told = figures[place].statistics
        if told is not None and math.isfinite(figures[place].value):
            found[place, 0] = told.count if told.count > 0 else 1.0
            found[place, 2:4] = told.lower, told.upper
            found[place, [4 + QUANTILES.index(one) for one in (0.25, 0.75)]] = told.q_25, told.q_75
    for count, places in by_count.items():
        ordered = np.sort(np.array([figures[place].samples for place in places]), axis=1)
        sound = np.isfinite(ordered).all(axis=1)
        ordered, rows = ordered[sound], np.array(places)[sound]
        found[rows, 0] = count
        found[rows, 4:] = np.quantile(ordered, QUANTILES, axis=1).T
        lower, upper = interval_ranks(count, 0.5, DEFAULT_CONFIDENCE)
        if lower >= 1 and upper <= count:
            found[rows, 2] = np.minimum(values[rows], ordered[:, lower - 1])
            found[rows, 3] = np.maximum(values[rows], ordered[:, upper - 1])
    return found


def _labels(name: AsvName, listed: Benchmark | None) -> dict[str, str]:
    """What a series is called: of our own benchmarks as in records, and else by its parameters."""
    own = BENCHMARKS.get(name.benchmark)
    if own is not None and len(own.param_names) == len(name.params):
        return _own_labels(
            own.name, dict(zip(own.param_names, map(_bare, name.params), strict=True))
        )
    names = listed.param_names if listed else ()
    known = len(names) == len(name.params)
    params_told = [
        f"{names[place]}={value}" if known else value for place, value in enumerate(name.params)
    ]
    return {
        "component": name.benchmark,
        "variant": ", ".join(params_told),
        "backend": UNKNOWN,
        "precision": UNKNOWN,
        "size": "",
    }


def _own_labels(benchmark: str, params: Mapping[str, str]) -> dict[str, str]:
    whole = WHOLE_PIPELINE if benchmark == PIPELINE_LATENCY.name else ""
    component = params.get("component", whole)
    if not component or not benchmark.endswith(_LATENCY):
        component = f"{benchmark}: {component}" if component else benchmark
    variant = params.get("variant", params.get("canary", ""))
    words = [*variant.replace(",", " ").split(), UNKNOWN, UNKNOWN]
    return {
        "component": component,
        "variant": variant,
        "backend": words[0],
        "precision": words[1],
        "size": params.get("size", ""),
    }


def _bare(value: str) -> str:
    """A parameter as it was before asv wrote it by ``repr``."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value


def _unit(benchmark: str, listed: Mapping[str, Benchmark]) -> str:
    if benchmark in BENCHMARKS:
        return BENCHMARKS[benchmark].unit
    is_timed = benchmark.rpartition(".")[2].startswith(_TIMED)
    known = listed.get(benchmark)
    return known.unit if known else SECONDS if is_timed else UNKNOWN


def _with_changes(
    series: Series, name: AsvName, places: Sequence[int], timeline: Timeline
) -> Series:
    if series.unit != SECONDS:
        return replace(series, canary_note=_NOT_LOOKED.format(unit=series.unit))
    # Holes in between are commits of which others have a figure.
    held = dict(zip(series.commits.tolist(), series.median_s.astype(float).tolist(), strict=True))
    times: list[float | None] = [_time(held.get(place)) for place in places]
    commits = tuple(timeline.commits[place].hash for place in places)
    points = Points(
        environment=PointsEnvironment(*name.environment),
        name=SeriesName(ASV, name.benchmark, series.variant, series.size, HOT, 1),
        is_simulated=series.simulated,
        commits=commits,
        times_s=tuple(times),
        is_by_date=not timeline.known.keys() >= set(commits),
    )
    found = changes_of(points, timeline.known)
    at: NDArray[np.intp] = np.searchsorted(places, series.commits)
    last = at.size - 1
    changes = change_points(
        found.candidates, lambda place: min(int(np.searchsorted(at, place)), last)
    )
    return replace(
        series,
        levels_s=found.levels_s[at].astype(np.float32),
        changes=tuple(changes),
        canary_note=found.canary_note,
        too_few=found.too_few,
    )


def _time(value: float | None) -> float | None:
    """A figure that is a time; what failed, or took none, is none."""
    return value if value is not None and math.isfinite(value) and value > 0.0 else None


def _with_samples(
    series: Series,
    figures: Mapping[str, AsvFigure],
    newest: set[int],
    timeline: Timeline,
) -> Series:
    wanted = newest | around_changes(series)
    found = []
    for at, place in enumerate(series.commits.tolist()):
        samples = figures[timeline.commits[place].hash].samples if place in wanted else None
        if samples:
            found.append(thinned(at, [np.asarray(samples, dtype=np.float64)]))
    return replace(series, samples=tuple(found))
