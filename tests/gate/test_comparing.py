"""By which rule a gate compares: up to the pairs that there are."""

from __future__ import annotations

import pytest

from harness.gate.comparing import _rule
from harness.types import Replication
from tests.gate.made import head
from tests.history.records import measurement


@pytest.mark.parametrize(
    ("count", "looks"),
    [(1, (1,)), (7, (7,)), (8, (8,)), (9, (8, 9)), (14, (8, 12, 14)), (40, (*range(8, 33, 4), 40))],
)
def test_looks_end_at_the_last_pair(count: int, looks: tuple[int, ...]) -> None:
    made = head(measurements=tuple(measurement(process=i) for i in range(count)))
    found = _rule(made, 0.01)
    assert (found.looks, found.margin) == (looks, 0.01)


def test_where_engines_were_rebuilt_a_pair_is_one_of_builds() -> None:
    measured = tuple(measurement(process=i, build=i // 2) for i in range(20))
    made = head(measurements=measured, replication=Replication(2, 10))
    assert _rule(made, 0.01).looks == (8, 10)
    alone = head(measurements=measured, replication=Replication(20, 1))
    assert _rule(alone, 0.01).looks == (8, 12, 16, 20)


def test_a_record_of_nothing_has_a_rule_all_the_same() -> None:
    assert _rule(head(measurements=()), 0.01).looks == (1,)
