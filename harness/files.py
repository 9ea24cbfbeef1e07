"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from harness.errors import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PREFIX: Final = "array_"


@contextmanager
def written_whole(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A scratch path beside ``path`` to write to; it takes the name when the block succeeds.

    Whatever else ends the block leaves nothing behind.

    Raises:
        StorageError: it cannot be written, or ``path`` exists and ``overwrite`` is false.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with storage_errors(path):
        try:
            yield scratch
            if overwrite:
                scratch.replace(path)
            else:
                _publish(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def _publish(scratch: Path, path: Path) -> None:
    """Give ``scratch`` the name ``path``, unless that is taken."""
    try:
        # A link, unlike a rename, fails where the name is taken.
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links.
        if path.exists():
            raise FileExistsError(errno.EEXIST, "it exists already", str(path)) from None
        scratch.rename(path)


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays to ``path`` (.npz), whatever their names.

    Raises:
        StorageError: it cannot be written.
    """
    import numpy as np  # noqa: PLC0415

    # As keywords of numpy's own function, "file" would be taken twice.
    with storage_errors(path):
        np.savez(path, **{f"{_PREFIX}{name}": array for name, array in arrays.items()})


def load_arrays(path: Path) -> dict[str, Any]:
    """What :func:`save_arrays` wrote."""
    import numpy as np  # noqa: PLC0415

    with np.load(path) as file:
        return {name.removeprefix(_PREFIX): file[name] for name in file.files}


def check_folder(folder: Path) -> None:
    """Make ``folder`` and see that files can be written to it, before anything long is begun.

    Raises:
        StorageError: they cannot.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()


def check_writable(path: Path) -> None:
    """See that the file ``path`` can be written, before anything long is begun; makes its folder.

    Raises:
        StorageError: it cannot, or it is a folder.
    """
    check_folder(path.parent)
    with storage_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
