"""A stand-in for a device: real outputs, by ONNX Runtime, and times that are made up.

A launch takes what its multiply-accumulates would take at a given rate, times seeded noise. It is
for what needs many runs of which the truth is known, such as whether a change of 5 % is found.
Nothing is run or waited for while it is timed. All that it gives is marked as simulated.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.cost import component_cost
from harness.backends.onnxruntime import OnnxRuntimeSession
from harness.backends.protocol import Inspection, Series, as_built
from harness.errors import FeatureUnavailableError, OptionError
from harness.measure.simulated_clock import (
    GAUSSIAN,
    SHAPES,
    SIMULATED,
    Noise,
    SimulatedClock,
    SimulatedLaunch,
    seeded,
)
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.types import CALL, HOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Backend, Built, Workshop
    from harness.measure.paced import HostRoundTrip
    from harness.pipeline.pipeline import Pipeline

# A JSON object of SimulationOptions, for the command line.
VARIABLE: Final = "TRT_HARNESS_SIMULATION"
_MOST_NOISE: Final = 0.5
_SEED_BYTES: Final = 6


@dataclass(frozen=True)
class SimulationOptions:
    """What a simulated device is like.

    Attributes:
        macs_per_s: multiply-accumulates a second, in every precision.
        overhead_s: seconds that each component takes besides.
        noise: standard deviation of a sample, as a share of its time.
        shape: of the noise: ``gaussian`` or ``lognormal``.
        rho: correlation of successive samples, 0 to below 1.
        process_noise: standard deviation, as a share, of a level that all samples of one seed have
            in common, as those of one process have.
        seed: the same seed gives the same samples.

    Raises:
        OptionError: a value has no meaning.
    """

    macs_per_s: float = 1e9
    overhead_s: float = 2e-5
    noise: float = 0.005
    shape: str = GAUSSIAN
    rho: float = 0.0
    process_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        share = f"give 0 to {_MOST_NOISE:g}, of the time"
        for name, is_good, fix in (
            ("macs_per_s", 0.0 < self.macs_per_s < math.inf, "give more than 0"),
            ("overhead_s", 0.0 <= self.overhead_s < math.inf, "give 0 s or more"),
            ("noise", 0.0 <= self.noise <= _MOST_NOISE, share),
            ("shape", self.shape in SHAPES, f"choose one of: {', '.join(SHAPES)}"),
            ("rho", 0.0 <= self.rho < 1.0, "give 0 to below 1"),
            ("process_noise", 0.0 <= self.process_noise <= _MOST_NOISE, share),
            ("seed", self.seed >= 0, "give 0 or more"),
        ):
            if not is_good:
                what = f"{getattr(self, name)!r} has no meaning"
                raise OptionError(what, where=f"simulation: {name}", fix=fix)

    def mixed(self, *keys: object) -> SimulationOptions:
        """The same with a seed of its own for ``keys``, such as a commit and a round."""
        text = json.dumps([self.seed, *map(str, keys)]).encode()
        digest = hashlib.blake2b(text, digest_size=_SEED_BYTES).digest()
        return replace(self, seed=int.from_bytes(digest, "big"))

    def slowed(self, share: float) -> SimulationOptions:
        """A device that takes longer for everything, by ``share``."""
        return replace(
            self,
            macs_per_s=self.macs_per_s / (1.0 + share),
            overhead_s=self.overhead_s * (1.0 + share),
        )

    @property
    def level(self) -> float:
        """What all times of this seed are multiplied with."""
        noise = Noise(self.process_noise, self.shape)
        return next(noise.factors(seeded(self.seed, "level")))


def read_simulation(settings: object, where: str) -> SimulationOptions:
    """The options that ``settings``, an object of JSON, gives; the others are the defaults.

    Raises:
        OptionError: it is no object, or one of its values is wrong; the message names ``where``.
    """
    known = {field.name: field.type for field in fields(SimulationOptions)}
    fix = f"give an object with some of: {', '.join(known)}"
    if not isinstance(settings, dict):
        raise OptionError(f"{settings!r} is no object", where=where, fix=fix)
    for name, value in settings.items():
        if name not in known:
            raise OptionError(f"{name!r} is not known", where=where, fix=fix)
        kinds = {"int": (int,), "float": (int, float), "str": (str,)}[str(known[name])]
        if isinstance(value, bool) or not isinstance(value, kinds):
            fix = f"give {'a word' if kinds == (str,) else 'a number'}"
            raise OptionError(f"{name} cannot be {value!r}", where=where, fix=fix)
    return SimulationOptions(**settings)


def simulation_from_environment() -> SimulationOptions:
    """What ``TRT_HARNESS_SIMULATION`` asks for; the defaults where it is not set.

    Raises:
        OptionError: it is no JSON, or one of its values is wrong.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return SimulationOptions()
    try:
        settings = json.loads(text)
    except ValueError as error:
        what, fix = f"it is no JSON: {error}", 'give something like {"macs_per_s": 1e9}'
        raise OptionError(what, where=VARIABLE, fix=fix) from error
    return read_simulation(settings, VARIABLE)


