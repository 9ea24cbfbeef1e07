"""The figures of a record, ready to show: one model for every renderer."""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.pipeline.pipeline import CANARY, TRANSFERS, WHOLE_PIPELINE
from harness.report.budgets import BudgetFigure, judge_budgets
from harness.report.canaries import CanaryFigure, canary_figures
from harness.report.pools import Pool, pool
from harness.report.promises import named_precision
from harness.report.rows import FP32, Group, Row
from harness.stats.budget import Verdict
from harness.stats.roofline import Roofline, roofline
from harness.stats.summary import real_time_factor
from harness.types import CALL, Case, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.stats.summary import LatencySummary
    from harness.types import Artifact, Engine, GraphCost, Measurement, Record

_Facts = TypeVar("_Facts")
REFERENCE_BACKEND = "torch"
_BUILDERS_ROUTES = ("flag", "calibrator")
# What a user would run on a GPU instead of TensorRT.
_PEER_BACKEND = "torch-cuda"


@dataclass(frozen=True)
class Figures:
    """Everything that a report shows of one record."""

    record: Record
    groups: tuple[Group, ...]
    budgets: tuple[BudgetFigure, ...]
    canaries: tuple[CanaryFigure, ...] = ()

    @property
    def is_simulated(self) -> bool:
        """Whether a clock made any of the times up."""
        return any(measured.simulated for measured in self.record.measurements)

    @property
    def exports(self) -> tuple[Artifact, ...]:
        """The graphs as they were exported, before any conversion."""
        return tuple(a for a in self.record.artifacts if a.precision == "fp32")

    @property
    def by_backend(self) -> tuple[tuple[Group, ...], ...]:
        """The groups that are read side by side: one backend and way of launching, one case."""
        found: dict[tuple[Case, str, str], list[Group]] = {}
        for group in self.groups:
            if group.is_whole_only:
                continue
            kind = (group.case, group.backend, group.variant.launch)
            found.setdefault(kind, []).append(group)
        return tuple(tuple(groups) for groups in found.values())

    @property
    def missed_floors(self) -> tuple[Row, ...]:
        """The rows whose accuracy is under the floor."""
        return tuple(row for group in self.groups for row in group.rows if row.misses_floor)

    @property
    def unchecked_floors(self) -> tuple[Row, ...]:
        """The rows that have a floor and no accuracy to hold against it."""
        rows = (row for group in self.groups for row in group.rows)
        return tuple(
            row
            for row in rows
            if row.measurement.min_snr_db is not None and row.measurement.snr_db is None
        )

    @property
    def is_missed(self) -> bool:
        """Whether a budget, a floor or a deadline is missed, beyond doubt."""
        missed = any(b.verdict and b.verdict.verdict is Verdict.MISSED for b in self.budgets)
        late = any(group.pipeline.measurement.missed_deadlines for group in self.groups)
        return missed or late or bool(self.missed_floors)

    @property
    def is_inconclusive(self) -> bool:
        """Whether a budget or a floor is neither kept nor missed, or the machine was not fit.

        For want of samples, of the budget's case, or of a reference.
        """
        validity = self.record.validity
        if validity is not None and validity.status == "invalid":
            return True
        is_open = any(
            b.verdict is None or b.verdict.verdict is Verdict.INCONCLUSIVE for b in self.budgets
        )
        return is_open or bool(self.unchecked_floors)


def figures_of(record: Record) -> Figures:
    """Compute the figures of ``record``."""
    series: dict[tuple[Case, Variant, str, int], list[Pool]] = {}
    pools = tuple(held for held in pool(record) if held.parts[0].component != CANARY)
    for held in pools:
        first = held.parts[0]
        kind = (Case(first.duration_s, first.batch), first.variant, first.mode, first.streams)
        series.setdefault(kind, []).append(held)
    context = _Context(record, pools)
    groups = []
    for (case, variant, _, _), its in series.items():
        shown = [context.row(held) for held in its]
        own = tuple(row for row in shown if row.measurement.component not in TRANSFERS)
        transfers = tuple(row for row in shown if row.measurement.component in TRANSFERS)
        groups.append(Group(case, variant, own, transfers, *context.peer_of(variant, own)))
    return Figures(
        record=record,
        groups=tuple(groups),
        budgets=judge_budgets(record, groups),
        canaries=canary_figures(record),
    )


