"""``harness run``: when it stops, how the machine is watched, and what a record says of both."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from harness.measure.clock import HostClock
from harness.measuring import Watch
from harness.pipeline.pipeline import CANARY
from harness.states import DeviceState, GpuState, HostState
from harness.store.parquet import ParquetStore
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.types import Record

UUID = "GPU-1"
GOLDEN = 0.6180339887
NO_BUDGET = ("[budget]\np99_s = 0.1\nduration_s = 0.5\n", "")


@pytest.fixture
def run(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    shared_cache: Cache,
    tmp_path: Path,
) -> Callable[..., tuple[int, str, Record]]:
    """Measure the toy; gives the exit code, what was printed, and the record."""

    def call(*arguments: object, edits: Sequence[tuple[str, str]] = ()) -> tuple[int, str, Record]:
        folders = ("--cache", shared_cache.root, "--out", tmp_path / "out")
        root = onnx_toy(*edits)
        code, out, _ = harness("run", root, *folders, "--max-time", 60, *arguments)
        *_, record = ParquetStore(tmp_path / "out").query()
        return code, " ".join(out.split()), record

    return call


class Even(HostClock):
    """Says that every launch took a tenth of a millisecond."""

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        return tuple(1e-4 for _ in super().time_block(launches))


class Spread(HostClock):
    """Says that launches took 0.1 to 0.11 ms, evenly spread: steady, and never known exactly."""

    launched = 0

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        first = self.launched
        self.launched += len(super().time_block(launches))
        return tuple(1e-4 + 1e-5 * (GOLDEN * i % 1) for i in range(first, self.launched))


@pytest.fixture
def even(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing varies: every series converges at the first look at which it may."""
    monkeypatch.setattr("harness.cli.run.HostClock", Even)


def counts(record: Record) -> dict[str, int]:
    return {m.component: len(m.latency_s) for m in measured(record)}


def verdicts(record: Record) -> set[tuple[str, str]]:
    return {(m.verdict, m.verdict_reason) for m in measured(record)}


# When it stops.


@pytest.mark.parametrize(
    ("arguments", "edits", "count"),
    [
        ((), (NO_BUDGET,), 32),
        (("--tail",), (NO_BUDGET,), 373),
        # A budget is of the p99.
        ((), (), 373),
        (("--no-tail",), (), 32),
        # That of the whole pipeline is not of a component.
        (("--component", "decoder"), (), 32),
        (("--component", "decoder", "--tail"), (), 373),
    ],
)
@pytest.mark.usefixtures("even")
def test_a_tail_is_waited_for_where_there_is_a_budget(
    run: Callable[..., tuple[int, str, Record]],
    arguments: tuple[str, ...],
    edits: tuple[tuple[str, str], ...],
    count: int,
) -> None:
    code, out, record = run(*arguments, "--no-telemetry", edits=edits)

    assert code == 0
    assert set(counts(record).values()) == {count}
    assert verdicts(record) == {("converged", "precision")}
    assert f"of {len(counts(record))} series" not in out


@pytest.mark.parametrize(
    ("asked", "rel_precision"),
    [((), 0.005), (("--rel-precision", "2%"), 0.02), (("--rel-precision", "0.125"), 0.125)],
)
@pytest.mark.usefixtures("even")
def test_the_precision_asked_for_is_in_the_record(
    run: Callable[..., tuple[int, str, Record]], asked: tuple[str, ...], rel_precision: float
) -> None:
    _, _, record = run(*asked, "--no-tail", "--no-telemetry", "--no-canary")

    assert {m.rel_precision for m in record.measurements} == {rel_precision}


@pytest.mark.usefixtures("even")
def test_the_first_limit_that_is_met_ends_it(
    run: Callable[..., tuple[int, str, Record]],
) -> None:
    _, out, record = run("--samples", 20, "--no-telemetry")

    assert set(counts(record).values()) == {20}
    assert verdicts(record) == {("inconclusive", "samples")}
    assert "INCONCLUSIVE, onnxruntime fp32, 0.5 s: 3 of 3 series" in out
    assert "(the samples were spent)" in out


