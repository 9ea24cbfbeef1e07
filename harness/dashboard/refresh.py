"""Keep a page fresh: see that the sources have changed, build it anew, keep the last good one."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S: Final = 1.0
# After a build, so many times as long as it took is nothing done: what is measured on the same
# machine meanwhile must not be kept from its processor.
_REST: Final = 4.0

# What is served until there is anything to show: asks again by itself.
WAITING: Final = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="color-scheme" content="light dark"><title>Waiting for figures</title></head>
<body><h1>Nothing has been measured here yet</h1>
<p>This page shows the first figures as soon as they are there.</p></body></html>
"""


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
        look: tells what it is made of, as :func:`harness.dashboard.looking.look_at` does.
        waiting: is shown where it cannot be made at first; without it that is an error.

    Raises:
        HarnessError: it cannot be made at all.
    """

    def __init__(
        self,
        build: Callable[[], bytes],
        look: Callable[[], object],
        waiting: bytes | None = None,
    ) -> None:
        self._build, self._look = build, look
        # A page of another server is no page of this one.
        self._series, self._count = secrets.token_hex(4), 0
        self._build_problem, self._look_problem = "", ""
        # Before it is built: what is written meanwhile is new.
        self._seen = self._looked(None)
        page = self._built_first(waiting)
        problem = self._look_problem or self._build_problem
        self._shown = Shown(page, self._next_version(), problem)

    @property
    def shown(self) -> Shown:
        """What is to be served at this moment."""
        return self._shown

    def refresh(self) -> bool:
        """Make it anew if what it is made of has changed; says whether there is any news.

        Where it cannot be made, or what it is made of cannot be looked at, the last one stays, with
        the reason. Whatever that is: a page that is old without saying so is worse.
        """
        before = self._look_problem
        seen = self._looked(self._seen)
        if seen == self._seen:
            if self._look_problem == before:
                return False
            self._shown = replace(self._shown, problem=self._look_problem or self._build_problem)
            return True
        self._seen = seen
        self._shown = replace(self._shown, is_building=True)
        try:
            page = self._build()
        except Exception as error:  # noqa: BLE001  # the reason is told, and it is watched on
            self._build_problem = _reason(error)
            self._shown = replace(self._shown, problem=self._build_problem, is_building=False)
        else:
            self._build_problem = ""
            self._shown = Shown(page, self._next_version())
        return True

    def _built_first(self, waiting: bytes | None) -> bytes:
        try:
            return self._build()
        except HarnessError as error:
            if waiting is None:
                raise
            self._build_problem = str(error)
            return waiting

    def _looked(self, otherwise: object) -> object:
        """What it is made of now; ``otherwise`` where that cannot be seen, and why."""
        try:
            seen = self._look()
        except Exception as error:  # noqa: BLE001  # as of a build
            self._look_problem = f"the sources cannot be looked at: {_reason(error)}"
            return otherwise
        self._look_problem = ""
        return seen

    def _next_version(self) -> str:
        self._count += 1
        return f"{self._series}-{self._count}"


def _reason(error: Exception) -> str:
    if isinstance(error, HarnessError):
        return str(error)
    # What nobody has thought of is told with its kind: its words alone may say little.
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


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
        tell: is called with each news; what is shown goes on where that fails.
        clock: seconds.
        first_s: how long to wait before the first look.
    """
    pause_s = first_s
    while not wait(pause_s):
        started = clock()
        pause_s = POLL_S
        if page.refresh():
            pause_s = max(POLL_S, _REST * (clock() - started))
            # A terminal that has gone is no reason to serve what is old.
            with suppress(OSError, ValueError):
                tell(page.shown)


class Refreshing:
    """Keeps a page fresh in a thread of its own, in a ``with`` block.

    Args:
        page: is kept fresh.
        tell: is called with each news.
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
