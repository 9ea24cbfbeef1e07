"""Figures as text, and sentences."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.canaries import CanaryFigure
from harness.report.figures import figures_of
from harness.report.words import (
    bare_milliseconds,
    canary_sentence,
    environment_sentence,
    milliseconds,
    under,
)
from harness.stats.drift import drift_between
from harness.stats.summary import summarize
from tests.report.devices import CPU, make_record


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [
        (0.0, ".000"),
        (0.0499, ".050"),
        (0.9994, ".999"),
        (0.9996, "1.00"),
        (1.5, "1.50"),
        (5, "5.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1234.5, "1234"),
        (math.inf, "-"),
    ],
)
def test_milliseconds_have_three_digits_with_their_zeros(value_ms: float, text: str) -> None:
    assert milliseconds(value_ms / 1e3) == text


@given(st.floats(1e-3, 1e6))
def test_milliseconds_are_near_enough(value_ms: float) -> None:
    assert float(milliseconds(value_ms / 1e3)) == pytest.approx(value_ms, rel=5.1e-3, abs=6e-4)


def test_what_somebody_has_written_is_told_as_it_was() -> None:
    assert bare_milliseconds(0.1) == "100"
    assert bare_milliseconds(0.0045) == "4.5"


def test_what_is_under_a_floor_is_seen_to_be() -> None:
    assert under(39.99, 40.0) == "39.99"
    assert under(38.9, 40.0) == "38.9"
    assert under(39.9999, 40.0) == "39.9999"
    assert under(None, 40.0) == "-"


def test_threads_and_clocks_are_no_lists_that_read_as_one() -> None:
    record = make_record(CPU)
    first, *rest = record.measurements
    other = replace(first, threads=2, clock="host, paced")
    text = environment_sentence(figures_of(replace(record, measurements=(other, *rest))))
    assert ", 1 or 2 threads, " in text
    assert text.endswith('clocks: "cuda events" and "host, paced"')
    alone = environment_sentence(figures_of(record))
    assert ", 1 thread, " in alone
    assert alone.endswith("clock: cuda events")


def canary(before_s: list[float], after_s: list[float]) -> CanaryFigure:
    drift = drift_between(before_s, after_s)
    return CanaryFigure("cpu-1", None, summarize(before_s + after_s), drift, (drift,), (1.0,))


def test_a_drift_of_which_nothing_is_known_is_no_figure() -> None:
    few = canary([1.0, 2.0, 1.1, 1.9, 5.0, 0.4], [1.1, 1.8, 0.5, 6.0, 1.2, 2.0])

    text = canary_sentence(few)

    assert ", too little to tell a drift in the run: the interval is " in text
    assert text.endswith("(of 6 samples and 6)")
    assert "drift in the run +" not in text


def test_a_drift_that_is_seen_is_told_however_wide() -> None:
    wide = canary([1.0, 1.1, 0.9] * 5, [3.0, 9.0, 4.0] * 5)
    assert wide.drift.is_seen
    assert ", drift in the run +" in canary_sentence(wide)
    near = canary([1.0, 1.01, 0.99] * 9, [1.0, 1.01, 1.0] * 9)
    assert ", drift in the run " in canary_sentence(near)


def test_the_worst_of_several_drifts_is_told_with_how_little_is_known_of_it() -> None:
    few = canary([1.0, 2.0, 1.1, 1.9, 5.0, 0.4], [1.1, 1.8, 0.5, 6.0, 1.2, 2.0])
    still = drift_between([1.0, 1.01, 0.99] * 9, [1.0, 1.01, 1.0] * 9)

    text = canary_sentence(replace(few, drifts=(few.drift, still, still), medians_s=(1.0,) * 3))

    assert "drift within a series +0.0 % in the median" in text
    assert text.endswith("], which is hardly known")
