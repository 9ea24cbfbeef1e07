"""All pairs of steps and all ramps of a stretch, a few rows of them at a time.

Of 400 values there are 80,000 of each, for ten ``rho``: as one array they would be read from memory
again and again. So they are made in blocks that stay in a core's own cache, from closed forms of
the products of steps (:mod:`harness.stats.changes.whitening`), and none is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.model import LEAST_AFTER, LEAST_INCREMENTS
from harness.stats.changes.whitening import RHOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from harness.stats.changes.whitening import Whitened

    Values = NDArray[np.float64]
    Places = NDArray[np.intp]

# Of one block, for each rho: 256 KB for all ten.
_BLOCK: Final = 3200


@dataclass(frozen=True, eq=False)
class Gains:
    """A block: ``values`` ``(rhos, rows, columns)``, from the steps ``row`` and ``column`` on.

    They are overwritten by the next block, and 0 where there is no such pair or ramp.
    """

    row: int
    column: int
    values: Values


@dataclass(frozen=True, eq=False)
class Largest:
    """For each of ``RHOS`` the largest gain, and of which two steps it is."""

    gains: Values
    first: Places
    last: Places


def pair_gains(white: Whitened, least_before: int) -> Iterator[Gains]:
    """The gains of all pairs of steps with enough values before, between and after them.

    Of two steps of unit length with the product r it is ``(y**2 + z**2 - 2 r y z) / (1 - r**2)``,
    and both are products of two thin matrices, as r is.
    """
    bank = white.bank
    unit = white.moments / np.sqrt(bank.square)
    of_first, of_last = bank.pair_factors
    ones, squares = np.ones_like(unit), unit**2
    left = np.stack((squares, ones, *(-2.0 * unit * one for one in of_first)), axis=2)
    right = np.stack((ones, squares, *(unit * one for one in of_last)), axis=1)
    lower_left, lower_right = bank.pair_rests
    blocks = _Blocks(least_before - 1, bank.count - LEAST_AFTER, LEAST_AFTER)
    for rows, columns, rest, gains in blocks:
        beyond = _beyond(*gains.shape[1:])
        np.matmul(left[:, rows], right[:, :, columns], out=gains)
        np.matmul(lower_left[:, rows], lower_right[:, :, columns], out=rest)
        gains[beyond], rest[beyond] = 0.0, 1.0
        np.divide(gains, rest, out=gains)
        yield Gains(rows.start, columns.start, gains)


def ramp_gains(white: Whitened) -> Iterator[Gains]:
    """The gains of all ramps of at least ``LEAST_INCREMENTS``: a ramp is a sum of steps."""
    left, right = white.bank.ramp_factors
    total = np.zeros((RHOS.size, white.bank.count))
    np.cumsum(white.moments, axis=1, out=total[:, 1:])
    blocks = _Blocks(0, white.bank.count - 1, LEAST_INCREMENTS - 1)
    for rows, columns, square, gains in blocks:
        np.matmul(left[:, rows], right[:, :, columns], out=square)
        square[_beyond(*gains.shape[1:])] = np.inf
        np.subtract(total[:, None, 1:][:, :, columns], total[:, rows, None], out=gains)
        np.square(gains, out=gains)
        np.divide(gains, square, out=gains)
        yield Gains(rows.start, columns.start, gains)


def largest(blocks: Iterable[Gains]) -> Largest | None:
    """The largest gain for each rho; None where there is no pair, or no ramp."""
    best = np.full(RHOS.size, -np.inf)
    first, last = np.zeros((2, RHOS.size), dtype=np.intp)
    for block in blocks:
        flat = block.values.reshape(RHOS.size, -1)
        its = flat.max(axis=1)
        for rho in np.flatnonzero(its > best):
            row, column = divmod(int(flat[rho].argmax()), block.values.shape[2])
            best[rho] = its[rho]
            first[rho], last[rho] = block.row + row, block.column + column
    return Largest(best, first, last) if np.isfinite(best).all() else None


def largest_mean(blocks: Iterable[Gains], weights: Values) -> tuple[int, int] | None:
    """Of which two steps the largest sum of gains by ``weights`` (one for each rho) is."""
    best = -np.inf
    steps: tuple[int, int] | None = None
    for block in blocks:
        mean = weights @ block.values.reshape(RHOS.size, -1)
        place = int(mean.argmax())
        if mean[place] > best:
            best = float(mean[place])
            row, column = divmod(place, block.values.shape[2])
            steps = (block.row + row, block.column + column)
    return steps


class _Blocks:
    """Blocks of pairs (i, j) from ``start`` to before ``stop``, j at least ``gap`` beyond i.

    With the rows and columns of each come two arrays for it, which the next one has as well.
    """

    def __init__(self, start: int, stop: int, gap: int) -> None:
        self._start, self._stop, self._gap = start, stop, gap

    def __iter__(self) -> Iterator[tuple[slice, slice, Values, Values]]:
        row = self._start
        size = max(_BLOCK, self._stop)
        scratch = np.empty((2, RHOS.size * size))
        while row + self._gap < self._stop:
            column = row + self._gap
            width = self._stop - column
            height = min(max(size // width, 1), width)
            shape = (RHOS.size, height, width)
            count = RHOS.size * height * width
            one, other = (part[:count].reshape(shape) for part in scratch)
            yield slice(row, row + height), slice(column, self._stop), one, other
            row += height


@lru_cache(maxsize=256)
def _beyond(height: int, width: int) -> tuple[slice, Places, Places]:
    """The places of a block whose second step is not far enough behind the first."""
    rows, columns = np.tril_indices(height, -1, width)
    return slice(None), rows, columns
