"""A latency in cycles: a change in time alone is the clock's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.comparison.compare import compare_records
from harness.comparison.cycles import sm_clocks_hz
from harness.states import Block, DeviceState, GpuState, HostState
from harness.stats.pairs import PairRule, PairStatus
from harness.store.parquet import read_record
from tests.comparison.made import on_gpu, side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Record

EXAMPLE = Path(__file__).parents[2] / "reports" / "examples" / "h200" / "processes.parquet"
SERIES = "tensorrt fp16 by flag, graph, 1 s"


def timed(name: str, clocks_mhz: Sequence[float], ratio: float = 1.0, seed: int = 0) -> Record:
    """A record whose processes ran at these clocks, in two blocks each, one after the other."""
    made = side(
        name,
        dict.fromkeys(("encoder", "decoder", "pipeline"), ratio),
        processes=len(clocks_mhz),
        seed=seed,
        experiment="x",
        changes=on_gpu(),
    )
    blocks, states = [], []
    for process, mhz in enumerate(clocks_mhz):
        start = 10.0 * process
        blocks += [
            Block(SERIES, start, start + 1.0, 4),
            Block(SERIES, start + 1.0, start + 2.0, 4, "it was hot"),
            Block("canary fp32 by cuda-1, enqueue, 1 s", start + 2.0, start + 3.0, 8),
            Block(SERIES, start + 3.0, start + 4.0, 5),
        ]
        # Idle between the blocks, and far off in the one that does not count.
        for at_s, read_mhz in ((0.5, mhz), (1.5, 300.0), (2.5, 400.0), (3.5, mhz), (6.0, 345.0)):
            gpu = GpuState("GPU-0", sm_clock_mhz=read_mhz)
            states.append(DeviceState(start + at_s, HostState(), gpu))
    return replace(made, blocks=tuple(blocks), telemetry=tuple(states))


def encoder(record: Record) -> list:
    return [one for one in record.measurements if one.component == "encoder"]


def test_each_process_has_the_clock_of_its_own_blocks() -> None:
    made = timed("a", [1980.0, 1500.0, 1755.0])

    assert sm_clocks_hz(made, encoder(made)) == {0: 1.98e9, 1: 1.5e9, 2: 1.755e9}


def test_between_blocks_is_better_than_nowhere() -> None:
    made = timed("a", [1980.0])
    few = tuple(state for state in made.telemetry if state.monotonic_s == 2.5)

    assert sm_clocks_hz(replace(made, telemetry=few), encoder(made)) == {0: 4e8}


def test_a_clock_that_is_not_known_of_all_is_not_known() -> None:
    made = timed("a", [1980.0, 1500.0])
    first = tuple(state for state in made.telemetry if state.monotonic_s < 5.0)
    on_cpu = [replace(one, launch="call") for one in encoder(made)]
    paced = [replace(one, mode="paced") for one in encoder(made)]
    copies = [replace(one, component="host_to_device") for one in encoder(made)]
    bare = tuple(replace(state, gpu=None) for state in made.telemetry)

    assert sm_clocks_hz(replace(made, telemetry=first), encoder(made)) == {}
    assert sm_clocks_hz(replace(made, telemetry=bare), encoder(made)) == {}
    for wrong in (on_cpu, paced, copies):
        assert sm_clocks_hz(made, wrong) == {}


def test_blocks_that_do_not_add_up_to_the_samples_tell_nothing() -> None:
    made = timed("a", [1980.0, 1500.0])
    wrong = tuple(replace(block, passes=block.passes + 1) for block in made.blocks)

    assert sm_clocks_hz(replace(made, blocks=wrong), encoder(made)) == {}
    assert sm_clocks_hz(replace(made, blocks=()), encoder(made)) == {}


def test_a_slower_clock_is_told_from_slower_work() -> None:
    base = timed("a", [1980.0] * 12)
    # The same cycles at a clock that is 5 % lower.
    head = timed("b", [1980.0 / 1.05] * 12, ratio=1.05, seed=1)
    worse = timed("c", [1980.0] * 12, ratio=1.05, seed=1)

    by_clock = compare_records([base], [head], PairRule()).rows[0]
    by_work = compare_records([base], [worse], PairRule()).rows[0]

    assert by_clock.cycles is not None
    assert (by_clock.time.status, by_clock.cycles.status) == (PairStatus.SLOWER, PairStatus.SAME)
    assert by_clock.cycles.ratio == pytest.approx(1.0, abs=2e-3)
    assert by_clock.is_discovery
    assert by_clock.status is PairStatus.INCONCLUSIVE
    assert re.match(
        r"the clock's: slower \(\+5\.\d+ %\) in time, same \([+-]0\.\d+ %\) in c", by_clock.reason
    )
    assert by_work.cycles is not None
    assert (by_work.time.status, by_work.cycles.status) == (PairStatus.SLOWER, PairStatus.SLOWER)
    assert by_work.status is PairStatus.SLOWER
    back = compare_records([head], [base], PairRule()).rows[0]
    assert (back.time.status, back.status) == (PairStatus.FASTER, PairStatus.INCONCLUSIVE)


def test_what_is_not_known_in_cycles_leaves_the_verdict_on_time() -> None:
    base, head = timed("a", [1980.0] * 8), timed("b", [1980.0] * 8, ratio=1.05, seed=1)
    (row, *_) = compare_records([base], [head], PairRule()).rows
    assert row.cycles is not None
    unknown = replace(row.cycles, status=PairStatus.INCONCLUSIVE)

    assert replace(row, cycles=unknown, is_discovery=True).status is PairStatus.SLOWER
    assert replace(row, cycles=None, is_discovery=True).status is PairStatus.SLOWER


def test_the_processes_of_a_real_record_ran_at_a_clock_that_was_steady() -> None:
    record = read_record(EXAMPLE)
    vocoder = [one for one in record.measurements if one.component == "vocoder"]

    assert sm_clocks_hz(record, vocoder) == dict.fromkeys(range(31), 1.98e9)
