"""How far an output is from its reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Accuracy:
    """Distance of an output from the reference: decibels and a ratio of norms."""

    snr_db: float
    relative_l2: float


def relative_l2(reference: ArrayLike, output: ArrayLike) -> float:
    """``||output - reference|| / ||reference||`` over all elements; 0 for two equal zero arrays."""
    expected = np.asarray(reference, dtype=np.float64)
    actual = np.asarray(output, dtype=np.float64)
    if expected.shape != actual.shape:
        message = f"shapes differ: {expected.shape} against {actual.shape}"
        raise ValueError(message)
    with np.errstate(invalid="ignore", over="ignore"):
        error = float(np.linalg.norm(actual - expected))
        scale = float(np.linalg.norm(expected))
    if error == 0.0:
        return 0.0
    return error / scale if scale > 0.0 else math.inf


def compare_arrays(reference: ArrayLike, output: ArrayLike) -> Accuracy:
    """Accuracy of ``output`` against ``reference`` (same shape, real or bool).

    The signal-to-noise ratio is ``-20 log10`` of the relative L2 error: infinite for equal arrays,
    minus infinity where the output is not finite.

    Raises:
        ValueError: the shapes differ.
    """
    ratio = relative_l2(reference, output)
    if math.isnan(ratio):
        return Accuracy(snr_db=-math.inf, relative_l2=math.inf)
    if ratio == 0.0:
        return Accuracy(snr_db=math.inf, relative_l2=0.0)
    return Accuracy(snr_db=-20.0 * math.log10(ratio), relative_l2=ratio)
