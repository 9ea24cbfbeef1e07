"""asv's results made again from the records alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import DamagedResultsError, HarnessError, RecordError, storage_errors
from harness.history.asv_results import (
    BENCHMARKS_FILE,
    BENCHMARKS_FORMAT,
    COLUMNS,
    MACHINE_FILE,
    MACHINE_FORMAT,
    RESULTS_FORMAT,
    read_json,
    read_machine,
    read_results,
    results_files,
    results_name,
    write_json,
)
from harness.history.asv_rows import Figures, Orders, content_of
from harness.history.context import HistoryContext, context_in
from harness.history.places import RECORDS
from harness.history.runs import is_invalid, is_new_run, order_of
from harness.history.series import BENCHMARKS, series_of
from harness.store.headers import read_header
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_DAMAGED: Final = ".damaged"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rebuilt:
    """The files ``written`` and ``set_aside``, and why which records were left out."""

    written: tuple[Path, ...] = ()
    set_aside: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """A record that a result file is made of, told by its header."""

    path: Path
    context: HistoryContext
    cpu: str

    @property
    def order(self) -> tuple[float, int, str]:
        return order_of(self.context, self.path.name)


def repair(results_dir: Path) -> Rebuilt:
    """Set aside what asv cannot read of its results, and make that again.

    A file that is cut off gets the end ``.damaged``, and is told in a warning. What is of another
    machine, or of another version of asv, is no damage.

    Raises:
        RecordError: there is such a file.
        MissingDependencyError: there is damage, and asv is not installed.
        StorageError: a file cannot be written or renamed.
    """
    damaged = tuple(path for path in _asv_files(results_dir) if _is_damaged(path))
    if not damaged:
        return Rebuilt()
    aside = tuple(_set_aside(path) for path in damaged)
    made = _Rebuild(results_dir, only=damaged).run()
    for path in damaged:
        if path not in made.written:
            _log.warning("%s: there are no records to make it again from", path)
    return replace(made, set_aside=aside)


def rebuild(results_dir: Path, only: Collection[Path] | None = None) -> Rebuilt:
    """Write asv's results of every commit and environment that there are records of.

    With ``only`` no other file of results is written.

    The rounds of a run are appended in their order, and a later run takes the place of an earlier
    one, as in asv. What a file holds of benchmarks that are not the harness's stays in it; one that
    is damaged is set aside first. Records that cannot be used (cut off, interrupted, judged
    invalid, of another schema, with samples that are none) are left out, each told in a warning. A
    commit that failed left no record: asv tries it again.

    Raises:
        RecordError: a file in the way is of another machine, or of another version of asv.
        MissingDependencyError: asv is not installed.
        StorageError: a file cannot be written or renamed.
    """
    aside = tuple(_set_aside(path) for path in _asv_files(results_dir) if _is_damaged(path))
    return replace(_Rebuild(results_dir, only).run(), set_aside=aside)


class _Rebuild:
    """One pass over the records below ``results_dir``; of files that exist, ``only`` those."""

    def __init__(self, results_dir: Path, only: Collection[Path] | None = None) -> None:
        self._results_dir = results_dir
        self._only = only
        self._benchmarks = results_dir / BENCHMARKS_FILE
        self._has_benchmarks = self._benchmarks.exists()
        known = read_json(self._benchmarks, BENCHMARKS_FORMAT) if self._has_benchmarks else {}
        self._orders = Orders(known)
        self._written: list[Path] = []
        self._left_out: list[str] = []

    def run(self) -> Rebuilt:
        groups: dict[Path, list[_Source]] = {}
        for source in self._sources():
            context = source.context
            name = results_name(context.commit, context.environment_name)
            group = groups.setdefault(self._results_dir / context.machine / name, [])
            if group and group[0].context.commit != context.commit:
                what = f"asv would take its commit for {group[0].context.commit}: both begin alike"
                self._leave_out(RecordError(what, where=str(source.path)))
                continue
            group.append(source)
        for path, sources in sorted(groups.items()):
            self._write_machine(path.with_name(MACHINE_FILE), sources[-1])
            is_wanted = self._only is None or path in self._only
            if is_wanted or not self._has_benchmarks:
                self._make(path, sources, is_written=is_wanted)
        entries = self._orders.entries()
        if entries and not self._has_benchmarks:
            write_json(self._benchmarks, entries, BENCHMARKS_FORMAT, indent=4)
            self._written.append(self._benchmarks)
        return Rebuilt(tuple(self._written), (), tuple(self._left_out))

    def _sources(self) -> Iterator[_Source]:
        for path in sorted(self._results_dir.glob(f"*/{RECORDS}/*.parquet")):
            try:
                header = read_header(path)
                context = context_in(header.get("history"), where=str(path))
                if context is None:
                    raise RecordError("is not of the history", where=str(path))
                if not header.get("is_complete"):
                    raise RecordError("was interrupted", where=str(path))
                if is_invalid(header):
                    raise RecordError("was judged invalid", where=str(path))
                _check_names(context, path)
            except HarnessError as error:
                self._leave_out(error)
                continue
            if not context.imported_from:
                yield _Source(path, context, str(header["environment"].get("cpu") or ""))

    def _make(self, path: Path, sources: list[_Source], *, is_written: bool) -> None:
        figures, last = self._figures(sources)
        if last is None:
            return
        rows = figures.rows(self._orders, last.started_unix_s)
        if not self._has_benchmarks:
            self._orders.learn(rows)
        if is_written:
            kept, durations = _kept(path)
            machine = read_machine(path.parent)
            if last.machine_values:
                # As it was then: a new driver since must not be told of old figures.
                machine = {**last.machine_values, "machine": last.machine}
            content = content_of(last, machine, {**kept, **rows}, durations)
            write_json(path, content, RESULTS_FORMAT)
            self._written.append(path)

    def _figures(self, sources: list[_Source]) -> tuple[Figures, HistoryContext | None]:
        figures, last = Figures(), None
        for source in sorted(sources, key=lambda source: source.order):
            try:
                values = series_of(read_record(source.path))
            except HarnessError as error:
                self._leave_out(error, source.path)
                continue
            if last is not None and is_new_run(source.context, last):
                figures = Figures()
            figures.add(values)
            last = source.context
        return figures, last

    def _write_machine(self, path: Path, source: _Source) -> None:
        if path.exists():
            return
        write_json(path, _machine_values(source), MACHINE_FORMAT, indent=4)
        self._written.append(path)

    def _leave_out(self, error: HarnessError, path: Path | None = None) -> None:
        # An error of a series names the record, not the file.
        is_told = path is None or str(path) in str(error)
        reason = str(error) if is_told else f"{path}: {error}"
        self._left_out.append(reason)
        _log.warning("left out: %s", reason)


def _check_names(context: HistoryContext, path: Path) -> None:
    """No record may have files written elsewhere."""
    for name in (context.machine, results_name(context.commit, context.environment_name)):
        if name == ".." or Path(name).name != name:
            what = f"names a machine or environment {name!r}, which cannot be that of a file"
            raise RecordError(what, where=str(path))


def _machine_values(source: _Source) -> dict[str, Any]:
    """The content of asv's machine file; what no record tells of is empty."""
    context = source.context
    told = context.machine_values or {"cpu": source.cpu}
    blank = dict.fromkeys(("arch", "cpu", "num_cpu", "os", "ram"), "")
    return {**blank, **told, "machine": context.machine}


