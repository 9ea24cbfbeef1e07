"""The dashboard as JSON for its page: arrays as little-endian float32 or int32 in base64.

A thousand commits of a hundred series are a million figures: as text they would be twice as large,
and a browser would take seconds to read them before it shows anything. So an array is an object
``{"f": "..."}`` (float32) or ``{"i": "..."}`` (int32), and the page decodes it when it is drawn.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from harness.dashboard.model import Dashboard


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


def _packed(values: np.ndarray) -> dict[str, str]:
    is_whole = np.issubdtype(values.dtype, np.integer)
    kind, dtype = ("i", "<i4") if is_whole else ("f", "<f4")
    data = np.ascontiguousarray(values, dtype=dtype).tobytes()
    return {kind: base64.b64encode(data).decode("ascii")}
