"""A clock that makes its times up, and a wall that stands still."""

from __future__ import annotations

import gc
import random
from typing import TYPE_CHECKING, TypeAlias

from harness.measure.sampler import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Timed: TypeAlias = "list[tuple[str, float]]"


class Wall:
    """Stands in for ``time``: it advances only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def mirrored(noise: float, seed: str) -> Iterator[float]:
    """Factors about 1, gaussian; each is followed by its mirror image.

    So successive ones are never correlated by chance, which would make intervals wider.
    """
    rng = random.Random(seed)  # noqa: S311
    while True:
        deviation = rng.gauss(0.0, noise)
        yield 1.0 + deviation
        yield 1.0 - deviation


def two_modes(distance: float, seed: str) -> Iterator[float]:
    """Factors at 1 and at ``distance`` above, as often, with a little noise; never two alike."""
    rng = random.Random(seed)  # noqa: S311
    while True:
        yield 1.0 + rng.gauss(0.0, distance / 100.0)
        yield 1.0 + distance + rng.gauss(0.0, distance / 100.0)


class FakeClock:
    """Gives each target a latency of its own, and notes every launch and block.

    The first launch of each takes exactly that latency, the others are spread by ``noise``, or by
    what ``factors`` has for a target. In the middle of the block number ``fail_in_block`` it raises
    ``failure``. Each block takes ``block_wall_s`` on the ``wall``.
    """

    is_simulated = True

    def __init__(
        self,
        *groups: Mapping[str, float],
        name: str = "fake",
        noise: float = 0.2,
        factors: Mapping[str, Iterator[float]] | None = None,
        wall: Wall | None = None,
        block_wall_s: float = 0.0,
        fail_in_block: int | None = None,
        failure: type[BaseException] = KeyboardInterrupt,
    ) -> None:
        self.name = name
        self.noise = noise
        self.factors = dict(factors or {})
        self.groups = [
            Group(
                {key: self._launch(key, latency_s) for key, latency_s in group.items()},
                self,
                name=" and ".join(group),
            )
            for group in groups
        ]
        self.wall = wall or Wall()
        self.block_wall_s = block_wall_s
        self.fail_in_block = fail_in_block
        self.failure = failure
        self.launched: Timed = []
        self.blocks: list[Timed] = []
        self.was_collecting: list[bool] = []

    def _launch(self, key: str, latency_s: float) -> Callable[[], None]:
        factors = self.factors.setdefault(key, mirrored(self.noise, key))
        is_first = True

        def launch() -> None:
            nonlocal is_first
            factor = 1.0 if is_first else next(factors)
            is_first = False
            self.launched.append((key, latency_s * factor))

        return launch

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        before = len(self.launched)
        for index, launch in enumerate(launches):
            launch()
            if len(self.blocks) == self.fail_in_block and index == len(launches) // 2:
                raise self.failure
        self.wall.now_s += self.block_wall_s
        self.blocks.append(self.launched[before:])
        self.was_collecting.append(gc.isenabled())
        return tuple(latency_s for _, latency_s in self.blocks[-1])

    def after_warm_up(self, passes: int = 1) -> list[Timed]:
        return self.blocks[passes * len(self.groups) :]

    def measured(self, key: str, passes: int = 1) -> tuple[float, ...]:
        blocks = self.after_warm_up(passes)
        return tuple(seconds for block in blocks for name, seconds in block if name == key)


def keys(block: Timed) -> list[str]:
    """Whose launches a block has."""
    return [key for key, _ in block]
