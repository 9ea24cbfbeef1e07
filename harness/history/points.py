"""Histories of records: for each series one figure a commit, of one environment at a time."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from harness.comparison.model import timing
from harness.history.commits import in_order
from harness.pipeline.pipeline import CANARY, TRANSFERS, WHOLE_PIPELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.history.commits import KnownCommit
    from harness.history.query import Records, Selection

# Of canaries' names, and of the backends that one is for.
_GPU_CANARY: Final = "cuda"
_HASH_CHARACTERS: Final = 8
_GPU_BACKENDS: Final = ("tensorrt", "cuda")
_NAMING: Final = (
    *("pipeline", "component", "variant", "size", "mode", "streams", "threads", "clock"),
    "options",
)
# What the engines of a row were built by, of a row of the view ``series``.
_OPTIONS: Final = f"""coalesce((
        SELECT string_agg(concat(built.component, ' ', built.options), ' ' ORDER BY built.component)
        FROM builds AS built
        WHERE built.file = series.file AND built.backend = series.backend
            AND built.precision = series.precision AND built.route = series.route
            AND built.options IS NOT NULL
            AND (series.component = '{WHOLE_PIPELINE}' OR built.component = series.component)
    ), '')"""  # noqa: S608  # constants
_ROWS: Final = f"""
SELECT commit, coalesce(commit_utc, created_utc) AS dated, machine, environment, requirements,
    fingerprint, pipeline, component, variant, size, mode, streams, threads, clock, backend, route,
    simulated,
    {_OPTIONS} AS options,
    list_aggregate(latency_s, 'quantile_cont', 0.5) AS median_s
FROM series
WHERE commit IS NOT NULL AND is_complete AND superseded IS NOT TRUE
    AND validity IS DISTINCT FROM 'invalid' AND is_dirty IS NOT TRUE AND slowed_by IS NULL
    AND len(latency_s) > 0 AND ({{condition}})
    AND ({{anything}} OR round IS NOT NULL)
