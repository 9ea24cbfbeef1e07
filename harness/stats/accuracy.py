"""How far outputs are from their references."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FRAME_S = 0.032
_HOPS_PER_FRAME = 4
_FLOOR = 10.0 ** (-80.0 / 10.0)
# In the square of the samples' unit: the floor where the reference is all silent.
_SILENCE = 1e-20
# Below it a hop would be less than a sample.
MIN_SAMPLE_RATE_HZ = _HOPS_PER_FRAME / _FRAME_S


@dataclass(frozen=True)
class Accuracy:
    """Distance of outputs from their references, over ``inputs`` different inputs.

    ``snr_db`` is the signal-to-noise ratio over all elements of all outputs and ``relative_l2``
    the ratio of norms behind it. A network can score well on both by its constant part alone, so
    the other two split them:

    ``constant_snr_db`` is what a network would score that ignores its input and always gives the
    best constant, the mean of the references: an ``snr_db`` near it shows nothing. Infinite if the
    references do not depend on the input.

    ``dependent_snr_db`` is the ratio of what depends on the input, the mean over the inputs taken
    off both sides: 0 dB for an output that ignores its input, whatever its constant.

    Both are None for a single input. All ratios are infinite where there is no error and minus
    infinite where the output is not finite.
    """

    inputs: int
    snr_db: float
    relative_l2: float
    constant_snr_db: float | None
    dependent_snr_db: float | None


def relative_l2(reference: ArrayLike, output: ArrayLike) -> float:
    """``||output - reference|| / ||reference||`` over all elements; 0 for two equal zero arrays."""
    expected, actual = _pair(reference, output)
    with np.errstate(invalid="ignore", over="ignore"):
        return _ratio(actual - expected, expected)


def compare_stacks(reference: ArrayLike, output: ArrayLike) -> Accuracy:
    """Accuracy of ``output`` against ``reference``, one row for each of ``K`` inputs.

    A ratio is ``-20 log10`` of a relative L2 error. With ``R`` the references, ``c`` their mean
    over the inputs and ``d = R - c``, ``constant_snr_db`` is that of ``c`` against ``R`` and
    ``dependent_snr_db`` that of the output's ``d`` against the reference's.

    Args:
        reference: real or bool, of shape ``(K, ...)`` with ``K`` at least 1.
        output: of the same shape.

    Raises:
        ValueError: the shapes differ, or there are no inputs.
    """
    expected, actual = _pair(reference, output)
    if expected.ndim == 0 or len(expected) == 0:
        message = f"an accuracy needs at least one input, not the shape {expected.shape}"
        raise ValueError(message)
    ratio = relative_l2(expected, actual)
    constant = dependent = None
    if len(expected) > 1:
        with np.errstate(invalid="ignore", over="ignore"):
            varying = _deviations(expected)
            # The error of the constant, c - R, is -d.
            constant = _decibels(_ratio(varying, expected))
            dependent = _decibels(_ratio(_deviations(actual) - varying, varying))
    return Accuracy(
        inputs=len(expected),
        snr_db=_decibels(ratio),
        relative_l2=math.inf if math.isnan(ratio) else ratio,
        constant_snr_db=constant,
        dependent_snr_db=dependent,
    )


def log_spectral_distance_db(
    reference: ArrayLike, output: ArrayLike, sample_rate_hz: float
) -> float:
    """Log-spectral distance of two recordings, in dB: the mean over frames and rows of its rms.

    Each frame gives the root of the mean over frequencies of ``(10 log10(P_ref / P_out))^2``, the
    L2 form of Gray and Markel (*IEEE Trans. ASSP* 24(5), 1976; Rabiner & Juang, *Fundamentals of
    Speech Recognition*, 1993, section 4.5). Frames are of 32 ms, Hann-windowed, a quarter of a
    frame apart; the end is padded with zeros to a whole frame. Powers are floored at 80 dB under
    the largest of the reference, over all rows, so that silence does not dominate.

    Args:
        reference: samples of shape ``(..., samples)``.
        output: of the same shape.
        sample_rate_hz: at least 125, so that a hop has a sample.

    Returns:
        0 for equal recordings, and infinity where either is not finite.

    Raises:
        ValueError: the shapes differ, there are no samples, or the sample rate is too low.
    """
    expected, actual = _pair(reference, output)
    if expected.ndim == 0 or expected.size == 0:
        message = f"a spectrum needs samples, not the shape {expected.shape}"
        raise ValueError(message)
    if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz < math.inf:
        message = f"sample rate {sample_rate_hz} Hz: at least {MIN_SAMPLE_RATE_HZ:g} is needed"
        raise ValueError(message)
    if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        return math.inf
    frame = round(_FRAME_S * sample_rate_hz)
    power = _power_spectra(expected, frame)
    # Where the floor itself rounds to zero the reference is as good as silent.
    floor = float(power.max()) * _FLOOR or _SILENCE
    difference = np.log10(np.maximum(power, floor))
    difference -= np.log10(np.maximum(_power_spectra(actual, frame), floor))
    return float(np.mean(10.0 * np.sqrt(np.mean(difference**2, axis=-1))))


def _pair(
    reference: ArrayLike, output: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    expected = np.asarray(reference, dtype=np.float64)
    actual = np.asarray(output, dtype=np.float64)
    if expected.shape != actual.shape:
        message = f"shapes differ: {expected.shape} against {actual.shape}"
        raise ValueError(message)
    return expected, actual


def _ratio(error: NDArray[np.float64], signal: NDArray[np.float64]) -> float:
    """Ratio of the L2 norms; 0 where there is no error, also of no signal."""
    error_norm = float(np.linalg.norm(error))
    signal_norm = float(np.linalg.norm(signal))
    if error_norm == 0.0:
        return 0.0
    return error_norm / signal_norm if signal_norm > 0.0 else math.inf


def _decibels(ratio: float) -> float:
    """``-20 log10(ratio)``; NaN comes from values that are not finite, which agree with nothing."""
    if math.isnan(ratio):
        return -math.inf
    # Subtracted from zero, because the negative of zero prints as -0.
    return 0.0 - 20.0 * math.log10(ratio) if ratio > 0.0 else math.inf


def _deviations(stack: NDArray[np.float64]) -> NDArray[np.float64]:
    """``stack`` less its mean over the first axis, exactly zero where the rows are equal."""
    # The mean of equal numbers need not be that number; the mean of zeros is zero.
    varying = stack - stack[0]
    centred: NDArray[np.float64] = varying - varying.mean(axis=0)
    return centred


def _power_spectra(samples: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    """``|rfft|^2`` of Hann frames: from ``(..., samples)`` to ``(..., frames, frequencies)``."""
    hop = frame // _HOPS_PER_FRAME
    hops = max(0, math.ceil((samples.shape[-1] - frame) / hop))
    padding = [(0, 0)] * (samples.ndim - 1) + [(0, frame + hops * hop - samples.shape[-1])]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, padding), frame, axis=-1)
    # Periodic, as is usual for spectra: the last point of the symmetric window is left out.
    spectra = np.fft.rfft(frames[..., ::hop, :] * np.hanning(frame + 1)[:-1])
    power: NDArray[np.float64] = spectra.real**2 + spectra.imag**2
    return power