def test_time_that_is_spent_is_inconclusive_and_is_no_failure(
    run: Callable[..., tuple[int, str, Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cli.run.HostClock", Spread)

    code, out, record = run("--rel-precision", "0.0001%", "--max-time", 0.3)

    assert code == 0
    assert verdicts(record) == {("inconclusive", "time")}
    assert "(the time was spent" in out
    assert all(m.autocorrelation is not None for m in measured(record))
    assert all(m.clock_tick_s is not None for m in measured(record))


# How the machine is watched.


def test_the_machine_is_read_while_it_is_measured(
    run: Callable[..., tuple[int, str, Record]], tmp_path: Path
) -> None:
    before_s = time.monotonic()
    code, out, record = run("--samples", 500, "--json", tmp_path / "run.json")

    assert code == 0
    times_s = [state.monotonic_s for state in record.telemetry]
    assert len(times_s) >= 2
    assert times_s == sorted(times_s)
    assert before_s < times_s[0]
    assert record.blocks
    assert times_s[0] < record.blocks[0].started_s < record.blocks[-1].ended_s < time.monotonic()
    assert record.validity is not None
    # A busy machine is flagged at worst: nothing here has a GPU.
    assert record.validity.status in {"valid", "flagged"}
    assert f"Machine: {record.validity.status} ({len(times_s)} readings of the machine" in out
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["validity"]["status"] == record.validity.status
    assert len(document["telemetry"]) == len(times_s)
    assert {m["verdict"] for m in document["measurements"]} <= {"converged", "inconclusive"}
    # The samples of a series are those of its blocks.
    for m in measured(record):
        assert sum(m.block_passes) == len(m.latency_s)
    by_series: dict[str, int] = {}
    for block in record.blocks:
        by_series[block.series] = by_series.get(block.series, 0) + block.passes
    assert by_series["onnxruntime fp32, 0.5 s"] == max(counts(record).values())
    assert len(by_series) == 2


def test_without_telemetry_nothing_is_read_and_it_is_said(
    run: Callable[..., tuple[int, str, Record]], tmp_path: Path
) -> None:
    code, out, record = run("--samples", 20, "--no-telemetry", "--json", tmp_path / "run.json")

    assert code == 0
    assert record.telemetry == ()
    assert record.validity is not None
    (finding,) = record.validity.findings
    assert finding.level == "unknown"
    assert "no reading of the machine" in finding.what
    assert "Machine: unknown (0 readings of the machine)" in out
    assert "unknown: there is no reading of the machine while it was measured" in out
    assert record.idle_power_w is None
    assert {m.energy_j for m in record.measurements} == {None}
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["telemetry"] == []
    assert document["validity"]["status"] == "unknown"


@pytest.fixture
def another_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU whose driver is replaced while it is measured: played back."""

    @contextmanager
    def play(_: Mapping[str, Any], *, uses_gpu: bool) -> Iterator[Watch]:
        assert not uses_gpu, "ONNX Runtime is on the CPU here"
        drivers = iter(["580.1", "590.2"])
        started_s = time.monotonic()

        def states() -> tuple[DeviceState, ...]:
            count = int((time.monotonic() - started_s) / 0.05) + 1
            gpu = GpuState(UUID, sm_clock_mhz=1980.0, clock_event_reasons=0)
            return tuple(
                DeviceState(started_s + 0.05 * at, HostState(), gpu) for at in range(count)
            )

        yield Watch(states, UUID, lambda: next(drivers))

    monkeypatch.setattr("harness.runner.open_telemetry", play)


@pytest.mark.parametrize(("arguments", "expected"), [((), 0), (("--enforce",), 3)])
@pytest.mark.usefixtures("even", "another_driver")
def test_an_invalid_machine_is_no_pass_where_it_is_enforced(
    run: Callable[..., tuple[int, str, Record]], arguments: tuple[str, ...], expected: int
) -> None:
    code, out, record = run(*arguments)

    # The budget is kept, the figures are shown; but they do not count.
    assert "WITHIN" in out
    assert code == expected
    assert record.validity is not None
    assert record.validity.status == "invalid"
    assert "Machine: invalid" in out
    assert "fail: the GPU's driver changed during the run: 580.1, then 590.2" in out
    assert set(counts(record).values()) == {373}


@pytest.mark.usefixtures("even", "another_driver")
def test_a_missed_budget_is_worse_than_an_invalid_machine(
    run: Callable[..., tuple[int, str, Record]],
) -> None:
    code, out, _ = run("--enforce", edits=[("p99_s = 0.1", "p99_s = 0.00001")])

    assert "MISSED" in out
    assert code == 1


# The canary.


@pytest.mark.usefixtures("even")
def test_a_canary_is_measured_and_is_in_no_table(
    run: Callable[..., tuple[int, str, Record]], tmp_path: Path
) -> None:
    code, out, record = run("--no-telemetry", "--json", tmp_path / "run.json")

    assert code == 0
    (canary,) = (m for m in record.measurements if m.component == CANARY)
    assert canary.latency_s
    # It is not waited for: its share of each block is small.
    assert len(canary.latency_s) < min(counts(record).values())
    assert out.count("Canary") == out.count("Canary (cpu-1): p50") == 1
    assert " canary " not in out
    document = json.loads((tmp_path / "run.json").read_text())
    assert {m["component"] for m in document["measurements"]} == {"encoder", "decoder", "pipeline"}
    assert [one["name"] for one in document["canaries"]] == ["cpu-1"]
    assert document["canaries"][0]["content_hash"] == record.environment["canary"]["cpu-1"]


@pytest.mark.usefixtures("even")
def test_a_run_without_a_canary_has_none(run: Callable[..., tuple[int, str, Record]]) -> None:
    _, out, record = run("--no-telemetry", "--no-canary", "--no-tail")

    assert len(measured(record)) == len(record.measurements)
    assert "Canary" not in out
