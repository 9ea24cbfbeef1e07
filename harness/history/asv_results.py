"""asv's result files (format 2): read with checks, and written whole.

asv writes them in place, so that one can be cut off; these functions say which, and what is wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

from harness.errors import DamagedResultsError, RecordError
from harness.files import check_folder, written_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What asv 0.6 writes, and calls "version" in its files.
RESULTS_FORMAT: Final = 2
BENCHMARKS_FORMAT: Final = 2
MACHINE_FORMAT: Final = 1
MACHINE_FILE: Final = "machine.json"
BENCHMARKS_FILE: Final = "benchmarks.json"
COLUMNS: Final = (
    "result",
    "params",
    "version",
    "started_at",
    "duration",
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
    "stats_q_75",
    "stats_number",
    "stats_repeat",
    "samples",
    "profile",
)
_STATISTICS: Final = (
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
    "stats_q_75",
    "stats_repeat",
)
_KEYS: Final = {
    "commit_hash": str,
    "env_name": str,
    "date": int,
    "params": dict,
    "python": str,
    "requirements": dict,
    "result_columns": list,
    "results": dict,
}
_MAX_NAME: Final = 128
_AGAIN: Final = "remove it, or let 'harness history rebuild' make it again"


@dataclass(frozen=True)
class AsvStatistics:
    """What asv keeps of samples beside their median: NaN is what it does not say.

    Its interval of 99 %, the quartiles, and how many samples there were.
    """

    lower: float
    upper: float
    q_25: float
    q_75: float
    count: float


@dataclass(frozen=True)
class AsvSeries:
    """What a file says of one benchmark: a figure, or samples, for each combination of ``params``.

    ``params`` holds the values of each parameter as asv writes them (by ``repr``), and the figures
    are in the order of their product. A figure is None where the benchmark failed, and NaN where it
    does not apply. ``samples`` is None where they were not kept, as a whole or of a combination.
    ``started_unix_s`` is None in files of an old asv. ``statistics`` is of each figure, and None
    where asv has none; as a whole it may be empty.
    """

    benchmark: str
    params: tuple[tuple[str, ...], ...]
    results: tuple[float | None, ...]
    samples: tuple[tuple[float, ...] | None, ...]
    version: str | None
    started_unix_s: float | None
    statistics: tuple[AsvStatistics | None, ...] = ()

    @property
    def combinations(self) -> tuple[tuple[str, ...], ...]:
        """The parameters that each figure is of."""
        return tuple(itertools.product(*self.params))


@dataclass(frozen=True)
class AsvFile:
    """One of asv's result files: a commit in an environment, on a machine.

    ``content`` is the file's whole content, as JSON.
    """

    path: Path
    commit: str
    commit_unix_s: float
    machine: str
    environment_name: str
    python: str
    requirements: dict[str, str]
    env_vars: dict[str, str]
    params: dict[str, str]
    series: tuple[AsvSeries, ...]
    content: dict[str, Any]


def results_name(commit: str, environment_name: str) -> str:
    """The name of the file that asv keeps the results of ``commit`` in."""
    if len(environment_name) >= _MAX_NAME:
        # As asv does; nothing is protected by it.
        digest = hashlib.md5(environment_name.encode(), usedforsecurity=False).hexdigest()
        environment_name = f"env-{digest}"
    return f"{commit[:8]}-{environment_name}.json"


def results_files(results_dir: Path) -> Iterator[Path]:
    """The result files of every machine below ``results_dir``, whatever is in them."""
    for path in sorted(results_dir.glob("*/*.json")):
        if path.name not in {MACHINE_FILE, BENCHMARKS_FILE}:
            yield path


def read_json(path: Path, version: int) -> dict[str, Any]:
    """One of asv's files, without its version.

    Raises:
        DamagedResultsError: it is cut off, or no JSON.
        RecordError: it cannot be read, or is of another version of asv's format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read: {error.strerror or type(error).__name__}"
        raise DamagedResultsError(what, where=str(path), fix=_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise DamagedResultsError(
            f"is no JSON, or cut off: {error}", where=str(path), fix=_AGAIN
        ) from error
    if not isinstance(content, dict):
        raise DamagedResultsError("is none of asv's files", where=str(path), fix=_AGAIN)
    found = content.pop("version", None)
    if found != version or isinstance(found, bool):
        is_older = isinstance(found, int) and found < version
        fix = "run 'asv update'" if is_older else "use the asv that wrote it"
        what = f"has version {json.dumps(found)} of asv's format, this reads {version}"
        raise RecordError(what, where=str(path), fix=fix)
    return content


def write_json(
    path: Path, content: dict[str, Any], version: int, *, indent: int | None = None
) -> None:
    """Write one of asv's files, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    check_folder(path.parent)
    with written_whole(path) as scratch:
        text = json.dumps({**content, "version": version}, indent=indent, sort_keys=bool(indent))
        scratch.write_text(text, encoding="utf-8")


def read_machine(folder: Path) -> dict[str, str]:
    """The machine file in ``folder``, a machine's part of the results.

    Raises:
        DamagedResultsError: it is cut off.
        RecordError: there is none, or it is of another machine or version of the format.
    """
    path = folder / MACHINE_FILE
    content = read_json(path, MACHINE_FORMAT)
    _check_machine(content.get("machine"), path)
    return content


def read_results(path: Path) -> AsvFile:
    """One of asv's result files; the machine is that of its folder.

    Raises:
        DamagedResultsError: it is cut off, or not what asv writes.
        RecordError: it cannot be read, is of another version of the format or another machine.
    """
    content = read_json(path, RESULTS_FORMAT)
    for key, kind in _KEYS.items():
        if not isinstance(content.get(key), kind):
            what = f"has no {key}, or one of another kind"
            raise DamagedResultsError(what, where=str(path), fix=_AGAIN)
    unknown = [name for name in content["result_columns"] if name not in COLUMNS]
    if unknown:
        what = f"has a column {json.dumps(unknown[0])}, which asv's format {RESULTS_FORMAT} has not"
        raise RecordError(what, where=str(path), fix="use the asv that wrote it")
    _check_machine(content["params"].get("machine"), path)
    return AsvFile(
        path=path,
        commit=content["commit_hash"],
        commit_unix_s=content["date"] / 1000.0,
        machine=path.parent.name,
        environment_name=content["env_name"],
        python=content["python"],
        requirements=dict(content["requirements"]),
        env_vars=dict(content.get("env_vars", {})),
        params=content["params"],
        series=tuple(
            _series(path, name, row, content["result_columns"])
            for name, row in content["results"].items()
        ),
        content=content,
    )


def _check_machine(named: object, path: Path) -> None:
    if named != path.parent.name:
        what = f"is of the machine {json.dumps(named)}, in the folder of {path.parent.name}"
        raise RecordError(what, where=str(path), fix="put it where it belongs, or remove it")


def _series(path: Path, name: str, row: object, columns: list[str]) -> AsvSeries:
    def check(is_right: object, what: str) -> None:
        if not is_right:
            raise DamagedResultsError(f"{name} {what}", where=str(path), fix=_AGAIN)

    check(isinstance(row, list) and len(row) <= len(columns), "has other columns than the file")
    cells = dict(zip(columns, row if isinstance(row, list) else (), strict=False))
    params = cells.get("params") or []
    check(_is_params(params), "has parameters that are no lists of texts")
    count = prod(len(values) for values in params)
    results = cells.get("result")
    results = [None] * count if results is None else results
    check(
        isinstance(results, list) and all(one is None or _is_number(one) for one in results),
        "has a figure that is no number",
    )
    check(len(results) == count, f"has {len(results)} figures for {count} combinations")
    samples = cells.get("samples")
    samples = [None] * count if samples is None else samples
    check(
        isinstance(samples, list) and all(one is None or _is_numbers(one) for one in samples),
        "has samples that are no numbers",
    )
    check(len(samples) == count, f"has {len(samples)} lists of samples for {count} combinations")
    started = cells.get("started_at")
    check(started is None or _is_number(started), "has a start that is no time")
    version = cells.get("version")
    return AsvSeries(
        benchmark=name,
        params=tuple(tuple(values) for values in params),
        results=tuple(None if one is None else float(one) for one in results),
        samples=tuple(None if one is None else tuple(map(float, one)) for one in samples),
        version=None if version is None else str(version),
        started_unix_s=None if started is None else started / 1000.0,
        statistics=_statistics(cells, count),
    )


def _statistics(cells: dict[str, Any], count: int) -> tuple[AsvStatistics | None, ...]:
    """What asv says of each figure's samples; what is not as asv writes it is not known."""
    columns = [cells.get(name) for name in _STATISTICS]
    if not any(columns):
        return ()
    told = [column if isinstance(column, list) else () for column in columns]
    known = [[*map(_finite, column), *[math.nan] * count][:count] for column in told]
    rows = zip(*known, strict=True)
    return tuple(AsvStatistics(*row) if any(map(math.isfinite, row)) else None for row in rows)


def _finite(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else math.nan


def _is_params(params: object) -> bool:
    return isinstance(params, list) and all(
        isinstance(values, list) and all(isinstance(value, str) for value in values)
        for values in params
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_numbers(values: object) -> bool:
    return isinstance(values, list) and all(_is_number(value) for value in values)
