"""The newest record of a folder: of a history that of its newest commit."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError, RecordError
from harness.history.commits import in_order, know_commits, tied
from harness.history.kept import kept_in
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.history.context import HistoryContext
    from harness.history.kept import Kept
    from harness.types import Record

_log = logging.getLogger(__name__)
_SHORT: Final = 10
_FIX: Final = "measure one: 'harness run PIPELINE --out FOLDER'"


def newest_first(kept: Iterable[Kept], repository: Path | None = None) -> list[Kept]:
    """``kept``, the newest first: by when they were made, and a history by its commits.

    A history is measured from its newest commit back, so that all of a pipeline's records of one
    are as new as the last that was made; among these the commit decides, by git's order where it
    knows them in ``repository``, else by date, and of one commit which was made last. Of an A/B,
    whose two records are of the same time, the head is the newer.
    """
    kept = list(kept)
    places = _places(kept, repository)
    made_utc: dict[str, str] = {}
    for one in kept:
        if _context(one) is not None:
            pipeline, created_utc = one.header["pipeline"], one.created[0]
            made_utc[pipeline] = max(made_utc.get(pipeline, ""), created_utc)

    def age(one: Kept) -> tuple[str, int, str, bool, str]:
        created_utc, record_id = one.created
        context = _context(one)
        last = created_utc if context is None else made_utc[one.header["pipeline"]]
        place = -1 if context is None else places[context.commit]
        return last, place, created_utc, not one.is_base, record_id

    return sorted(kept, key=age, reverse=True)


def warn_of_tie(chosen: Kept, among: Iterable[Kept], place: Path, repository: Path | None) -> None:
    """Say so where it is not known that ``chosen``, of a history, is of the newest commit."""
    context, dates = _context(chosen), _dates(among, chosen.header["pipeline"])
    if context is None or len(dates) < 2:  # noqa: PLR2004  # one cannot be tied
        return
    unsure = tied(dates, know_commits(dates, repository) if repository else {})
    if context.commit in unsure:
        alike = sum(dates[one] == dates[context.commit] for one in unsure)
        _log.warning(
            "%s: %d commits are of the same second, and git does not know which is newer; "
            "%s was measured last, and is taken: name a file for another",
            *(place, alike, context.commit[:_SHORT]),
        )


def _context(one: Kept) -> HistoryContext | None:
    """That of a history; a side of an A/B is of none."""
    return None if one.experiment else one.context


def _dates(kept: Iterable[Kept], pipeline: str | None = None) -> dict[str, str]:
    """When each commit of a history is dated, ISO 8601, UTC."""
    contexts = [_context(one) for one in kept if pipeline in {None, one.header["pipeline"]}]
    return {one.commit: _date(one.commit_unix_s) for one in contexts if one is not None}


def _date(unix_s: float) -> str:
    try:
        return datetime.fromtimestamp(unix_s, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        # Commits may be written by hand, with any number.
        return ""


def _places(kept: Iterable[Kept], repository: Path | None) -> Mapping[str, int]:
    """The larger, the newer; those of which that is not known have one."""
    dates = _dates(kept)
    known = know_commits(dates, repository) if repository is not None and dates else {}
    unsure = tied(dates, known)
    places: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for place, name in enumerate(in_order(dates, known)):
        places[name] = firsts.setdefault(dates[name], place) if name in unsure else place
    return places


def newest_readable(
    place: Path, pipeline: str | None = None, repository: Path | None = None
) -> tuple[Record, Path]:
    """The record at ``place``, and its file; of a folder the newest that can be read.

    Those in the folder itself come before those of folders below. What is damaged or of another
    schema is passed over with a warning; named itself, it is an error.

    Args:
        place: a record's file, or a folder.
        pipeline: of which it is to be; None for any.
        repository: where git knows the commits of a history; None for their dates alone.

    Raises:
        OptionError: there is none.
        RecordError: it cannot be read, or is of another pipeline.
    """
    if not place.is_dir():
        return _named(place, pipeline), place
    kept = kept_in([place])
    found = [one for one in kept if pipeline in {None, one.header["pipeline"]}]
    ordered = newest_first(found, repository)
    # What lies in the folder itself comes first.
    for one in sorted(ordered, key=lambda one: one.path.parent != place):
        try:
            record = read_record(one.path)
        except RecordError as error:
            _log.warning("%s; it is left out", error)
            continue
        warn_of_tie(one, found, place, repository)
        return record, one.path
    what = "there is no record in it" if not kept else "no record in it can be read"
    if pipeline is not None and kept and not found:
        pipelines = ", ".join(sorted({str(one.header["pipeline"]) for one in kept}))
        what = f"no record in it is of {pipeline}, only of {pipelines}"
    raise OptionError(what, where=str(place), fix=_FIX.replace("FOLDER", str(place)))


def _named(path: Path, pipeline: str | None) -> Record:
    if not path.exists():
        what = "there is no such file or folder"
        fix = "mend the path, or measure something: 'harness run PIPELINE'"
        raise RecordError(what, where=str(path), fix=fix)
    found = read_record(path)
    if pipeline not in {None, found.pipeline}:
        what = f"it is of the pipeline {found.pipeline}, not of {pipeline}"
        raise RecordError(what, where=str(path), fix="name another, or leave out --pipeline")
    return found
