"""Figures of a summary: a number for machines, and the text of it for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.percent import signed_percent
from harness.report.summary import (
    BAD,
    BYTES,
    COUNT,
    DASH,
    DECIBELS,
    FRACTION,
    JOULES,
    RATIO,
    SECONDS,
    Figure,
)
from harness.report.tables import decibels, milliseconds_of, snr_of
from harness.report.words import bare_milliseconds, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.report.rows import Row
    from harness.report.summary import Subject
    from harness.stats.quantiles import QuantileEstimate

_NO_BOUND = "no bound"
_LITTLE = 0.000995


def signed_ms(seconds: float) -> str:
    """``seconds`` in ms, with a minus where they are below 0 and do not look like it."""
    text = milliseconds(abs(seconds))
    return f"-{text}" if seconds < 0.0 and text != DASH and float(text) else text


def quantile(subject: Subject, name: str, estimate: QuantileEstimate) -> Figure:
    """A quantile of latencies in seconds, marked with ``~`` where it has no interval."""
    return Figure(
        subject,
        name,
        SECONDS,
        estimate.value,
        milliseconds_of(estimate),
        *_bounds(estimate.lower, estimate.upper),
        interval_of(estimate.lower, estimate.upper, milliseconds),
        estimate.count,
    )


def seconds(subject: Subject, name: str, value: float, *, is_declared: bool = False) -> Figure:
    """A time; one that ``is_declared`` has the digits that somebody gave it."""
    text = bare_milliseconds(value) if is_declared else signed_ms(value)
    return Figure(subject, name, SECONDS, _finite(value), text)


def bounded_seconds(
    subject: Subject, name: str, value: float, lower: float, upper: float
) -> Figure:
    """A time that may be below 0, with its interval."""
    bounds = _bounds(lower, upper)
    told = interval_of(lower, upper, signed_ms)
    return Figure(subject, name, SECONDS, value, signed_ms(value), *bounds, told)


def fraction(subject: Subject, name: str, value: float) -> Figure:
    """A part of a whole, in % with one place, or two where it is less than 0.1 %."""
    places = 1 if abs(value) >= _LITTLE else 2
    return Figure(
        subject, name, FRACTION, value, f"{round(100.0 * value, places) + 0.0:.{places}f}"
    )


def upper_fraction(subject: Subject, name: str, value: float, upper: float) -> Figure:
    """A rate with the upper bound of its interval, in % with two significant digits."""
    told = f"up to {100.0 * upper:.2g}"
    return Figure(subject, name, FRACTION, value, f"{100.0 * value:.2g}", None, upper, told)


def change(subject: Subject, name: str, ratio: float, lower: float, upper: float) -> Figure:
    """By what fraction something is more than something else, with the bounds of the ratio."""
    has_bounds = lower > 0.0 and math.isfinite(upper)
    return Figure(
        subject,
        name,
        FRACTION,
        ratio - 1.0,
        signed_percent(ratio),
        lower - 1.0 if has_bounds else None,
        upper - 1.0 if has_bounds else None,
        f"{signed_percent(lower)} to {signed_percent(upper)}" if has_bounds else _NO_BOUND,
    )


def ratio_of(subject: Subject, name: str, value: float | None) -> Figure | None:
    """One figure over another."""
    return None if value is None else Figure(subject, name, RATIO, value, f"{value:.2f}")


def joules(subject: Subject, name: str, value: float | None) -> Figure | None:
    """An energy, with three significant digits."""
    return None if value is None else Figure(subject, name, JOULES, value, f"{value:.3g}")


def megabytes(subject: Subject, name: str, value: float | None) -> Figure | None:
    """A size, in MB."""
    return None if value is None else Figure(subject, name, BYTES, value, f"{value / 1e6:.2f}")


def snr(subject: Subject, row: Row) -> Figure | None:
    """The accuracy of a row, marked where it is under the floor."""
    value = row.measurement.snr_db
    if value is None:
        return None
    level = BAD if row.misses_floor else ""
    return Figure(subject, "snr", DECIBELS, value, str(snr_of(row)), level=level)


def floor(subject: Subject, row: Row) -> Figure | None:
    """The accuracy that a row must have."""
    value = row.measurement.min_snr_db
    return None if value is None else Figure(subject, "snr_floor", DECIBELS, value, f"{value:g}")


def plain_decibels(subject: Subject, name: str, value: float | None) -> Figure | None:
    """An accuracy that no floor is held against."""
    return None if value is None else Figure(subject, name, DECIBELS, value, decibels(value))


def count_of(subject: Subject, name: str, value: int) -> Figure:
    """How many there are."""
    return Figure(subject, name, COUNT, value, str(value))


def interval_of(lower: float, upper: float, told: Callable[[float], str]) -> str:
    """Bounds in words; what has no bound on either side has no interval."""
    bounds = [told(bound) if math.isfinite(bound) else _NO_BOUND for bound in (lower, upper)]
    return _NO_BOUND if bounds == [_NO_BOUND, _NO_BOUND] else " to ".join(bounds)


def _bounds(lower: float, upper: float) -> tuple[float | None, float | None]:
    return _finite(lower), _finite(upper)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
