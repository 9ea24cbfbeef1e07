"""The newest record of a folder that can be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError, RecordError
from harness.history.kept import kept_in
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.history.kept import Kept
    from harness.types import Record

_log = logging.getLogger(__name__)
_SHORT: Final = 10
_FIX: Final = "measure one: 'harness run PIPELINE --out FOLDER'"


def newest_readable(place: Path, pipeline: str | None = None) -> tuple[Record, Path]:
    """The record at ``place``, and its file; of a folder the newest that can be read.

    Those in the folder itself come before those of folders below. Of an A/B, whose two records are
    of the same time, it is the head. What is damaged or of another schema is passed over with a
    warning; named itself, it is an error.

    Args:
        place: a record's file, or a folder.
        pipeline: of which it is to be; None for any.

    Raises:
        OptionError: there is none.
        RecordError: it cannot be read, or is of another pipeline.
    """
    if not place.is_dir():
        return _named(place, pipeline), place
    kept = kept_in([place])
    found = [one for one in kept if pipeline in {None, one.header["pipeline"]}]
    for one in sorted(found, key=lambda one: _rank(one, place), reverse=True):
        try:
            record = read_record(one.path)
        except RecordError as error:
            _log.warning("%s; it is left out", error)
            continue
        warn_of_later_commits(one, found, place)
        return record, one.path
    what = "there is no record in it" if not kept else "no record in it can be read"
    if pipeline is not None and kept and not found:
        pipelines = ", ".join(sorted({str(one.header["pipeline"]) for one in kept}))
        what = f"no record in it is of {pipeline}, only of {pipelines}"
    raise OptionError(what, where=str(place), fix=_FIX.replace("FOLDER", str(place)))


def warn_of_later_commits(chosen: Kept, among: Iterable[Kept], place: Path) -> None:
    """Say so where ``chosen``, the newest record in ``place``, is of no later commit than others.

    A history is measured from its newest commit back, so that the record of the oldest is the last.
    """
    if chosen.context is None:
        return
    pipeline, date_s = chosen.header["pipeline"], chosen.context.commit_unix_s
    its = [one.context for one in among if one.header["pipeline"] == pipeline]
    contexts = {one.commit: one for one in its if one is not None}
    later = [one for one in contexts.values() if one.commit_unix_s > date_s]
    if later:
        newest = max(later, key=lambda one: one.commit_unix_s).commit
        _log.warning(
            "%s: what was measured last is of the commit %s, and %d of a later date have records, "
            "the newest %s: name a file for another",
            *(place, chosen.context.commit[:_SHORT], len(later), newest[:_SHORT]),
        )


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


def _rank(one: Kept, place: Path) -> tuple[bool, tuple[str, bool, str]]:
    created, record_id = one.created
    return one.path.parent == place, (created, not one.is_base, record_id)
