"""The newest record of a folder that can be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError, RecordError
from harness.history.kept import kept_in
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.history.kept import Kept
    from harness.types import Record

_log = logging.getLogger(__name__)
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
            return read_record(one.path), one.path
        except RecordError as error:
            _log.warning("%s; it is left out", error)
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


def _rank(one: Kept, place: Path) -> tuple[bool, tuple[str, bool, str]]:
    created, record_id = one.created
    return one.path.parent == place, (created, not one.is_base, record_id)
