"""The clock whose times are made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.measure.simulated_clock import (
    GAUSSIAN,
    LOGNORMAL,
    Noise,
    SimulatedClock,
    SimulatedLaunch,
    seeded,
)
from harness.stats.autocorrelation import lag1_autocorrelation


def drawn(noise: Noise, count: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.array(list(itertools.islice(noise.factors(seeded(seed)), count)))


def test_without_noise_a_launch_takes_its_seconds() -> None:
    launches = [SimulatedLaunch(seconds, Noise(), seeded(0)) for seconds in (1e-3, 2.0)]

    assert SimulatedClock().time_block(launches * 2) == (1e-3, 2.0, 1e-3, 2.0)


def test_nothing_is_called_while_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = SimulatedLaunch(3600.0, Noise(), seeded(0))
    called: list[object] = []
    monkeypatch.setattr(SimulatedLaunch, "__call__", called.append)

    assert SimulatedClock().time_block([launch] * 100) == (3600.0,) * 100
    assert called == []


def test_a_launch_of_which_nothing_is_known_is_an_error() -> None:
    with pytest.raises(TypeError, match="has no simulated time"):
        SimulatedClock().time_block([print])


def test_it_says_that_it_is_simulated() -> None:
    assert (SimulatedClock.name, SimulatedClock.is_simulated) == ("simulated", True)


@pytest.mark.parametrize("shape", [GAUSSIAN, LOGNORMAL])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_noise_has_the_spread_and_the_correlation_that_are_asked_for(
    shape: str, rho: float
) -> None:
    found = drawn(Noise(0.05, shape, rho))

    assert np.median(found) == pytest.approx(1.0, abs=0.006)
    assert found.std() == pytest.approx(0.05, rel=0.06)
    assert lag1_autocorrelation(found.tolist()) == pytest.approx(rho, abs=0.03)
    skew = float(((found - found.mean()) ** 3).mean() / found.std() ** 3)
    # That of a lognormal of this spread is 0.15.
    assert skew == pytest.approx(0.15 if shape == LOGNORMAL else 0.0, abs=0.09)


def test_no_launch_takes_less_than_nothing() -> None:
    assert drawn(Noise(0.5)).min() == 0.01


def test_the_same_seed_gives_the_same_and_another_key_does_not() -> None:
    def first(*keys: object) -> list[float]:
        return seeded(1, *keys).standard_normal(4).tolist()

    assert first("encoder", 2) == first("encoder", 2)
    assert first("encoder", 2) != first("encoder", 3)
    assert first("encoder") != seeded(2, "encoder").standard_normal(4).tolist()
