"""Results of asv that no record holds, as they are read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.dashboard.histories import NamedCommit
from harness.errors import HarnessError
from harness.history.asv_results import (
    BENCHMARKS_FILE,
    BENCHMARKS_FORMAT,
    MACHINE_FILE,
    read_json,
    read_machine,
    read_results,
    results_files,
)
from harness.history.series import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from harness.history.asv_results import AsvFile, AsvSeries, AsvStatistics

UNKNOWN: Final = "unknown"
_HASH_CHARACTERS: Final = 8
_NO_FINGERPRINT: Final = ""
_OWN_INTERVALS: Final = (
    "where asv kept no samples, intervals are asv's own, of 99 %, and of quantiles there are the "
    "median and the quartiles alone"
)

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class AsvName:
    """A benchmark with its parameters, in one environment."""

    environment: Key
    benchmark: str
    params: tuple[str, ...]


@dataclass(frozen=True)
class Benchmark:
    """What asv's list says of one: its unit, and the names of its parameters."""

    unit: str
    param_names: tuple[str, ...]


@dataclass(frozen=True)
class AsvFigure:
    """A figure, NaN where the benchmark failed; its samples, or what asv says of them."""

    value: float
    samples: tuple[float, ...] | None
    statistics: AsvStatistics | None


@dataclass
class AsvHistories:
    """What was read: figures by series and commit, and beside it.

    ``failed`` counts those that failed by commit and benchmark.
    """

    figures: dict[AsvName, dict[str, AsvFigure]] = field(default_factory=dict)
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    facts: dict[Key, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def commits(self) -> tuple[NamedCommit, ...]:
        """Those that have a figure."""
        held = dict.fromkeys(name for its in self.figures.values() for name in its)
        return tuple(NamedCommit(name, self.dates[name]) for name in held)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the page cannot tell by its labels."""
        figures = (one for its in self.figures.values() for one in its.values())
        is_told = any(not one.samples and one.statistics for one in figures)
        return (_OWN_INTERVALS,) if is_told else ()


def find_results(sources: Sequence[str]) -> tuple[Path, ...]:
    """The folders of asv's results at or below ``sources``: where a machine has its file."""
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    found = (path.parent.parent for one in folders for path in sorted(one.rglob(MACHINE_FILE)))
    return tuple(dict.fromkeys(path.resolve() for path in found))


def read_asv(
    folders: Sequence[Path],
    recorded: Collection[str],
    imported: Collection[str],
    skipped: list[str],
) -> AsvHistories:
    """The results in ``folders`` that no record holds.

    Of the commits that have been ``recorded``, our own benchmarks are in their records, and the
    files that were ``imported`` (by name) are records themselves. What cannot be read is named in
    ``skipped``.
    """
    found = AsvHistories()
    short = {commit[:_HASH_CHARACTERS] for commit in recorded}
    for folder in folders:
        listed = _listed(folder, skipped)
        found.benchmarks |= listed
        has_others = not listed or any(name not in BENCHMARKS for name in listed)
        for path in results_files(folder):
            is_recorded = path.name[:_HASH_CHARACTERS] in short
            if path.name in imported or (is_recorded and not has_others):
                continue
            try:
                file = read_results(path)
            except HarnessError as error:
                skipped.append(str(error))
                continue
            _add(found, file, is_recorded=file.commit in recorded)
    return found


def _listed(folder: Path, skipped: list[str]) -> dict[str, Benchmark]:
    path = folder / BENCHMARKS_FILE
    if not path.exists():
        return {}
    try:
        content = read_json(path, BENCHMARKS_FORMAT)
    except HarnessError as error:
        skipped.append(str(error))
        return {}
    return {
        str(name): Benchmark(
            str(one.get("unit") or UNKNOWN), tuple(map(str, one.get("param_names") or ()))
        )
        for name, one in content.items()
        if isinstance(one, dict)
    }


def _add(found: AsvHistories, file: AsvFile, *, is_recorded: bool) -> None:
    requirements = json.dumps(file.requirements, sort_keys=True)
    key = (file.machine, file.environment_name, requirements, _NO_FINGERPRINT)
    for series in file.series:
        if series.benchmark in BENCHMARKS and is_recorded:
            continue
        if key not in found.facts:
            found.facts[key] = _facts(file)
        for params, value, samples, statistics in _figures(series):
            if value is None:
                failed = found.failed.setdefault(file.commit, {})
                failed[series.benchmark] = failed.get(series.benchmark, 0) + 1
            elif math.isnan(value):
                # It does not apply.
                continue
            name = AsvName(key, series.benchmark, params)
            figure = AsvFigure(math.nan if value is None else value, samples, statistics)
            found.figures.setdefault(name, {})[file.commit] = figure
            date = datetime.fromtimestamp(file.commit_unix_s, timezone.utc).isoformat()
            found.dates.setdefault(file.commit, date)


def _figures(
    series: AsvSeries,
) -> Iterator[tuple[tuple[str, ...], float | None, tuple[float, ...] | None, AsvStatistics | None]]:
    statistics = series.statistics or (None,) * len(series.results)
    yield from zip(series.combinations, series.results, series.samples, statistics, strict=True)


def _facts(file: AsvFile) -> dict[str, str]:
    try:
        told = read_machine(file.path.parent)
        machine = {f"machine.{name}": str(one) for name, one in told.items()}
    except HarnessError:
        machine = {}
    packages = {f"requirements.{name}": str(one) for name, one in file.requirements.items()}
    return {"python": file.python, **machine, **packages}
