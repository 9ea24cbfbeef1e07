"""Which commits are held against each other, and where that ends, whatever the history is."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bisect.search import Ask, Found, Search, Step, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def measured(ask: Ask, levels: Mapping[str, float], width: float = 0.001) -> Step:
    """What an A/B would say of made up levels; the interval is so wide on either side."""
    ratio = levels[ask.head] / levels[ask.base]
    lower, upper = ratio * (1.0 - width), ratio * (1.0 + width)
    status = "inconclusive"
    if lower > 1.0 + ask.margin:
        status = "slower"
    elif upper < 1.0 / (1.0 + ask.margin):
        status = "faster"
    elif lower >= 1.0 / (1.0 + ask.margin) and upper <= 1.0 + ask.margin:
        status = "same"
    return Step(ask.base, ask.head, ask.margin, status, ratio, lower, upper, 8)


def search(
    levels: Sequence[float], broken: Sequence[int] = (), width: float = 0.001
) -> tuple[Found, list[Ask]]:
    commits = [f"c{place}" for place in range(len(levels))]
    known = dict(zip(commits, levels, strict=True))
    steps: dict[tuple[str, str, str], Step] = {}
    made, asked = Search(commits, 0.002, steps), []
    while isinstance(found := made.next(), Ask):
        asked.append(found)
        step = measured(found, known, width)
        if int(found.head[1:]) in broken:
            step = replace(step, status="inconclusive", skipped="it cannot be built")
        steps[key_of(found)] = step
        assert len(asked) < 40
    return found, asked


@pytest.mark.parametrize("culprit", range(1, 20))
def test_a_step_is_found_wherever_it_is(culprit: int) -> None:
    found, asked = search([1.0] * culprit + [1.05] * (20 - culprit))
    assert found.culprit == f"c{culprit}"
    assert found.evidence is not None
    assert (found.evidence.base, found.evidence.head) == (f"c{culprit - 1}", f"c{culprit}")
    assert found.evidence.ratio == pytest.approx(1.05)
    assert len(asked) <= 2 + math.ceil(math.log2(19))


def test_the_evidence_is_not_measured_twice_where_there_are_two_commits() -> None:
    found, asked = search([1.0, 1.05])
    assert found.culprit == "c1"
    assert len(asked) == 1


def test_of_several_steps_it_ends_at_a_large_one() -> None:
    levels = [1.0] * 8 + [1.1] * 5 + [1.1 * 1.03] * 5 + [1.1 * 1.03 * 1.005] * 2
    assert search(levels)[0].culprit == "c8"
    assert search(levels[8:])[0].culprit == "c5"


def test_two_equal_steps_lead_to_either() -> None:
    # The commit in the middle has just half of the change: its A/B stays open.
    found, _ = search([1.0] * 3 + [1.05] * 4 + [1.05**2] * 4)
    assert found.culprit in {"c3", "c7"}


@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.03, 0.1, -0.02]), min_size=1, max_size=30),
    st.sets(st.integers(1, 28), max_size=4),
)
def test_what_is_named_really_is_slower_than_its_parent(
    changes: list[float], broken: set[int]
) -> None:
    levels = [1.0]
    for change in changes:
        levels.append(levels[-1] * (1.0 + change))
    found, _ = search(levels, [place for place in broken if place < len(changes)])
    if found.culprit:
        place = int(found.culprit[1:])
        assert levels[place] > levels[place - 1]
    elif levels[-1] > levels[0] * 1.01:
        # Only what cannot be built leaves it open.
        assert broken
        assert found.reason
    else:
        assert "not slower" in found.reason or "open" in found.reason


def test_a_commit_that_cannot_be_built_is_left_out() -> None:
    found, asked = search([1.0] * 7 + [1.05] * 5, broken=[5, 6])
    # Of the commits that may be it, only the last can be measured.
    assert not found.culprit
    assert found.suspects == ("c5", "c6", "c7")
    assert "it cannot be built" in found.reason

    found, asked = search([1.0] * 7 + [1.05] * 5, broken=[4])
    assert found.culprit == "c7"
    assert len({ask.head for ask in asked}) == len(asked) - 1


def test_what_is_open_is_told_and_not_guessed() -> None:
    found, _ = search([1.0] * 4 + [1.01] * 4, width=0.007)
    assert not found.culprit
    assert "inconclusive" in found.reason


@pytest.mark.parametrize(
    ("levels", "message"),
    [([1.0] * 5, "not slower than the good one: same"), ([1.1, 1.0], "not slower .*: faster")],
)
def test_there_may_be_nothing_to_find(levels: list[float], message: str) -> None:
    found, asked = search(levels)
    assert len(asked) == 1
    assert found.suspects == ()
    assert re.search(message, found.reason)


def test_a_change_of_many_times_has_a_margin_all_the_same() -> None:
    assert search([1.0] * 3 + [9.0] * 3)[0].culprit == "c3"
