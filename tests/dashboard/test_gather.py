"""Dashboards of records: histories, changes, samples, and what is wrong with what was given."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.dashboard.encode import to_page_json
from harness.dashboard.gather import gather
from harness.dashboard.model import MOST_SAMPLES, NEWEST_WITH_SAMPLES, QUANTILES
from harness.errors import OptionError, RecordError
from harness.history.detect import find_candidates
from harness.states import Block, DeviceState, Finding, GpuState, HostState, Validity
from harness.stats.quantiles import estimate_quantile
from harness.store.headers import VERSION_KEY
from harness.store.parquet import ParquetStore
from harness.types import (
    ENQUEUE,
    Ceilings,
    ComponentCost,
    Engine,
    GraphCost,
    MacCounts,
    Replication,
)
from tests.dashboard.histories import commit, keep_history, of_commit
from tests.history.records import CONTEXT, measurement, record
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from harness.dashboard.model import Dashboard, Series


def of(dashboard: Dashboard, component: str) -> Series:
    (found,) = (one for one in dashboard.series if one.component == component)
    return found


def keep(folder: Path, *records: Any) -> None:
    for one in records:
        ParquetStore(folder).append(one)


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("history") / "results"
    keep_history(results, 40, step_at=25)
    return results


def test_each_commit_has_a_sketch_a_median_and_its_interval(stepped: Path) -> None:
    dashboard = gather([str(stepped)])

    assert [one.hash for one in dashboard.commits] == [commit(place) for place in range(40)]
    encoder = of(dashboard, "encoder")
    assert encoder.commits.tolist() == list(range(40))
    samples = of_commit(7).measurements[0].latency_s
    expected = estimate_quantile(samples, 0.5)
    assert encoder.median_s[7] == pytest.approx(expected.value)
    assert encoder.lower_s[7] == pytest.approx(expected.lower)
    assert encoder.upper_s[7] == pytest.approx(expected.upper)
    assert encoder.quantiles.shape == (40, len(QUANTILES))
    assert encoder.quantiles[7] == pytest.approx(np.quantile(samples, QUANTILES), rel=1e-6)
    assert encoder.counts[7] == len(samples)
    assert np.isnan(encoder.energy_j).all()
    assert of(dashboard, "pipeline").energy_j[7] == pytest.approx(0.5)
    assert encoder.quantiles.dtype == np.float32
    assert encoder.commits.dtype == np.int32


def test_changes_are_those_that_detect_finds(stepped: Path) -> None:
    encoder = of(gather([str(stepped)]), "encoder")

    (found,) = find_candidates([str(stepped)]).candidates
    (change,) = encoder.changes
    assert (change.kind, change.direction, change.at) == ("step", "slower", 25)
    assert (change.good, change.bad) == (found.good, found.bad)
    assert change.ratio == found.change.ratio
    assert change.is_open
    assert encoder.levels_s[24] == pytest.approx(0.002, rel=0.02)
    assert encoder.levels_s[25] == pytest.approx(0.0022, rel=0.02)


def test_samples_are_of_the_newest_commits_and_around_changes(tmp_path: Path) -> None:
    keep_history(tmp_path, 40, step_at=10)

    dashboard = gather([str(tmp_path)])

    newest = list(range(40 - NEWEST_WITH_SAMPLES, 40))
    assert [one.at for one in of(dashboard, "pipeline").samples] == newest
    assert [one.at for one in of(dashboard, "encoder").samples] == [8, 9, 10, 11, 12, *newest]
    first = of(dashboard, "encoder").samples[0]
    assert first.latency_s == pytest.approx(of_commit(8).measurements[0].latency_s)
    assert first.process is None
    assert [one.commit for one in dashboard.runs] == [8, 9, 10, 11, 12, *newest]


def test_many_samples_are_thinned_and_processes_are_told_apart(tmp_path: Path) -> None:
    parts = [
        measurement(latency_s=tuple(np.linspace(1.0, 2.0, 500).tolist()), process=process)
        for process in range(3)
    ]
    keep(tmp_path, record("a", parts))

    (samples,) = gather([str(tmp_path)]).series[0].samples

    assert samples.count == 1500
    assert samples.latency_s.size <= MOST_SAMPLES
    assert samples.process is not None
    assert set(samples.process.tolist()) == {0, 1, 2}


def test_the_median_of_processes_is_that_of_their_medians(tmp_path: Path) -> None:
    levels = [1.0, 2.0, 3.0, 4.0, 5.0, 60.0, 7.0]
    parts = [measurement(latency_s=(s, s, s), process=place) for place, s in enumerate(levels)]
    keep(tmp_path, record("a", parts))

    series = gather([str(tmp_path)]).series[0]

    expected = estimate_quantile(levels, 0.5)
    told = (series.median_s[0], series.lower_s[0], series.upper_s[0])
    assert told == (expected.value, expected.lower, expected.upper)
    assert series.counts[0] == 21


def test_a_hole_is_a_hole(tmp_path: Path) -> None:
    for place in range(12):
        one = of_commit(place)
        measured = one.measurements[1:] if place == 5 else one.measurements
        keep(tmp_path, replace(one, measurements=measured))

    encoder = of(gather([str(tmp_path)]), "encoder")

    assert encoder.commits.tolist() == list(range(12))
    assert np.flatnonzero(np.isnan(encoder.median_s)).tolist() == [5]
    assert encoder.counts[5] == 0


def test_one_commit_is_enough(tmp_path: Path) -> None:
    keep(tmp_path, of_commit(0))

    dashboard = gather([str(tmp_path)])

    assert len(dashboard.commits) == len(dashboard.runs) == 1
    assert {one.component for one in dashboard.series} == {"encoder", "pipeline"}
    json.loads(to_page_json(dashboard))


def test_git_tells_order_authors_and_subjects(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    subjects = ["first", "<script>", "naïve ☃"]
    names = [repository.commit(one, {"counted": one}) for one in subjects]
    for place, name in enumerate(names):
        # Their dates say otherwise.
        context = replace(CONTEXT, commit=name, commit_unix_s=1e9 - place)
        keep(tmp_path / "records", record(f"r{place}", context=context))

    dashboard = gather(
        [str(tmp_path / "records")],
        repository=repository.root,
        commit_url="https://example.org/{hash}",
    )

    assert [one.subject for one in dashboard.commits] == subjects
    assert all(one.author and one.date_utc for one in dashboard.commits)
    assert dashboard.commits[0].url == f"https://example.org/{names[0]}"
    assert not dashboard.is_by_date
    assert "<script>" not in to_page_json(dashboard)


def test_what_is_of_no_commit_stands_for_itself(tmp_path: Path) -> None:
    changed = {"pipeline_commit": {"commit": commit(1), "is_dirty": True}}
    keep(tmp_path, record("bare", context=None))
    keep(tmp_path, record("dirty", context=None, environment={"cpu": "some", **changed}))

    dashboard = gather([str(tmp_path)])

    assert [one.subject for one in dashboard.commits] == [
        "of no commit: record bare",
        "of no commit: record dirty",
    ]
    assert all(one.hash.startswith("20260101T") for one in dashboard.commits)
    assert len(dashboard.runs) == 2
    assert any("of no commit" in one for one in dashboard.notes)


def test_what_does_not_count_is_in_no_history_and_said(tmp_path: Path) -> None:
    invalid = Validity((Finding("fail", "too hot", "cool it"),))
    slowed = Replication(1, 1, slowed_by=0.1)
    keep(
        tmp_path,
        of_commit(0),
        of_commit(1, validity=invalid),
        of_commit(2, is_complete=False),
        of_commit(3, replication=slowed),
    )

    dashboard = gather([str(tmp_path)])

    assert all(one.commits.tolist() == [0] for one in dashboard.series)
    # The run is shown, and why it does not count.
    assert {one.record_id for one in dashboard.runs} == {"r0", "r1", "r2"}
    assert "invalid" in {one.validity for one in dashboard.runs}
    assert {one.record_id for one in dashboard.runs if not one.is_complete} == {"r2"}
    told = " ".join(dashboard.notes)
    assert all(word in told for word in ("invalid", "interrupted", "slowed on purpose"))


def test_a_newer_schema_and_a_damaged_file_are_named_and_skipped(tmp_path: Path) -> None:
    keep(tmp_path, of_commit(0))
    newer = ParquetStore(tmp_path).append(of_commit(1))
    table = pq.read_table(newer)
    metadata = {**table.schema.metadata, VERSION_KEY: b"99"}
    pq.write_table(table.replace_schema_metadata(metadata), newer)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut off")

    dashboard = gather([str(tmp_path)])

    assert len(dashboard.commits) == 1
    assert any("99" in one and newer.name in one for one in dashboard.skipped)
    assert any("cut.parquet" in one for one in dashboard.skipped)


def test_a_record_damaged_behind_its_header_is_named_and_skipped(tmp_path: Path) -> None:
    keep(tmp_path, of_commit(0))
    path = ParquetStore(tmp_path).append(of_commit(1))
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(bytes(content))

    dashboard = gather([str(tmp_path)])

    assert all(one.commits.tolist() == [0] for one in dashboard.series)
    assert any(path.name in one for one in dashboard.skipped)


def test_an_empty_history_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="harness history run"):
        gather([str(tmp_path)])
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(RecordError, match=r"cut\.parquet.*harness run"):
        gather([str(tmp_path)])
    with pytest.raises(OptionError, match="no such record"):
        gather([str(tmp_path / "nowhere")])


def test_names_may_hold_anything(tmp_path: Path) -> None:
    name = "ünï\"'|</script>, 名"
    measured = (measurement(name), measurement())
    keep(tmp_path, of_commit(0, measurements=measured, command=("harness", name)))

    dashboard = gather([str(tmp_path)])

    assert of(dashboard, name).samples
    assert name in dashboard.runs[0].command
    assert "</script" not in to_page_json(dashboard)


def test_environments_are_apart_and_their_differences_told(tmp_path: Path) -> None:
    keep(tmp_path, of_commit(0), of_commit(1, environment={"cpu": "other", "gpu": None}))

    dashboard = gather([str(tmp_path)])

    assert [one.id for one in dashboard.environments] == [0, 1]
    assert {one.facts["cpu"] for one in dashboard.environments} == {"some", "other"}
    assert len({one.label for one in dashboard.environments}) == 2
    (difference,) = dashboard.differences
    assert (difference.name, {difference.of_first, difference.of_second}) == (
        "cpu",
        {"some", "other"},
    )
    assert {one.environment for one in dashboard.series} == {0, 1}


def test_what_was_built_by_other_options_is_another_series(tmp_path: Path) -> None:
    for place, level in enumerate((3, 3, 5)):
        details = {"options": {"optimization_level": level}}
        engine = Engine("encoder", "onnxruntime", "fp32", 5000, None, 1.0, 1, details=details)
        keep(tmp_path, of_commit(place, engines=(engine,)))

    dashboard = gather([str(tmp_path)])

    for component in ("encoder", "pipeline"):
        first, second = (one for one in dashboard.series if one.component == component)
        assert first.options != second.options
        assert sorted((first.commits.tolist(), second.commits.tolist())) == [[0, 1], [2]]
    (found, *_) = find_candidates([str(tmp_path)]).series
    assert found.points.name.options in {one.options for one in dashboard.series}


def test_the_canary_is_shown_and_its_step_is_taken_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(40):
        machine = 1.1 if place >= 20 else 1.0
        levels = machine * np.exp(rng.normal(0.0, 0.003, 2))
        frozen = measurement(
            "canary", backend="canary", route="cpu-1", latency_s=(0.001 * levels[0],) * 5
        )
        work = measurement("encoder", latency_s=(0.002 * levels[1],) * 5)
        keep(tmp_path, of_commit(place, measurements=(frozen, work)))

    dashboard = gather([str(tmp_path)])

    canary, encoder = of(dashboard, "canary"), of(dashboard, "encoder")
    assert not canary.changes
    assert "of the machine" in canary.canary_note
    assert not encoder.changes
    assert "taken out" in encoder.canary_note
    assert encoder.levels_s[30] / encoder.levels_s[10] == pytest.approx(1.1, rel=0.01)


def test_a_run_tells_the_machine_over_its_time_and_the_median_of_each_block(
    tmp_path: Path,
) -> None:
    states = tuple(
        DeviceState(100.0 + at, HostState(clock_mhz=2000.0 + at), GpuState("g", power_w=300.0))
        for at in range(1000)
    )
    name = "onnxruntime fp32, 1 s"
    blocks = (
        Block(name, 100.0, 101.0, 4),
        Block(name, 101.0, 102.0, 3, "too hot"),
        Block(name, 102.0, 103.0, 6),
    )
    measured = (measurement("encoder"), measurement(block_passes=(4, 6)))
    keep(tmp_path, of_commit(0, measurements=measured, telemetry=states, blocks=blocks))

    (run,) = gather([str(tmp_path)]).runs

    assert set(run.readings) == {"time_s", "power_w", "cpu_clock_mhz"}
    sizes = {one.size for one in run.readings.values()}
    assert len(sizes) == 1
    assert sizes.pop() <= 300
    assert run.readings["time_s"][0] == 0.0
    assert [(one.started_s, one.rejected) for one in run.blocks] == [
        (0.0, ""),
        (1.0, "too hot"),
        (2.0, ""),
    ]
    samples = measured[1].latency_s
    first, rejected, last = (one.median_s for one in run.blocks)
    assert first == pytest.approx(np.median(samples[:4]))
    assert rejected is None
    assert last == pytest.approx(np.median(samples[4:]))


def test_of_many_blocks_some_of_every_series_are_shown(tmp_path: Path) -> None:
    blocks = tuple(
        Block(f"series {place % 4}", float(place), place + 0.5, 1) for place in range(1000)
    )
    keep(tmp_path, of_commit(0, blocks=blocks))

    (run,) = gather([str(tmp_path)]).runs

    assert len(run.blocks) <= 200
    assert {one.series for one in run.blocks} == {f"series {place}" for place in range(4)}


def test_budgets_trades_and_rooflines_are_of_the_newest_record_that_tells(tmp_path: Path) -> None:
    cost = GraphCost(MacCounts(fp32=1_000_000), 1000, 100, 100)
    costs = (ComponentCost("encoder", "fp32", 1.0, 1, cost),)
    ceilings = Ceilings({"fp32": 1e9}, 1e9, "made up", "")
    measured = (
        measurement("encoder", launch=ENQUEUE, latency_s=(0.002,) * 400),
        measurement(launch=ENQUEUE, latency_s=(0.01,) * 400, min_snr_db=30.0),
    )
    for place in range(10):
        made = {"measurements": measured, "costs": costs, "ceilings": ceilings}
        keep(tmp_path, of_commit(place, **made))

    dashboard = gather([str(tmp_path)])

    (budget,) = dashboard.budgets
    assert (budget.verdict, budget.record_id, budget.commit) == ("within", "r9", 9)
    assert budget.series == of(dashboard, "pipeline").id
    assert of(dashboard, "pipeline").budget_s == budget.limit_s == 0.05
    assert of(dashboard, "encoder").budget_s is None
    assert sum(part.time_s for part in budget.parts) == pytest.approx(0.05)
    assert "over 10 commits" in budget.trend
    (trade,) = dashboard.trades
    assert (trade.snr_db, trade.min_snr_db, trade.energy_j) == (120.0, 30.0, 0.5)
    (point,) = dashboard.roofline
    assert (point.component, point.macs, point.bound) == ("encoder", 1_000_000, "products")
    assert point.least_s == pytest.approx(1e-3)


def test_of_too_few_commits_that_is_told(tmp_path: Path) -> None:
    keep_history(tmp_path, 7)
    assert {one.too_few for one in gather([str(tmp_path)]).series} == {True}
    keep_history(tmp_path / "longer", 8)
    assert {one.too_few for one in gather([str(tmp_path / "longer")]).series} == {False}
