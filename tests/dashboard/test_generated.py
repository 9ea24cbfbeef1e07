"""The long history that the benchmark of the dashboard makes up: small here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard.encode import to_page_json
from harness.dashboard.gather import gather
from harness.dashboard.write import DashboardOrder, write_dashboard
from harness.history.asv_results import read_results, results_files
from harness.pipeline.pipeline import CANARY, WHOLE_PIPELINE
from tests.test_demo_history import ROOT, load

if TYPE_CHECKING:
    from pathlib import Path

    from harness.dashboard.model import Dashboard

made_up: Any = load(ROOT / "benchmarks" / "dashboard" / "generate.py", "long_history")


def test_the_history_is_made_up_says_so_and_is_the_same_for_asv(tmp_path: Path) -> None:
    made = made_up.generate(tmp_path / "made", commits=10, series=8)

    dashboard = gather([str(made.results)], repository=made.repository)

    shown = [one for one in dashboard.series if one.component != CANARY]
    assert len(shown) == made.series == 8
    assert all(one.simulated and one.source == "records" for one in dashboard.series)
    assert [one.hash for one in dashboard.commits] == list(made.commits)
    assert not dashboard.is_by_date
    assert not dashboard.skipped
    assert any(block.median_s for block in dashboard.runs[0].blocks)
    # asv is given the same samples.
    held = read_results(next(results_files(made.results)))
    of_asv = {round(sample, 9) for one in held.series for its in one.samples for sample in its}
    at = list(made.commits).index(held.commit)
    whole = next(one for one in shown if one.component == WHOLE_PIPELINE)
    (samples,) = (one for one in whole.samples if one.at == at)
    assert {round(sample, 9) for sample in samples.latency_s.tolist()} <= of_asv


def test_what_is_put_in_is_found(tmp_path: Path) -> None:
    made = made_up.generate(tmp_path / "made", commits=90, series=8)

    dashboard = gather([str(made.results)], repository=made.repository)

    (put,) = made.changes
    found = {
        (one.component, one.variant): change for one in dashboard.series for change in one.changes
    }
    change = found[put.component, f"{put.variant}, simulated"]
    assert change.kind == put.kind == "drift"
    assert put.first - 10 <= change.at < put.last
    assert change.ratio == pytest.approx(put.ratio, abs=0.03)


def test_a_second_process_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_up.generate(tmp_path / "made", commits=90, series=8)
    order = DashboardOrder((str(made.results),), repository=made.repository)
    pages = []

    def keep(dashboard: Dashboard) -> str:
        pages.append(to_page_json(replace(dashboard, created_utc="")))
        return ""

    for many in (1000, 10):
        monkeypatch.setattr("harness.dashboard.write._MANY", many)
        write_dashboard(order, tmp_path / "page", render=keep)

    alone, in_two = pages
    assert '"changes":[{' in alone
    assert in_two == alone
