"""What the page is given is what was measured: each figure to its last bit, in little room."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.dashboard.encode import to_page_json
from tests.dashboard import made


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    """What the page does, in numpy: core.js."""

    def data(text: str) -> bytes:
        return base64.b64decode(text)

    if "b" in packed:
        return columns(packed)
    kind = "i" if "i" in packed else "f"
    values = np.frombuffer(data(packed[kind]), f"<{kind}4")
    if "n" in packed:
        values = np.repeat(values, np.frombuffer(data(packed["n"]), "<i4"))
    return np.cumsum(values) if "s" in packed else values


def columns(packed: dict[str, Any]) -> np.ndarray:
    count = packed["c"]
    before = [0] * count
    found = np.full((count, len(packed["b"])), np.nan, np.float32)
    told = zip(packed["b"], packed["w"], packed["o"], strict=True)
    for place, (text, width, offset) in enumerate(told):
        bits = int.from_bytes(base64.b64decode(text), "little")
        for row in range(count):
            code = (bits >> (row * width)) & ((1 << width) - 1)
            if code:
                before[row] += code - 1 + offset
                found[row, place] = np.array(before[row], np.int32).view(np.float32)
    return found.ravel()


def packed_as(values: np.ndarray, name: str = "energy_j") -> dict[str, Any]:
    one = replace(made.series(0, np.arange(3)), **{name: values})
    text = to_page_json(replace(made.empty(), series=(one,)))
    packed: dict[str, Any] = json.loads(text)["series"][0][name]
    return packed


def assert_same_bits(found: np.ndarray, values: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    known = ~np.isnan(values)
    assert found[known].tobytes() == values[known].tobytes()


LARGEST = float(np.finfo(np.float32).max)
LEAST = float(np.finfo(np.float32).smallest_subnormal)
# The last is a NaN all of whose bits are set: adding to it must not carry.
ODD = np.array([LARGEST, -LARGEST, np.inf, -np.inf, 0.0, -0.0, LEAST, np.nan], np.float32)
ODD.view(np.int32)[-1] = 0x7FFFFFFF


@pytest.mark.parametrize(
    "values",
    [
        np.array([], np.float32),
        np.array([2.5e-3], np.float32),
        np.full(100, np.nan, np.float32),
        np.array([1e-3, np.nan, np.nan, -0.0, 0.0, 3e8, 1e-12], np.float32),
        np.repeat(np.array([1.1e-3, 1.2e-3, 1.1e-3], np.float32), 30),
        np.random.default_rng(0).normal(1e-3, 1e-5, 500).astype(np.float32),
        ODD,
    ],
)
def test_figures_and_sketches_are_kept_to_the_last_bit(values: np.ndarray) -> None:
    sketch = np.stack([values, values[::-1]])

    assert_same_bits(unpacked(packed_as(values)), values)
    assert_same_bits(unpacked(packed_as(sketch, "quantiles")), sketch.ravel())
    assert_same_bits(unpacked(packed_as(sketch.T, "quantiles")), sketch.T.ravel())


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 4))))
def test_whatever_the_figures_are_they_are_kept(values: np.ndarray) -> None:
    assert_same_bits(unpacked(packed_as(values, "quantiles")), values.ravel())


@pytest.mark.parametrize("places", [[0], [0, 1, 2, 3, 4, 5], [3, 5, 900, 901], [*range(9, 200)]])
def test_places_are_kept(places: list[int]) -> None:
    assert unpacked(packed_as(np.array(places), "commits")).tolist() == places


def test_one_sample_far_off_takes_nothing_from_the_others() -> None:
    one = made.series(0, np.arange(3))
    raw = made.samples(one, 2)
    latency_s = np.random.default_rng(1).normal(1.68e-3, 1e-6, raw.latency_s.size)
    latency_s[50] = 1.0
    one = replace(one, samples=(replace(raw, latency_s=latency_s.astype(np.float32)),))

    text = to_page_json(replace(made.empty(), series=(one,)))

    (packed,) = json.loads(text)["series"][0]["samples"]
    assert_same_bits(unpacked(packed["latency_s"]), latency_s.astype(np.float32))
    assert raw.process is not None
    assert unpacked(packed["process"]).tolist() == raw.process.tolist()


def test_samples_and_sketches_take_no_more_than_three_bytes_each() -> None:
    rng = np.random.default_rng(2)
    samples = (1.68e-3 * np.exp(rng.normal(0.0, 0.02, 400))).astype(np.float32)
    sketch = np.sort(1e-3 * np.exp(rng.normal(0.0, 0.02, (1000, 11))), axis=1).astype(np.float32)

    # Base64 makes four of three; 2,080 times 400 samples beside a million figures leave room.
    assert len(json.dumps(packed_as(samples, "energy_j"))) < 400 * 4
    assert len(json.dumps(packed_as(sketch, "quantiles"))) < 11_000 * 3.3
