"""Content hashes: BLAKE2b with 160 bits, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_DIGEST_BYTES = 20
_CHUNK_BYTES = 1 << 20


def hash_text(text: str) -> str:
    """The hash of ``text`` in UTF-8."""
    return hash_bytes(text.encode())


def hash_bytes(content: bytes) -> str:
    """The hash of ``content``."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def hash_json(value: Any) -> str:  # noqa: ANN401
    """The hash of a JSON-serializable value, whatever the order of its keys."""
    return hash_text(json.dumps(value, sort_keys=True, separators=(",", ":")))


def hash_file(path: Path) -> str:
    """The hash of a file's bytes."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """The hash of arrays: names, dtypes, shapes and bytes."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
