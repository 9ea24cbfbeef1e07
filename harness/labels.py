"""What the sampler takes of a series, and what its samples are labelled with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.backends.canary.series import MAX_PASSES
from harness.checks import Check
from harness.describe import describe_accuracy
from harness.errors import FeatureUnavailableError
from harness.measure.clock import SettledClock, cold_clock
from harness.measure.sampler import Group
from harness.measure.simulated_clock import SIMULATED
from harness.measure.slowdown import NO_SLOWDOWN, Slowdown
from harness.measuring import EnergyTarget
from harness.pipeline.pipeline import HOST_ENQUEUE, TRANSFERS, WHOLE_PIPELINE
from harness.stats.energy import GPU, HOST
from harness.types import CALL, COLD, HOT, Measurement, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.backends.canary.series import Canary
    from harness.backends.protocol import Backend, Series
    from harness.measure.clock import Clock
    from harness.measuring import Measured
    from harness.types import Case

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


@dataclass(frozen=True)
class Timing:
    """How a series is timed: by which clock, on how many threads, in which mode, which of it.

    No ``components`` means all of them, and the whole pipeline. ``slowdown`` makes launches take
    longer than they would.
    """

    clock: Clock
    threads: int
    mode: str
    components: tuple[str, ...] = ()
    slowdown: Slowdown = NO_SLOWDOWN


def label_series(
    variant: Variant, series: Series, checks: Mapping[str, Check], case: Case, timing: Timing
) -> tuple[dict[Key, Known], Group[Key]]:
    """The labels and the group of a series of ``variant``; none where nothing of it is wanted.

    Raises:
        FeatureUnavailableError: the clock cannot time in that mode.
    """
    clock = cold_clock(timing.clock) if timing.mode == COLD else timing.clock
    launched = replace(variant, launch=series.launch)
    only = timing.components
    targets = {
        Key(launched, name): timing.slowdown.of(launch, clock, name, str(launched), str(case))
        for name, launch in series.targets.items()
        if (not only or name in only)
        # Nothing is flushed for the host's part: its time in a cold run would be the hot one.
        and not (timing.mode == COLD and name == HOST_ENQUEUE)
    }
    known = {
        key: Known(checks.get(key.component, _NO_CHECK), clock, timing.threads, timing.mode)
        for key in targets
    }
    # The copies and the host's part are told, not waited for.
    watched = frozenset(key for key in targets if key.component not in TRANSFERS)
    name = f"{launched}, {case}" if watched else f"{launched}, {case}: the host's part"
    return known, Group(targets, clock, watched=watched, name=name)


def label_canary(canary: Canary, clock: Clock, case: Case) -> tuple[dict[Key, Known], Group[Key]]:
    """Those of a canary; ``clock`` times it where it has none of its own.

    It is always hot: otherwise it would not be the same work in every run.
    """
    settled = SettledClock(canary.series.clock or clock)
    targets = {Key(canary.variant, name): go for name, go in canary.series.targets.items()}
    known = {key: Known(_NO_CHECK, settled, 1, HOT) for key in targets}
    name = f"{canary.variant}, {case}"
    return known, Group(targets, settled, MAX_PASSES, frozenset(), name)


def energy_targets(groups: Iterable[Group[Key]]) -> dict[Key, EnergyTarget]:
    """The whole pipelines among ``groups``, with the device whose counter tells of each.

    What is simulated takes none.
    """
    found = {}
    for group in (group for group in groups if not group.clock.is_simulated):
        for key, launch in group.targets.items():
            if key.component == WHOLE_PIPELINE:
                on_gpu = key.variant.launch != CALL or key.variant.backend.endswith("-cuda")
                found[key] = EnergyTarget(launch, group.clock, GPU if on_gpu else HOST)
    return found


def check_can_flush(backend: Backend) -> None:
    """Check that ``backend`` can be measured cold.

    Raises:
        FeatureUnavailableError: the caches that its launches use cannot be flushed.
    """
    if not backend.can_flush:
        what = f"{backend.name} cannot flush the caches that its launches use"
        fix = "measure it with --mode hot, or cold with another backend"
        raise FeatureUnavailableError(what, where="--mode cold", fix=fix)


def describe_series(
    case: Case,
    key: Key,
    label: Known,
    measured: Measured,
    *,
    min_snr_db: float | None,
    rel_precision: float,
    energy_j: float | None,
) -> Measurement:
    """What was measured of one series, with all that labels it."""
    variant, result = key.variant, measured.result
    # What was loaded, and ran for the first time, did so on this machine.
    has_times = label.clock.name != SIMULATED
    return Measurement(
        component=key.component,
        backend=variant.backend,
        precision=variant.precision,
        route=variant.route,
        launch=variant.launch,
        mode=label.mode,
        clock=label.clock.name,
        duration_s=case.duration_s,
        batch=case.batch,
        threads=label.threads,
        load_s=label.check.load_s if has_times else math.nan,
        first_s=label.check.first_s if has_times else math.nan,
        latency_s=result.latency_s,
        **describe_accuracy(label.check),
        min_snr_db=min_snr_db,
        simulated=label.clock.is_simulated,
        verdict=result.decision.status.value,
        verdict_reason=result.decision.reason,
        rel_precision=rel_precision,
        autocorrelation=result.decision.autocorrelation,
        clock_tick_s=result.clock_tick_s,
        block_passes=result.block_passes,
        rejected_latency_s=measured.rejected_latency_s,
        energy_j=energy_j,
    )
