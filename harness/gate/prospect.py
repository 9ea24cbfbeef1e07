"""Where a history's p99 is heading, in the environment of a record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.history.context import context_of
from harness.history.kept import kept_in
from harness.history.points import Environment
from harness.history.prospects import (
    Tail,
    is_alike,
    newest_commits,
    options_of,
    prospect_of,
    way_of,
)
from harness.history.runs import number_runs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_spent import group_of
from harness.report.figures import figures_of
from harness.report.pools import pool
from harness.stats.fingerprint import fingerprint
from harness.stats.quantiles import estimate_quantile
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.history.context import HistoryContext
    from harness.history.kept import Kept
    from harness.report.budget_spent import Prospect, Spent
    from harness.report.figures import Figures
    from harness.types import Record


def with_prospects(
    spent: Sequence[Spent], record: Record, places: Sequence[Path]
) -> tuple[Spent, ...]:
    """``spent`` with the trend of each, over the records of ``places`` (with all below).

    Of those of the same pipeline and environment that are of a commit, complete, valid, and of the
    newest run of their commit. A record of no history has the environment of its fingerprint.
    """
    tails = list(_tails(record, places))
    figures = figures_of(record)
    return tuple(replace(one, prospect=_prospect(one, figures, tails)) for one in spent)


def _prospect(spent: Spent, figures: Figures, tails: Sequence[Tail]) -> Prospect:
    group, options = group_of(spent.figure, figures), options_of(figures.record)
    way = way_of(group.pipeline.measurement, options) if group else None
    return prospect_of(tails, way, spent.limit_s)


def _tails(record: Record, places: Sequence[Path]) -> Iterator[Tail]:
    own = _environment(context_of(record), fingerprint(record.environment))
    kept = [
        (one, one.context)
        for one in _newest(kept_in(places))
        if one.context is not None
        and one.header["pipeline"] == record.pipeline
        and is_alike(_environment(one.context, one.fingerprint), own)
    ]
    wanted = newest_commits({context.commit: context.commit_unix_s for _, context in kept})
    for one, context in kept:
        if context.commit in wanted:
            yield from _of_record(read_record(one.path), context, one.fingerprint)


def _environment(context: HistoryContext | None, told: str) -> Environment:
    """As queries have it."""
    if context is None:
        return Environment("", "", "", told)
    requirements = json.dumps(context.requirements)
    return Environment(context.machine, context.environment_name, requirements, told)


def _newest(kept: Sequence[Kept]) -> list[Kept]:
    """Those that count, but for such as a later run of their commit has taken the place of."""
    counted = [one for one in kept if one.counts and not one.is_dirty]
    # What was imported is of no run of asv that another could take the place of.
    contexts = {
        str(one.path): one.context
        for one in kept
        if one.counts and one.context is not None and not one.context.imported_from
    }
    runs = number_runs(contexts)
    return [one for one in counted if not runs.get(str(one.path), (0, False))[1]]


def _of_record(record: Record, context: HistoryContext, told: str) -> Iterator[Tail]:
    """Those of each whole pipeline."""
    environment = _environment(context, told)
    where = environment, record.pipeline, context.commit, context.commit_unix_s, record.record_id
    options = options_of(record)
    for held in pool(record):
        for part in held.parts:
            if part.component == WHOLE_PIPELINE and part.latency_s:
                p99_s = estimate_quantile(part.latency_s, 0.99).value
                yield Tail(*where, part.process, way_of(part, options), p99_s)
