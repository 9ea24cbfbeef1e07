"""The content of asv's files, made of what asv is told of records."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import missing_dependency
from harness.history.asv_results import COLUMNS
from harness.history.series import BENCHMARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.history.context import HistoryContext
    from harness.history.series import AsvValue

_VERSION = "1"
_STATS = tuple(name for name in COLUMNS if name.startswith("stats_"))


class Figures:
    """The figures of a commit, of which later rounds append samples and replace plain numbers."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], AsvValue]] = {}

    def add(self, values: Iterable[AsvValue]) -> None:
        """Add those of a round."""
        for value in values:
            known = self._values.setdefault(value.benchmark, {})
            before = known.get(value.params)
            if before is not None and before.samples is not None and value.samples is not None:
                known[value.params] = replace(value, samples=before.samples + value.samples)
            else:
                known[value.params] = value

    def rows(self, orders: Orders, started_unix_s: float) -> dict[str, list[Any]]:
        """Asv's row of each benchmark, with its statistics, as asv would have written it.

        Raises:
            MissingDependencyError: asv is not installed.
        """
        found = {}
        for name, values in sorted(self._values.items()):
            lists = orders.with_values(name, values)
            found[name] = _row(values, lists, started_unix_s)
        return found


class Orders:
    """The values that the parameters of each benchmark take, in asv's order."""

    def __init__(self, benchmarks: Mapping[str, Any]) -> None:
        self._lists: dict[str, list[list[str]]] = {
            name: [list(values) for values in entry["params"]]
            for name, entry in benchmarks.items()
            if isinstance(entry, dict) and len(entry.get("params") or ()) == _count(name)
        }

    def with_values(self, name: str, combinations: Iterable[tuple[str, ...]]) -> list[list[str]]:
        """Those of the benchmark, and behind them what else occurs in ``combinations``."""
        empty: list[list[str]] = [[] for _ in range(_count(name) or 0)]
        lists = [list(values) for values in self._lists.get(name, empty)]
        for params in combinations:
            for values, value in zip(lists, params, strict=True):
                # asv names a value by its repr.
                if repr(value) not in values:
                    values.append(repr(value))
        return lists

    def learn(self, rows: Mapping[str, Sequence[Any]]) -> None:
        """Take over the parameters of ``rows``."""
        for name, row in rows.items():
            if name in BENCHMARKS:
                self._lists[name] = row[COLUMNS.index("params")]

    def entries(self) -> dict[str, dict[str, Any]]:
        """What asv's list of benchmarks says of each; asv finds it anew whenever it runs."""
        return {
            name: {
                "code": "",
                "name": name,
                "param_names": list(BENCHMARKS[name].param_names),
                "params": lists,
                "setup_cache_key": None,
                "timeout": None,
                "type": "track",
                "unit": BENCHMARKS[name].unit,
                "version": _VERSION,
            }
            for name, lists in sorted(self._lists.items())
        }


def content_of(
    context: HistoryContext,
    machine: Mapping[str, str],
    rows: Mapping[str, Any],
    durations: Mapping[str, float],
) -> dict[str, Any]:
    """The content of a result file, but for its version."""
    return {
        "commit_hash": context.commit,
        "env_name": context.environment_name,
        "date": round(context.commit_unix_s * 1000.0),
        "params": {**machine, "python": context.python, **context.requirements},
        "python": context.python,
        "requirements": context.requirements,
        "env_vars": context.env_vars,
        "result_columns": list(COLUMNS),
        "results": dict(rows),
        "durations": dict(durations),
    }


def _count(name: str) -> int | None:
    return len(BENCHMARKS[name].param_names) if name in BENCHMARKS else None


def _row(
    values: Mapping[tuple[str, ...], AsvValue], lists: list[list[str]], started_unix_s: float
) -> list[Any]:
    named = {tuple(map(repr, params)): value for params, value in values.items()}
    figures = [_figure(named.get(params)) for params in itertools.product(*lists)]
    cells: dict[str, Any] = {
        "result": [result for result, _, _ in figures],
        "params": lists,
        "version": _VERSION,
        "started_at": round(started_unix_s * 1000.0),
        "samples": [samples for _, samples, _ in figures],
        **{key: [stats.get(key[len("stats_") :]) for *_, stats in figures] for key in _STATS},
    }
    row = []
    for key in COLUMNS:
        cell = cells.get(key)
        if key != "params" and isinstance(cell, list) and all(one is None for one in cell):
            cell = None
        row.append(_five_digits(cell) if key in _STATS else cell)
    while row[-1] is None:
        row.pop()
    return row


def _figure(value: AsvValue | None) -> tuple[float, list[float] | None, dict[str, Any]]:
    """The figure, its samples and their statistics; NaN says that it does not apply."""
    if value is None:
        return math.nan, None, {}
    if value.samples is None:
        return value.value if value.value is not None else math.nan, None, {}
    try:
        from asv_runner.statistics import compute_stats  # noqa: PLC0415
    except ImportError as error:
        purpose = "making asv's results again"
        raise missing_dependency("asv", "history", purpose) from error
    samples = list(value.samples)
    result, stats = compute_stats(samples, 1)
    return result, samples, stats


def _five_digits(cell: Any) -> Any:  # noqa: ANN401
    """As asv shortens its statistics."""
    if isinstance(cell, list):
        return [_five_digits(one) for one in cell]
    return float(f"{cell:.4e}") if isinstance(cell, float) else cell
