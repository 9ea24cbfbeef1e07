"""What the dashboard shows, whatever renders it: plain frozen data, in seconds and shares.

Everything on the page is read from here. Arrays over commits are :class:`numpy.ndarray` of float32
(a history of a thousand commits must fit a page); they have one entry for each of the series'
``commits``, and NaN where a figure is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.dashboard.model_rows import CommitFailure, NoiseRow

    Values = NDArray[np.float32]
    Indices = NDArray[np.int32]

# A sketch of the samples of one series at one commit: these quantiles of them (0 and 1 are the
# least and the largest).
QUANTILES: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
# Raw samples are kept of the newest so many commits, and of so many on each side of a change.
NEWEST_WITH_SAMPLES: Final = 20
AROUND_A_CHANGE: Final = 2
# No more of one series and commit than that: every n-th, in the order measured.
MOST_SAMPLES: Final = 400


@dataclass(frozen=True)
class Commit:
    """A commit that has a figure. What git does not know is empty; ``url`` is where it is shown.

    ``subject`` is what somebody wrote: hostile until it is escaped.
    """

    hash: str
    date_utc: str
    subject: str = ""
    author: str = ""
    url: str = ""


@dataclass(frozen=True)
class Environment:
    """Where figures were measured; those of two environments are never one history.

    ``facts`` are what a latency may depend on, by dotted names (``gpu.name``, ``cpu.model``, ...),
    as the newest record of it says.
    """

    id: int
    machine: str
    label: str
    fingerprint: str
    facts: dict[str, str]
    simulated: bool = False


@dataclass(frozen=True)
class Difference:
    """One fact in which two environments differ; empty where one does not tell."""

    first: int
    second: int
    name: str
    of_first: str
    of_second: str


@dataclass(frozen=True)
class ChangePoint:
    """A change of a series. ``at`` and the range are places in the series' ``commits``.

    ``kind`` is step, spike or drift; ``ratio`` the new level over the old, with its interval.
    ``is_open``: it is slower since, and still is. ``good`` and ``bad`` are full hashes.
    """

    kind: str
    direction: str
    at: int
    first: int
    last: int
    ratio: float
    lower: float
    upper: float
    confidence: float
    recovered: bool
    is_open: bool
    good: str
    bad: str
    note: str = ""


@dataclass(frozen=True)
class Samples:
    """Raw samples at one commit (a place in the series' ``commits``), in the order measured.

    ``count`` is how many there were; fewer are kept where there were too many. ``process`` has the
    number of the fresh process of each, and is empty where one process measured all.
    """

    at: int
    count: int
    latency_s: Values
    process: Indices | None = None


@dataclass(frozen=True)
class Series:
    """One history of latencies: one component, or ``pipeline``, by one variant at one size.

    ``environment`` is an :class:`Environment`'s id and ``commits`` are places in
    :attr:`Dashboard.commits`, ascending. ``quantiles`` has shape ``(commits, len(QUANTILES))``, of
    all samples; ``median_s`` is the median of the process medians, which changes are looked for in,
    with the interval ``lower_s`` to ``upper_s`` (95 %, NaN where there is none). ``levels_s`` is
    what the changes leave: a line of steps. ``source`` is ``records`` or ``asv``, and ``unit``
    ``seconds``, or of an asv benchmark whatever it has. ``of_history`` says that its figures are
    those of a history (``harness history run`` and ``import``), in which changes are looked for;
    else they are of single runs, each for itself, and there are no changes and no levels.
    ``too_few`` says that too few commits have a figure for any change to be told, and
    ``canary_note`` what the machine's own drift was.
    """

    id: int
    environment: int
    pipeline: str
    component: str
    variant: str
    backend: str
    precision: str
    route: str
    launch: str
    size: str
    mode: str
    streams: int
    threads: int
    clock: str
    options: str
    simulated: bool
    source: str
    unit: str
    commits: Indices
    counts: Values
    quantiles: Values
    median_s: Values
    lower_s: Values
    upper_s: Values
    levels_s: Values
    energy_j: Values
    snr_db: Values
    changes: tuple[ChangePoint, ...] = ()
    samples: tuple[Samples, ...] = ()
    canary_note: str = ""
    budget_s: float | None = None
    of_history: bool = True
    too_few: bool = False

    @property
    def is_pipeline(self) -> bool:
        """Whether it is the whole pipeline's."""
        return self.component == "pipeline"


@dataclass(frozen=True)
class Part:
    """A part of a budget, as :class:`harness.report.budget_spent.Slice` says."""

    name: str
    kind: str
    time_s: float


@dataclass(frozen=True)
class BudgetStatus:
    """How one variant keeps its budget, by the newest record of an environment that counts.

    ``verdict`` is ``within``, ``missed``, ``inconclusive`` or ``not measured``, as the record's
    report would say of this variant alone: accuracy floors and deadlines are in it, and ``reason``
    says which. The p99 and its interval are None where it is not measured, and an end that is not
    known is None. ``series`` is the id of the :class:`Series` that holds the very rows that were
    judged, None where none does. ``trend`` is a sentence, empty where there are too few commits.
    ``validity`` and ``sentences`` are the record's; the first tells of a newer record that does not
    count. ``snr_db`` and its floor ``min_snr_db`` are of the whole pipeline, None where they are
    not known. ``misses_floor`` says that an accuracy is under its floor, the pipeline's or a
    component's, and ``floor_sentence`` which; it is empty where all are kept.
    """

    environment: int
    pipeline: str
    variant: str
    size: str
    arrival: str
    limit_s: float
    verdict: str
    reason: str
    p99_s: float | None
    lower_s: float | None
    upper_s: float | None
    median_s: float | None
    parts: tuple[Part, ...]
    beside: tuple[Part, ...]
    trend: str
    commit: int | None
    series: int | None
    record_id: str
    created_utc: str
    validity: str
    sentences: tuple[str, ...]
    simulated: bool
    snr_db: float | None = None
    min_snr_db: float | None = None
    misses_floor: bool = False
    floor_sentence: str = ""


@dataclass(frozen=True)
class BlockSpan:
    """A stretch of measuring one series, in seconds since the run's first reading.

    ``median_s`` is that of its samples, None where it cannot be told which they were; ``rejected``
    says why they do not count.
    """

    series: str
    started_s: float
    ended_s: float
    median_s: float | None
    rejected: str


@dataclass(frozen=True)
class Run:
    """One record: the machine's state over its time, and what was measured when.

    ``readings`` are arrays by name (``time_s``, ``sm_clock_mhz``, ``power_w``, ``temperature_c``,
    ``cpu_clock_mhz``, ``others_busy``), those that are known, of one length (at most 300). One that
    is not ``is_complete`` was interrupted.
    """

    record_id: str
    environment: int
    commit: int | None
    created_utc: str
    pipeline: str
    command: str
    validity: str
    sentences: tuple[str, ...]
    readings: dict[str, Values]
    blocks: tuple[BlockSpan, ...]
    simulated: bool
    is_complete: bool = True


@dataclass(frozen=True)
class PairPoint:
    """One pair of processes of two sides: their medians, and the place of each in the order."""

    base_s: float
    head_s: float
    base_turn: int
    head_turn: int


@dataclass(frozen=True)
class PairedSeries:
    """One series of two sides that took turns: the pairs, and the verdict on them.

    ``status`` is slower, faster, same, inconclusive, slight or hidden; ``ratio`` head over base.
    """

    label: str
    status: str
    reason: str
    ratio: float
    lower: float
    upper: float
    pairs: tuple[PairPoint, ...]


@dataclass(frozen=True)
class PairedComparison:
    """An A/B: two records of one experiment."""

    experiment: str
    pipeline: str
    environment: int
    base: str
    head: str
    base_commit: int | None
    head_commit: int | None
    margin: float
    status: str
    created_utc: str
    findings: tuple[str, ...]
    rows: tuple[PairedSeries, ...]
    simulated: bool


@dataclass(frozen=True)
class Trade:
    """What a precision costs and gives, of a whole pipeline, by a record that counts.

    Times may be compared within one record: ``record_id`` names it, and ``created_utc`` (ISO 8601)
    is when it was made. The first row of an environment, pipeline and size is of the record that
    has the most variants; what that one lacks is of the newest that has it.
    """

    environment: int
    pipeline: str
    variant: str
    precision: str
    size: str
    commit: int | None
    median_s: float
    snr_db: float | None
    min_snr_db: float | None
    energy_j: float | None
    size_bytes: int | None
    simulated: bool
    record_id: str = ""
    created_utc: str = ""


@dataclass(frozen=True)
class RooflinePoint:
    """A component on the roofline of its device: work over time, against what would be possible.

    ``macs`` and ``moved_bytes`` are the least that it takes, ``least_s`` what the measured
    ceilings would need and ``bound`` ``products`` or ``copies``, whichever is slower.
    """

    environment: int
    component: str
    variant: str
    precision: str
    size: str
    commit: int | None
    median_s: float
    macs: int
    moved_bytes: int
    least_s: float
    bound: str
    macs_per_s: float
    bytes_per_s: float
    simulated: bool


@dataclass(frozen=True)
class Dashboard:
    """The whole page.

    ``commits`` are the oldest first, ``is_by_date`` says that git does not know all of them, and
    that dates placed the others. ``failures`` are of commits that were not measured since.
    ``skipped`` says of each file that could not be read why, and ``notes`` what else must be known.
    ``refreshes`` says that the page is served, and loads itself again when the data are newer.
    """

    title: str
    created_utc: str
    harness_version: str
    sources: tuple[str, ...]
    commits: tuple[Commit, ...] = ()
    environments: tuple[Environment, ...] = ()
    differences: tuple[Difference, ...] = ()
    series: tuple[Series, ...] = ()
    budgets: tuple[BudgetStatus, ...] = ()
    runs: tuple[Run, ...] = ()
    comparisons: tuple[PairedComparison, ...] = ()
    trades: tuple[Trade, ...] = ()
    roofline: tuple[RooflinePoint, ...] = ()
    noise: tuple[NoiseRow, ...] = ()
    failures: tuple[CommitFailure, ...] = ()
    is_by_date: bool = False
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refreshes: bool = False

    @property
    def is_simulated(self) -> bool:
        """Whether any of the times are made up."""
        marks = [one.simulated for one in self.series]
        marks += [one.simulated for one in self.budgets]
        marks += [one.simulated for one in self.runs]
        marks += [one.simulated for one in self.comparisons]
        marks += [one.simulated for one in self.trades]
        marks += [one.simulated for one in self.roofline]
        marks += [one.simulated for one in self.noise]
        return any(marks)
