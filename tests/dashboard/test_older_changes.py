"""Changes among more commits than one search looks at."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.dashboard.changes import WINDOW, changes_of
from harness.history.detect import detect_in
from harness.history.points import Environment, Points, SeriesName

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
    assert found.levels_s[-WINDOW:] == pytest.approx(expected.findings.levels[-WINDOW:])


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
