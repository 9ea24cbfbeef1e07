"""What a page is made of, as cheaply as can be told: files with their sizes and times."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.dashboard.write import DashboardOrder

# What records, asv's results and notes of failures end with.
_SUFFIXES: Final = (".parquet", ".json", ".failed")
# What changes where git comes to know more: a commit, a checkout, a fetch. Not FETCH_HEAD: that is
# written where there was nothing to fetch, too.
_OWN: Final = ("HEAD",)
_SHARED: Final = ("packed-refs", "shallow", "reftable/tables.list")
_REFS: Final = ("refs/heads", "refs/remotes", "refs/tags")
_SMALL_BYTES: Final = 4096
_Stamp = tuple[str, int, int]


def look_at(order: DashboardOrder) -> frozenset[_Stamp]:
    """Each file that the page of ``order`` may be made of, with its size and when it was written.

    Those of its sources, of the calibrations in its cache, and what git changes in its repository
    when it comes to know more. Nothing is read but where git keeps those.

    Raises:
        OSError: a place cannot be looked at.
    """
    found = {path for source in order.sources for path in _files(source)}
    found.update(_calibrations(order.cache))
    found.update(_of_git(order.repository))
    return frozenset(_stamps(found))


def _stamps(paths: set[Path]) -> Iterator[_Stamp]:
    for path in paths:
        try:
            told = path.stat()
        except OSError:
            # It was there a moment ago, or is not there yet.
            continue
        yield str(path), told.st_mtime_ns, told.st_size


def _files(source: str) -> Iterator[Path]:
    """Of files, folders with all below, or patterns; none of what is not there, or far away."""
    path = Path(source)
    if "://" in source:
        return
    if path.is_dir():
        for folder, _, names in os.walk(path):
            yield from (Path(folder, name) for name in names if name.endswith(_SUFFIXES))
    elif path.exists():
        yield path
    else:
        relative = path.relative_to(path.anchor) if path.anchor else path
        yield from Path(path.anchor or ".").glob(str(relative))


def _calibrations(cache: Path | None) -> Sequence[Path]:
    from harness.noise.calibration import files_in  # noqa: PLC0415  # it is quick without

    return () if cache is None else files_in(cache)


def _of_git(repository: Path | None) -> Iterator[Path]:
    """What git changes, in ``repository`` or in the one that it is a folder of."""
    own = None if repository is None else _git_folder(repository.absolute())
    if own is None:
        return
    common = _small_text(own / "commondir")
    shared = own / common if common else own
    yield from (own / name for name in _OWN)
    yield from (shared / name for name in _SHARED)
    for refs in _REFS:
        for folder, _, names in os.walk(shared / refs):
            yield from (Path(folder, name) for name in names)


def _git_folder(place: Path) -> Path | None:
    """Where git keeps what it knows of ``place``; None where it knows nothing of it."""
    for folder in (place, *place.parents):
        inside = folder / ".git"
        if inside.is_dir():
            return inside
        if inside.is_file():
            # A work tree of another repository, or a submodule.
            named = (_small_text(inside) or "").partition("gitdir:")[2].strip()
            return folder / named if named else None
    is_bare = (place / "HEAD").is_file() and (place / "objects").is_dir()
    return place if is_bare else None


def _small_text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return os.fsdecode(file.read(_SMALL_BYTES)).strip()
    except OSError:
        return None
