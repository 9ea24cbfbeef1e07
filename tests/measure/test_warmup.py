"""The warm-up, against a clock that makes its times up: how long, and what it tells."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from harness.measure.warmup import WarmedUp, warm_up
from tests.measure.fakes import Wall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    stand_in = Wall()
    monkeypatch.setattr("harness.measure.warmup.time", stand_in)
    return stand_in


class Given:
    """Gives each pass the next of ``pass_s``, shared by its launches; the wall may go on faster."""

    name = "given"
    is_simulated = True

    def __init__(self, pass_s: Iterable[float], wall: Wall, wall_s: float | None = 0.0) -> None:
        self._pass_s: Iterator[float] = iter(pass_s)
        self._wall, self._wall_s = wall, wall_s
        self.passes = 0
        self.launched: list[str] = []

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        for launch in launches:
            launch()
        seconds = next(self._pass_s)
        self._wall.now_s += seconds if self._wall_s is None else self._wall_s
        self.passes += 1
        return (seconds / len(launches),) * len(launches)

    def warm_up(self, least_s: float, most_s: float) -> WarmedUp:
        launches = [lambda: self.launched.append("a"), lambda: self.launched.append("b")]
        return warm_up(launches, self, least_s, most_s)


@pytest.mark.parametrize("wall_s", [None, 0.0])
def test_what_is_steady_is_warmed_up_for_the_least_seconds_of_the_clock(
    wall: Wall, wall_s: float | None
) -> None:
    clock = Given(itertools.repeat(0.01), wall, wall_s)
    found = clock.warm_up(0.195, 2.0)
    assert found == WarmedUp(pytest.approx(0.01), is_steady=True)
    assert clock.passes == 20
    assert clock.launched == ["a", "b"] * 20


def test_a_clock_that_stands_still_goes_by_the_wall(wall: Wall) -> None:
    clock = Given(itertools.repeat(0.0), wall, wall_s=0.06)
    assert clock.warm_up(0.2, 2.0) == WarmedUp(pytest.approx(0.06), is_steady=True)
    assert clock.passes == 4


def test_it_goes_on_until_the_passes_no_longer_get_faster(wall: Wall) -> None:
    falling = [0.002 * (1 + 0.99**index) for index in range(2000)]
    clock = Given(falling, wall)
    found = clock.warm_up(0.2, 5.0)
    assert found.is_steady
    assert 200 < clock.passes < 1200
    # What it takes now, not what it took at first.
    assert found.pass_s == pytest.approx(0.002, rel=0.05)


def test_it_ends_in_any_case_and_says_that_it_is_not_steady(wall: Wall) -> None:
    clock = Given((0.002 * 1.01**index for index in range(1000)), wall)
    found = clock.warm_up(0.2, 1.0)
    assert not found.is_steady
    assert 100 < clock.passes < 250


@pytest.mark.parametrize(("pass_s", "passes"), [(5.0, 1), (0.7, 3)])
def test_so_few_passes_that_nothing_can_be_told_are_not_called_unsteady(
    wall: Wall, pass_s: float, passes: int
) -> None:
    clock = Given(itertools.repeat(pass_s), wall, wall_s=None)
    assert clock.warm_up(0.2, 2.0) == WarmedUp(pytest.approx(pass_s), is_steady=True)
    assert clock.passes == passes


def test_a_first_pass_that_takes_everything_does_not_hide_the_rest(wall: Wall) -> None:
    clock = Given([1.9, *[0.01] * 100], wall)
    found = clock.warm_up(0.2, 2.5)
    assert (found.pass_s, found.is_steady) == (pytest.approx(0.01), True)
    assert clock.passes == 4


def test_what_the_clock_does_beside_the_launches_is_part_of_a_pass(wall: Wall) -> None:
    clock = Given(itertools.repeat(0.001), wall, wall_s=0.05)
    assert clock.warm_up(0.2, 2.0).pass_s == pytest.approx(0.05)


def test_the_least_may_be_more_than_the_most(wall: Wall) -> None:
    clock = Given(itertools.repeat(0.01), wall)
    assert clock.warm_up(0.5, 0.1).is_steady
    assert clock.passes == pytest.approx(50, abs=1)
