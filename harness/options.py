"""What is asked of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.arrivals import Arrival, check_used
from harness.backends.simulated import is_simulated
from harness.errors import OptionError
from harness.measure.sampler import SamplingPlan
from harness.measure.slowdown import NO_SLOWDOWN, Slowdown
from harness.pipeline.feeds import check_seed
from harness.prepare import BuildOptions
from harness.types import COLD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.audio import Recording
    from harness.backends.protocol import Backend
    from harness.types import Case


@dataclass(frozen=True)
class RunOptions:
    """What to run: the cases, what is fed, how long to measure, and how the work arrives.

    ``components`` are all that is measured, without the whole pipeline; none means everything.
    ``canary`` has the machine's frozen work timed as well, ``telemetry`` has its state read, and
    ``energy`` has each whole pipeline run for some seconds more, for its energy; not cold, since it
    is that of launches one after the other, with nothing flushed. Left as None, canary and energy
    are measured where they can be. ``slowdown`` makes launches take longer, to see whether that is
    found.

    Raises:
        OptionError: no generator takes the seed, or something was given that changes nothing.
    """

    cases: tuple[Case, ...]
    sampling: SamplingPlan = field(default_factory=SamplingPlan)
    seed: int = 0
    build: BuildOptions = field(default_factory=BuildOptions)
    recording: Recording | None = None
    command: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    arrival: Arrival = field(default_factory=Arrival)
    canary: bool | None = None
    telemetry: bool = True
    energy: bool | None = None
    slowdown: Slowdown = NO_SLOWDOWN

    def __post_init__(self) -> None:
        """Refuse a seed that no generator takes, and what was given and changes nothing."""
        check_seed(self.seed)
        if self.components and self.arrival.is_whole:
            what = f"the mode {self.arrival.mode} is of the whole pipeline"
            raise OptionError(what, where="--component", fix="leave it out, or use --mode hot")
        given = {"--tail": self.sampling.tail, "--canary": self.canary, "--energy": self.energy}
        check_used(self.arrival, given)
        if self.energy and not self.has_energy:
            cause = "--component" if self.components else f"--mode {COLD}"
            what = f"with {cause} no energy is measured"
            raise OptionError(what, where="--energy", fix=f"leave it out, or {cause}")

    def for_backends(self, backends: Iterable[Backend]) -> RunOptions:
        """The same; where times are simulated, with none of what takes time or is of a machine."""
        if not is_simulated(backends):
            return self
        sampling = replace(self.sampling, warmup_s=0.0, max_samples=self.sampling.sample_limit)
        return replace(self, sampling=sampling, canary=False, telemetry=False, energy=False)

    @property
    def has_energy(self) -> bool:
        """Whether energy is measured."""
        can_be = not self.components and self.arrival.mode != COLD and not self.arrival.is_whole
        return self.energy is not False and can_be

    @property
    def has_canary(self) -> bool:
        """Whether the canary is timed."""
        return self.canary is not False and not self.arrival.is_whole
