"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import select
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import StorageError, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX: Final = "array_"
_STDOUT: Final = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})


@contextmanager
def written_whole(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A scratch path beside ``path`` to write to; it takes the name when the block succeeds.

    Whatever else ends the block leaves nothing behind. A link stays one: what it leads to is
    replaced. A pipe or a device is written through.

    Raises:
        StorageError: it cannot be written, or ``path`` exists and ``overwrite`` is false.
    """
    with storage_errors(path):
        if overwrite and _is_special(path):
            with tempfile.TemporaryDirectory() as folder:
                scratch = Path(folder) / path.name
                yield scratch
                with scratch.open("rb") as source, path.open("wb") as through:
                    shutil.copyfileobj(source, through)
            return
        path = _led_to(path) if overwrite else path
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            yield scratch
            if overwrite:
                scratch.replace(path)
            else:
                _publish(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def _is_special(path: Path) -> bool:
    """Whether ``path`` is, or leads to, a pipe or a device that bytes can be written to."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(errno.EINVAL, "it is a disk or a socket", str(path))
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _led_to(path: Path) -> Path:
    """What ``path`` is a link to, whether that exists or not; else ``path`` itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_stdout(path: Path) -> bool:
    """Whether ``path`` stands for standard output: "-", or one of the system's names for it."""
    return str(path) in _STDOUT


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all, or to standard output if that is named.

    Raises:
        StorageError: it cannot be written.
    """
    if is_stdout(path):
        # A reader that has left, such as ``head``, is no error of what is told elsewhere.
        with reader_may_leave():
            sys.stdout.write(text)
        return
    with written_whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print in the block; that the reader of standard output has left ends it, and nothing else."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail again when the interpreter ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    poll = select.poll()
    # Errors are told of, whatever is asked for.
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


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


def check_writable(path: Path, *, is_text: bool = False) -> None:
    """See that the file ``path`` can be written, before anything long is begun; makes its folder.

    Text may go to standard output (see :func:`write_text`), and nothing else may.

    Raises:
        StorageError: it cannot, or it is a folder.
    """
    if is_stdout(path):
        if is_text:
            return
        what = "cannot write: this is no text for standard output"
        raise StorageError(what, where=str(path), fix="name a file")
    with storage_errors(path):
        if _is_special(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return
    check_folder(_led_to(path).parent)
    with storage_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
