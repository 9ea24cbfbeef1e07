"""Steps, spikes and drifts: what is found where it is, and that nothing is found in nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.changes import (
    Change,
    ChangeKind,
    ChangeRule,
    Direction,
    find_changes,
    machine_drift,
    scanning,
)
from harness.stats.changes.candidates import best_drift, best_pair, best_step
from harness.stats.changes.cleaning import clean
from harness.stats.changes.scanning import Largest, largest, pair_gains, ramp_gains
from harness.stats.changes.segmentation import fit_levels, segment
from harness.stats.changes.whitening import RHOS, whiten

STEP, SPIKE, DRIFT = ChangeKind.STEP, ChangeKind.SPIKE, ChangeKind.DRIFT


def history(seed: int, count: int = 50, noise: float = 0.01) -> np.ndarray:
    """Logs of times in which nothing changes."""
    return noise * np.random.default_rng(seed).standard_normal(count)


def changes_of(logs: np.ndarray) -> list[Change]:
    return list(find_changes(np.exp(logs).tolist()).changes)


def told(logs: np.ndarray) -> list[tuple[ChangeKind, int]]:
    return [(one.kind, one.index) for one in changes_of(logs)]


@pytest.mark.parametrize(("size", "direction"), [(0.1, Direction.SLOWER), (-0.1, Direction.FASTER)])
def test_a_step_is_told_with_its_commit_size_and_direction(
    size: float, direction: Direction
) -> None:
    logs = history(1)
    logs[25:] += math.log1p(size)

    (change,) = changes_of(logs)

    assert (change.kind, change.index, change.direction) == (STEP, 25, direction)
    assert change.first <= 25 <= change.last
    assert change.lower <= 1.0 + size <= change.upper
    assert change.lower < change.ratio < change.upper
    assert not change.recovered
    assert change.is_open_slowdown is (direction is Direction.SLOWER)


def test_two_steps_are_two_and_the_second_may_undo_the_first() -> None:
    logs = history(2)
    logs[15:] += 0.05
    logs[35:] -= 0.05

    first, second = changes_of(logs)

    assert [(first.kind, first.index), (second.kind, second.index)] == [(STEP, 15), (STEP, 35)]
    assert first.recovered
    assert not any(one.is_open_slowdown for one in (first, second))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("size", [0.1, -0.1])
def test_what_recovers_soon_is_one_spike_however_long(length: int, size: float) -> None:
    logs = history(3)
    logs[25 : 25 + length] += size

    (change,) = changes_of(logs)

    assert (change.kind, change.first, change.last) == (SPIKE, 25, 24 + length)
    assert change.recovered
    assert change.ratio == pytest.approx(math.exp(size), abs=0.02)


@pytest.mark.parametrize("size", [0.1, -0.1])
@pytest.mark.parametrize(("first", "last"), [(0, 49), (15, 35), (20, 30)])
def test_a_slow_drift_is_one_drift_and_no_staircase(size: float, first: int, last: int) -> None:
    logs = history(4) + size * np.clip((np.arange(50) - first) / (last - first), 0.0, 1.0)

    (change,) = changes_of(logs)

    assert change.kind is DRIFT
    assert abs(change.first - first) <= 6
    assert abs(change.last - last) <= 6
    assert change.lower <= math.exp(size) <= change.upper


def test_the_last_commit_alone_may_be_a_spike_or_a_step() -> None:
    logs = history(5)
    logs[49] += 0.1
    (change,) = changes_of(logs)
    assert (change.kind, change.index, change.recovered) == (SPIKE, 49, False)
    assert "not known yet" in change.note

    logs = history(5)
    logs[48:] += 0.1
    (change,) = changes_of(logs)
    assert (change.kind, change.index) == (STEP, 48)
    assert "not known yet" in change.note


def test_commits_without_a_figure_are_counted_and_widen_the_range() -> None:
    logs = history(6)
    logs[25:] += 0.1
    times: list[float | None] = np.exp(logs).tolist()
    times[23] = times[24] = None
    times[40] = math.nan

    findings = find_changes(times)

    (change,) = findings.changes
    assert findings.count == 47
    assert (change.index, change.first, change.last) == (25, 23, 25)
    assert [math.isnan(level) for level in findings.levels] == [
        index in {23, 24, 40} for index in range(50)
    ]


def test_too_few_commits_say_so() -> None:
    assert find_changes([]).too_few
    assert find_changes([1.0] * 7).too_few
    assert not find_changes([1.0] * 8).too_few
    assert find_changes([1.0, None] * 7).too_few


@pytest.mark.parametrize("odd", [0.0, -1.0, math.inf])
def test_times_are_positive_and_finite(odd: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        find_changes([1.0] * 20 + [odd])


@pytest.mark.parametrize(
    "figures", [{"confidence": 1.0}, {"least_noise": 0.0}, {"fewest": 4}, {"most": 7}]
)
def test_a_rule_that_cannot_be_followed_is_refused(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"confidence|history"):
        ChangeRule(**figures)


def test_of_a_long_history_the_end_is_looked_at() -> None:
    logs = history(7, count=450)
    logs[30:] += 0.1
    logs[400:] += 0.1
    assert [one.index for one in changes_of(logs)] == [400]


def test_small_changes_are_left_out() -> None:
    logs = history(8, noise=1e-4)
    logs[25:] += 0.002
    assert told(logs) == []
    assert [one.index for one in find_changes(np.exp(logs), ChangeRule(least_ratio=0.001)).changes]


def test_the_noise_is_that_between_commits() -> None:
    logs = history(9, count=200)
    logs[100:] += 0.05
    findings = find_changes(np.exp(logs))
    assert findings.noise == pytest.approx(0.01, rel=0.15)
    assert findings.autocorrelation < 0.25


seeds = st.integers(0, 2**32 - 1)
places = st.integers(10, 40)
sizes = st.sampled_from([0.06, -0.06, 0.15, -0.15])


@settings(max_examples=30, deadline=None)
@given(count=st.integers(8, 60), value=st.floats(1e-6, 1e3))
def test_nothing_is_found_in_what_does_not_change(count: int, value: float) -> None:
    assert find_changes([value] * count).changes == ()


@settings(max_examples=30, deadline=None)
@given(seed=seeds, place=places, size=sizes, factor=st.floats(1e-3, 1e3))
def test_the_unit_of_time_changes_nothing(
    seed: int, place: int, size: float, factor: float
) -> None:
    logs = history(seed)
    logs[place:] += size
    times = np.exp(logs)
    ours, scaled = find_changes(times).changes, find_changes(factor * times).changes
    assert [(a.kind, a.index, a.first, a.last) for a in ours] == [
        (b.kind, b.index, b.first, b.last) for b in scaled
    ]
    for a, b in zip(ours, scaled, strict=True):
        assert (a.ratio, a.lower, a.upper) == pytest.approx((b.ratio, b.lower, b.upper))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, place=places, size=sizes)
def test_faster_is_found_as_slower_is(seed: int, place: int, size: float) -> None:
    logs = history(seed)
    logs[place:] += size
    up, down = changes_of(logs), changes_of(-logs)
    assert [(a.kind, a.index, a.first, a.last) for a in up] == [
        (b.kind, b.index, b.first, b.last) for b in down
    ]
    for a, b in zip(up, down, strict=True):
        assert a.ratio == pytest.approx(1.0 / b.ratio)
        assert a.lower == pytest.approx(1.0 / b.upper)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, place=places, size=sizes)
def test_a_large_step_is_found_backwards_as_well(seed: int, place: int, size: float) -> None:
    logs = history(seed, noise=0.003)
    logs[place:] += size
    assert (STEP, place) in told(logs)
    assert (STEP, 50 - place) in told(logs[::-1])


@settings(max_examples=20, deadline=None)
@given(seed=seeds, place=places)
def test_a_larger_step_has_no_less_evidence(seed: int, place: int) -> None:
    evidence = []
    for size in (0.0, 0.02, 0.05, 0.1, 0.2):
        logs = history(seed)
        logs[place:] += size
        evidence.append(best_step(whiten(logs, 1e-4)).evidence)
    assert evidence[1:] == sorted(evidence[1:])
    assert evidence[-1] > evidence[0]


@settings(max_examples=20, deadline=None)
@given(seed=seeds, rho=st.sampled_from([0, 4, 9]))
def test_sums_are_those_of_least_squares(seed: int, rho: int) -> None:
    count = 12
    logs = history(seed, count=count)
    white = whiten(logs, 1e-9)
    matrix = np.eye(count) - RHOS[rho] * np.eye(count, k=-1)
    matrix[0, 0] = math.sqrt(1.0 - RHOS[rho] ** 2)

    def rss(*regressors: np.ndarray) -> float:
        columns = matrix @ np.column_stack([np.ones(count), *regressors])
        target = matrix @ logs
        return float(((target - columns @ np.linalg.lstsq(columns, target)[0]) ** 2).sum())

    times = np.arange(count)
    assert white.rss[rho] == pytest.approx(rss())
    for place in (3, 7):
        gain = white.moments[rho, place - 1] ** 2 / white.bank.square[rho, place - 1]
        assert white.rss[rho] - gain == pytest.approx(rss((times >= place).astype(float)))
    for block in pair_gains(white, 2):
        for (row, column), gain in np.ndenumerate(block.values[rho]):
            first, last = block.row + row + 1, block.column + column + 1
            steps = ((times >= place).astype(float) for place in (first, last))
            expected = white.rss[rho] - rss(*steps) if last - first >= 2 else 0.0
            assert gain == pytest.approx(expected, abs=1e-12)
    for block in ramp_gains(white):
        for (row, column), gain in np.ndenumerate(block.values[rho]):
            first, last = block.row + row + 1, block.column + column + 1
            ramp = np.clip((times - first + 1.0) / max(last - first + 1.0, 1.0), 0.0, 1.0)
            expected = white.rss[rho] - rss(ramp) if last - first >= 3 else 0.0
            assert gain == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("block", [1, 50, 100_000])
def test_pairs_and_ramps_are_the_same_however_many_are_made_at_once(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    white = whiten(history(17, count=60), 1e-9)

    def largest_of_both() -> list[Largest | None]:
        return [largest(pair_gains(white, 3)), largest(ramp_gains(white))]

    whole = largest_of_both()
    monkeypatch.setattr(scanning, "_BLOCK", block)
    for one, other in zip(whole, largest_of_both(), strict=True):
        assert one is not None
        assert other is not None
        assert other.gains == pytest.approx(one.gains, rel=1e-12)
        assert other.first.tolist() == one.first.tolist()
        assert other.last.tolist() == one.last.tolist()


def test_what_cannot_have_enough_evidence_is_not_looked_for() -> None:
    logs = history(18, count=40)
    logs[20:] += 0.05
    for look in (best_pair, best_drift):
        found = look(whiten(logs, 1e-4))
        assert found is not None
        # Less than what it has keeps it, and more than what any may have does not.
        kept = look(whiten(logs, 1e-4), least=0.9 * found.evidence)
        assert kept is not None
        assert (kept.evidence, kept.begins) == (found.evidence, found.begins)
        assert look(whiten(logs, 1e-4), least=2.0 * found.evidence) is None


def test_the_best_of_each_kind_is_that_of_a_search_through_all() -> None:
    logs = history(11, count=24)
    logs[8:] += 0.03
    logs[16:] += 0.04
    white = whiten(logs, 1e-9)
    pair = best_pair(white)
    assert pair is not None
    assert pair.begins == (8, 16)
    assert pair.sizes == pytest.approx((0.03, 0.04), abs=0.015)
    ramp = 0.1 * np.clip((np.arange(24) - 6) / 10, 0.0, 1.0)
    drift = best_drift(whiten(ramp, 1e-9))
    assert drift is not None
    assert drift.begins == (7, 16)
    assert drift.sizes[0] == pytest.approx(0.1)


def test_stretches_too_short_have_no_pair_and_no_drift() -> None:
    white = whiten(history(12, count=4), 1e-9)
    assert best_pair(white) is None
    assert best_drift(white) is None


def test_a_drift_and_a_step_that_hide_each_other_are_both_found() -> None:
    levels = 0.1 * np.clip((np.arange(50) - 10) / 10, 0.0, 1.0)
    levels[30:] -= 0.05
    logs = levels + history(16, noise=0.002)
    found = segment(logs, ChangeRule())
    assert [one.kind for one in found] == [DRIFT, STEP]
    assert fit_levels(logs, found) == pytest.approx(levels, abs=0.01)


def test_cleaning_keeps_the_first_of_a_new_level_and_leaves_out_what_stands_alone() -> None:
    logs = history(13, noise=0.002)
    logs[25:] += 0.05
    logs[10] += 0.1
    logs[35] -= 0.1
    kept = clean(logs, ChangeRule())
    assert set(range(50)) - set(kept.tolist()) == {10, 35}


def test_the_canarys_step_is_taken_out_and_its_noise_is_not() -> None:
    canary = history(14, noise=0.002)
    quiet = machine_drift(np.exp(canary).tolist())
    assert quiet.factors == (1.0,) * 50
    assert not quiet.changes
    canary[30:] += 0.08
    times: list[float | None] = np.exp(canary).tolist()
    times[10] = None
    drift = machine_drift(times)
    work = history(15, noise=0.002)
    work[20:] += 0.05
    work[30:] += 0.08

    left = find_changes(drift.taken_out_of(np.exp(work).tolist())).changes

    assert [(one.kind, one.index) for one in drift.changes] == [(STEP, 30)]
    assert [(one.kind, one.index) for one in left] == [(STEP, 20)]
    assert left[0].ratio == pytest.approx(math.exp(0.05), abs=0.005)


def test_a_canary_with_too_few_figures_takes_nothing_out() -> None:
    drift = machine_drift([1.0, None] * 5)
    assert drift.too_few
    assert drift.factors == (1.0,) * 10
    assert drift.taken_out_of([None] + [2.0] * 9)[1:] == (2.0,) * 9
