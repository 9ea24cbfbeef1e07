"""What a gate found: checks, each with a status and a sentence, and which component moved.

Every output of ``harness gate``, in whatever format, is read from here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import EXIT_INCONCLUSIVE, EXIT_MISSED, EXIT_PASS
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from harness.comparison.model import Series, Side
    from harness.stats.pairs import PairVerdict


class Status(enum.Enum):
    """The answer to a check; ``not asked`` says only what was seen."""

    PASS = "pass"  # noqa: S105  # no password
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"
    NOT_ASKED = "not asked"


# The names of the checks.
RECORD, BUDGET, DEADLINES, REGRESSION = "record", "budget", "deadlines", "regression"
ACCURACY, ENERGY, MEMORY = "accuracy", "energy", "memory"
CHECKS: Final = (RECORD, BUDGET, DEADLINES, REGRESSION, ACCURACY, ENERGY, MEMORY)


@dataclass(frozen=True)
class Check:
    """One thing that was checked: ``subject`` says of what, ``sentence`` what was found."""

    name: str
    status: Status
    sentence: str
    subject: str = ""

    def __str__(self) -> str:
        """For messages: ``budget, onnxruntime fp32: p99 ...``."""
        where = f"{self.name}, {self.subject}" if self.subject else self.name
        return f"{where}: {self.sentence}"


@dataclass(frozen=True)
class Change:
    """How a series moved: the ratio of head to base, its interval, and what that is in seconds.

    ``is_known`` is true where the verdict is slower or faster, and stands among all of the table.
    ``cycles`` is the verdict on cycles of the GPU's clock, None where that was not read.
    """

    base_s: float
    head_s: float
    time: PairVerdict
    is_discovery: bool = True
    cycles: PairVerdict | None = None

    @property
    def change_s(self) -> float:
        """By how many seconds the head is slower, by the ratio that is judged."""
        return self.base_s * (self.time.ratio - 1.0)

    @property
    def lower_s(self) -> float:
        """The lower end of the change's interval, in seconds."""
        return self.base_s * (self.time.lower - 1.0)

    @property
    def upper_s(self) -> float:
        """The upper end of the change's interval, in seconds."""
        return self.base_s * (self.time.upper - 1.0)

    @property
    def is_known(self) -> bool:
        """Whether it has moved."""
        return self.is_discovery and self.time.status in {PairStatus.SLOWER, PairStatus.FASTER}

    @property
    def is_of_the_clock(self) -> bool:
        """Whether it is slower in time and not in cycles: then the clock is, and not the code."""
        if self.cycles is None or self.time.status is not PairStatus.SLOWER:
            return False
        return self.cycles.status in {PairStatus.SAME, PairStatus.FASTER}


@dataclass(frozen=True)
class Part:
    """A component's change, and its ``share`` of the pipeline's; None where that is no change."""

    component: str
    change: Change
    share: float | None


@dataclass(frozen=True)
class Movement:
    """How a pipeline moved, and its components with it; those that moved most come first.

    ``rest_s`` is what of the pipeline's change the components' do not explain, in seconds; None
    where no components were measured.
    """

    series: Series
    change: Change
    parts: tuple[Part, ...]
    rest_s: float | None = None

    @property
    def culprit(self) -> Part | None:
        """The component that is known to have moved, most of all, the way the pipeline did."""
        along = (part for part in self.parts if part.change.is_known and not self._is_against(part))
        return next(along, None) if self.change.is_known else None

    @property
    def against(self) -> tuple[Part, ...]:
        """The components that are known to have moved the other way."""
        if not self.change.is_known:
            return ()
        return tuple(p for p in self.parts if p.change.is_known and self._is_against(p))

    def _is_against(self, part: Part) -> bool:
        return part.change.change_s * self.change.change_s < 0


@dataclass(frozen=True)
class GateReport:
    """All that a gate found of ``head``, held against ``base`` where there is a baseline.

    ``differences`` tell how the environments of the two differ, and ``remarks`` what a reader must
    know besides. ``source`` is the file that an annotation points to, empty where none is known.
    """

    pipeline: str
    head: Side
    base: Side | None
    checks: tuple[Check, ...]
    movements: tuple[Movement, ...] = ()
    remarks: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    machine: str = ""
    source: str = ""
    margin: float | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether the times of a side are made up."""
        return self.head.is_simulated or (self.base is not None and self.base.is_simulated)

    @property
    def status(self) -> Status:
        """Of all checks: what is missed beyond doubt stays so, whatever else is open."""
        found = {check.status for check in self.checks}
        order = (Status.MISSED, Status.INCONCLUSIVE)
        return next((status for status in order if status in found), Status.PASS)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 missed, 3 inconclusive."""
        codes = {Status.MISSED: EXIT_MISSED, Status.INCONCLUSIVE: EXIT_INCONCLUSIVE}
        return codes.get(self.status, EXIT_PASS)

    def count(self, status: Status) -> int:
        """How many checks have this status."""
        return sum(check.status is status for check in self.checks)
