"""A cache of built files: content-addressed, written atomically, locked per entry.

An entry is a folder ``<root>/<kind>/<key>`` with its files and a ``manifest.json`` that holds each
file's hash. It is built in ``<root>/tmp`` and renamed into place, so that it is either whole or not
there; its hashes are checked whenever it is read, so that a damaged one is built again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from harness.errors import WorkerError, storage_errors
from harness.pipeline.fingerprint import hash_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger("harness.cache")

_MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
KINDS: Final = ("onnx", "reference", "histograms", "precision", "engine")
# Files that speed up later builds, which are no entries.
KEEP: Final = "keep"
_KEY: Final = re.compile(r"[0-9a-f]{40}")
_POLL_S: Final = 0.2


def default_cache_root() -> Path:
    """``$TRT_HARNESS_CACHE``, or the user's cache folder."""
    configured = os.environ.get("TRT_HARNESS_CACHE")
    if configured:
        return Path(configured)
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("trt-harness")


@dataclass(frozen=True)
class Entry:
    """One entry of the cache; ``info`` is what its builder said of it."""

    kind: str
    key: str
    path: Path
    label: str
    created_unix_s: float
    build_s: float
    size_bytes: int
    info: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """The path of one of the entry's files."""
        return self.path / name

    def damage(self) -> str:
        """What is wrong with its files; empty where they are as they were built."""
        return _damage(self.path)


class Cache:
    """The cache under ``root``; it is made when something is first put into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry, checked against its hashes; None where there is none or it is damaged."""
        path = self._path(kind, key)
        if not path.is_dir():
            return None
        problem = _damage(path)
        if problem:
            logger.warning("%s: %s; the entry is not used and will be built again", path, problem)
            return None
        return _read(path)

    def get_or_build(
        self,
        kind: str,
        key: str,
        label: str,
        build: Callable[[Path], Mapping[str, Any]],
        *,
        is_current: Callable[[Entry], bool] = lambda _: True,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[Entry, bool]:
        """The entry and whether it was already there; ``build(folder)`` fills it where it was not.

        An entry that ``is_current`` rejects is built again. Another process that asks for the same
        entry waits, until ``is_cancelled`` says no more; if ``build`` raises, nothing is kept.

        Raises:
            StorageError: the cache cannot be written.
            WorkerError: it was cancelled while it waited.
        """
        # Before anything is written: a cache that holds it all may be read-only.
        if (self._path(kind, key) / _MANIFEST).is_file() and not _damage(self._path(kind, key)):
            entry = _read(self._path(kind, key))
            if is_current(entry):
                return entry, True
        with storage_errors(self.root):
            for folder in (self.root / "locks", self.root / "tmp", self.root / kind):
                folder.mkdir(parents=True, exist_ok=True)
        with self._locked(kind, key, is_cancelled):
            found = self.find(kind, key)
            if found is not None and is_current(found):
                return found, True
            return self._build(kind, key, label, build), False

    def _build(
        self, kind: str, key: str, label: str, build: Callable[[Path], Mapping[str, Any]]
    ) -> Entry:
        scratch = self.root / "tmp" / f"{kind}-{secrets.token_hex(8)}"
        with storage_errors(scratch):
            scratch.mkdir()
        started = time.monotonic()
        try:
            info = build(scratch)
            with storage_errors(scratch):
                files = [path for path in sorted(scratch.rglob("*")) if path.is_file()]
                manifest = {
                    "format": _FORMAT,
                    "label": label,
                    "created_unix_s": time.time(),
                    "build_s": time.monotonic() - started,
                    "files": {
                        str(file.relative_to(scratch)): {
                            "hash": hash_file(file),
                            "size_bytes": file.stat().st_size,
                        }
                        for file in files
                    },
                    "info": dict(info),
                }
                (scratch / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
                final = self._path(kind, key)
                _remove(final)
                scratch.rename(final)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return _read(final)

    @contextmanager
    def _locked(
        self, kind: str, key: str, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        lock = FileLock(self.root / "locks" / f"{kind}-{key}.lock")
        is_told = False
        while not _try_lock(lock):
            if is_cancelled():
                raise WorkerError("cancelled while waiting for another run", where=str(self.root))
            if not is_told:
                logger.warning("waiting for another run that builds %s/%s", kind, key[:12])
                is_told = True
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> Iterator[Entry]:
        """Every entry that has a readable manifest, without checking its files."""
        for path in self._folders():
            entry = _try_read(path)
            if entry is None:
                logger.warning("%s: unreadable, to be pruned or built again", path)
            else:
                yield entry

    def _folders(self) -> Iterator[Path]:
        # Only what has the form of an entry: the folder may turn out to be no cache at all.
        for path in sorted(self.root.glob("*/*")):
            if path.parent.name in KINDS and _KEY.fullmatch(path.name) and path.is_dir():
                yield path

    def prune(self, *, older_than_s: float = 0.0) -> tuple[int, int]:
        """Remove entries that are older than ``older_than_s``, and those that cannot be read.

        What is kept to speed up builds goes as well, by its last change, and is not counted.
        An entry that another process is building is waited for; what an interrupted build left
        behind is removed as well, once it is a day old. Nothing else in the folder is touched.

        Returns:
            The number of entries removed, and their bytes.
        """
        count = freed_bytes = 0
        for path in list(self._folders()):
            with self._locked(path.parent.name, path.name):
                entry = _try_read(path)
                if entry is not None and 0 < older_than_s > time.time() - entry.created_unix_s:
                    continue
                _remove(path)
            count += 1
            freed_bytes += entry.size_bytes if entry is not None else 0
        for kept in (self.root / KEEP).glob("*"):
            with suppress(FileNotFoundError):
                status = kept.stat()
                if time.time() - status.st_mtime >= older_than_s:
                    kept.unlink()
                    freed_bytes += status.st_size
        for scratch in (path for kind in KINDS for path in (self.root / "tmp").glob(f"{kind}-*")):
            with suppress(FileNotFoundError):
                if time.time() - scratch.stat().st_mtime > _ABANDONED_S:
                    _remove(scratch)
        return count, freed_bytes

    def _path(self, kind: str, key: str) -> Path:
        return self.root / kind / key


_ABANDONED_S: Final = 86_400.0


def _try_lock(lock: FileLock) -> bool:
    with storage_errors(Path(lock.lock_file)):
        try:
            lock.acquire(timeout=_POLL_S)
        except Timeout:
            # An OSError, but none of storage.
            return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _damage(path: Path) -> str:
    """What is wrong with the entry at ``path``; empty where it is sound."""
    if _try_read(path) is None:
        return f"{_MANIFEST} is corrupt"
    manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
    for name, expected in manifest["files"].items():
        try:
            if hash_file(path / name) != expected["hash"]:
                return f"{name} is corrupt"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return ""


def _try_read(path: Path) -> Entry | None:
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(path: Path) -> Entry:
    manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] != _FORMAT:
        message = f"the manifest's format is {manifest['format']}"
        raise ValueError(message)
    return Entry(
        kind=path.parent.name,
        key=path.name,
        path=path,
        label=str(manifest["label"]),
        created_unix_s=float(manifest["created_unix_s"]),
        build_s=float(manifest["build_s"]),
        size_bytes=sum(int(file["size_bytes"]) for file in manifest["files"].values()),
        info=dict(manifest["info"]),
    )
