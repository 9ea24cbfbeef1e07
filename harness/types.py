"""Frozen types that every layer shares: what was measured, of what, and where."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.states import Block, DeviceState, Validity


@dataclass(frozen=True)
class Case:
    """One size at which a pipeline is measured; no duration where it has no dimension of time."""

    duration_s: float | None
    batch: int

    def __str__(self) -> str:
        """For messages: ``1 s, batch 2``."""
        duration = "opt" if self.duration_s is None else f"{self.duration_s:g} s"
        return duration if self.batch == 1 else f"{duration}, batch {self.batch}"


# How the work is handed to a device: a call that returns when it is done; kernels enqueued one by
# one; a CUDA graph replayed.
CALL, ENQUEUE, GRAPH = "call", "enqueue", "graph"

# The route of fp32 whose products are made in TF32.
TF32 = "tf32"

# How the work arrives; see Measurement.
HOT, COLD, PACED, CONCURRENT = "hot", "cold", "paced", "concurrent"


@dataclass(frozen=True)
class Variant:
    """What is measured in turn with others: a backend at a precision, reached by a route.

    ``route`` names how the precision was asked for, where there are several ways, and ``launch``
    how the work is handed to the device: ``call``, ``enqueue`` or ``graph``.
    """

    backend: str
    precision: str
    route: str = ""
    launch: str = CALL

    def __str__(self) -> str:
        """For messages: ``tensorrt fp16 by flag, graph``."""
        text = f"{self.backend} {self.precision}"
        text += f" by {self.route}" if self.route else ""
        return text if self.launch == CALL else f"{text}, {self.launch}"


@dataclass(frozen=True)
class NodeCounts:
    """How many convolutions and matrix products compute in each precision."""

    int8: int = 0
    fp16: int = 0
    fp32: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.int8 + self.fp16 + self.fp32

    def __add__(self, other: NodeCounts) -> NodeCounts:
        """Those of two graphs together."""
        return NodeCounts(self.int8 + other.int8, self.fp16 + other.fp16, self.fp32 + other.fp32)


@dataclass(frozen=True)
class MacCounts:
    """How many multiply-accumulates are done in each precision; anything wider counts as fp32."""

    int8: int = 0
    fp16: int = 0
    fp32: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.int8 + self.fp16 + self.fp32


@dataclass(frozen=True)
class GraphCost:
    """The least that one inference of a graph takes at one size.

    ``weight_bytes`` are those of each constant once, as it is stored; ``input_bytes`` and
    ``output_bytes`` those of the graph's own inputs and outputs.
    """

    macs_by_precision: MacCounts
    weight_bytes: int
    input_bytes: int
    output_bytes: int

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all precisions."""
        return self.macs_by_precision.total

    def in_precision(self, precision: str) -> GraphCost:
        """The same work with all products, and the weights, in ``precision``; they are now fp32."""
        divisor = {"fp32": 1, "fp16": 2, "int8": 4}[precision]
        return replace(
            self,
            macs_by_precision=MacCounts(**{precision: self.macs}),
            weight_bytes=self.weight_bytes // divisor,
        )

    def with_rest_in(self, precision: str) -> GraphCost:
        """The same work with those of the products that are in fp32 put into ``precision``."""
        now = asdict(self.macs_by_precision)
        moved = now.pop("fp32")
        now[precision] += moved
        return replace(self, macs_by_precision=MacCounts(**now))

    @property
    def bytes(self) -> int:
        """What must cross the device's memory even if all that lies between stays on the chip."""
        return self.weight_bytes + self.input_bytes + self.output_bytes


@dataclass(frozen=True)
class ComponentCost:
    """What a component's graph in one precision must do at one case."""

    component: str
    precision: str
    duration_s: float | None
    batch: int
    cost: GraphCost


@dataclass(frozen=True)
class Ceilings:
    """What a device was measured to do at best: products by precision, and copies.

    ``matrix_macs_per_s`` are multiply-accumulates per second of a large product, and
    ``copy_bytes_per_s`` counts bytes read and bytes written. ``source`` names what measured them,
    and ``gpu_uuid`` the device.
    """

    matrix_macs_per_s: dict[str, float]
    copy_bytes_per_s: float
    source: str
    gpu_uuid: str


