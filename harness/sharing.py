"""A second process that takes half of what is long and needs nothing but its arguments."""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Each(Protocol):
    """Applies a function to each of several items, wherever; results are in their order."""

    def __call__(
        self, function: Callable[[_Item], _Result], items: Sequence[_Item], /
    ) -> list[_Result]:
        """``function`` of each of ``items``."""


def one_by_one(function: Callable[[_Item], _Result], items: Sequence[_Item], /) -> list[_Result]:
    """``function`` of each of ``items``, here."""
    return [function(item) for item in items]


class SecondProcess:
    """Takes the second half of ``items``, while this process takes the first.

    It is a fresh interpreter, so that threads of this one do it no harm: functions, items and
    results are pickled. If it dies, or there can be none, this process does all.
    """

    def __init__(self, pool: ProcessPoolExecutor | None) -> None:
        self._pool = pool

    def each(
        self, function: Callable[[_Item], _Result], items: Sequence[_Item], /
    ) -> list[_Result]:
        """``function`` of each of ``items``, in their order.

        Raises:
            Exception: what ``function`` raises, of the first half before the second.
        """
        if self._pool is None:
            return one_by_one(function, items)
        half = (len(items) + 1) // 2
        try:
            others = self._pool.submit(one_by_one, function, items[half:])
        except (BrokenProcessPool, OSError):
            self._pool = None
            return one_by_one(function, items)
        own = one_by_one(function, items[:half])
        try:
            return own + others.result()
        except BrokenProcessPool:
            self._pool = None
            return own + one_by_one(function, items[half:])


@contextmanager
def second_process(ready: Callable[[], object]) -> Iterator[SecondProcess]:
    """One that begins with ``ready``, which loads what it will need, at once.

    The program that asks for it must be one that can be imported: another process does so.
    """
    try:
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _alone)
        pool.submit(ready)
    except (OSError, NotImplementedError, ImportError):
        # Where a system has no semaphores.
        yield SecondProcess(None)
        return
    try:
        yield SecondProcess(pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone() -> None:
    """An interruption is the first process's, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
