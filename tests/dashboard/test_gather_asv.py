"""Dashboards of asv's results: what no record holds, and nothing of it twice."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.dashboard.gather import gather
from harness.dashboard.model import QUANTILES
from harness.errors import RecordError
from harness.history.importing import import_results
from harness.history.rebuild import rebuild
from harness.store.parquet import ParquetStore
from tests.dashboard.histories import commit, keep_history
from tests.history.records import record

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["result", "params", "version", "started_at", "duration", "samples"]
MACHINE = {"machine": "bench", "cpu": "some", "version": 1}


def keep_results(
    results: Path,
    place: int,
    rows: dict[str, Any],
    *,
    listed: dict[str, Any] | None = None,
    machine: str = "bench",
    columns: list[str] | None = None,
) -> Path:
    """asv's file of a commit, with its machine's and the list of benchmarks."""
    folder = results / machine
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(json.dumps({**MACHINE, "machine": machine}))
    if listed is not None:
        (results / "benchmarks.json").write_text(json.dumps({**listed, "version": 2}))
    content = {
        "commit_hash": commit(place),
        "env_name": "virtualenv-py3.9",
        "date": 1_600_000_000_000 + 1000 * place,
        "params": {"machine": machine},
        "python": "3.9",
        "requirements": {"numpy": "1.20"},
        "env_vars": {},
        "result_columns": COLUMNS if columns is None else columns,
        "durations": {},
        "results": rows,
        "version": 2,
    }
    path = folder / f"{commit(place)[:8]}-virtualenv-py3.9.json"
    path.write_text(json.dumps(content))
    return path


def row(figures: list[float | None], params: list[list[str]], samples: Any = None) -> list[Any]:
    return [figures, params, "v1", 1_600_000_100_000, 1.5, samples]


def test_benchmarks_become_series_by_their_parameters(tmp_path: Path) -> None:
    listed = {"suite.time_it": {"unit": "seconds", "param_names": ["n"]}}
    samples = [0.1 + 0.001 * place for place in range(9)]
    rows = {"suite.time_it": row([0.104, 0.2], [["1", "2"]], [samples, None])}
    keep_results(tmp_path, 0, rows, listed=listed)

    dashboard = gather([str(tmp_path)])

    first, second = dashboard.series
    assert (first.source, first.unit, first.component) == ("asv", "seconds", "suite.time_it")
    assert (first.variant, second.variant) == ("n=1", "n=2")
    assert first.median_s[0] == pytest.approx(0.104)
    assert first.lower_s[0] < first.median_s[0] < first.upper_s[0]
    assert first.quantiles[0, 0] == pytest.approx(0.1)
    assert first.samples[0].count == first.counts[0] == 9
    # asv kept no samples of it.
    assert second.median_s[0] == pytest.approx(0.2)
    assert np.isfinite(second.quantiles[0]).sum() == 1
    assert not second.samples
    (environment,) = dashboard.environments
    assert environment.machine == "bench"
    assert environment.facts["requirements.numpy"] == "1.20"


def test_a_hole_failed_and_what_does_not_apply_is_none(tmp_path: Path) -> None:
    for place in range(12):
        figure = None if place == 5 else 0.1
        rows = {"suite.time_it": row([figure, math.nan], [["1", "2"]])}
        keep_results(tmp_path, place, rows)

    dashboard = gather([str(tmp_path)])

    (series,) = dashboard.series
    assert np.flatnonzero(np.isnan(series.median_s)).tolist() == [5]
    told = f"suite.time_it: asv has no figure of 1 run, which failed, at {commit(5)[:10]}"
    assert told in dashboard.notes


def test_changes_are_found_in_times_and_told_not_to_be_in_other_units(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.003, 40)
    listed = {"suite.time_it": {"unit": "seconds"}, "suite.track_it": {"unit": "bytes"}}
    for place in range(40):
        figure = 0.1 * (1.0 + noise[place]) * (1.2 if place >= 30 else 1.0)
        rows = {name: row([figure], []) for name in listed}
        if place == 20:
            # Of a commit that one benchmark has no figure of.
            del rows["suite.time_it"]
        keep_results(tmp_path, place, rows, listed=listed)

    timed, tracked = gather([str(tmp_path)]).series

    (change,) = timed.changes
    assert (change.kind, int(timed.commits[change.at]), change.is_open) == ("step", 30, True)
    assert (tracked.unit, tracked.changes) == ("bytes", ())
    assert "bytes" in tracked.canary_note


def test_what_records_hold_is_not_taken_from_asv_as_well(tmp_path: Path) -> None:
    keep_history(tmp_path, 3)
    rebuild(tmp_path)
    rows = {"latency.Pipeline.track_latency": row([0.1], [["'onnxruntime fp32'"], ["'1 s'"]])}
    keep_results(tmp_path, 7, rows)

    dashboard = gather([str(tmp_path)])

    by_source = {
        source: [s for s in dashboard.series if s.source == source] for source in ("records", "asv")
    }
    assert len(by_source["records"]) == 2
    # Only of the commit that no record is of.
    (own,) = by_source["asv"]
    assert (own.component, own.variant, own.size) == ("pipeline", "onnxruntime fp32", "1 s")
    assert [dashboard.commits[place].hash for place in own.commits] == [commit(7)]


def test_a_single_run_of_a_commit_hides_nothing_that_asv_has_of_it(tmp_path: Path) -> None:
    tree = {"pipeline_commit": {"commit": commit(7), "is_dirty": False}}
    ParquetStore(tmp_path / "records").append(
        record(context=None, environment={"cpu": "some", "gpu": None, **tree})
    )
    rows = {"latency.Pipeline.track_latency": row([0.1], [["'onnxruntime fp32'"], ["'1 s'"]])}
    keep_results(tmp_path, 7, rows)

    dashboard = gather([str(tmp_path)])

    assert {(one.source, one.of_history) for one in dashboard.series} == {
        ("asv", True),
        ("records", False),
    }


def test_what_was_imported_is_a_record_and_nothing_else(tmp_path: Path) -> None:
    keep_results(tmp_path, 0, {"suite.time_it": row([0.1], [])})
    import_results(tmp_path, pipeline="old")

    assert [one.source for one in gather([str(tmp_path)]).series] == ["records"]


def test_a_damaged_file_is_named_and_skipped(tmp_path: Path) -> None:
    rows = {"suite.time_it": row([0.1], [])}
    keep_results(tmp_path, 0, rows)
    cut = keep_results(tmp_path, 1, rows)
    cut.write_text(cut.read_text()[:100])

    dashboard = gather([str(tmp_path)])

    assert len(dashboard.commits) == 1
    assert any(cut.name in one for one in dashboard.skipped)

    keep_results(tmp_path, 0, rows).write_text("{")
    with pytest.raises(RecordError, match="harness history run"):
        gather([str(tmp_path)])


def test_a_thousand_benchmarks_of_any_name_are_a_thousand_series(tmp_path: Path) -> None:
    rows = {f"suite.time_ü{number}": row([0.1], []) for number in range(1000)}
    for place in range(3):
        keep_results(tmp_path, place, rows)

    dashboard = gather([str(tmp_path)])

    assert len(dashboard.series) == 1000
    assert len({one.id for one in dashboard.series}) == 1000
    assert dashboard.series[7].component == "suite.time_ü7"


STATISTICS = ["stats_ci_99_a", "stats_ci_99_b", "stats_q_25", "stats_q_75", "stats_repeat"]


def test_without_samples_asvs_own_statistics_are_shown(tmp_path: Path) -> None:
    told = [[0.09, None], [0.12, None], [0.098, None], [0.11, None], [10, None]]
    rows = {"suite.time_it": [[0.1, 0.2], [["1", "2"]], *told]}
    keep_results(tmp_path, 0, rows, columns=["result", "params", *STATISTICS])

    dashboard = gather([str(tmp_path)])

    first, second = dashboard.series
    assert first.counts[0] == 10
    assert (first.lower_s[0], first.upper_s[0]) == pytest.approx((0.09, 0.12))
    known = np.isfinite(first.quantiles[0])
    assert np.array(QUANTILES)[known].tolist() == [0.25, 0.5, 0.75]
    assert first.quantiles[0, known] == pytest.approx([0.098, 0.1, 0.11])
    assert not first.samples
    # Nothing is said of it.
    assert (second.counts[0], np.isnan(second.lower_s[0])) == (1, True)
    assert any("asv's own, of 99 %" in one for one in dashboard.notes)


def test_statistics_of_another_kind_are_not_known(tmp_path: Path) -> None:
    rows = {"suite.time_it": [[0.1], [], [-math.inf], ["no"], None, [0.11], [True]]}
    keep_results(tmp_path, 0, rows, columns=["result", "params", *STATISTICS])

    (series,) = gather([str(tmp_path)]).series

    assert np.isnan([series.lower_s[0], series.upper_s[0]]).all()
    assert np.isfinite(series.quantiles[0]).sum() == 2


def test_samples_tell_more_than_asvs_own_statistics(tmp_path: Path) -> None:
    samples = [0.1 + 0.001 * place for place in range(9)]
    rows = {"suite.time_it": [[0.104], [], [0.0], [9.0], [0.0], [9.0], [3], [samples]]}
    keep_results(tmp_path, 0, rows, columns=["result", "params", *STATISTICS, "samples"])

    dashboard = gather([str(tmp_path)])

    assert dashboard.series[0].counts[0] == 9
    assert dashboard.series[0].upper_s[0] < 0.2
    assert not any("99 %" in one for one in dashboard.notes)


def test_too_few_commits_are_told_from_no_change(tmp_path: Path) -> None:
    for place in range(8):
        rows = {"suite.time_it": row([0.1], [])}
        if place:
            rows["suite.time_other"] = row([0.1], [])
        keep_results(tmp_path, place, rows)
    told = {one.component: one.too_few for one in gather([str(tmp_path)]).series}
    assert told == {"suite.time_it": False, "suite.time_other": True}
