"""What a record says beside its series, read without them: quick, and little memory."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from harness.errors import RecordError
from harness.store.parquet import METADATA_KEY, READABLE_VERSIONS, SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path


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
    except (pa.ArrowException, OSError, ValueError) as error:
        fix = "remove it, or fetch it again"
        raise RecordError("is no record, or is damaged", where=str(path), fix=fix) from error
    return decode_header(metadata.get(METADATA_KEY), where=str(path))


def decode_header(content: bytes | None, *, where: str) -> dict[str, Any]:
    """The header that ``content`` holds, which a file's metadata has under ``METADATA_KEY``.

    Raises:
        RecordError: it is none, or of another schema version; ``where`` names the file.
    """
    try:
        held = content or b""
        # Versions before 4 wrote plain JSON.
        header = dict(json.loads(held if held.startswith(b"{") else zlib.decompress(held)))
    except (TypeError, ValueError, zlib.error) as error:
        fix = "remove it, or fetch it again"
        raise RecordError("is no record, or is damaged", where=where, fix=fix) from error
    version = header.get("schema_version")
    if version not in READABLE_VERSIONS:
        what = f"has schema version {version}, this is version {SCHEMA_VERSION}"
        raise RecordError(what, where=where, fix="read it with the harness that wrote it")
    return header
