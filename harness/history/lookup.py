"""What the sides of a comparison stand for: files, folders, ids of records, or commits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError
from harness.history.commits import is_hash, resolve_commits
from harness.history.kept import kept_in, rounds_of
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from harness.history.kept import Kept
    from harness.types import Record

_SHOWN: Final = 12


@dataclass(frozen=True)
class FoundSide:
    """What a name stands for: what to call it, and its records."""

    label: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class _OfCommit:
    """A commit, and all that was measured of it."""

    label: str
    kept: tuple[Kept, ...]


def find_sides(
    names: tuple[str, str], places: Sequence[Path], repository: Path
) -> tuple[FoundSide, FoundSide]:
    """The records that two names stand for.

    A file is its record, a folder all records in it, an id the record of ``places`` that has it.
    What was slowed on purpose is none of these, unless its file itself is named. A commit is the
    newest run of it among the complete and valid records of ``places``: of two commits, the records
    of their newest common experiment, or else of a common environment.

    Args:
        names: of the base and of the head, as given.
        places: folders of records, with all below.
        repository: where git knows branches and tags.

    Raises:
        OptionError: a name stands for nothing.
        RecordError: a record cannot be read.
    """
    kept: list[Kept] | None = None
    found: list[FoundSide | _OfCommit] = []
    for name in names:
        side = _by_path(Path(name), name)
        if side is None:
            kept = kept_in(places) if kept is None else kept
            side = _by_id(name, kept)
        found.append(side or _by_commit(name, kept or [], places, repository))
    base, head = found
    if isinstance(base, _OfCommit) and isinstance(head, _OfCommit):
        return _of_one_experiment(base, head) or _of_one_environment(base, head)
    return _settled(base), _settled(head)


def _by_path(path: Path, name: str) -> FoundSide | None:
    if path.is_dir():
        kept = kept_in([path])
        plain = [one for one in kept if not one.slowed_by]
        if not plain:
            what = (
                "all records in it were slowed on purpose" if kept else "there is no record in it"
            )
            raise OptionError(what, where=name, fix="name a record")
        return _read(name, plain)
    if path.exists() or path.suffix == ".parquet":
        return FoundSide(name, (read_record(path),))
    return None


def _by_id(name: str, kept: Iterable[Kept]) -> FoundSide | None:
    found = [one for one in kept if one.header["record_id"] == name]
    if found and found[0].slowed_by:
        what = f"it was made {100.0 * found[0].slowed_by:.3g} % slower on purpose"
        raise OptionError(what, where=name, fix=f"to compare it all the same, name {found[0].path}")
    return _read(name, found[:1]) if found else None


def _by_commit(
    name: str, kept: Sequence[Kept], places: Sequence[Path], repository: Path
) -> _OfCommit:
    commits = {one.commit for one in kept if one.commit}
    known = [commit for commit in commits if commit.startswith(name)] if is_hash(name) else []
    if len(known) > 1:
        what = f"it begins the hashes of {len(known)} commits"
        raise OptionError(what, where=name, fix="give more of the hash")
    commit = known[0] if known else _resolved(name, repository)
    its = tuple(one for one in kept if one.commit == commit and one.counts)
    if not its:
        of_it = sum(one.commit == commit for one in kept)
        where = ", ".join(str(place) for place in places)
        what = f"there is no record of commit {commit[:_SHOWN]} in {where}"
        what += f" that is complete and valid, of {of_it}" if of_it else ""
        fix = "measure it with 'harness ab' or 'harness history run', or name a folder by --records"
        raise OptionError(what, where=name, fix=fix)
    label = commit[:_SHOWN] if is_hash(name) else f"{name} ({commit[:_SHOWN]})"
    return _OfCommit(label, its)


def _resolved(name: str, repository: Path) -> str:
    fix = "name a record's file, a folder, an id of --records, or a commit of --repository"
    if ".." in name:
        raise OptionError("a range is many commits", where=name, fix=fix)
    try:
        return resolve_commits(name, repository)[0]
    except (OptionError, IndexError) as error:
        what = f"it is no record, and no commit: {getattr(error, 'what', 'it has none')}"
        raise OptionError(what, where=name, fix=fix) from error


def _of_one_experiment(base: _OfCommit, head: _OfCommit) -> tuple[FoundSide, FoundSide] | None:
    """The records of the newest experiment in which both took turns."""
    found = [
        (a, b)
        for a in base.kept
        for b in head.kept
        if a.experiment and a.experiment == b.experiment and a.path != b.path
    ]
    if not found:
        return None
    a, b = max(found, key=lambda pair: pair[1].created)
    return _read(base.label, [a]), _read(head.label, [b])


def _of_one_environment(base: _OfCommit, head: _OfCommit) -> tuple[FoundSide, FoundSide]:
    """The newest runs in an environment that both were measured in, if there is one."""
    prints = [{one.fingerprint for one in side.kept} for side in (base, head)]
    common = prints[0] & prints[1]
    newest = max(
        (one for one in head.kept if not common or one.fingerprint in common), key=_created
    )
    wanted = {newest.fingerprint} if common else set()
    return _newest_run(base, wanted), _newest_run(head, wanted)


def _created(one: Kept) -> tuple[str, str]:
    return one.created


def _settled(side: FoundSide | _OfCommit) -> FoundSide:
    return _newest_run(side, set()) if isinstance(side, _OfCommit) else side


def _newest_run(side: _OfCommit, prints: Collection[str]) -> FoundSide:
    """All rounds of the newest run, in an environment of ``prints`` where any are given."""
    chosen = [one for one in side.kept if not prints or one.fingerprint in prints]
    newest = max(chosen, key=_created)
    return _read(side.label, rounds_of(newest, chosen))


def _read(label: str, kept: Iterable[Kept]) -> FoundSide:
    """Each record once, oldest first."""
    ordered = {str(one.header["record_id"]): one for one in sorted(kept, key=_created)}
    return FoundSide(label, tuple(read_record(one.path) for one in ordered.values()))