def cost_of(record: Record, measurement: Measurement) -> GraphCost | None:
    """The work of a component as it was measured; None where that is not known."""
    case = Case(measurement.duration_s, measurement.batch)
    return _Context(record, ()).cost(measurement.component, measurement, case)


class _Context:
    """What a row needs to know of the rest of its record."""

    def __init__(self, record: Record, pools: Sequence[Pool]) -> None:
        self._medians_s = {
            (m.variant, _setting(m), m.component): held.summary().median.value
            for held in pools
            for m in held.parts[:1]
        }
        self._artifacts = {
            (a.precision, a.component): (a.size_bytes, a.nodes) for a in record.artifacts
        }
        self._ceilings = record.ceilings
        self._costs = {
            (c.component, c.precision, Case(c.duration_s, c.batch)): c.cost for c in record.costs
        }
        self._engines = {
            (e.backend, e.precision, e.route, e.component): (e, Case(e.duration_s, e.batch))
            # Of several builds the first is shown, which a run without --builds would measure.
            for e in reversed(record.engines)
        }
        self._engines = dict(reversed(self._engines.items()))

    def row(self, held: Pool) -> Row:
        measurement = held.measurement()
        variant = measurement.variant
        latency = held.summary()
        duration_s = measurement.duration_s
        is_peer = variant.backend == REFERENCE_BACKEND
        kind = (variant.backend, variant.precision, variant.route)
        engines = _of(self._engines, kind, measurement.component)
        given = _given(engines)
        of_graph = () if variant.backend.startswith(REFERENCE_BACKEND) else (variant.precision,)
        if engines:
            # A builder may have made it of a graph in another precision.
            recipe = engines[0][0].details.get("recipe", {})
            of_graph = (recipe.get("graph_precision", variant.precision),)
        # Of what a given engine was made nobody knows.
        artifacts = _of(self._artifacts, of_graph, measurement.component) if not given else []
        built_bytes = _total([engine.size_bytes for engine, _ in engines])
        fp32 = replace(variant, precision=FP32, route="")
        rooflines = [] if given else self._rooflines(measurement)
        return Row(
            measurement=measurement,
            latency=latency,
            real_time_factor=duration_s
            and real_time_factor(latency.median.value, duration_s * measurement.batch),
            ratio_to_torch=None
            if is_peer
            else self._ratio(measurement, latency, Variant(REFERENCE_BACKEND, FP32)),
            ratio_to_fp32=self._ratio(measurement, latency, fp32),
            size_bytes=built_bytes or _total([size for size, _ in artifacts]),
            memory_bytes=_total([engine.memory_bytes for engine, _ in engines]),
            memory_case=_memory_case(engines),
            graph_nodes=_total([nodes for _, nodes in artifacts]),
            engine_nodes=_total([engine.nodes for engine, _ in engines]),
            least_s=sum(part.time_s for part in rooflines) if rooflines else None,
            is_partly_told=any(_has_hidden_layers(engine) for engine, _ in engines),
            given=given,
            # Of several components, each is bound by something else.
            bound=rooflines[0].bound if len(rooflines) == 1 else "",
            processes=len(held.parts),
            builds=held.builds,
            parts=held.parts,
            wanted_processes=max(held.wanted, len(held.parts)),
        )

    def peer_of(self, variant: Variant, rows: Sequence[Row]) -> tuple[Variant | None, float | None]:
        """What a user would run instead on a device, and the ratio of the medians to it."""
        if variant.launch == CALL:
            return None, None
        setting = _setting(rows[-1].measurement)
        peers_s = {
            v: median_s
            for (v, at, component), median_s in self._medians_s.items()
            if (v.backend, at, component) == (_PEER_BACKEND, setting, WHOLE_PIPELINE)
            # A graph and kernels enqueued one by one are timed by different clocks.
            and v.launch == variant.launch
        }
        # The fastest of them: who chooses PyTorch chooses that.
        peer = min(peers_s, key=lambda v: peers_s[v], default=None)
        return peer, rows[-1].latency.median.value / peers_s[peer] if peer else None

    def _rooflines(self, measurement: Measurement) -> list[Roofline]:
        """Those of the component, or of all for the whole; none where nothing was measured."""
        ceilings, case = self._ceilings, Case(measurement.duration_s, measurement.batch)
        if ceilings is None or measurement.launch == CALL or measurement.component in TRANSFERS:
            return []
        is_pipeline = measurement.component == WHOLE_PIPELINE
        names = dict.fromkeys(name for name, _, _ in self._costs)
        return [
            roofline(cost, ceilings.matrix_macs_per_s, ceilings.copy_bytes_per_s)
            for name in (names if is_pipeline else [measurement.component])
            if (cost := self.cost(name, measurement, case)) is not None
        ]

    def cost(self, component: str, measurement: Measurement, case: Case) -> GraphCost | None:
        """That of the graph in this precision; else of the fp32 graph, put into this precision."""
        exact = self._costs.get((component, measurement.precision, case))
        # What the builder chooses itself starts from the fp32 graph, whatever else was measured.
        is_builders = any(word in measurement.route for word in _BUILDERS_ROUTES)
        if exact is not None and not is_builders:
            return exact
        mixed = self._costs.get((component, "int8", case))
        if mixed is not None and measurement.route.startswith("qdq+flag"):
            # The graph says what is INT8, and the builder is free to put the rest into fp16.
            return mixed.with_rest_in("fp16")
        base = self._costs.get((component, FP32, case))
        return base and base.in_precision(named_precision(measurement.precision))

    def _ratio(
        self, measurement: Measurement, latency: LatencySummary, peer: Variant
    ) -> float | None:
        peer_s = self._medians_s.get((peer, _setting(measurement), measurement.component))
        return latency.median.value / peer_s if peer_s else None


