"""In which order the processes of two sides run.

AB BA BA AB, and again: two pairs are ABBA, so that a steady drift of the machine touches both sides
alike, and four are ABBA BAAB, in which what neighbours have in common cancels (ADR 0010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.stats.overhead import is_on

BASE: Final = "base"
HEAD: Final = "head"
SIDES: Final = (BASE, HEAD)


@dataclass(frozen=True)
class Turn:
    """One process: of which side, its number on that side, the pair, and its place among all."""

    number: int
    side: str
    process: int
    pair: int


def turns_of_pair(pair: int, processes: int = 1) -> tuple[Turn, ...]:
    """The turns of pair number ``pair``, with so many processes of each side.

    Of several, each is followed by one of the other side as the pairs themselves are.
    """
    numbers = range(pair * processes, (pair + 1) * processes)
    order = [
        (side, number)
        for number in numbers
        for side in (reversed(SIDES) if is_on(2 * number) else SIDES)
    ]
    first = 2 * pair * processes
    return tuple(
        Turn(first + place, side, number, pair) for place, (side, number) in enumerate(order)
    )
