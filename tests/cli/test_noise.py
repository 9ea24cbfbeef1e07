"""``harness noise`` from the command line, with processes that are this one, and made up times."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import EngineError
from harness.noise.calibration import load
from harness.states import Finding, Validity
from harness.store.parquet import ParquetStore
from tests.ab.launches import InThisProcess, in_this_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIMULATION = {"macs_per_s": 1e7, "overhead_s": 1e-4, "noise": 0.004, "process_noise": 0.002}


@pytest.fixture
def noise(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    in_this_process(monkeypatch)
    monkeypatch.setenv("TRT_HARNESS_SIMULATION", json.dumps(SIMULATION))

    def call(*arguments: object) -> tuple[int, str, str]:
        folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
        short = ("--samples", 30, "--pairs", 8, "--trials", 100, "--threads", 1)
        simulated = ("--backend", "simulated", "--component", "encoder", "--duration", 1)
        return harness("noise", onnx_toy(hidden=100), *folders, *short, *simulated, *arguments)

    return call


def test_the_noise_that_was_made_up_is_found_and_kept(
    noise: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = noise("--slow", "10%", "--batch", 1, "--json", tmp_path / "it.json")

    assert code == 0, err
    assert out.startswith("SIMULATED: the times are made up")
    assert "Really slowed" not in out
    assert "resampled" in out
    records = list(ParquetStore(tmp_path / "out").query())
    assert len(records) == 4
    # Only that which was slowed on purpose says so, and it is another record, and no older.
    assert [r.replication and r.replication.slowed_by for r in records].count(0.0) == 3
    (slow,) = (r for r in records if r.replication and r.replication.slowed_by)
    assert slow.replication is not None
    assert slow.replication.slowed_by == 0.1
    assert len({record.record_id for record in records}) == 4
    assert slow.created_utc >= max(record.created_utc for record in records)
    assert err.count("(slowed by 10 % on purpose: of no commit)") == 1
    found = load(tmp_path / "cache", records[0].environment, "toy")
    assert found is not None
    (row,) = found.rows
    assert row.series == "encoder, simulated fp32, 1 s, hot"
    assert row.within_sd == pytest.approx(0.004, rel=0.5)
    assert row.process_sd == pytest.approx(0.002, rel=0.9)
    assert 0.002 <= row.margin < 0.02
    assert row.smallest_caught is not None
    assert row.smallest_caught < 0.05
    assert row.false_alarms.total == 100
    assert row.false_alarms.rate <= 0.05
    assert (found.processes, found.pairs, found.trials) == (16, 32, 100)
    assert row.is_simulated
    assert row.created_utc == found.created_utc
    assert row.settings["processes"] == 16
    assert row.settings["threads"] == [1]
    assert "--max-time=5.0" in row.settings["words"]
    # The slowdown was really there.
    equal, slowed = found.injected
    assert (equal["size"], slowed["size"]) == (0.0, 0.1)
    assert slowed["status"] == "slower"
    assert slowed["ratio"] == pytest.approx(1.1, abs=0.01)
    assert equal["ratio"] == pytest.approx(1.0, abs=0.01)
    told = json.loads((tmp_path / "it.json").read_text())
    assert told["rows"][0]["series"] == row.series
    assert told["is_simulated"]
    assert equal["is_simulated"]


FAILED = Validity((Finding("fail", "the clock fell by half", "wait"),))


def failing(order: Any, record: Any) -> Any:
    if order.process == 3:
        raise EngineError("is damaged")
    return record


def invalid(order: Any, record: Any) -> Any:
    return record if order.process is None else replace(record, validity=FAILED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (failing, "base: 1 processes are missing: process 3 of as it is"),
        (invalid, "base: the clock fell by half; head: the clock fell by half"),
    ],
)
def test_of_a_part_and_of_an_invalid_run_no_calibration_is_made(
    noise: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any, Any], Any],
    message: str,
) -> None:
    class Changed(InThisProcess):
        def __call__(self, order: Any) -> Any:
            return change(order, super().__call__(order))

    monkeypatch.setattr("harness.ab.experiment.CommandLauncher", Changed)
    code, _, err = noise("--slow", "0", "--batch", 1)

    assert code == 3
    assert f"no calibration is made of this run: {message}" in err
    assert len(list(ParquetStore(tmp_path / "out").query())) == 2
    assert not list((tmp_path / "cache").glob("noise/*"))


@pytest.mark.slow
def test_real_work_is_slowed_by_the_share_of_what_it_took(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spun: list[float] = []
    in_this_process(monkeypatch)
    monkeypatch.setattr("harness.measure.slowdown.spin", spun.append)
    code, _, err = harness(
        *("noise", onnx_toy(), "--cache", tmp_path / "cache", "--out", tmp_path / "out"),
        *("--samples", 10, "--process-time", 0.1, "--pairs", 8, "--trials", 100, "--slow", "50%"),
        *("--component", "encoder", "--duration", 1, "--batch", 1, "--no-canary"),
    )

    assert code == 0, err
    equal, _, slowed, _ = ParquetStore(tmp_path / "out").query()
    medians_s = [median(m.latency_s) for m in equal.measurements]
    # Every launch of the slowed side, and none of the others.
    assert len(set(spun)) == 1
    assert spun[0] == pytest.approx(0.5 * median(medians_s), rel=0.01)
    assert len(spun) >= 10 * len(slowed.measurements)


def test_exports_of_another_interpreter_are_taken(
    noise: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def measure(words: list[str], *_: object) -> None:
        seen.extend(words)
        raise EngineError("that will do")

    monkeypatch.setattr("harness.noise.measuring.measure_noise", measure)

    assert noise("--artifacts", tmp_path / "exported")[0] == 2

    assert seen[seen.index("--artifacts") + 1] == str(tmp_path / "exported")


def test_an_interruption_makes_no_calibration(
    noise: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(InThisProcess):
        def __call__(self, order: Any) -> Any:
            if order.process == 3:
                raise KeyboardInterrupt
            return super().__call__(order)

    monkeypatch.setattr("harness.ab.experiment.CommandLauncher", Interrupted)
    code, _, err = noise("--slow", "10%", "--batch", 1)
    assert code == 130
    assert "its records are kept" in err
    assert len(list(ParquetStore(tmp_path / "out").query())) == 2
    assert not list((tmp_path / "cache").glob("noise/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pairs", 7), "--pairs: 7 is out of range"),
        (("--trials", 99), "--trials: 99 is out of range"),
        (("--margin", "100%"), "--margin: 1 is out of range"),
        (("--slow", "-1%"), "--slow: -0.01 is out of range"),
        (("--mode", "paced"), "--mode: paced takes no turns"),
    ],
)
def test_bad_input(
    noise: Callable[..., tuple[int, str, str]],
    arguments: tuple[object, ...],
    message: str,
    tmp_path: Path,
) -> None:
    code, _, err = noise(*arguments)
    assert code == 2
    assert message in err
    assert not list((tmp_path / "out").glob("*"))
