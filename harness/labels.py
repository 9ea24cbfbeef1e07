"""What the sampler takes of a series, and what its samples are labelled with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.backends.canary.series import MAX_PASSES
from harness.checks import Check
from harness.errors import FeatureUnavailableError
from harness.measure.clock import SettledClock, cold_clock
from harness.measure.sampler import Group
from harness.types import COLD, HOT, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.backends.canary.series import Canary
    from harness.backends.protocol import Backend, Series
    from harness.measure.clock import Clock

# A copy is no component, and neither is a canary: they are not loaded, nor checked.
_NO_CHECK = Check(load_s=0.0, first_s=0.0)


@dataclass(frozen=True)
class Key:
    """What samples are of."""

    variant: Variant
    component: str


@dataclass(frozen=True)
class Known:
    """What else labels the samples of a series."""

    check: Check
    clock: Clock
    threads: int
    mode: str


def label_series(
    variant: Variant,
    series: Series,
    checks: Mapping[str, Check],
    *,
    clock: Clock,
    threads: int,
    mode: str,
) -> tuple[dict[Key, Known], Group[Key]]:
    """The labels and the group of a series of ``variant``, timed by ``clock`` in ``mode``.

    Raises:
        FeatureUnavailableError: the clock cannot time in that mode.
    """
    if mode == COLD:
        clock = cold_clock(clock)
    launched = replace(variant, launch=series.launch)
    known = {
        Key(launched, name): Known(checks.get(name, _NO_CHECK), clock, threads, mode)
        for name in series.targets
    }
    targets = {Key(launched, name): launch for name, launch in series.targets.items()}
    return known, Group(targets, clock)


def label_canary(canary: Canary, clock: Clock) -> tuple[dict[Key, Known], Group[Key]]:
    """Those of a canary; ``clock`` times it where it has none of its own.

    It is always hot: otherwise it would not be the same work in every run.
    """
    settled = SettledClock(canary.series.clock or clock)
    targets = {Key(canary.variant, name): go for name, go in canary.series.targets.items()}
    known = {key: Known(_NO_CHECK, settled, 1, HOT) for key in targets}
    return known, Group(targets, settled, MAX_PASSES)


def check_can_flush(backend: Backend) -> None:
    """Check that ``backend`` can be measured cold.

    Raises:
        FeatureUnavailableError: the caches that its launches use cannot be flushed.
    """
    if not backend.can_flush:
        what = f"{backend.name} cannot flush the caches that its launches use"
        fix = "measure it with --mode hot, or cold with another backend"
        raise FeatureUnavailableError(what, where="--mode cold", fix=fix)
