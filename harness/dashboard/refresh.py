"""Keep a page fresh: see that the sources have changed, build it anew, keep the last good one."""

from __future__ import annotations

import os
import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

POLL_S: Final = 1.0
# After a build, so many times as long as it took is nothing done: what is measured on the same
# machine meanwhile must not be kept from its processor.
_REST: Final = 4.0
# What records and asv's results end with.
_SUFFIXES: Final = (".parquet", ".json")
_Stamp = tuple[str, int, int]


def look_at(sources: Sequence[str]) -> frozenset[_Stamp]:
    """Each file that a dashboard may be made of, with its size and when it was written.

    Sources are files, folders with all below, or patterns; what is not there has no files, and
    addresses of the network are not looked at.
    """
    found = set()
    for path in {path for source in sources for path in _files(source)}:
        try:
            told = path.stat()
        except OSError:
            # It was there a moment ago.
            continue
        found.add((str(path), told.st_mtime_ns, told.st_size))
    return frozenset(found)


def _files(source: str) -> Iterator[Path]:
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


@dataclass(frozen=True)
class Shown:
    """What is served: a page, its ``version``, and why a newer one could not be made."""

    page: bytes
    version: str
    problem: str = ""
    is_building: bool = False


class FreshPage:
    """The page that was last made, and made anew where what it is made of has changed.

    Any thread may ask for what is :attr:`shown`; one alone makes it.

    Args:
        build: makes the page.
        look: tells what it is made of, as :func:`look_at` does.

    Raises:
        HarnessError: it cannot be made at all.
    """

    def __init__(self, build: Callable[[], bytes], look: Callable[[], object]) -> None:
        self._build, self._look = build, look
        # A page of another server is no page of this one.
        self._series, self._count = secrets.token_hex(4), 0
        # Before it is built: what is written meanwhile is new.
        self._seen = look()
        self._shown = Shown(build(), self._next_version())

    @property
    def shown(self) -> Shown:
        """What is to be served at this moment."""
        return self._shown

    def refresh(self) -> bool:
        """Make it anew if what it is made of has changed; says whether that was tried.

        Where it cannot be made the last one stays, with the reason.
        """
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        self._shown = replace(self._shown, is_building=True)
        try:
            self._shown = Shown(self._build(), self._next_version())
        except HarnessError as error:
            self._shown = replace(self._shown, problem=str(error), is_building=False)
        return True

    def _next_version(self) -> str:
        self._count += 1
        return f"{self._series}-{self._count}"


def keep_fresh(
    page: FreshPage,
    wait: Callable[[float], bool],
    tell: Callable[[Shown], None],
    clock: Callable[[], float] = time.monotonic,
    first_s: float = POLL_S,
) -> None:
    """Refresh ``page`` again and again, and ``tell`` what came of it.

    Args:
        page: is made anew where that is due.
        wait: waits for so many seconds, and says whether it is over.
        tell: is called after each try to make it anew.
        clock: seconds.
        first_s: how long to wait before the first look.
    """
    pause_s = first_s
    while not wait(pause_s):
        started = clock()
        pause_s = POLL_S
        if page.refresh():
            pause_s = max(POLL_S, _REST * (clock() - started))
            tell(page.shown)


class Refreshing:
    """Keeps a page fresh in a thread of its own, in a ``with`` block.

    Args:
        page: is kept fresh.
        tell: is called after each try to make it anew.
        end_build: ends a build that is under way when the block ends.
        first_s: how long to wait before the first look.
    """

    def __init__(
        self,
        page: FreshPage,
        tell: Callable[[Shown], None],
        end_build: Callable[[], None],
        first_s: float = POLL_S,
    ) -> None:
        self._over = threading.Event()
        self._end_build = end_build

        def tell_unless_over(shown: Shown) -> None:
            # That a build was ended is no news.
            if not self._over.is_set():
                tell(shown)

        arguments = (page, self._over.wait, tell_unless_over, time.monotonic, first_s)
        self._thread = threading.Thread(target=keep_fresh, args=arguments, daemon=True)

    def __enter__(self) -> Refreshing:  # noqa: PYI034  # typing.Self is not in Python 3.10
        self._thread.start()
        return self

    @property
    def is_alive(self) -> bool:
        """Whether it still does."""
        return self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._end_build()
        self._thread.join()
