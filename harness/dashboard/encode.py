"""The dashboard as JSON for its page: arrays as packed numbers in base64.

A thousand commits of a hundred series are a million figures: as text they would be three times as
large, and a browser would take seconds to read them before it shows anything. So an array is an
object, which the page unpacks when it draws it, and every figure is the float32 or int32 that it
was:

- ``{"f": "..."}``: float32;
- ``{"i": "..."}``: int32;
- ``{"b": ["...", ...], "w": [bits, ...], "o": [offset, ...], "c": rows}``: float32 by columns, of
  each the bits that differ. A figure's bits, as a whole number, are its offset and one less than
  the code that is kept, of so many bits, the lowest first; of the code 0 it is NaN. From the
  second column on (of a sketch, whose quantiles are near each other) that is added to the bits of
  the last number before it in the row.

Many are of few values (levels, counts, an energy that nobody read) or ascend by one (commits):
with ``"n": "..."`` the values are of runs, of which these int32 are the lengths, and with
``"s": 1`` they are the steps from one value to the next, the first from 0.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.dashboard.model import Dashboard

_WORD: Final = 32


def to_page_json(dashboard: Dashboard) -> str:
    """``dashboard`` as JSON that is safe inside an HTML ``script`` element.

    Names and subjects may hold anything: ``<``, ``>`` and ``&`` are escaped, so that nothing ends
    the element or begins a comment, and U+2028 and U+2029 as well.
    """
    text = json.dumps(_plain(dashboard), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, np.ndarray):
        return _packed(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _packed(values: np.ndarray) -> dict[str, Any]:
    if np.issubdtype(values.dtype, np.integer):
        whole = np.ascontiguousarray(values, dtype="<i4").ravel()
        steps = _runs("i", np.diff(whole, prepend=np.int32(0))) | {"s": 1}
        return _shortest({"i": _text(whole)}, _runs("i", whole), steps)
    floats = np.ascontiguousarray(values, dtype="<f4")
    flat = floats.ravel()
    return _shortest({"f": _text(flat)}, _runs("f", flat), *_columns(floats))


def _shortest(*packed: dict[str, Any]) -> dict[str, Any]:
    return min(packed, key=lambda one: sum(len(str(value)) for value in one.values()))


def _columns(values: np.ndarray) -> Iterator[dict[str, Any]]:
    """By columns, the bits that differ; nothing where these are no fewer than there are."""
    if not values.size:
        return
    table = values.reshape(len(values), -1)
    bits = table.view("<i4").astype(np.int64)
    before = np.zeros(len(table), dtype=np.int64)
    texts, widths, offsets = [], [], []
    for column, is_nan in zip(bits.T, np.isnan(table).T, strict=True):
        steps = column - before
        offset = int(steps[~is_nan].min(initial=np.iinfo(np.int32).max))
        codes = np.where(is_nan, 0, steps - offset + 1)
        width = int(codes.max(initial=0)).bit_length()
        if width > _WORD:
            return
        texts.append(_text(_bits(codes, width)))
        widths.append(width)
        offsets.append(offset)
        before = np.where(is_nan, before, column)
    yield {"b": texts, "w": widths, "o": offsets, "c": len(table)}


def _bits(codes: np.ndarray, width: int) -> np.ndarray:
    """The lowest ``width`` bits of each, without a gap."""
    words = codes.astype("<u4").view(np.uint8).reshape(-1, _WORD // 8)
    return np.packbits(
        np.unpackbits(words, axis=1, bitorder="little")[:, :width], bitorder="little"
    )


def _runs(kind: str, values: np.ndarray) -> dict[str, Any]:
    # By their bits: NaN is not equal to itself.
    bits = values.view("<i4")
    starts = np.flatnonzero(np.diff(bits, prepend=~bits[:1])).astype("<i4")
    lengths = np.diff(starts, append=np.int32(bits.size)).astype("<i4")
    return {kind: _text(values[starts]), "n": _text(lengths)}


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
