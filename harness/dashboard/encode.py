"""The dashboard as JSON for its page: arrays as packed numbers in base64.

A thousand commits of a hundred series are a million figures: as text they would be three times as
large, and a browser would take seconds to read them before it shows anything. So an array is an
object, which the page unpacks when it draws it:

- ``{"f": "..."}``: float32;
- ``{"i": "..."}``: int32;
- ``{"t": "..."}``: float32 without its last byte, rounded: to 1 part in 65,536 (0.0015 %).
  Sketches, which are most of a page, come so;
- ``{"h": "...", "a": least, "b": largest}``: uint16, steps between the two. Raw samples come so:
  what lies between is off by at most 1 / 131,070 of their range.

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

from harness.dashboard.model import Samples

if TYPE_CHECKING:
    from harness.dashboard.model import Dashboard

_MOST_STEPS: Final = 65535
# What rounds to the nearest when the last of four bytes is cut off.
_HALF_A_BYTE: Final = np.uint64(0x80)


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
        plain = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        if isinstance(value, Samples):
            plain["latency_s"] = _stepped(value.latency_s)
        return plain
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
    floats = np.ascontiguousarray(values, dtype="<f4").ravel()
    if values.ndim > 1:
        return {"t": _three_bytes(floats)}
    return _shortest({"f": _text(floats)}, _runs("f", floats))


def _shortest(*packed: dict[str, Any]) -> dict[str, Any]:
    return min(packed, key=lambda one: sum(len(str(value)) for value in one.values()))


def _runs(kind: str, values: np.ndarray) -> dict[str, Any]:
    # By their bits: NaN is not equal to itself.
    bits = values.view("<i4")
    starts = np.flatnonzero(np.diff(bits, prepend=~bits[:1])).astype("<i4")
    lengths = np.diff(starts, append=np.int32(bits.size)).astype("<i4")
    return {kind: _text(values[starts]), "n": _text(lengths)}


def _stepped(values: np.ndarray) -> dict[str, Any]:
    """Samples as steps between the least and the largest; as they are where one is not finite."""
    wide = np.asarray(values, dtype=np.float64)
    if not wide.size or not np.isfinite(wide).all():
        return _packed(values)
    least, largest = float(wide.min()), float(wide.max())
    scale = _MOST_STEPS / (largest - least) if largest > least else 0.0
    steps = np.rint((wide - least) * scale).astype("<u2")
    return {"h": _text(steps), "a": least, "b": largest}


def _three_bytes(values: np.ndarray) -> str:
    bits = (values.view("<u4").astype(np.uint64) + _HALF_A_BYTE).astype("<u4")
    return _text(bits.view(np.uint8).reshape(-1, 4)[:, 1:])


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
