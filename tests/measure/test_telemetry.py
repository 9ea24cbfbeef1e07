"""Readings written to a file and played back."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RecordError, StorageError
from harness.measure.telemetry import (
    PlayedTelemetry,
    from_start,
    read_recorded,
    write_recorded,
)
from harness.states import DeviceState, GpuState, HostState
from tests.telemetry_fakes import simulate_h200

RECORDED = Path(__file__).parent / "data" / "h200-simulated.jsonl"

STATES = (
    DeviceState(1.5, HostState(busy=0.25, throttle_count=3), None),
    DeviceState(1.6, HostState(), GpuState("GPU-0", violation_s={"power": 0.5})),
    DeviceState(1.7, HostState(), GpuState("GPU-0", process_ids=(4, 5))),
    DeviceState(1.8, HostState(), GpuState("GPU-0", process_ids=())),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    write_recorded(path, STATES, interval_s=0.2, problem="no GPU")

    recorded = read_recorded(path)

    assert recorded.states == STATES
    assert (recorded.interval_s, recorded.is_simulated, recorded.problem) == (0.2, False, "no GPU")


def test_the_recorded_file_is_marked_as_simulated_and_is_what_the_simulation_makes() -> None:
    recorded = read_recorded(RECORDED)

    assert recorded.is_simulated
    assert recorded.states == simulate_h200()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no telemetry, or damaged"),
        ("[1]\n", "no telemetry, or damaged"),
        ('{"format": "something else"}\n', "is no file of trt-harness telemetry, version 1"),
        ('{"format": "trt-harness telemetry", "version": 2}\n', "version 1"),
        ("PART", "no telemetry, or damaged"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "readings.jsonl"
    write_recorded(path, STATES)
    part = path.read_text(encoding="utf-8")[:-30]
    path.write_text(part if content == "PART" else content, encoding="utf-8")

    with pytest.raises(RecordError, match=problem):
        read_recorded(path)


def test_paths_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file"):
        read_recorded(tmp_path / "nothing.jsonl")
    with pytest.raises(StorageError):
        write_recorded(tmp_path / "no" / "folder.jsonl", STATES)


def test_played_telemetry_gives_one_state_a_reading_and_then_the_last() -> None:
    with PlayedTelemetry(STATES[:2]) as played:
        assert [played.read() for _ in range(3)] == [STATES[0], STATES[1], STATES[1]]
        assert played.states() == STATES[:2]
        assert played.problem == ""
    with pytest.raises(ValueError, match="no states"):
        PlayedTelemetry(())


def test_states_can_be_moved_in_time() -> None:
    moved = from_start(STATES, 100.0)

    assert [state.monotonic_s for state in moved] == pytest.approx([100.0, 100.1, 100.2, 100.3])
    assert [state.gpu for state in moved] == [state.gpu for state in STATES]
    assert from_start((), 100.0) == ()
