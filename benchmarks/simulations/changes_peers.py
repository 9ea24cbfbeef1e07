"""Other tools' detection on the same series; each is used where it can be imported.

They are installed apart from the project, and the script is run with the interpreter that has them:

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install asv==0.6.6 apache-otava==0.8.0 ruptures==1.1.10
    PYTHONPATH=. /tmp/peers/bin/python benchmarks/simulations/changes.py --peers OUT
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Detector = Callable[[Values], list[int]]

_LEAST = 0.01


def peers() -> dict[str, Detector]:
    """By name, what gives the commits at which a new level begins, of times."""
    found: dict[str, Detector] = {}
    if importlib.util.find_spec("asv"):
        found["asv, default 5 %"] = lambda times: _asv(times, 0.05)
        found["asv at 1 %"] = lambda times: _asv(times, 0.01)
    if importlib.util.find_spec("otava"):
        found["Apache Otava, default"] = lambda times: _otava(times, 0.0)
        found["Apache Otava, 2 %"] = lambda times: _otava(times, 0.02)
    if importlib.util.find_spec("ruptures"):
        found["ruptures PELT l1, 1 %"] = _ruptures
    return found


def _asv(times: Values, threshold: float) -> list[int]:
    """asv's regressions; of each the first commit at the new level."""
    from asv.step_detect import detect_regressions, detect_steps  # noqa: PLC0415

    steps = detect_steps(times.tolist())
    regressions = detect_regressions(steps, threshold)[2] or []
    return [int(after) for _, after, _, _ in regressions]


def _otava(times: Values, magnitude: float) -> list[int]:
    """Otava at its window of 50 and p < 0.001."""
    from otava.analysis import compute_change_points  # noqa: PLC0415

    points, _ = compute_change_points(times.tolist(), min_magnitude=magnitude)
    return [int(point.index) for point in points]


def _ruptures(times: Values) -> list[int]:
    """PELT with the cost l1 in units of the noise, penalty 3 ln(n); steps below 1 % left out."""
    import ruptures  # noqa: PLC0415

    noise = 1.4826 * float(np.median(np.abs(np.diff(times)))) / math.sqrt(2.0)
    signal = times / noise
    search = ruptures.Pelt(model="l1", min_size=2, jump=1).fit(signal)
    ends = search.predict(pen=3.0 * math.log(times.size))
    parts = np.split(times, ends[:-1])
    levels = [float(np.median(part)) for part in parts]
    return [
        end
        for end, before, after in zip(ends[:-1], levels[:-1], levels[1:], strict=True)
        if abs(after / before - 1.0) >= _LEAST
    ]