@dataclass(frozen=True)
class Measurement:
    """The latencies of one component, or of the whole pipeline, with everything that labels them.

    ``latency_s`` holds the raw samples in the order measured. ``load_s`` is the time to open the
    component from its built file, ``first_s`` its first inference at this case; NaN where the times
    are simulated.

    What follows compares its output with PyTorch fp32 over ``accuracy_inputs`` inputs, which no
    calibration has seen; None where there is no reference. ``constant_snr_db`` is the score of the
    best constant output and ``dependent_snr_db`` that of the part of the output that depends on
    the input, both None for one input alone; ``log_spectral_distance_db`` is given for audio.
    ``clock`` names what timed it and ``simulated`` is true where that was no real clock. ``route``
    and ``launch`` are those of its :class:`Variant`.

    ``mode`` is how the work arrived: ``hot`` (again and again), ``cold`` (caches flushed before
    each), ``paced`` (one every ``period_s``; ``missed_deadlines`` counts those that ended after the
    next had come) or ``concurrent`` (``streams`` at a time). ``process`` and ``build`` count the
    fresh processes and the builds of the engine. ``lateness_s`` is how late the host woke up for
    each paced inference, a part of its latency. ``block_wall_s`` is how long each block of
    concurrent ones took: their number over it is the throughput.

    ``verdict`` is ``converged`` where the median's interval is within ``rel_precision`` of it, else
    ``inconclusive`` for ``verdict_reason``. ``autocorrelation`` is that of successive samples,
    ``clock_tick_s`` the clock's step. ``block_passes`` are the lengths of the blocks that
    ``latency_s`` was measured in, and ``rejected_latency_s`` holds the samples of blocks that the
    machine's state spoilt. ``energy_j`` is that of one inference, idle power included.
    """

    component: str
    backend: str
    precision: str
    mode: str
    clock: str
    duration_s: float | None
    batch: int
    threads: int
    load_s: float
    first_s: float
    latency_s: tuple[float, ...]
    accuracy_inputs: int = 0
    snr_db: float | None = None
    constant_snr_db: float | None = None
    dependent_snr_db: float | None = None
    relative_l2: float | None = None
    log_spectral_distance_db: float | None = None
    min_snr_db: float | None = None
    simulated: bool = False
    route: str = ""
    launch: str = CALL
    process: int = 0
    build: int = 0
    period_s: float | None = None
    streams: int = 1
    missed_deadlines: int | None = None
    verdict: str = ""
    verdict_reason: str = ""
    rel_precision: float | None = None
    autocorrelation: float | None = None
    clock_tick_s: float | None = None
    block_passes: tuple[int, ...] = ()
    rejected_latency_s: tuple[float, ...] = ()
    energy_j: float | None = None
    lateness_s: tuple[float, ...] = ()
    block_wall_s: tuple[float, ...] = ()

    @property
    def passes(self) -> tuple[int, ...]:
        """The lengths of the blocks, or nothing where they do not tell of every sample."""
        return self.block_passes if sum(self.block_passes) == len(self.latency_s) else ()

    @property
    def variant(self) -> Variant:
        """What it is measured of."""
        return Variant(self.backend, self.precision, self.route, self.launch)


