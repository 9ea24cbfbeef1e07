"""Distance of an output from its reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.accuracy import Accuracy, compare_arrays, relative_l2

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)

vectors = arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3, width=32))
scales = st.floats(1e-3, 1e3).flatmap(lambda size: st.sampled_from([size, -size]))


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 6.0, 40.0, 90.0])
def test_noise_of_known_size_gives_its_ratio(snr_db: float) -> None:
    rng = np.random.default_rng(7)
    reference = rng.normal(size=(3, 500))
    noise = rng.normal(size=(3, 500))
    noise *= np.linalg.norm(reference) / np.linalg.norm(noise) * 10.0 ** (-snr_db / 20.0)
    accuracy = compare_arrays(reference, reference + noise)
    assert accuracy.snr_db == pytest.approx(snr_db, abs=1e-6)
    assert accuracy.relative_l2 == pytest.approx(10.0 ** (-snr_db / 20.0), rel=1e-6)


def test_ratio_is_that_of_the_norms_over_all_elements() -> None:
    reference = [[3.0, 0.0], [0.0, 4.0]]
    assert relative_l2(reference, [[3.0, 0.0], [0.5, 4.0]]) == pytest.approx(0.1)
    assert compare_arrays(reference, [[3.0, 0.0], [0.5, 4.0]]).snr_db == pytest.approx(20.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.bool_])
def test_equal_arrays_are_infinitely_accurate(dtype: Any) -> None:
    array = np.array([0, 1, 0, 1], dtype=dtype)
    assert compare_arrays(array, array.copy()) == Accuracy(snr_db=math.inf, relative_l2=0.0)


def test_equal_zero_arrays_are_infinitely_accurate() -> None:
    assert compare_arrays(np.zeros(4), np.zeros(4)) == Accuracy(snr_db=math.inf, relative_l2=0.0)


def test_any_output_is_infinitely_far_from_a_zero_reference() -> None:
    accuracy = compare_arrays(np.zeros(4), [0.0, 0.0, 1e-6, 0.0])
    assert accuracy == Accuracy(snr_db=-math.inf, relative_l2=math.inf)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("reference", [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
def test_output_that_is_not_finite_has_minus_infinite_accuracy(
    reference: list[float], value: float
) -> None:
    accuracy = compare_arrays(reference, [1.0, value, 3.0])
    assert accuracy == Accuracy(snr_db=-math.inf, relative_l2=math.inf)


def test_nan_in_both_places_is_no_agreement() -> None:
    assert compare_arrays([1.0, math.nan], [1.0, math.nan]).snr_db == -math.inf


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
    with pytest.raises(ValueError, match="shapes differ"):
        compare_arrays(reference, output)


def test_difference_is_taken_in_double_precision() -> None:
    # In float16 the squares overflow, and in uint8 the difference wraps around.
    large = np.full(4, 60_000.0, dtype=np.float16)
    assert relative_l2(large, -large) == pytest.approx(2.0)
    assert relative_l2(np.array([0, 1], np.uint8), np.array([2, 1], np.uint8)) == 2.0


@SETTINGS
@given(st.data(), vectors, scales)
def test_accuracy_does_not_depend_on_a_common_scale(
    data: st.DataObject, reference: Any, scale: float
) -> None:
    elements = st.floats(-1e3, 1e3, width=32)
    output = data.draw(arrays(np.float64, reference.shape, elements=elements))
    before = relative_l2(reference, output)
    # Below about 1e-150 the squares underflow, so that a norm is 0.
    if np.linalg.norm(reference) > 1e-100 and (before == 0.0 or before > 1e-12):
        assert relative_l2(scale * reference, scale * output) == pytest.approx(before, rel=1e-9)


@SETTINGS
@given(vectors.filter(lambda vector: np.linalg.norm(vector) > 1e-3), st.floats(0.01, 10.0))
def test_half_the_error_is_six_decibels_more(reference: Any, error: float) -> None:
    noise = error * reference[::-1]
    far = compare_arrays(reference, reference + noise)
    near = compare_arrays(reference, reference + noise / 2.0)
    assert near.snr_db - far.snr_db == pytest.approx(20.0 * math.log10(2.0), abs=1e-6)
