"""What a report's tables are made of: rows of one series each, and their groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.promises import mostly_other
from harness.types import CALL, COLD, CONCURRENT

if TYPE_CHECKING:
    from harness.stats.summary import LatencySummary
    from harness.types import Case, Measurement, NodeCounts, Variant

FP32 = "fp32"
# The backend whose name tells that its times are made up; those of others may be as well.
SIMULATED = "simulated"
_MOST_NAMED = 2


@dataclass(frozen=True)
class Row:
    """One measured series: a component or the whole pipeline, by one backend.

    ``ratio_to_torch`` is its median over PyTorch eager's in the same run, and ``ratio_to_fp32``
    that over the same backend's in fp32; below 1 is faster. ``memory_bytes`` is that at
    ``memory_case``, whatever the row's own case is. Sizes and nodes of the whole pipeline are the
    sums of its components'. Where several ``processes`` measured it, of so many ``builds``, it
    holds the samples of all, and ``parts`` those of each; ``wanted_processes`` were asked for.
    ``given`` are the files of those of its engines that were not built here: they may be of any
    precision.
    """

    measurement: Measurement
    latency: LatencySummary
    real_time_factor: float | None
    ratio_to_torch: float | None
    ratio_to_fp32: float | None
    size_bytes: int | None
    memory_bytes: int | None
    memory_case: Case | None
    graph_nodes: NodeCounts | None
    engine_nodes: NodeCounts | None
    least_s: float | None = None
    bound: str = ""
    is_partly_told: bool = False
    processes: int = 1
    builds: int = 1
    parts: tuple[Measurement, ...] = ()
    wanted_processes: int = 1
    given: tuple[str, ...] = ()

    @property
    def is_replicated(self) -> bool:
        """Whether it is of fresh processes, be it one that is left of them."""
        return self.wanted_processes > 1

    @property
    def told_nodes(self) -> NodeCounts | None:
        """What ran, where the backend told of all of it; else what the graph asks for."""
        return self.graph_nodes if self.is_partly_told else self.engine_nodes or self.graph_nodes

    @property
    def times_roofline(self) -> float | None:
        """The median over the least time that the device's ceilings allow; None if not known."""
        return self.latency.median.value / self.least_s if self.least_s else None

    @property
    def asked(self) -> str:
        """The precision and route that were asked for: ``fp16 by flag``.

        An engine that was given may be of anything, and is named by its file.
        """
        if self.given and not self.is_pipeline:
            return f"{self.given[0]}, given"
        measured = self.measurement
        return f"{measured.precision} by {measured.route}" if measured.route else measured.precision

    @property
    def mostly(self) -> str:
        """The precision that most of it is in, where that is not the one asked for; else empty.

        As the backend told of what ran, or else as the graph asks for.
        """
        nodes = self.told_nodes
        return "" if nodes is None else mostly_other(self.measurement.precision, nodes)

    @property
    def label(self) -> str:
        """The :attr:`kind`, and whether its times are made up where the backend does not say so."""
        measured = self.measurement
        is_hidden = measured.simulated and measured.backend != SIMULATED
        return f"{SIMULATED} {self.kind}" if is_hidden else self.kind

    @property
    def kind(self) -> str:
        """The precision and route, and in brackets what it really is: ``int8 (mostly fp32)``."""
        if self.given and not self.is_pipeline:
            return self.asked
        nodes, told = self.told_nodes, []
        if self.mostly:
            told.append(f"mostly {self.mostly}")
        elif self.measurement.precision != FP32 and nodes is not None and not nodes.total:
            told.append("no products")
        if self.given:
            few = len(self.given) <= _MOST_NAMED
            names = " and ".join(self.given) if few else f"{len(self.given)} engines"
            told.append(f"{names} given")
        return f"{self.asked} ({', '.join(told)})" if told else self.asked

    @property
    def is_pipeline(self) -> bool:
        """Whether this is the whole pipeline rather than one component."""
        return self.measurement.component == WHOLE_PIPELINE

    @property
    def misses_floor(self) -> bool:
        """Whether the accuracy is known and under the pipeline's floor."""
        measured, floor = self.measurement.snr_db, self.measurement.min_snr_db
        return measured is not None and floor is not None and not measured >= floor


@dataclass(frozen=True)
class Group:
    """All series of one variant at one case; the whole pipeline, if it was measured, is last.

    ``transfers`` are apart from it: copies to and from the device, and the host's time to hand the
    pipeline over. ``peer`` is what a user would run instead, and ``ratio_to_peer`` the pipeline's
    median over its, in the same run.
    """

    case: Case
    variant: Variant
    rows: tuple[Row, ...]
    transfers: tuple[Row, ...] = ()
    peer: Variant | None = None
    ratio_to_peer: float | None = None

    @property
    def mode(self) -> str:
        """How it was measured."""
        return self.pipeline.measurement.mode

    @property
    def is_whole_only(self) -> bool:
        """Whether whole inferences were measured from host to host, and no components."""
        return len(self.rows) == 1 and self.pipeline.is_pipeline

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self.variant.backend

    @property
    def precision(self) -> str:
        """The precision's name."""
        return self.variant.precision

    @property
    def pipeline(self) -> Row:
        """The row of the whole pipeline; where it was not measured, of the last component."""
        return self.rows[-1]

    @property
    def title(self) -> str:
        """Of what it really is, where and how: ``onnxruntime fp16 (mostly fp32), 1 s, hot``."""
        parts = [self._named(self.pipeline.kind), str(self.case), self.mode]
        is_told = self.backend == SIMULATED
        return ", ".join(parts + ["SIMULATED"] * (self.is_simulated and not is_told))

    @property
    def name(self) -> str:
        """The variant, with what it really is: ``tensorrt fp16 by flag (mostly fp32), graph``."""
        return self._named(self.pipeline.label)

    def _named(self, precision: str) -> str:
        text = f"{self.backend} {precision}"
        return text if self.variant.launch == CALL else f"{text}, {self.variant.launch}"

    @property
    def is_simulated(self) -> bool:
        """Whether a clock made any of its times up."""
        return any(row.measurement.simulated for row in (*self.rows, *self.transfers))

    @property
    def arrival(self) -> str:
        """How the work arrived where it was in another way than hot or cold, else empty."""
        measured = self.pipeline.measurement
        if measured.mode == CONCURRENT:
            return f"{measured.streams} stream{'s' * (measured.streams != 1)}"
        if not self.is_whole_only or measured.mode == COLD:
            return ""
        return measured.mode

    @property
    def repeats(self) -> str:
        """By how many processes and builds: ``3 processes, 2 builds``; empty where by one."""
        row = self.pipeline
        whole = row.processes == row.wanted_processes
        told = f"{row.processes}" if whole else f"{row.processes} of {row.wanted_processes}"
        parts = [f"{told} processes"] if row.is_replicated else []
        parts += [f"{row.builds} builds"] if row.builds > 1 else []
        return ", ".join(parts)

    @property
    def sum_of_medians_s(self) -> float:
        """What the components' medians add up to."""
        return sum(row.latency.median.value for row in self.rows if not row.is_pipeline)
