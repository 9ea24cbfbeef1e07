"""The trend on a card is the one that ``harness budget`` tells of the same record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.dashboard.gather import gather
from harness.gate.prospect import with_prospects
from harness.history import prospects
from harness.report.budget_spent import spent_of
from harness.report.budget_terminal import prospect_lines
from harness.states import Finding, Validity
from harness.store.parquet import ParquetStore
from harness.types import Engine, Replication
from tests.dashboard.histories import commit, of_commit
from tests.history.records import measurement

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from harness.types import Record


def drifting(place: int, round_: int = 0, level: float = 1.0, **changes: Any) -> Record:
    """Six processes, one of which is slower at each commit."""
    rng = np.random.default_rng([place, round_])
    parts = []
    for process in range(6):
        own = level * (1.0 if process else 1.0 + 0.02 * place)
        samples = 0.01 * own * (1.0 + rng.uniform(0.0, 0.01, 60))
        parts.append(measurement(process=process, latency_s=tuple(samples.tolist())))
    one = of_commit(place, measurements=tuple(parts), replication=Replication(6, 1))
    history = {**(one.history or {}), "round": round_}
    given = {
        "record_id": f"r{place}-{round_}",
        "created_utc": one.created_utc.replace(":00+", f":{round_:02}+"),
        "history": history,
    }
    return replace(one, **{**given, **changes})


def keep(folder: Path, *records: Record) -> None:
    for one in records:
        ParquetStore(folder).append(one)


def both(folder: Path, head: Record) -> tuple[str, str]:
    """What the dashboard tells of the trend, and what ``harness budget`` does."""
    assert head.budget is not None
    (spent,) = with_prospects(spent_of(head, head.budget), head, [folder])
    assert spent.prospect is not None
    (card,) = gather([str(folder)]).budgets
    assert card.record_id == head.record_id
    return card.trend, "; ".join(prospect_lines(spent.prospect))


def test_it_is_the_same_of_processes_and_rounds(tmp_path: Path) -> None:
    keep(tmp_path, *(drifting(place, round_) for place in range(12) for round_ in range(3)))

    told, budgets = both(tmp_path, drifting(11, 2))

    assert told == budgets
    assert "over 12 commits" in told
    # One process of six that drifts moves no median.
    assert "cannot tell, the slope may be none" in told


def test_it_is_the_same_beside_what_does_not_count(tmp_path: Path) -> None:
    invalid = Validity((Finding("fail", "hot", "cool it"),))
    of = {"commit": commit(15), "is_dirty": True}
    dirty = {"cpu": "some", "gpu": None, "pipeline_commit": of}
    keep(
        tmp_path,
        *(drifting(place) for place in range(10)),
        drifting(3, 1, 5.0, validity=invalid),
        drifting(4, 1, 5.0, is_complete=False),
        drifting(2, 1, 5.0, environment=dirty),
        drifting(5, 1, 5.0, pipeline="other", budget=None),
        drifting(6, 1, 5.0, environment={"cpu": "another"}, budget=None),
        drifting(1, 1, 5.0, history=None, replication=Replication(6, 1, experiment="x")),
    )

    dashboard = gather([str(tmp_path)])

    (card,) = (one for one in dashboard.budgets if one.record_id == "r9-0")
    head = drifting(9)
    assert head.budget is not None
    (spent,) = with_prospects(spent_of(head, head.budget), head, [tmp_path])
    assert spent.prospect is not None
    assert card.trend == "; ".join(prospect_lines(spent.prospect))
    assert "over 10 commits" in card.trend


def test_what_other_engines_or_another_clock_took_is_another_history(tmp_path: Path) -> None:
    for place in range(20):
        engines = (
            Engine(
                *("encoder", "onnxruntime", "fp32", 5000, None, 1.0, 1),
                details={"options": {"level": 1 if place < 10 else 2}},
            ),
        )
        keep(tmp_path, drifting(place, engines=engines))
    head = drifting(19, engines=engines)

    told, budgets = both(tmp_path, head)

    assert told == budgets
    assert "over 10 commits" in told


def test_a_record_of_no_history_has_the_trend_of_its_environment(tmp_path: Path) -> None:
    keep(tmp_path, *(drifting(place) for place in range(10)))
    of = {"commit": commit(30), "is_dirty": False}
    environment = {"cpu": "some", "gpu": None, "pipeline_commit": of}
    head = drifting(30, history=None, environment=environment, budget=drifting(0).budget)
    keep(tmp_path, head)

    assert head.budget is not None
    (spent,) = with_prospects(spent_of(head, head.budget), head, [tmp_path])
    assert spent.prospect is not None
    cards = {one.record_id: one.trend for one in gather([str(tmp_path)]).budgets}
    assert cards["r30-0"] == cards["r9-0"] == "; ".join(prospect_lines(spent.prospect))


def test_it_is_that_of_the_newest_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prospects, "MOST_COMMITS", 9)
    keep(tmp_path, *(drifting(place, level=5.0 if place < 11 else 1.0) for place in range(20)))

    told, budgets = both(tmp_path, drifting(19))

    assert told == budgets
    assert "over 9 commits" in told