@dataclass(frozen=True)
class Artifact:
    """A graph that was measured; hashes are BLAKE2b-160.

    ``nodes`` counts what the graph asks for, and ``worst_relative_l2`` is the difference that the
    export was checked with; each is None where it was not looked into. ``recipe`` tells how a graph
    of another precision than fp32 was made.
    """

    component: str
    precision: str
    content_hash: str
    size_bytes: int
    parameters: int | None
    worst_relative_l2: float | None
    nodes: NodeCounts | None = None
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """What a backend made of a graph: its memory, and the precision its nodes really ran in.

    ``memory_bytes`` is what opening it and the first inference, at this duration and batch, took,
    ``size_bytes`` that of the built file and ``build_s`` the seconds that building it took, in
    this run or an earlier one; each is None where it cannot be told or nothing was built.
    ``details`` tells how it was built: library, version, device, options, timing cache.
    """

    component: str
    backend: str
    precision: str
    memory_bytes: int | None
    nodes: NodeCounts | None
    duration_s: float | None
    batch: int
    route: str = ""
    size_bytes: int | None = None
    build_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepRow:
    """How accurate a precision is with one way of finding INT8's ranges, by component.

    ``snr_db`` is against PyTorch fp32, and ``constant_snr_db`` what the best constant output would
    score; the whole pipeline is the last.
    """

    precision: str
    rule: str
    snr_db: dict[str, float]
    constant_snr_db: dict[str, float]

    @property
    def least_margin_db(self) -> float:
        """By how much the worst component is above a constant output.

        One whose output is exact, or does not depend on its input, tells nothing of the rule.
        """
        components = list(self.snr_db)[:-1]
        telling = [
            self.snr_db[name] - self.constant_snr_db[name]
            for name in components
            if math.isfinite(self.constant_snr_db[name]) and self.snr_db[name] != math.inf
        ]
        return min(telling, default=math.inf)


@dataclass(frozen=True)
class Budget:
    """The latency budget that the pipeline declares, copied into the record."""

    p99_s: float
    duration_s: float | None
    batch: int
    includes: str
    excludes: str


@dataclass(frozen=True)
class MissingProcess:
    """A process that measured nothing, and why."""

    process: int
    build: int
    reason: str


@dataclass(frozen=True)
class Replication:
    """How a run was repeated: ``processes`` fresh ones for each of ``builds`` of the engines.

    Processes are counted over the whole run, in the order in which they ran. With ``pins_tactics``
    the later builds took the tactics that the first had found.

    Where two sides took turns, each has a record: ``experiment`` is the same on both, and empty
    otherwise. ``turns`` then holds, by a process's number, its place in the order of both sides,
    and ``margin``, ``alpha`` and ``looks`` the rule that the sides were judged by.

    ``slowed_by`` is the share by which the timed work was made slower on purpose: such a record is
    of no commit and is nobody's baseline.
    """

    processes: int
    builds: int
    pins_tactics: bool = False
    missing: tuple[MissingProcess, ...] = ()
    experiment: str = ""
    turns: tuple[int, ...] = ()
    margin: float | None = None
    alpha: float | None = None
    looks: tuple[int, ...] = ()
    slowed_by: float = 0.0


@dataclass(frozen=True)
class Record:
    """One run, immutable: its samples, what they are of, and the environment they come from.

    ``is_complete`` is false for a run that was interrupted. ``inputs`` tells what was fed: the
    seed of synthetic inputs, or the recording's name and hash; ``calibration`` does so for the set
    that INT8 was made with. ``costs`` and ``ceilings`` are given where a device was measured.

    ``telemetry`` are readings of the machine: those with the GPU idle, before anything is prepared,
    then those from measuring on; none of the preparing between. ``blocks`` is what was measured
    when, and ``validity`` what follows from both. ``idle_power_w`` is the GPU's while it was idle,
    None for a run in fresh processes.
    ``replication`` is given where fresh processes measured, and ``history`` (the fields of
    :class:`~harness.history.context.HistoryContext`) where it is one of a series over commits.
    """

    record_id: str
    created_utc: str
    harness_version: str
    pipeline: str
    command: tuple[str, ...]
    inputs: dict[str, Any]
    budget: Budget | None
    environment: dict[str, Any]
    artifacts: tuple[Artifact, ...]
    engines: tuple[Engine, ...]
    calibration: dict[str, Any] | None
    measurements: tuple[Measurement, ...]
    is_complete: bool = True
    phases_s: dict[str, float] = field(default_factory=dict)
    costs: tuple[ComponentCost, ...] = ()
    ceilings: Ceilings | None = None
    telemetry: tuple[DeviceState, ...] = ()
    blocks: tuple[Block, ...] = ()
    validity: Validity | None = None
    idle_power_w: float | None = None
    replication: Replication | None = None
    history: dict[str, Any] | None = None
