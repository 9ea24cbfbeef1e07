"""A machine's calibration: kept, found by environment and pipeline, and never half read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import RecordError
from harness.noise.calibration import (
    Calibration,
    Caught,
    SeriesNoise,
    calibration_path,
    load,
    read_calibration,
    save,
)
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import share_of

if TYPE_CHECKING:
    from pathlib import Path

HERE = {"cpu": "a", "load_average_1min": 0.5}
ROW = SeriesNoise(
    "vocoder, onnxruntime fp32, 1 s, hot",
    within_sd=0.004,
    process_sd=0.001,
    margin=0.002,
    false_alarms=share_of(0, 2000),
    smallest_caught=0.005,
    caught=(Caught(0.003, share_of(700, 2000)), Caught(0.005, share_of(1950, 2000))),
)
CALIBRATION = Calibration(
    fingerprint=fingerprint(HERE),
    pipeline="tiny/音声",
    created_utc="2026-01-01T00:00:00+00:00",
    rows=(ROW, replace(ROW, series="pipeline", smallest_caught=None, caught=())),
    processes=16,
    pairs=32,
    trials=2000,
    injected=({"series": "pipeline", "size": 0.1, "status": "slower"},),
)


def test_it_is_found_by_environment_and_pipeline(tmp_path: Path) -> None:
    assert load(tmp_path, HERE, "tiny/音声") is None

    assert save(CALIBRATION, tmp_path) == calibration_path(tmp_path, HERE, "tiny/音声")

    assert load(tmp_path, HERE, "tiny/音声") == CALIBRATION
    # What is of the moment makes no other machine.
    assert load(tmp_path, {**HERE, "load_average_1min": 9.0}, "tiny/音声") == CALIBRATION
    assert load(tmp_path, HERE, "tiny") is None
    assert load(tmp_path, {**HERE, "cpu": "b"}, "tiny/音声") is None


def test_a_newer_one_takes_the_place_of_what_it_is_of_and_of_no_more(tmp_path: Path) -> None:
    save(CALIBRATION, tmp_path)
    later = "2026-02-01T00:00:00+00:00"
    row = replace(ROW, margin=0.1, created_utc=later, settings={"threads": [1]}, is_simulated=True)
    injected = ({"series": row.series, "size": 0.2},)
    save(replace(CALIBRATION, created_utc=later, rows=(row,), injected=injected), tmp_path)

    found = load(tmp_path, HERE, "tiny/音声")

    assert found is not None
    assert found.row(row.series) == row
    assert [one.series for one in found.rows] == [row.series, "pipeline"]
    other = found.row("pipeline")
    assert other is not None
    assert other.created_utc == CALIBRATION.created_utc
    assert not other.is_simulated
    assert found.is_simulated
    assert not CALIBRATION.is_simulated
    assert found.created_utc == later
    # What was really slowed goes with its series.
    assert found.injected == (*injected, *CALIBRATION.injected)


def test_a_row_is_found_by_its_series() -> None:
    assert CALIBRATION.row(ROW.series) == ROW
    assert CALIBRATION.row("encoder") is None
    assert ROW.false_alarm_rate == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "has schema version 2, this is version 1"),
        ({"rows": None}, "is damaged"),
        ({"rows": [{"series": "a"}]}, "is damaged"),
        ({"unknown": 1}, "is damaged"),
    ],
)
def test_a_damaged_one_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = save(CALIBRATION, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RecordError, match=message) as caught:
        read_calibration(path)
    assert caught.value.where == str(path)
    assert "harness noise" in caught.value.fix


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": ['])
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="is no calibration, or is damaged"):
        read_calibration(path)
