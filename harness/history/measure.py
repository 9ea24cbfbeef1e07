"""One round of one commit: exported by the commit's own code, measured by this interpreter's.

What belongs to the commit is its pipeline's folder and, where the project is the harness itself,
the code that exports it. Sampler, statistics and store are those of the harness that runs this: a
commit that changes them moves no figure.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureUnavailableError, MeasurementError
from harness.history.checkout import check_checkout
from harness.history.exporting import Exporter, ExportSizes, export_with
from harness.history.exports import has_project
from harness.history.places import record_label
from harness.history.plan import PLAN_NAME, plan_backends, plan_hash, read_plan
from harness.history.series import series_of
from harness.report.figures import REFERENCE_BACKEND
from harness.states import FAIL, FLAG

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.backends.protocol import Backend
    from harness.history.context import HistoryContext
    from harness.history.plan import HistoryPlan
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.states import Finding
    from harness.store.parquet import ParquetStore
    from harness.types import Record


@dataclass(frozen=True)
class Order:
    """What to measure, of what, and where everything lies.

    ``checkout`` is the commit's working tree, ``python`` the interpreter that exports it, which
    looks into ``packages`` first, ``exports`` the cache that it exports into, ``own`` that of this
    interpreter.
    """

    plan: Path
    checkout: Path
    python: Path
    exports: Path
    own: Path
    context: HistoryContext
    packages: tuple[Path, ...] = ()


def measure_commit(order: Order, observer: Observer) -> Record:
    """The record of one round; nothing is written but the caches.

    Raises:
        HarnessError: the commit cannot be exported, built or measured, or the checkout is of
            another one, before or after.
        KeyboardInterrupt: it was interrupted; what was measured by then is no figure of a commit.
    """
    from harness.api import choose_cases  # noqa: PLC0415  # loads numpy and the like
    from harness.artifacts.cache import Cache  # noqa: PLC0415
    from harness.measure.clock import HostClock  # noqa: PLC0415
    from harness.measure.environment import git_state  # noqa: PLC0415
    from harness.measure.sampler import SamplingPlan  # noqa: PLC0415
    from harness.pipeline.loader import load_pipeline  # noqa: PLC0415
    from harness.prepare import BuildOptions  # noqa: PLC0415
    from harness.runner import Run, RunOptions  # noqa: PLC0415

    plan = read_plan(order.plan)
    commit = order.context.commit
    check_checkout(order.checkout, commit, plan.pipeline)
    pipeline = load_pipeline(order.checkout / plan.pipeline)
    cases = choose_cases(pipeline, plan.durations_s, plan.batches)
    backends = plan_backends(plan, commit, order.context.round)
    _refuse_peers(backends, order)
    started = time.perf_counter()
    artifacts = export_by_commit(order, plan, pipeline, observer)
    export_s = time.perf_counter() - started
    # What was exported, and what is read from now on, must be of the commit.
    check_checkout(order.checkout, commit, plan.pipeline)
    options = RunOptions(
        cases=cases,
        sampling=SamplingPlan(
            rel_precision=plan.rel_precision,
            max_samples=plan.max_samples,
            max_time_s=plan.max_time_s,
        ),
        seed=plan.seed,
        build=BuildOptions(opset=plan.opset, artifacts=artifacts),
        energy=plan.energy,
        command=("harness", "history", "measure"),
    )
    run = Run(pipeline, backends, Cache(order.own), options, HostClock(), observer)
    record = run.execute().record
    if not record.is_complete:
        raise KeyboardInterrupt
    check_checkout(order.checkout, commit, plan.pipeline)
    context = replace(order.context, plan_hash=plan_hash(plan))
    is_invalid = bool(_findings(record, FAIL))
    label = record_label(
        context.commit, context.environment_name, context.round, is_invalid=is_invalid
    )
    return replace(
        record,
        record_id=f"{record.record_id}-{label}",
        # The plan and the suites are those of a working tree, which may differ from its commit.
        environment={**record.environment, "plan_commit": git_state(order.plan.resolve().parent)},
        phases_s={**record.phases_s, "export": export_s},
        history=asdict(context),
    )


def flagged(record: Record) -> list[str]:
    """What a line about the commit should tell of the machine; its figures count all the same."""
    return [finding.what for finding in _findings(record, FLAG)]


def refuse_invalid(record: Record, store: ParquetStore) -> None:
    """Keep and refuse ``record`` where the harness itself judges it invalid.

    It stays to be looked at, but is neither a round of the commit nor a figure of asv's.

    Raises:
        MeasurementError: it is invalid.
        StorageError: it cannot be kept.
    """
    found = _findings(record, FAIL)
    if found:
        store.append(record)
        what = f"the figures are invalid: {'; '.join(finding.what for finding in found)}"
        fixes = "; ".join(dict.fromkeys(finding.fix for finding in found if finding.fix))
        fix = f"{fixes}; then try again with --retry-failed" if fixes else "try --retry-failed"
        raise MeasurementError(what, where=f"record {record.record_id}", fix=fix)


def _findings(record: Record, level: str) -> list[Finding]:
    found = record.validity.findings if record.validity else ()
    return [finding for finding in found if finding.level == level]


def values_of(record: Record) -> list[dict[str, Any]]:
    """What asv's benchmarks pick their figures from, as JSON holds it.

    Raises:
        RecordError: a series has no samples, or one that is not finite.
    """
    return [
        {"benchmark": one.benchmark, "params": one.params}
        | ({"value": one.value} if one.samples is None else {"samples": one.samples})
        for one in series_of(record)
    ]


def export_by_commit(
    order: Order, plan: HistoryPlan, pipeline: Pipeline, observer: Observer
) -> Path | None:
    """Have the commit's interpreter export the pipeline; gives its cache, None if that is empty.

    Raises:
        WorkerError: it could not; the message holds its own.
    """
    exporter = Exporter(order.context.commit[:8], order.python, order.exports, order.packages)
    sizes = ExportSizes(plan.durations_s, plan.batches, plan.seed, plan.opset)
    return export_with(exporter, sizes, pipeline, observer)


def _refuse_peers(backends: Sequence[Backend], order: Order) -> None:
    """Refuse what would run the pipeline's own modules here, where the commit is not installed."""
    peers = [one.name for one in backends if one.name.startswith(REFERENCE_BACKEND)]
    if peers and has_project(order.exports):
        what = "runs the models here, where what they import is not the commit's own project"
        fix = "take it out of the plan's backends; accuracy is told without it"
        raise FeatureUnavailableError(what, where=f"{PLAN_NAME}: {peers[0]}", fix=fix)
