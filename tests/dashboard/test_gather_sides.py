"""Dashboards of A/Bs, and of what a gate was found to catch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.dashboard.gather import gather
from harness.noise.calibration import Calibration, SeriesNoise, save
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share
from harness.store.parquet import ParquetStore
from harness.types import Replication
from tests.comparison.made import side
from tests.dashboard.histories import of_commit

EXAMPLES = Path(__file__).parents[2] / "reports" / "examples" / "h200" / "ab"


def test_two_sides_are_held_against_each_other_pair_by_pair(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    for name, ratio, turns in (("base", 1.0, (0, 3, 4, 7)), ("head", 1.05, (1, 2, 5, 6))):
        made = side(f"x-{name}", {"encoder": ratio}, processes=20, experiment="x")
        order = tuple(turns[place % 4] + 8 * (place // 4) for place in range(20))
        replication = Replication(20, 1, experiment="x", turns=order)
        store.append(replace(made, replication=replication))

    (comparison,) = gather([str(tmp_path)]).comparisons

    assert (comparison.base, comparison.head) == ("x-base", "x-head")
    assert comparison.status == "slower"
    encoder = next(one for one in comparison.rows if one.label.startswith("encoder"))
    assert encoder.status == "slower"
    assert encoder.lower < 1.05 < encoder.upper or abs(encoder.ratio - 1.05) < 0.01
    assert len(encoder.pairs) == 20
    assert [(one.base_turn, one.head_turn) for one in encoder.pairs[:3]] == [(0, 1), (3, 2), (4, 5)]


def test_the_real_ones_are_told_in_the_words_of_the_comparison() -> None:
    slower, equal = sorted(gather([str(EXAMPLES)]).comparisons, key=lambda one: one.created_utc)

    assert (slower.status, equal.status) == ("slower", "same")
    assert {one.status for one in equal.rows} == {"same", "slight", "hidden"}
    assert any("one build a side of flow_decoder" in finding for finding in slower.findings)


def test_one_side_alone_is_no_comparison(tmp_path: Path) -> None:
    ParquetStore(tmp_path).append(side("x-base", experiment="x"))

    dashboard = gather([str(tmp_path)])

    assert not dashboard.comparisons
    assert len(dashboard.runs) == 1


def test_calibrations_are_read_from_the_cache(tmp_path: Path) -> None:
    ParquetStore(tmp_path / "records").append(of_commit(0))
    noise = SeriesNoise("pipeline", 0.01, 0.002, 0.003, Share(1, 100, 0.0, 0.05), 0.01)
    own = fingerprint(of_commit(0).environment)
    cache = tmp_path / "cache"
    path = save(Calibration(own, "tiny", "2026-01-01T00:00:00+00:00", (noise,)), cache)

    (row,) = gather([str(tmp_path / "records")], cache=cache).noise

    assert (row.environment, row.false_alarms, row.trials) == (0, 1, 100)
    assert (row.margin, row.smallest_caught) == (0.003, 0.01)

    path.write_text("{")
    dashboard = gather([str(tmp_path / "records")], cache=cache)
    assert not dashboard.noise
    assert any(path.name in one for one in dashboard.skipped)
