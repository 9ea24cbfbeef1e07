"""What comes of holding two sides against each other: one row a series, and what was compared.

Everything that is shown of a comparison, in whatever format, is read from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.percent import signed_percent
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.stats.pairs import PairVerdict
    from harness.types import Case, Variant


CHANGES: Final = frozenset({PairStatus.SLOWER, PairStatus.FASTER})


def timing(clock: str, threads: int) -> str:
    """How something was timed: ``perf_counter, 2 threads``."""
    return f"{clock}, {threads} thread{'s' if threads > 1 else ''}"


@dataclass(frozen=True)
class Series:
    """What is measured of both sides: a component, or the whole ``pipeline``, at one size."""

    component: str
    variant: Variant
    case: Case
    mode: str
    streams: int = 1

    @property
    def setting(self) -> tuple[Variant, Case, str, int]:
        """What it has in common with the other components, and the whole, of one pipeline."""
        return self.variant, self.case, self.mode, self.streams

    def __str__(self) -> str:
        """For messages: ``vocoder, tensorrt fp16 by flag, graph, 1 s, hot``."""
        text = f"{self.component}, {self.variant}, {self.case}, {self.mode}"
        return text if self.streams == 1 else f"{text}, {self.streams} streams"


@dataclass(frozen=True)
class Figure:
    """One figure of both sides that is no time; None where it was not measured.

    ``name`` ends in its unit, such as ``snr_db``, ``energy_j`` or ``memory_bytes``.
    """

    name: str
    base: float | None
    head: float | None


@dataclass(frozen=True)
class SeriesComparison:
    """One series of both sides.

    ``base_s`` and ``head_s`` are the medians of the process medians, in seconds, and ``time`` the
    verdict on them. ``cycles`` is that on time times the SM clock, None where no clock was read: a
    change in time alone is the clock's, and inconclusive. ``is_discovery`` says whether the verdict
    stands when all rows of the table are judged together (Benjamini-Hochberg); :attr:`status` is
    what then is known. ``figures`` stand beside it, and ``how`` tells how both were timed.
    ``slight`` says why nothing waits for one that is open; empty where it counts.
    """

    series: Series
    base_s: float
    head_s: float
    time: PairVerdict
    cycles: PairVerdict | None = None
    is_discovery: bool = True
    figures: tuple[Figure, ...] = ()
    how: str = ""
    slight: str = ""

    @property
    def change_s(self) -> float:
        """By how many seconds the head is slower."""
        return self.head_s - self.base_s

    @property
    def status(self) -> PairStatus:
        """That on time; inconclusive where it is slight, chance among so many, or the clock's."""
        is_doubtful = bool(self.slight) or not self.is_discovery or self.is_of_the_clock
        if self.time.status in CHANGES and is_doubtful:
            return PairStatus.INCONCLUSIVE
        return self.time.status

    @property
    def word(self) -> str:
        """The status in a word: ``slight`` or ``hidden`` where it is open and cannot matter."""
        return self.slight.partition(":")[0] or self.status.value

    @property
    def is_of_the_clock(self) -> bool:
        """Whether it is known to have changed in time, and in cycles not to have, or back."""
        if self.cycles is None or self.time.status not in CHANGES:
            return False
        return self.cycles.status not in {self.time.status, PairStatus.INCONCLUSIVE}

    @property
    def reason(self) -> str:
        """Why it is inconclusive, or need not be known; empty where it is known."""
        if self.slight:
            return self.slight
        if self.status is self.time.status:
            return self.time.reason
        if self.cycles is not None and self.is_of_the_clock:
            return (
                f"the clock's: {_told(self.time)} in time, {_told(self.cycles)} in cycles of the "
                "SM clock: lock the clocks, and measure both again"
            )
        return (
            f"{self.time.status.value} by itself (p {self.time.p_value:.2g}), but one of so many "
            "series is by chance: more pairs may tell"
        )


def _told(verdict: PairVerdict) -> str:
    return f"{verdict.status.value} ({signed_percent(verdict.ratio)} %)"


@dataclass(frozen=True)
class Side:
    """One of the two: what it was called, and the records and the environment that it is of.

    ``slowed_by`` is the largest share by which a record was made slower on purpose. ``invalid``
    says why the machine's state makes a record invalid; empty where it does not.
    """

    label: str
    commit: str
    record_ids: tuple[str, ...]
    environment: Mapping[str, Any]
    is_simulated: bool = False
    slowed_by: float = 0.0
    invalid: str = ""


@dataclass(frozen=True)
class Comparison:
    """All series of two sides.

    ``differences`` tells in words how their environments differ, empty where they do not, and
    ``findings`` what else a reader must know, such as processes that measured nothing.
    ``is_paired`` says whether the processes took turns in one experiment. ``unjudged`` names the
    series of the base that cannot be held against the head's, because it has none or was timed
    otherwise: of these nothing is known.
    """

    pipeline: str
    base: Side
    head: Side
    rows: tuple[SeriesComparison, ...]
    margin: float
    is_paired: bool
    differences: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()

    @property
    def is_simulated(self) -> bool:
        """Whether the times of a side are made up."""
        return self.base.is_simulated or self.head.is_simulated

    @property
    def status(self) -> PairStatus:
        """What is known of all: slower if a series is, and same or faster only if all are known.

        All but those that are slight. Of an invalid side nothing is.
        """
        if self.base.invalid or self.head.invalid:
            return PairStatus.INCONCLUSIVE
        found = {row.status for row in self.rows if not row.slight}
        found |= {PairStatus.INCONCLUSIVE} if self.unjudged else set()
        order = (PairStatus.SLOWER, PairStatus.INCONCLUSIVE, PairStatus.FASTER)
        return next((status for status in order if status in found), PairStatus.SAME)