"""  # noqa: S608  # constants


@dataclass(frozen=True, order=True)
class Environment:
    """Where figures were measured; those of two environments are never one history.

    ``fingerprint`` is that of all that latency may depend on, and ``requirements`` (JSON) is what
    asv made the environment with.
    """

    machine: str
    name: str
    requirements: str
    fingerprint: str


@dataclass(frozen=True, order=True)
class SeriesName:
    """Which series a history is of.

    ``options`` is a hash of what its engines were built by, empty where nothing is known of that.
    """

    pipeline: str
    component: str
    variant: str
    size: str
    mode: str
    streams: int
    threads: int = 1
    clock: str = ""
    options: str = ""

    def __str__(self) -> str:
        """For messages: ``tiny: vocoder, tensorrt fp16, graph, 1 s``."""
        parts = [f"{self.pipeline}: {self.component}", self.variant, self.size]
        parts += [self.mode] if self.mode != "hot" else []
        parts += [f"{self.streams} streams"] if self.streams > 1 else []
        return ", ".join(parts)

    @property
    def how(self) -> str:
        """How it was timed and built, where two series have one name otherwise."""
        return f"{self.timing}, options {self.options}" if self.options else self.timing

    @property
    def timing(self) -> str:
        """How it was timed, in the words of a comparison."""
        return timing(self.clock, self.threads)


@dataclass(frozen=True)
class Points:
    """One history: the median of process medians at each of ``commits``, the oldest first.

    ``times_s`` is None at commits of which others of the environment have figures, but not it.
    ``canary`` names the one that belongs to it, and ``canary_s`` are its times; both may be empty.
    ``is_by_date`` says that git does not know all of the commits, and that dates placed the others.
    """

    environment: Environment
    name: SeriesName
    is_simulated: bool
    commits: tuple[str, ...]
    times_s: tuple[float | None, ...]
    canary: str = ""
    canary_s: tuple[float | None, ...] = ()
    is_by_date: bool = False


def read_points(
    records: Records,
    selection: Selection,
    known: Mapping[str, KnownCommit],
    *,
    any_record: bool = False,
) -> tuple[Points, ...]:
    """The histories of ``selection``, as ``records`` hold them.

    Figures count that are complete, not superseded, not invalid, not of a dirty tree, and not
    slowed on purpose.

    Args:
        records: where they are.
        selection: which series; the canaries need not be in it.
        known: the commits that git knows, which are in its order; others are by their dates.
        any_record: take records that are of no history as well, such as those of two commits side
            by side, whose commits may be of any branch.

    Raises:
        OptionError: the query cannot be made.
        RecordError: no record can be read.
    """
    condition, values = selection.where()
    text = f"({condition}) OR component = '{CANARY}'"
    rows = records.rows(_ROWS.format(condition=text, anything=any_record), values)
    by_environment: dict[Environment, list[dict[str, Any]]] = {}
    for row in rows:
        where = Environment(
            *(str(row[key] or "") for key in ("machine", "environment")),
            *(str(row[key] or "") for key in ("requirements", "fingerprint")),
        )
        by_environment.setdefault(where, []).append(row)
    return tuple(
        points
        for environment in sorted(by_environment)
        for points in _of_environment(environment, by_environment[environment], known)
    )


def _of_environment(
    environment: Environment, rows: Sequence[dict[str, Any]], known: Mapping[str, KnownCommit]
) -> Iterable[Points]:
    dates = {row["commit"]: f"{row['dated'].isoformat()}+00:00" for row in rows}
    commits, is_by_date = in_order(dates, known), not known.keys() >= dates.keys()
    measured: dict[tuple[SeriesName, bool, bool], dict[str, list[float]]] = {}
    canaries: dict[tuple[str, bool], dict[str, list[float]]] = {}
    for row in rows:
        is_simulated = bool(row["simulated"])
        if row["component"] == CANARY:
            its = canaries.setdefault((row["route"], is_simulated), {})
        elif row["component"] in TRANSFERS:
            continue
        else:
            name = name_of(row)
            its = measured.setdefault((name, is_simulated, uses_gpu(row["backend"])), {})
        its.setdefault(row["commit"], []).append(float(row["median_s"]))
    for (name, is_simulated, on_gpu), its in sorted(measured.items()):
        canary = canary_for(canaries, is_simulated=is_simulated, on_gpu=on_gpu)
        canary_s = _times(canaries[canary, is_simulated], commits) if canary else ()
        times_s = _times(its, commits)
        named = (environment, name, is_simulated)
        yield Points(*named, commits, times_s, canary, canary_s, is_by_date)


def name_of(row: Mapping[str, Any]) -> SeriesName:
    """The series that a row is of, whose ``options`` are told in full."""
    return SeriesName(**{**{key: row[key] for key in _NAMING}, "options": _hashed(row["options"])})


def uses_gpu(backend: str) -> bool:
    """Whether the GPU's canary, and not the processor's, is that of ``backend``."""
    return any(name in backend for name in _GPU_BACKENDS)


def canary_for(canaries: Iterable[tuple[str, bool]], *, is_simulated: bool, on_gpu: bool) -> str:
    """Of ``canaries`` (their routes, and if they are simulated), the one of a series; or none."""
    for route, simulated in sorted(canaries):
        if simulated is is_simulated and (_GPU_CANARY in route) is on_gpu:
            return route
    return ""


def _hashed(options: str) -> str:
    return hashlib.sha256(options.encode()).hexdigest()[:_HASH_CHARACTERS] if options else ""


def _times(its: Mapping[str, Sequence[float]], commits: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(_median(its.get(commit, ())) for commit in commits)


def _median(values: Sequence[float]) -> float | None:
    """The median; None where there is none, or none that is a time."""
    sound = [value for value in values if math.isfinite(value) and value > 0.0]
    return median(sound) if sound else None
