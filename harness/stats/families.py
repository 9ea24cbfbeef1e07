"""Many verdicts of one table: how many of them may be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def adjusted_p_values(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p values of Benjamini and Hochberg's step-up procedure, in the order given.

    Taking those of at most q for discoveries, the share of false ones among them is at most q in
    the mean (Benjamini and Hochberg, *Controlling the false discovery rate*, J. R. Statist. Soc. B
    57, 1995). Proven where the tests are independent, and where those of true hypotheses depend on
    each other positively (Benjamini and Yekutieli, Ann. Statist. 29, 2001). The rows of a benchmark
    do: their processes are the same, and what slows one down slows the others. Where some rows
    were to get slower by chance just when others get faster, it would be no longer certain; their
    remedy, to divide q by 1 + 1/2 + … + 1/count, is not taken.

    Raises:
        ValueError: one is not between 0 and 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        message = "a p value lies between 0 and 1"
        raise ValueError(message)
    order = np.argsort(-values)
    ranks = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum.accumulate(values[order] * len(values) / ranks)
    return tuple(float(value) for value in np.minimum(adjusted, 1.0))


def discoveries(p_values: Sequence[float], rate: float) -> tuple[bool, ...]:
    """Which are discoveries where the share of false ones may be ``rate`` in the mean.

    Raises:
        ValueError: a p value is not between 0 and 1.
    """
    return tuple(value <= rate for value in adjusted_p_values(p_values))
