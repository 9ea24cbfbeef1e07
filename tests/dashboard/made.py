"""Dashboards made by hand, for what renders them; the figures are made up, and marked so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.dashboard.model import QUANTILES, Dashboard, Difference
from tests.dashboard.made_sections import (
    missed,
    noise,
    not_measured,
    paired,
    roofline,
    run,
    trades,
    within,
)
from tests.dashboard.made_series import (
    COMPONENTS,
    HOSTILE,
    SCRIPT,
    SLOWER_AT,
    commits,
    environment,
    others,
    parts_of,
    samples,
    series,
)

__all__ = [
    "COMPONENTS",
    "HOSTILE",
    "SCRIPT",
    "SLOWER_AT",
    "commits",
    "empty",
    "environment",
    "full",
    "holes",
    "large",
    "long",
    "many",
    "one_commit",
    "samples",
    "series",
]


def full() -> Dashboard:
    """Something of everything, half of it simulated."""
    places = np.arange(60)
    listed = commits(60, subjects=HOSTILE)
    listed = (*listed[:SLOWER_AT], replace(listed[SLOWER_AT], subject=HOSTILE[0]))
    listed += commits(60)[SLOWER_AT + 1 :]
    whole = series(0, places, budget_s=2.4e-3)
    whole = replace(whole, samples=tuple(samples(whole, at) for at in (29, 30, 58, 59)))
    found = [whole, *parts_of(places), *others(places)]
    return Dashboard(
        title="voice_conversion",
        created_utc="2026-11-29T01:00:00Z",
        harness_version="0.0.0",
        sources=("reports", "reports/asv/results"),
        commits=listed,
        environments=(environment(0), environment(1)),
        differences=(
            Difference(0, 1, "cpu.model", "CPU 0", "CPU 1"),
            Difference(0, 1, "gpu.name", "H200", ""),
        ),
        series=tuple(found),
        budgets=(missed(), within(), not_measured()),
        runs=(run(59), run(30)),
        comparisons=(paired(),),
        trades=trades(),
        roofline=roofline(),
        noise=(noise(0), noise(1)),
        skipped=(f"reports/{SCRIPT}.parquet: a record of schema 9, this harness reads up to 6",),
        notes=("Records slowed on purpose are left out: 2.",),
    )


def empty() -> Dashboard:
    """Nothing was measured yet, and something could not be read."""
    return Dashboard(
        "", "2026-11-29T01:00:00Z", "0.0.0", ("reports",), skipped=("a.parquet: torn",)
    )


def one_commit() -> Dashboard:
    made = full()
    first = np.zeros(1, np.int64)
    return replace(
        made,
        commits=made.commits[:1],
        series=(series(0, first, budget_s=2.4e-3),),
        budgets=(replace(missed(), commit=0),),
        runs=(replace(run(30), commit=0),),
        comparisons=(),
        trades=(),
        roofline=(),
        noise=(),
    )


def holes() -> Dashboard:
    """A component without figures at commits where the pipeline has some, and NaN at another."""
    places = np.arange(20)
    whole = series(0, places)
    kept = np.array([*range(5), *range(8, 20)])
    part = series(1, kept, component="vocoder")
    medians = part.median_s.copy()
    medians[10] = np.nan
    made = (whole, replace(part, median_s=medians, quantiles=part.quantiles))
    return replace(full(), commits=commits(20), series=made, budgets=(), comparisons=(), runs=())


def many(count: int = 1000, commits_count: int = 5) -> Dashboard:
    """So many benchmarks, of hostile names among them."""
    places = np.arange(commits_count)
    made = tuple(
        series(number, places, component=f"benchmark {number} {HOSTILE[number % len(HOSTILE)]}")
        for number in range(count)
    )
    return replace(one_commit(), commits=commits(commits_count), series=made, budgets=())


def large(commits_count: int = 1000, series_count: int = 100) -> Dashboard:
    """A long history of many series, of which nothing repeats: what a page must bear."""
    places = np.arange(commits_count)
    names = list(COMPONENTS)
    made = []
    for number in range(series_count):
        one = series(number, places, component=(["pipeline", *names])[number % 7], streams=number)
        near = (SLOWER_AT - 2, SLOWER_AT + 2, *range(commits_count - 20, commits_count))
        made.append(replace(one, samples=tuple(samples(one, at, count=100) for at in near)))
    assert made[0].quantiles.shape == (commits_count, len(QUANTILES))
    return replace(full(), commits=commits(commits_count), series=tuple(made))


def long() -> Dashboard:
    """300 commits, and a component without figures on both sides of one of them."""
    whole = series(0, np.arange(300))
    part = series(1, np.array([*range(100), 101, *range(103, 300)]), component="vocoder")
    return replace(full(), commits=commits(300), series=(whole, part), budgets=(), comparisons=())
