"""Changes among more commits than one search looks at."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.dashboard.changes import STRIDE, WINDOW, changes_of
from harness.history.detect import detect_in
from harness.history.points import Environment, Points, SeriesName
from harness.stats.changes import ChangeKind

COUNT = 1000


def points(logs: np.ndarray, canary: np.ndarray | None = None) -> Points:
    times = tuple(None if math.isnan(one) else 0.01 * math.exp(one) for one in logs.tolist())
    canary_s = () if canary is None else tuple(np.exp(canary).tolist())
    return Points(
        environment=Environment("", "", "", ""),
        name=SeriesName("tiny", "encoder", "onnxruntime fp32", "1 s", "hot", 1),
        is_simulated=False,
        commits=tuple(f"{place:040x}" for place in range(logs.size)),
        times_s=times,
        canary="" if canary is None else "cpu-1",
        canary_s=canary_s,
    )


def noise(seed: int, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.005, count)


@pytest.mark.parametrize("place", [60, 280, 390, 580, 610, 640, 660, 950])
def test_a_step_is_found_once_wherever_it_is(place: int) -> None:
    logs = noise(1)
    logs[place:] += 0.06

    found = changes_of(points(logs), {})

    (one,) = found.candidates
    assert abs(one.change.index - place) <= 1
    assert one.change.is_open_slowdown
    assert one.commit == f"{one.change.index:040x}"
    assert np.isfinite(found.levels_s).all()
    assert found.levels_s[place - 20] == pytest.approx(0.01, rel=0.01)
    assert found.levels_s[place + 20] == pytest.approx(0.01 * math.exp(0.06), rel=0.01)


def test_what_went_back_long_after_is_no_open_slowdown() -> None:
    logs = noise(2)
    logs[100:] += 0.06
    logs[800:] -= 0.06

    first, second = changes_of(points(logs), {}).candidates

    assert first.change.recovered
    assert not first.change.is_open_slowdown
    assert second.change.index == 800


def test_the_newest_are_as_detect_finds_them() -> None:
    logs = noise(3)
    logs[700:] += 0.05
    logs[900] += 0.2
    its = points(logs)

    found = changes_of(its, {})

    expected = detect_in(its)
    assert found.candidates == expected.candidates
    # Where an earlier search overlaps, its levels are taken up to the middle of that.
    own = WINDOW - (WINDOW - STRIDE) // 2
    assert found.levels_s[-own:] == pytest.approx(expected.findings.levels[-own:])


@pytest.mark.parametrize("offset", range(13))
@pytest.mark.parametrize("count", [450, 1000])
def test_a_step_just_inside_the_newest_search_is_told_by_the_one_before(
    offset: int, count: int
) -> None:
    place = count - WINDOW + offset
    for seed in (11, 12, 13):
        logs = noise(seed, count)
        logs[place:] += 0.06

        found = changes_of(points(logs), {})

        (one,) = found.candidates
        assert (one.change.kind, one.change.is_open_slowdown) == (ChangeKind.STEP, True)
        assert abs(one.change.index - place) <= 1
        assert found.levels_s[place - 3] == pytest.approx(0.01, rel=0.01)
        assert found.levels_s[place + 3] == pytest.approx(0.01 * math.exp(0.06), rel=0.01)


@pytest.mark.parametrize("first", [550, 575, 598, 605, 630])
@pytest.mark.parametrize("length", [20, 60, 150, 250])
def test_a_drift_over_the_border_of_a_search_is_told_whole(first: int, length: int) -> None:
    for seed in (21, 22):
        logs = noise(seed) + 0.1 * np.clip((np.arange(COUNT) - first + 1) / length, 0.0, 1.0)

        found = changes_of(points(logs), {})

        (one,) = found.candidates
        assert (one.change.kind, one.change.is_open_slowdown) == (ChangeKind.DRIFT, True)
        assert one.change.ratio == pytest.approx(math.exp(0.1), abs=0.01)
        assert abs(one.change.first - first) <= 15 + length / 8
        half = found.levels_s[first + length // 2]
        assert half == pytest.approx(0.01 * math.exp(0.05), rel=0.02)


@pytest.mark.parametrize("length", [1, 2, 4, 8])
def test_a_spike_over_the_border_of_a_search_is_told_whole(length: int) -> None:
    border = COUNT - WINDOW
    for seed, first in enumerate(range(border - length, border + 3)):
        logs = noise(30 + seed)
        logs[first : first + length] += 0.3

        (one,) = changes_of(points(logs), {}).candidates

        assert one.change.kind is ChangeKind.SPIKE
        assert (one.change.first, one.change.last) == (first, first + length - 1)


def test_what_is_longer_than_a_search_is_told_by_its_newest_part() -> None:
    logs = noise(40) + 0.3 * np.clip((np.arange(COUNT) - 300) / 600, 0.0, 1.0)

    found = changes_of(points(logs), {})

    assert found.candidates[-1].change.kind is ChangeKind.DRIFT
    assert found.candidates[-1].change.last == pytest.approx(900, abs=30)
    assert np.isfinite(found.levels_s).all()


def test_quiet_histories_stay_quiet() -> None:
    assert not [
        one for seed in range(8) for one in changes_of(points(noise(50 + seed)), {}).candidates
    ]


def test_the_machines_own_old_step_is_no_change_of_the_work() -> None:
    logs, canary = noise(4), noise(5)
    logs[200:] += 0.08
    canary[200:] += 0.08

    found = changes_of(points(logs, canary), {})

    assert not found.candidates
    # The line goes along what was measured.
    assert found.levels_s[190] == pytest.approx(0.01, rel=0.01)
    assert found.levels_s[210] == pytest.approx(0.01 * math.exp(0.08), rel=0.01)


def test_holes_and_short_histories_are_no_harm() -> None:
    logs = noise(6)
    logs[::3] = math.nan
    logs[500:] += 0.06
    (one,) = changes_of(points(logs), {}).candidates
    assert abs(one.change.index - 500) <= 2

    few = changes_of(points(noise(7, count=4)), {})
    assert not few.candidates
    assert np.isnan(few.levels_s).all()
    nothing = changes_of(points(np.full(20, math.nan)), {})
    assert not nothing.candidates
