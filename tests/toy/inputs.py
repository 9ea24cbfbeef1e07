"""Noise, and a mask of about one half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def synthetic(sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    batch = sizes["batch"]
    return {
        "signal": rng.standard_normal((batch, sizes["samples"])).astype(np.float32),
        "voiced": rng.random((batch, sizes["frames"])) > 0.5,
    }
