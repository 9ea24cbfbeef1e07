"""Launches that take longer than they would, on purpose: to see whether a slowdown is found.

The time is spent inside the timed interval, after the work itself: on the CPU by a loop that spins,
on a GPU by a kernel that does, queued on the stream behind the work. Such a kernel takes some time
to be launched besides, so how much slower the work became is measured, not taken for granted.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from harness.errors import OptionError
from harness.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.measure.clock import Clock

# Of what: the component, the variant as launched, the case.
Target = tuple[str, str, str]


@runtime_checkable
class WaitingClock(Protocol):
    """A clock of a device that can be made to wait."""

    def wait(self, seconds: float) -> None:
        """Queue a kernel that takes ``seconds``, behind what is queued."""


@dataclass(frozen=True)
class Slowdown:
    """By how many seconds each launch of a target is to take longer; none where it is not named."""

    delays_s: Mapping[Target, float] = field(default_factory=dict)

    def of(
        self, launch: Callable[[], None], clock: Clock, component: str, variant: str, case: str
    ) -> Callable[[], None]:
        """``launch`` with the delay of its target; itself where it has none."""
        delay_s = self.delays_s.get((component, variant, case), 0.0)
        if delay_s <= 0.0:
            return launch
        wait = clock.wait if isinstance(clock, WaitingClock) else spin

        def slowed() -> None:
            launch()
            wait(delay_s)

        return slowed


NO_SLOWDOWN: Final = Slowdown()


def spin(seconds: float) -> None:
    """Keep this core busy for ``seconds``, and at least for one look at the clock."""
    until_ns = time.perf_counter_ns() + round(seconds * 1e9)
    while time.perf_counter_ns() < until_ns:
        pass


def write_slowdown(slowdown: Slowdown, path: Path) -> None:
    """Write what :func:`read_slowdown` reads.

    Raises:
        StorageError: it cannot be written.
    """
    rows = [[*target, delay_s] for target, delay_s in slowdown.delays_s.items()]
    write_text(path, json.dumps(rows))


def read_slowdown(path: Path) -> Slowdown:
    """The slowdown in the file at ``path``: rows of component, variant, case and seconds.

    Raises:
        OptionError: it holds something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return Slowdown({(str(a), str(b), str(c)): float(seconds) for a, b, c, seconds in rows})
    except (OSError, ValueError, TypeError) as error:
        what = f"{path} holds no slowdown: {error}"
        raise OptionError(what, where="--slowdown", fix="leave it out") from error
