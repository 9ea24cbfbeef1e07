"""Content hashes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.pipeline.fingerprint import hash_arrays, hash_file, hash_json, hash_text

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)

words = st.text('ab é音"\\\n', max_size=4)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=10,
)


def reordered(value: Any) -> Any:
    """The same value with the keys of each of its dictionaries the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    return value


def test_text_is_hashed_by_blake2b_with_160_bits() -> None:
    assert hash_text("größe") == hashlib.blake2b("größe".encode(), digest_size=20).hexdigest()
    assert len(hash_text("")) == 40


@SETTINGS
@given(values)
def test_hash_of_json_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert hash_json(reordered(value)) == hash_json(value)


@SETTINGS
@given(values, values)
def test_hashes_of_json_differ_exactly_where_the_text_does(first: Any, second: Any) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (hash_json(first) == hash_json(second)) is same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {}),
        ({"a": {"b": 1}}, {"a": 1, "b": 1}),
        (["ab", "c"], ["a", "bc"]),
    ],
)
def test_different_json_has_another_hash(first: Any, second: Any) -> None:
    assert hash_json(first) != hash_json(second)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 5])
def test_file_is_hashed_whole_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path) == hashlib.blake2b(content, digest_size=20).hexdigest()


def test_hash_of_a_file_is_that_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("größe", encoding="utf-8")
    assert hash_file(path) == hash_text("größe")


BASE = np.arange(6, dtype=np.int32).reshape(2, 3)


@pytest.mark.parametrize(
    "other",
    [
        {"b": BASE},
        {"a": BASE.view(np.float32)},
        {"a": BASE.view(np.uint32)},
        {"a": BASE.astype(">i4").byteswap().view(">i4")},
        {"a": BASE.astype(np.int64)},
        {"a": BASE.reshape(3, 2)},
        {"a": BASE.reshape(6)},
        {"a": BASE.reshape(1, 2, 3)},
        {"a": BASE.T},
        {"a": np.where(BASE == 5, 6, BASE).astype(np.int32)},
        {"a": BASE[:, ::-1]},
        {"a": BASE, "b": BASE},
        {"a": BASE, "b": BASE[:0]},
        {},
    ],
    ids=[
        "name",
        "float",
        "unsigned",
        "byte order",
        "width",
        "transposed shape",
        "flat shape",
        "one more dimension",
        "transposed",
        "one value",
        "order of values",
        "one more array",
        "one more empty array",
        "no array",
    ],
)
def test_hash_of_arrays_changes_with_name_dtype_shape_and_value(other: dict[str, Any]) -> None:
    assert hash_arrays(other) != hash_arrays({"a": BASE})


def test_hash_of_arrays_changes_when_two_names_swap_their_arrays() -> None:
    first, second = np.zeros(3), np.ones(3)
    assert hash_arrays({"a": first, "b": second}) != hash_arrays({"a": second, "b": first})


def test_hash_tells_negative_zero_from_zero() -> None:
    assert hash_arrays({"a": np.array([0.0])}) != hash_arrays({"a": np.array([-0.0])})


def test_hash_of_arrays_does_not_depend_on_their_order_or_layout() -> None:
    second = np.ones(3)
    expected = hash_arrays({"a": BASE, "b": second})
    assert hash_arrays({"b": second, "a": BASE}) == expected
    assert hash_arrays({"a": np.asfortranarray(BASE), "b": second.copy()}) == expected
    strided = np.repeat(BASE, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    assert hash_arrays({"a": strided, "b": second}) == expected
