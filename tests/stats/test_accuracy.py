"""Distance of outputs from their references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.signal.windows import hann

from harness.stats.accuracy import compare_stacks, log_spectral_distance_db, relative_l2

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)
SIX_DB = 20.0 * math.log10(2.0)
RATE_HZ = 16_000
FRAME = 512  # 32 ms at that rate
HOP = 128

elements = st.floats(-1e3, 1e3, width=32)
vectors = arrays(np.float64, st.integers(1, 20), elements=elements)
stacks = arrays(
    np.float64, array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=5), elements=elements
)
scales = st.floats(1e-3, 1e3).flatmap(lambda size: st.sampled_from([size, -size]))
# Lengths around that of a frame, and a rate whose frame is no multiple of four samples. A single
# sample would not be seen: the window begins with 0.
recordings = st.tuples(st.integers(2, 900), st.sampled_from([8_000, 11_025, 16_000]))


def noise(*shape: int, seed: int = 7) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def deviations(stack: Any) -> Any:
    return stack - stack.mean(axis=0)


def add_error(signal: Any, error: Any, snr_db: float) -> Any:
    """``signal`` plus ``error``, scaled to that ratio."""
    scale = np.linalg.norm(signal) / np.linalg.norm(error) * 10.0 ** (-snr_db / 20.0)
    return signal + scale * error


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 6.0, 40.0, 90.0])
def test_noise_of_known_size_gives_its_ratio(snr_db: float) -> None:
    reference = noise(3, 500)
    accuracy = compare_stacks(reference, add_error(reference, noise(3, 500, seed=8), snr_db))
    assert accuracy.inputs == 3
    assert accuracy.snr_db == pytest.approx(snr_db, abs=1e-6)
    assert accuracy.relative_l2 == pytest.approx(10.0 ** (-snr_db / 20.0), rel=1e-6)


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 6.0, 40.0, 90.0])
def test_noise_on_what_depends_on_the_input_gives_its_ratio_under_any_constant(
    snr_db: float,
) -> None:
    varying = deviations(noise(4, 300))
    error = deviations(noise(4, 300, seed=8))
    constant, other_constant = 50.0 * noise(300, seed=9), 20.0 * noise(300, seed=10)
    accuracy = compare_stacks(
        constant + varying, other_constant + add_error(varying, error, snr_db)
    )
    assert accuracy.dependent_snr_db == pytest.approx(snr_db, abs=1e-6)
    assert accuracy.snr_db < 5.0


def test_ratio_is_that_of_the_norms_over_all_elements() -> None:
    reference = [[3.0, 0.0], [0.0, 4.0]]
    output = [[3.0, 0.0], [0.5, 4.0]]
    assert relative_l2(reference, output) == pytest.approx(0.1)
    assert compare_stacks(reference, output).relative_l2 == pytest.approx(0.1)
    assert compare_stacks(reference, output).snr_db == pytest.approx(20.0)


def test_parts_of_a_small_example_are_those_done_by_hand() -> None:
    # References 3 and 5: their mean is 4, what depends on the input -1 and 1.
    accuracy = compare_stacks([3.0, 5.0], [4.0, 5.0])
    assert accuracy.snr_db == pytest.approx(10.0 * math.log10(34.0 / 1.0))
    assert accuracy.constant_snr_db == pytest.approx(10.0 * math.log10(34.0 / 2.0))
    # The output's deviations are -1/2 and 1/2.
    assert accuracy.dependent_snr_db == pytest.approx(10.0 * math.log10(2.0 / 0.5))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.bool_])
def test_equal_arrays_are_infinitely_accurate(dtype: Any) -> None:
    array = np.array([[0, 1], [1, 1]], dtype=dtype)
    accuracy = compare_stacks(array, array.copy())
    assert (accuracy.inputs, accuracy.snr_db, accuracy.relative_l2) == (2, math.inf, 0.0)
    assert accuracy.dependent_snr_db == math.inf
    # Norms sqrt(3) and sqrt(1/2), whatever the output.
    assert accuracy.constant_snr_db == pytest.approx(10.0 * math.log10(6.0))


def test_equal_zero_arrays_are_infinitely_accurate() -> None:
    accuracy = compare_stacks(np.zeros((3, 4)), np.zeros((3, 4)))
    assert (accuracy.snr_db, accuracy.relative_l2) == (math.inf, 0.0)
    assert (accuracy.constant_snr_db, accuracy.dependent_snr_db) == (math.inf, math.inf)


def test_any_output_is_infinitely_far_from_a_zero_reference() -> None:
    accuracy = compare_stacks(np.zeros((2, 2)), [[0.0, 0.0], [1e-6, 0.0]])
    assert (accuracy.snr_db, accuracy.relative_l2) == (-math.inf, math.inf)
    assert (accuracy.constant_snr_db, accuracy.dependent_snr_db) == (math.inf, -math.inf)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("reference", [[[1.0, 2.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_output_that_is_not_finite_has_minus_infinite_accuracy(
    reference: list[list[float]], row: int, value: float
) -> None:
    output = np.ones((2, 2))
    output[row, 1] = value
    accuracy = compare_stacks(reference, output)
    assert (accuracy.snr_db, accuracy.relative_l2) == (-math.inf, math.inf)
    assert accuracy.dependent_snr_db == -math.inf
    # That of the references alone is not touched by it.
    assert accuracy.constant_snr_db == compare_stacks(reference, np.ones((2, 2))).constant_snr_db


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_same_value_that_is_not_finite_in_both_places_is_no_agreement(value: float) -> None:
    accuracy = compare_stacks([[1.0, value], [1.0, 2.0]], [[1.0, value], [1.0, 2.0]])
    assert (accuracy.snr_db, accuracy.relative_l2) == (-math.inf, math.inf)
    assert (accuracy.constant_snr_db, accuracy.dependent_snr_db) == (-math.inf, -math.inf)


@pytest.mark.parametrize(
    ("reference", "output"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((1, 3)), np.zeros(3)),
        (np.zeros(3), np.zeros(1)),
        (np.zeros(()), np.zeros(1)),
    ],
)
def test_different_shapes_are_refused_even_where_they_would_broadcast(
    reference: Any, output: Any
) -> None:
    for refuse in (compare_stacks, relative_l2):
        with pytest.raises(ValueError, match="shapes differ"):
            refuse(reference, output)
    with pytest.raises(ValueError, match="shapes differ"):
        log_spectral_distance_db(reference, output, RATE_HZ)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3)])
def test_no_inputs_have_no_accuracy(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one input"):
        compare_stacks(np.zeros(shape), np.zeros(shape))


def test_single_input_does_not_tell_its_parts_apart() -> None:
    accuracy = compare_stacks([[3.0, 4.0]], [[3.0, 4.5]])
    assert accuracy.inputs == 1
    assert accuracy.snr_db == pytest.approx(20.0)
    assert (accuracy.constant_snr_db, accuracy.dependent_snr_db) == (None, None)


def test_difference_is_taken_in_double_precision() -> None:
    # In float16 the squares overflow, and in uint8 the difference wraps around.
    large = np.full(4, 60_000.0, dtype=np.float16)
    assert relative_l2(large, -large) == pytest.approx(2.0)
    assert relative_l2(np.array([0, 1], np.uint8), np.array([2, 1], np.uint8)) == 2.0


def test_largest_float32_values_do_not_overflow() -> None:
    largest = np.finfo(np.float32).max
    reference = np.array([[largest, largest], [largest, -largest]], np.float32)
    accuracy = compare_stacks(reference, -reference)
    assert accuracy.relative_l2 == pytest.approx(2.0)
    assert accuracy.constant_snr_db == pytest.approx(10.0 * math.log10(2.0))
    assert accuracy.dependent_snr_db == pytest.approx(-SIX_DB)


def test_good_ratio_over_all_can_hide_an_output_that_ignores_its_input() -> None:
    reference = 100.0 * noise(50) + noise(6, 50, seed=8)
    dead = np.broadcast_to(reference.mean(axis=0), reference.shape)
    accuracy = compare_stacks(reference, dead)
    assert accuracy.snr_db > 35.0
    assert accuracy.snr_db == pytest.approx(accuracy.constant_snr_db, abs=1e-9)
    assert accuracy.dependent_snr_db == 0.0
    assert math.copysign(1.0, accuracy.dependent_snr_db) == 1.0


@pytest.mark.parametrize("inputs", [3, 7, 10])
def test_equal_references_do_not_depend_on_the_input_at_all(inputs: int) -> None:
    # The sum of these over their number is not the number again.
    reference = np.full((inputs, 3), 0.1)
    same = compare_stacks(reference, reference + 1.0)
    assert (same.constant_snr_db, same.dependent_snr_db) == (math.inf, math.inf)
    output = reference.copy()
    output[1, 2] = 0.2
    assert compare_stacks(reference, output).dependent_snr_db == -math.inf


@SETTINGS
@given(stacks, st.data())
def test_no_constant_beats_the_one_that_is_reported(reference: Any, data: st.DataObject) -> None:
    constant = data.draw(arrays(np.float64, reference.shape[1:], elements=elements))
    output = np.broadcast_to(constant, reference.shape)
    accuracy = compare_stacks(reference, output)
    assert accuracy.constant_snr_db is not None
    assert accuracy.constant_snr_db >= accuracy.snr_db - 1e-9
    assert accuracy.constant_snr_db >= -1e-9
    if accuracy.constant_snr_db < math.inf:
        assert accuracy.dependent_snr_db == 0.0


@SETTINGS
@given(stacks, st.data())
def test_error_over_all_is_at_least_that_of_the_dependent_part(
    reference: Any, data: st.DataObject
) -> None:
    output = data.draw(arrays(np.float64, reference.shape, elements=elements))
    accuracy = compare_stacks(reference, output)
    assert accuracy.constant_snr_db is not None
    assert accuracy.dependent_snr_db is not None
    assume(math.isfinite(accuracy.constant_snr_db) and math.isfinite(accuracy.dependent_snr_db))
    # ||out - ref||^2 = ||d' - d||^2 + K ||c' - c||^2
    assert accuracy.snr_db <= accuracy.constant_snr_db + accuracy.dependent_snr_db + 1e-6


@SETTINGS
@given(st.integers(2, 6), st.integers(1, 30), scales, st.integers(0, 2**32 - 1))
def test_no_figure_depends_on_a_common_scale(
    inputs: int, size: int, scale: float, seed: int
) -> None:
    reference, output = noise(2, inputs, size, seed=seed)
    before = compare_stacks(reference, output)
    after = compare_stacks(scale * reference, scale * output)
    assert after.snr_db == pytest.approx(before.snr_db, abs=1e-6)
    assert after.constant_snr_db == pytest.approx(before.constant_snr_db, abs=1e-6)
    assert after.dependent_snr_db == pytest.approx(before.dependent_snr_db, abs=1e-6)


@SETTINGS
@given(st.data(), vectors, scales)
def test_ratio_does_not_depend_on_a_common_scale(
    data: st.DataObject, reference: Any, scale: float
) -> None:
    output = data.draw(arrays(np.float64, reference.shape, elements=elements))
    before = relative_l2(reference, output)
    # Below about 1e-150 the squares underflow, so that a norm is 0.
    if np.linalg.norm(reference) > 1e-100 and (before == 0.0 or before > 1e-12):
        assert relative_l2(scale * reference, scale * output) == pytest.approx(before, rel=1e-9)


@SETTINGS
@given(vectors.filter(lambda vector: np.linalg.norm(vector) > 1e-3), st.floats(0.01, 10.0))
def test_half_the_error_is_six_decibels_more(reference: Any, error: float) -> None:
    difference = error * reference[::-1]
    far = compare_stacks(reference, reference + difference)
    near = compare_stacks(reference, reference + difference / 2.0)
    assert near.snr_db - far.snr_db == pytest.approx(SIX_DB, abs=1e-6)


def distance_frame_by_frame(reference: Any, output: Any, rate_hz: int) -> float:
    """The formula, one row and one frame at a time."""
    frame = round(0.032 * rate_hz)
    hop = frame // 4
    window = hann(frame, sym=False)
    padded = [
        np.concatenate((rows, np.zeros((len(rows), frame))), 1) for rows in (reference, output)
    ]
    starts = [0]
    while starts[-1] + frame < reference.shape[1]:
        starts.append(starts[-1] + hop)
    powers = [
        [
            [abs(np.fft.rfft(row[start : start + frame] * window)) ** 2 for start in starts]
            for row in rows
        ]
        for rows in padded
    ]
    floored = np.maximum(powers, np.max(powers[0]) / 1e8)
    decibels = 10.0 * np.log10(floored[0] / floored[1])
    return float(np.sqrt((decibels**2).mean(axis=-1)).mean())


@SETTINGS
@given(recordings, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_spectral_distance_is_that_of_the_formula(
    recording: tuple[int, int], rows: int, seed: int
) -> None:
    samples, rate_hz = recording
    # It fades by 160 dB, so that a part of it is below the floor.
    reference, output = noise(2, rows, samples, seed=seed) * np.logspace(0.0, -8.0, samples)
    expected = distance_frame_by_frame(reference, output, rate_hz)
    actual = log_spectral_distance_db(reference, output, rate_hz)
    assert actual == pytest.approx(expected, rel=1e-9)


@SETTINGS
@given(st.floats(0.05, 20.0), st.sampled_from([8_000, 22_050, 44_100]))
def test_spectral_distance_of_a_gain_is_the_gain(gain: float, rate_hz: int) -> None:
    loud = noise(2, 4_000)
    distance = log_spectral_distance_db(loud, gain * loud, rate_hz)
    assert distance == pytest.approx(abs(20.0 * math.log10(gain)), abs=0.1)


def test_spectral_distance_of_a_gain_of_two_is_six_decibels() -> None:
    loud = noise(RATE_HZ)
    assert log_spectral_distance_db(loud, 2.0 * loud, RATE_HZ) == pytest.approx(6.02, abs=0.1)


def test_spectral_distance_is_a_mean_over_rows_and_frames() -> None:
    # Two loud rows of which one is doubled, and a row of which one half is.
    loud = noise(2, RATE_HZ)
    doubled = loud * [[1.0], [2.0]]
    assert log_spectral_distance_db(loud, doubled, RATE_HZ) == pytest.approx(SIX_DB / 2, abs=0.1)
    half = loud[0] * np.where(np.arange(RATE_HZ) < RATE_HZ // 2, 1.0, 2.0)
    assert log_spectral_distance_db(loud[0], half, RATE_HZ) == pytest.approx(SIX_DB / 2, abs=0.2)


def test_spectral_distance_of_one_frame_is_the_rms_over_frequencies() -> None:
    # A gain of a quarter of the band is half the gain in the root of the mean square.
    frame = np.hanning(FRAME + 1)[:-1] + 1e-3
    reference = noise(FRAME) / frame
    gain = np.where(np.arange(FRAME // 2 + 1) < FRAME // 8, 2.0, 1.0)
    window = hann(FRAME, sym=False)
    inside = window > 0.0
    output = np.fft.irfft(gain * np.fft.rfft(window * reference))
    output[inside] /= window[inside]
    distance = log_spectral_distance_db(reference, output, RATE_HZ)
    assert distance == pytest.approx(SIX_DB * math.sqrt(64.0 / 257.0), rel=0.02)


@SETTINGS
@given(recordings, st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_spectral_distance_does_not_depend_on_a_common_scale(
    recording: tuple[int, int], scale: float, seed: int
) -> None:
    samples, rate_hz = recording
    reference, output = noise(2, samples, seed=seed)
    before = log_spectral_distance_db(reference, output, rate_hz)
    after = log_spectral_distance_db(scale * reference, scale * output, rate_hz)
    assert after == pytest.approx(before, rel=1e-6)


def test_spectral_distance_does_not_see_a_change_of_sign() -> None:
    loud = noise(3_000)
    assert log_spectral_distance_db(loud, -loud, RATE_HZ) == 0.0


@pytest.mark.parametrize("shape", [(1,), (FRAME - 1,), (FRAME,), (FRAME + 1,), (2, 3, 2_000)])
def test_equal_recordings_have_no_spectral_distance(shape: tuple[int, ...]) -> None:
    loud = noise(*shape).astype(np.float32)
    assert log_spectral_distance_db(loud, loud.copy(), RATE_HZ) == 0.0
    assert log_spectral_distance_db(loud, 2.0 * loud, RATE_HZ) > 0.0 or shape == (1,)


@pytest.mark.parametrize("samples", [FRAME, FRAME + 1, FRAME + HOP, FRAME + HOP + 1, 2_000])
def test_the_end_of_a_recording_counts(samples: int) -> None:
    loud = noise(samples)
    output = loud.copy()
    output[-1] += 100.0
    assert log_spectral_distance_db(loud, output, RATE_HZ) > 0.0


def test_noise_far_below_the_reference_does_not_count_in_its_pauses() -> None:
    reference = noise(RATE_HZ)
    reference[RATE_HZ // 4 :] = 0.0
    whisper = 1e-6 * noise(RATE_HZ, seed=8)
    assert log_spectral_distance_db(reference, reference + whisper, RATE_HZ) < 0.01
    # But noise that is above the floor does.
    assert log_spectral_distance_db(reference, reference + 1e4 * whisper, RATE_HZ) > 10.0


def test_silence_is_at_most_the_floor_away() -> None:
    loud = noise(RATE_HZ)
    distance = log_spectral_distance_db(loud, np.zeros(RATE_HZ), RATE_HZ)
    assert 50.0 < distance < 80.0


def test_silent_reference_is_as_far_as_the_output_is_loud() -> None:
    silence = np.zeros(2_000)
    quiet, loud = (
        log_spectral_distance_db(silence, level * noise(2_000), RATE_HZ) for level in (0.01, 1.0)
    )
    assert log_spectral_distance_db(silence, silence, RATE_HZ) == 0.0
    assert 0.0 < quiet < math.inf
    assert loud - quiet == pytest.approx(40.0, abs=0.1)
    # The same where the powers of the reference underflow.
    faint = np.full(2_000, 1e-200)
    assert log_spectral_distance_db(faint, faint, RATE_HZ) == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_spectrum_that_is_not_finite_is_infinitely_far(value: float) -> None:
    loud = noise(2_000)
    broken = loud.copy()
    broken[1_000] = value
    assert log_spectral_distance_db(loud, broken, RATE_HZ) == math.inf
    assert log_spectral_distance_db(broken, loud, RATE_HZ) == math.inf
    assert log_spectral_distance_db(broken, broken, RATE_HZ) == math.inf


def test_largest_float32_samples_have_a_spectral_distance() -> None:
    loud = np.full(2_000, np.finfo(np.float32).max, np.float32)
    assert log_spectral_distance_db(loud, loud / 2.0, RATE_HZ) > 0.0
    assert math.isfinite(log_spectral_distance_db(loud, loud / 2.0, RATE_HZ))


@pytest.mark.parametrize("shape", [(), (0,), (0, 600), (2, 0)])
def test_no_samples_have_no_spectrum(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="needs samples"):
        log_spectral_distance_db(np.zeros(shape), np.zeros(shape), RATE_HZ)


@pytest.mark.parametrize("rate_hz", [math.nan, math.inf, -16_000.0, 0.0, 124.0])
def test_rate_without_a_frame_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        log_spectral_distance_db(np.ones(600), np.ones(600), rate_hz)


def test_lowest_rate_has_a_frame_of_four_samples() -> None:
    loud = noise(50)
    assert log_spectral_distance_db(loud, 2.0 * loud, 125.0) == pytest.approx(SIX_DB, abs=0.1)