class SimulatedBackend:
    """Runs graphs of one precision on the CPU, and makes up what they take on a device."""

    name = SIMULATED
    route = ""
    is_calibrated = False
    builds_engines = False
    can_flush = False
    uses_gpu = False

    def __init__(self, options: SimulationOptions, *, threads: int, precision: str) -> None:
        self.options = options
        self.threads = threads
        self.precision = precision
        self.graph_precision = precision

    def ceilings(self, cache: Cache) -> None:
        """There is no device."""

    def check_can_run(self) -> None:
        """The CPU is always there."""

    def build(
        self,
        pipeline: Pipeline,  # noqa: ARG002  # it opens the graphs as they are
        models: Mapping[str, OnnxModel],
        workshop: Workshop,  # noqa: ARG002
    ) -> dict[str, Built]:
        """The graphs themselves."""
        return as_built(models)

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> SimulatedSession:
        """Open every component of ``pipeline`` with ONNX Runtime.

        Raises:
            ContractError: ONNX Runtime cannot load a graph.
        """
        paths = {name: one.path for name, one in built.items()}
        return SimulatedSession(pipeline, paths, self)

    def inspect(
        self,
        pipeline: Pipeline,  # noqa: ARG002
        built: Mapping[str, Built],
        sizes: Mapping[str, int],  # noqa: ARG002
        inputs: Mapping[str, NDArray[Any]],  # noqa: ARG002
    ) -> dict[str, Inspection]:
        """Nothing is known of a device that does not exist, but what it was made up from."""
        return dict.fromkeys(built, Inspection(None, None, {"simulation": asdict(self.options)}))


def make_simulated(
    options: SimulationOptions | None, *, threads: int, precision: str
) -> SimulatedBackend:
    """The backend; without ``options`` with those of the environment.

    Raises:
        OptionError: as :func:`simulation_from_environment`.
    """
    chosen = simulation_from_environment() if options is None else options
    return SimulatedBackend(chosen, threads=threads, precision=precision)


class SimulatedSession(OnnxRuntimeSession):
    """Computes on the CPU; its series has made up times."""

    def __init__(
        self, pipeline: Pipeline, models: Mapping[str, Path], backend: SimulatedBackend
    ) -> None:
        super().__init__(pipeline, models, threads=backend.threads)
        self._models = models
        self._backend = backend
        self._sizes: dict[str, int] = {}

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor at ``sizes`` and bind it to each component that uses it."""
        super().bind(sizes, inputs)
        self._sizes = dict(sizes)

    def series(self) -> Sequence[Series]:
        """Every component and the whole, at the sizes that are bound now.

        Raises:
            ContractError: the shapes inside a graph cannot be told.
        """
        seconds = self._seconds()
        seconds[WHOLE_PIPELINE] = sum(seconds.values())
        options, sizes = self._backend.options, sorted(self._sizes.items())
        noise = Noise(options.noise, options.shape, options.rho)
        targets = {
            name: SimulatedLaunch(
                options.level * base_s,
                noise,
                seeded(options.seed, name, self._backend.precision, sizes),
            )
            for name, base_s in seconds.items()
        }
        return (Series(CALL, targets, SimulatedClock()),)

    def _seconds(self) -> dict[str, float]:
        """What each component takes, without noise."""
        options, found = self._backend.options, {}
        for name in self._pipeline.order:
            component = self._pipeline.components[name]
            cost = component_cost(component, self._models[name], self._sizes)
            found[name] = options.overhead_s + cost.macs / options.macs_per_s
        return found

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """There are none.

        Raises:
            FeatureUnavailableError: always.
        """
        raise _only_hot("whole inferences from host to host")


def is_simulated(backends: Iterable[Backend]) -> bool:
    """Whether the times of ``backends`` are made up."""
    return any(isinstance(backend, SimulatedBackend) for backend in backends)


def check_simulation(backends: Sequence[Backend], mode: str = HOT) -> None:
    """Check that what is simulated is alone in its run, and measured as it can be.

    Raises:
        OptionError: there is a real backend beside it: what a report would compare.
        FeatureUnavailableError: it is not simulated how work arrives in that mode.
    """
    if not is_simulated(backends):
        return
    real = [b.name for b in backends if not isinstance(b, SimulatedBackend)]
    if real:
        what = f"simulated times and real ones, of {real[0]}, do not belong in one run"
        fix = f"leave out {SIMULATED}, or every other backend"
        raise OptionError(what, where="--backend", fix=fix)
    if mode != HOT:
        raise _only_hot(f"the mode {mode}", where="--mode")


def _only_hot(what: str, where: str = SIMULATED) -> FeatureUnavailableError:
    fix = f"use --mode {HOT}, or another backend"
    return FeatureUnavailableError(f"{what}: that is not simulated", where=where, fix=fix)
