"""What a record says beside its series, read without them: quick, and little memory."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from harness.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION: Final = 6
# Version 4 has no history, and 4 and 5 no experiment of a replication: those are none there.
READABLE_VERSIONS: Final = (4, 5, SCHEMA_VERSION)
METADATA_KEY: Final = b"trt_harness"
# As plain text, so that every reader can tell it, whatever it makes of the rest.
VERSION_KEY: Final = b"trt_harness_schema_version"


def read_header(path: Path) -> dict[str, Any]:
    """The header of the record at ``path``, as JSON.

    A file that is cut off is noticed, as its end is read first; a damaged sample is not.

    Raises:
        RecordError: it is no record, is cut off, or is of another schema version.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise RecordError("there is no such file", where=str(path), fix="mend the path") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise no_record(str(path)) from error
    return decode_header(metadata, where=str(path))


def decode_header(metadata: Mapping[bytes, bytes], *, where: str) -> dict[str, Any]:
    """The header that a file's ``metadata`` holds; ``where`` names the file.

    Raises:
        RecordError: there is none, or it is of another schema version.
    """
    try:
        # Before anything else is made of it: the rest is of that version.
        if VERSION_KEY in metadata:
            _check_version(int(metadata[VERSION_KEY]), where)
        held = metadata[METADATA_KEY]
        # Versions before 4 wrote plain JSON.
        header = dict(json.loads(held if held.startswith(b"{") else zlib.decompress(held)))
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise no_record(where) from error
    _check_version(header.get("schema_version"), where)
    return header


def no_record(where: str) -> RecordError:
    """The error for a file that is no record, or so damaged that it does not look like one."""
    fix = "remove it, or fetch it again"
    return RecordError("is no record, or is damaged", where=where, fix=fix)


def _check_version(version: object, where: str) -> None:
    if version not in READABLE_VERSIONS:
        what = f"has schema version {version}, this is version {SCHEMA_VERSION}"
        raise RecordError(what, where=where, fix="read it with the harness that wrote it")
