"""The order in which two sides take turns."""

from __future__ import annotations

import pytest

from harness.ab.schedule import turns_of_pair


def _order(pairs: int, processes: int = 1) -> str:
    turns = [turn for pair in range(pairs) for turn in turns_of_pair(pair, processes)]
    assert [turn.number for turn in turns] == list(range(len(turns)))
    for side in ("base", "head"):
        numbers = [turn.process for turn in turns if turn.side == side]
        assert sorted(numbers) == list(range(pairs * processes))
    return "".join(turn.side[0] for turn in turns)


@pytest.mark.parametrize(
    ("pairs", "processes", "expected"),
    [(1, 1, "bh"), (2, 1, "bhhb"), (4, 1, "bhhbhbbh"), (1, 2, "bhhb"), (2, 2, "bhhbhbbh")],
)
def test_two_pairs_are_there_and_back(pairs: int, processes: int, expected: str) -> None:
    assert _order(pairs, processes) == expected


def test_a_steady_drift_touches_both_sides_alike() -> None:
    turns = [turn for pair in range(8) for turn in turns_of_pair(pair)]
    places = {side: sum(t.number for t in turns if t.side == side) for side in ("base", "head")}
    assert places["base"] == places["head"]