def _kept(path: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What a file holds that no record tells of: other benchmarks, and how long things took."""
    if not path.exists():
        return {}, {}
    found = read_results(path)
    columns, rows = found.content["result_columns"], found.content["results"]
    kept = {
        name: _in_our_columns(dict(zip(columns, row, strict=False)))
        for name, row in rows.items()
        if name not in BENCHMARKS
    }
    return kept, found.content.get("durations", {})


def _in_our_columns(cells: dict[str, Any]) -> list[Any]:
    return [cells.get(name) for name in COLUMNS]


def _asv_files(results_dir: Path) -> Iterator[Path]:
    """Asv's files that exist: the list of benchmarks, the machines, the results."""
    yield from (p for p in (results_dir / BENCHMARKS_FILE,) if p.exists())
    yield from sorted(results_dir.glob(f"*/{MACHINE_FILE}"))
    yield from results_files(results_dir)


def _is_damaged(path: Path) -> bool:
    try:
        if path.name == BENCHMARKS_FILE:
            read_json(path, BENCHMARKS_FORMAT)
        elif path.name == MACHINE_FILE:
            read_machine(path.parent)
        else:
            read_results(path)
    except DamagedResultsError as error:
        _log.warning("set aside: %s", error)
        return True
    return False


def _set_aside(path: Path) -> Path:
    aside = path.with_name(path.name + _DAMAGED)
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}{_DAMAGED}-{count}")
    with storage_errors(path):
        return path.rename(aside)
