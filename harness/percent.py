"""Changes in per cent, in one form wherever they are told."""

from __future__ import annotations

import math
from typing import Final

# Beyond it the fractions of a per cent are no one's concern.
_WHOLE: Final = 99.995


def signed_percent(ratio: float) -> str:
    """By how much ``ratio`` is above 1, in %, with a sign unless it is shown as none: ``+0.62``.

    A dash where it is no number.
    """
    if not math.isfinite(ratio):
        return "-"
    value = 100.0 * (ratio - 1.0)
    if not round(value, 2):
        return "0.00"
    return f"{value:+.2f}" if abs(value) < _WHOLE else f"{value:+.0f}"