def _setting(measurement: Measurement) -> tuple[Case, str, int]:
    """The case, and how work arrived: what is compared has both in common."""
    case = Case(measurement.duration_s, measurement.batch)
    return case, measurement.mode, measurement.streams


def _given(engines: Sequence[tuple[Engine, Case]]) -> tuple[str, ...]:
    """The files of those that were given: they may be of any precision."""
    names = (name for engine, _ in engines if (name := engine.details.get("given")))
    # In a table: what is exact stands below it.
    return tuple(re.sub(r"[^\w.+-]", "_", name) for name in names)


def _memory_case(engines: Sequence[tuple[Engine, Case]]) -> Case | None:
    """The case that memory was looked at; none where it is that of the profile's max."""
    if not engines or "activations_bytes" in engines[0][0].details:
        return None
    return engines[0][1]


def _has_hidden_layers(engine: Engine) -> bool:
    """Whether products may be in blocks that TensorRT's inspector does not open."""
    return bool(engine.details.get("layers", {}).get("hidden"))


def _of(table: Mapping[Any, _Facts], kind: tuple[str, ...], component: str) -> list[_Facts]:
    """The entries of one component, or of all of them for the whole pipeline."""
    return [
        facts
        for (*its_kind, name), facts in table.items()
        if tuple(its_kind) == kind and component in {name, WHOLE_PIPELINE}
    ]


def _total(parts: Sequence[Any]) -> Any:  # noqa: ANN401  # numbers or counts
    """The sum; None where there is nothing to add, or a part is not known."""
    if not parts or any(part is None for part in parts):
        return None
    return functools.reduce(operator.add, parts)
