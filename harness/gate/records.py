"""Where the records of a gate are: a file, the newest of a folder, or those of a commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError, RecordError
from harness.history.commits import is_hash, resolve_commits
from harness.history.kept import BASE_SUFFIX, kept_in, rounds_of
from harness.history.newest import newest_first, warn_of_tie
from harness.stats.fingerprint import fingerprint
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.kept import Kept
    from harness.types import Record

# How far back a branch is followed to a commit that was measured.
_MOST_COMMITS: Final = 200
_SHOWN: Final = 12
_SHORT: Final = 8


@dataclass(frozen=True)
class Baseline:
    """The records that the head is held against, what they are called, and what to know of them."""

    label: str
    records: tuple[Record, ...]
    remarks: tuple[str, ...] = ()


def _read_own(path: Path) -> Record:
    """The record at ``path``, which was named, and so must be able to stand for a commit.

    Raises:
        RecordError: it cannot be read, or was made slower on purpose.
    """
    found = read_record(path)
    slowed_by = found.replication.slowed_by if found.replication else 0.0
    if slowed_by:
        what = f"its work was made slower by {100.0 * slowed_by:.3g} % on purpose ('harness noise')"
        raise RecordError(what, where=str(path), fix="name one that was measured as it is")
    return found


def newest_record(
    place: Path, pipeline: str | None = None, repository: Path | None = None
) -> tuple[Record, Path]:
    """The record at ``place``, and its file; of a folder the newest, whatever became of it.

    Those in the folder itself come before those of folders below, where there are any. What was
    made slower on purpose stands for no commit: of a folder it is passed over.

    Args:
        place: a record's file, or a folder.
        pipeline: of which it is to be; None where they are all of one.
        repository: where git knows the commits of a history; None for their dates alone.

    Raises:
        OptionError: there is none, or those of the folder are of several pipelines.
        RecordError: it cannot be read, is of another pipeline, or was made slower on purpose.
    """
    if not place.is_dir():
        found = _read_own(place)
        if pipeline not in {None, found.pipeline}:
            what = f"it is of the pipeline {found.pipeline}, not of {pipeline}"
            raise RecordError(what, where=str(place), fix="name another, or leave out --pipeline")
        return found, place
    of_it = [one for one in kept_in([place]) if pipeline in {None, one.header["pipeline"]}]
    every = [one for one in of_it if not one.slowed_by]
    kept = [one for one in every if one.path.parent == place] or every
    if not kept:
        what = (
            "there is no record in it" if pipeline is None else f"no record in it is of {pipeline}"
        )
        what += f" but {len(of_it)} that were made slower on purpose" if of_it else ""
        raise OptionError(what, where=str(place), fix="name a record")
    pipelines = sorted({one.header["pipeline"] for one in kept})
    if len(pipelines) > 1:
        what = f"it holds records of several pipelines: {', '.join(pipelines)}"
        raise OptionError(what, where=str(place), fix="name a record, or one of them by --pipeline")
    newest = newest_first(kept, repository)[0]
    experiment = newest.experiment
    if experiment:
        # Both sides of an A/B were made at the same time: it is the head that is asked about.
        sides = [one for one in kept if one.experiment == experiment]
        newest = next((one for one in sides if not one.is_base), newest)
    warn_of_tie(newest, kept, place, repository)
    return read_record(newest.path), newest.path


def find_partner(head: Record, path: Path) -> Baseline | None:
    """The base of the A/B that ``head`` is the head of, beside its file ``path``; None of others.

    Raises:
        RecordError: it is damaged.
    """
    experiment = head.replication.experiment if head.replication else ""
    if not experiment or head.record_id.endswith(BASE_SUFFIX):
        return None
    for one in kept_in([path.parent]):
        if one.experiment == experiment and one.is_base and not one.slowed_by:
            return _baseline(read_record(one.path))
    return None


def find_baseline(name: str, head: Record, places: Sequence[Path], repository: Path) -> Baseline:
    """What ``name`` stands for: a record's file, a folder, or a commit or branch.

    Of a folder it is the newest record of the head's pipeline that is complete and valid. Of a
    commit it is all rounds of its newest run, from ``places``, in the head's environment if there
    are any; of a branch those of its newest commit that was measured.

    Args:
        name: as given.
        head: the record that is to be held against it, which is never its own baseline.
        places: folders of records, with all below.
        repository: where git knows the commit, or those of the folder.

    Raises:
        OptionError: there is none, or it is the head itself.
        RecordError: it cannot be read, is of another pipeline, or was made slower on purpose.
    """
    path = Path(name)
    if path.is_dir():
        return _of_folder(path, head, repository)
    if path.exists() or path.suffix == ".parquet":
        record = _read_own(path)
        if record.record_id == head.record_id:
            what = f"it is {head.record_id}, the record that is to be held against it"
            raise OptionError(what, where=name, fix="name another as the baseline")
        if record.pipeline != head.pipeline:
            what = f"it is of the pipeline {record.pipeline}, not of {head.pipeline}"
            raise RecordError(what, where=name, fix="name one of the same pipeline")
        return _baseline(record)
    return _of_commit(name, head, places, repository)


def label_of(record: Record) -> str:
    """What a record is called: by its id, and the commit that was measured."""
    told = record.environment.get("pipeline_commit") or {}
    commit = (record.history or {}).get("commit") or told.get("commit")
    if not commit:
        return record.record_id
    is_dirty = record.history is None and told.get("is_dirty")
    return f"{record.record_id} of {commit[:_SHORT]}{', changed' if is_dirty else ''}"


def _baseline(record: Record, remarks: tuple[str, ...] = ()) -> Baseline:
    return Baseline(label_of(record), (record,), remarks)


def _of_folder(folder: Path, head: Record, repository: Path) -> Baseline:
    kept = [
        one
        for one in kept_in([folder])
        if one.header["pipeline"] == head.pipeline
        and one.header["record_id"] != head.record_id
        and not one.slowed_by
    ]
    ordered = newest_first(kept, repository)
    later, newest = next(
        ((place, one) for place, one in enumerate(ordered) if one.counts), (0, None)
    )
    if newest is None:
        what = f"no record of {head.pipeline} in it is complete and valid"
        raise OptionError(what, where=str(folder), fix="measure one, or name another folder")
    told = (f"{later} newer records of the baseline's folder are incomplete or invalid",)
    return _baseline(read_record(newest.path), told if later else ())


def _of_commit(name: str, head: Record, places: Sequence[Path], repository: Path) -> Baseline:
    # What is a hash means that commit and no other; a branch goes on.
    commits = resolve_commits(name, repository)[: 1 if is_hash(name) else _MOST_COMMITS]
    by_commit: dict[str, list[Kept]] = {}
    for one in kept_in(places):
        is_other = one.header["record_id"] != head.record_id
        if one.counts and is_other and one.header["pipeline"] == head.pipeline and one.commit:
            by_commit.setdefault(one.commit, []).append(one)
    found = next((commit for commit in commits if commit in by_commit), None)
    where = ", ".join(str(place) for place in places)
    if found is None:
        what = f"no record of it in {where}"
        fix = "measure it with 'harness history run' or 'harness ab', or name a folder by --records"
        raise OptionError(what, where=name, fix=fix)
    chosen = _newest_run(by_commit[found], head)
    back = commits.index(found)
    remarks = [f"{name} is {back} commits on from the baseline, its newest that was measured"]
    label = found[:_SHOWN] if is_hash(name) else f"{name} ({found[:_SHOWN]})"
    records = tuple(read_record(one.path) for one in chosen)
    return Baseline(label, records, tuple(remarks if back else ()))


def _newest_run(kept: Sequence[Kept], head: Record) -> list[Kept]:
    """The rounds of the newest run, in the head's environment where there is one."""
    own = fingerprint(head.environment)
    alike = [one for one in kept if one.fingerprint == own]
    newest = max(alike or kept, key=lambda one: one.created)
    return rounds_of(newest, [one for one in kept if one.fingerprint == newest.fingerprint])
