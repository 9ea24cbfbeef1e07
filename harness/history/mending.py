"""asv's results made whole again from the records, before a run goes on with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.history.asv_results import read_results, results_name
from harness.history.places import read_progress, records_folder
from harness.history.rebuild import rebuild, repair
from harness.history.series import BENCHMARKS, PROCESS_MEDIAN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.history.places import Progress


def mend(results_dir: Path, machine: str, environment_names: Sequence[str]) -> tuple[Path, ...]:
    """Make again what asv's results lack of the records; gives the files that are others now.

    A kill may have cut a file off, or have come between a record and asv's results of it. And asv
    puts a round that fails in the place of the rounds before it, to append the next one to nothing.

    Raises:
        RecordError: a file is of another machine, or of another version of asv.
        StorageError: a file cannot be written or renamed.
    """
    made = [*repair(results_dir).written]
    stale = []
    for environment_name in environment_names:
        there = read_progress(records_folder(results_dir, machine), environment_name)
        for commit, progress in there.items():
            path = results_dir / machine / results_name(commit, environment_name)
            if progress.recorded and _is_stale(path, progress):
                stale.append(path)
    if stale:
        before = {path: path.read_bytes() if path.exists() else b"" for path in stale}
        written = rebuild(results_dir, stale).written
        made += [path for path in written if path.read_bytes() != before.get(path)]
    return tuple(made)


def _is_stale(path: Path, progress: Progress) -> bool:
    if not path.exists() or path.stat().st_mtime < progress.recorded_s:
        return True
    found = {one.benchmark: one for one in read_results(path).series if one.benchmark in BENCHMARKS}
    if any(figure is None for one in found.values() for figure in one.results):
        # It failed, and yet there is a record: of a round before.
        return True
    medians = found.get(PROCESS_MEDIAN.name)
    # One of each round, where the samples were kept at all.
    counts = {len(its) for its in (medians.samples if medians else ()) if its}
    return bool(counts) and max(counts) != progress.recorded
