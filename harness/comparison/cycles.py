"""The SM clock that each process of a record ran at: a latency times it is in cycles.

A record of several processes keeps all of their blocks and readings one after the other. Which
blocks are of which process is told by their passes: those of a process add up to its samples.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final

from harness.pipeline.pipeline import CANARY, TRANSFERS
from harness.types import CALL, COLD, HOT, Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.states import Block
    from harness.types import Measurement, Record

# What the SM clock does not drive, or not alone.
_OTHERS: Final = frozenset({CANARY, *TRANSFERS})
_MODES: Final = frozenset({HOT, COLD})


def sm_clocks_hz(record: Record, measured: Sequence[Measurement]) -> dict[int, float]:
    """The mean SM clock (Hz) of each process while it measured one series.

    Args:
        record: what telemetry and blocks are taken from.
        measured: the measurements of one series, of one or more processes.

    Returns:
        By process; empty where the series does not run on a GPU back to back, where a process has
        no reading, or where blocks cannot be told apart.
    """
    first = measured[0]
    if first.launch == CALL or first.mode not in _MODES or first.component in _OTHERS:
        return {}
    name = f"{first.variant}, {Case(first.duration_s, first.batch)}"
    counted = [block for block in record.blocks if block.series == name and not block.rejected]
    ordered = sorted(measured, key=lambda one: one.process)
    found = {}
    for one, blocks in zip(ordered, _split(counted, ordered), strict=False):
        clocks = _read_mhz(record, blocks)
        if clocks:
            found[one.process] = 1e6 * fmean(clocks)
    return found if len(found) == len(ordered) else {}


def _split(blocks: Sequence[Block], measured: Sequence[Measurement]) -> Iterator[list[Block]]:
    """The blocks of each process in turn; it ends where passes and samples do not agree."""
    start = 0
    for one in measured:
        stop, passes = start, 0
        while stop < len(blocks) and passes < len(one.latency_s):
            passes += blocks[stop].passes
            stop += 1
        if passes != len(one.latency_s):
            return
        yield list(blocks[start:stop])
        start = stop


def _read_mhz(record: Record, blocks: Sequence[Block]) -> list[float]:
    """Those read within the blocks, or where none was, from the first of them to the last."""
    spans = [(block.started_s, block.ended_s) for block in blocks]
    for some in (spans, [(spans[0][0], spans[-1][1])] if spans else []):
        found = [
            state.gpu.sm_clock_mhz
            for state in record.telemetry
            if state.gpu is not None
            and state.gpu.sm_clock_mhz
            and any(began_s <= state.monotonic_s <= ended_s for began_s, ended_s in some)
        ]
        if found:
            return found
    return []
