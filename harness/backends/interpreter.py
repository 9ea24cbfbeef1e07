"""A backend that runs in another Python: two environments, measured in turn in one run.

TensorRT and PyTorch may each need a Python of their own. What is timed is timed there, by the
clock there; a block of launches is one message, so that nothing of ours is within an interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.backends.interpreter_process import OPTION, BackendSpec, InterpreterProcess
from harness.backends.protocol import Inspection, Series
from harness.errors import FeatureUnavailableError
from harness.measure.paced import Chunk
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Arrays, Built, Workshop
    from harness.pipeline.pipeline import Pipeline

__all__ = ["BackendSpec", "RemoteBackend", "RemoteClock", "RemoteLaunch", "RemoteSession"]


class RemoteBackend:
    """What ``spec`` makes, in ``python``; one that builds engines has to do so in this process."""

    def __init__(self, spec: BackendSpec, python: Path) -> None:
        local = spec.make()
        if local.builds_engines:
            what = f"{local.name} builds engines, which is done in the harness's own Python"
            fix = "run the harness with that Python, and name one for the other backend"
            raise FeatureUnavailableError(what, where=OPTION, fix=fix)
        self._local = local
        self._spec = spec
        self._python = python
        self._process: InterpreterProcess | None = None
        self.name = local.name
        self.precision = local.precision
        self.threads = local.threads
        self.route = local.route
        self.graph_precision = local.graph_precision
        self.builds_engines = False
        self.is_calibrated = local.is_calibrated
        self.can_flush = local.can_flush
        self.uses_gpu = local.uses_gpu

    def ceilings(self, cache: Cache) -> None:
        """Not measured from here."""

    def check_can_run(self) -> None:
        """See there that it can be run.

        Raises:
            HarnessError: it cannot, or the process cannot be started.
        """
        self._running().ask("check_can_run")

    def describe_interpreter(self) -> dict[str, Any]:
        """Its Python and packages; see :func:`harness.measure.environment.describe_interpreter`.

        Raises:
            HarnessError: the process cannot be started.
        """
        return self._running().ask("describe")

    def build(
        self, pipeline: Pipeline, models: Mapping[str, OnnxModel], workshop: Workshop
    ) -> Mapping[str, Built]:
        """The graphs as they are, or nothing."""
        return self._local.build(pipeline, models, workshop)

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> RemoteSession:
        """Open every component there.

        Raises:
            HarnessError: as the backend itself, or the process cannot be started.
        """
        process = self._running()
        answer = process.ask("open", **_request(pipeline, built))
        return RemoteSession(process, answer["load_s"])

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
    ) -> dict[str, Inspection]:
        """What the backend tells there, and which interpreter and libraries those are.

        Raises:
            HarnessError: as the backend itself, or the process cannot be started.
        """
        request = _request(pipeline, built)
        answer = self._running().ask_with("inspect", inputs, sizes=dict(sizes), **request)
        return {
            name: Inspection(
                found["memory_bytes"],
                None if found["nodes"] is None else NodeCounts(**found["nodes"]),
                found["details"],
            )
            for name, found in answer.items()
        }

    def _running(self) -> InterpreterProcess:
        if self._process is None or self._process.is_closed:
            self._process = InterpreterProcess(self._spec, self._python)
        return self._process


def _request(pipeline: Pipeline, built: Mapping[str, Built]) -> dict[str, Any]:
    paths = {name: str(one.path.resolve()) for name, one in built.items()}
    return {"root": str(pipeline.root.resolve()), "built": paths}


class RemoteSession:
    """The session there, asked over a socket; closing it ends its process."""

    def __init__(self, process: InterpreterProcess, load_s: Mapping[str, float]) -> None:
        self._process = process
        self._load_s = dict(load_s)

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that opening each component took there."""
        return self._load_s

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Bind there."""
        self._process.ask_with("bind", inputs, sizes=dict(sizes))

    def launch(self, component: str) -> None:
        """Run one component there; returns when it is done."""
        self._process.ask("launch", component=component)

    def launch_pipeline(self) -> None:
        """Run every component once, in order; returns when the last is done."""
        self._process.ask("launch_pipeline")

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now."""
        self._process.ask("read", component=component, output=output)
        array: NDArray[Any] = self._process.answered_arrays()[output]
        return array

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays."""
        self._process.ask_with("infer", inputs, component=component)
        return self._process.answered_arrays()

    def series(self) -> Sequence[Series]:
        """What can be timed there, by the clocks there."""
        made = []
        for index, told in enumerate(self._process.ask("series")["series"]):
            clock = RemoteClock(
                self._process, index, name=told["clock"], is_simulated=told["is_simulated"]
            )
            targets = {name: RemoteLaunch(name, clock) for name in told["targets"]}
            made.append(Series(told["launch"], targets, clock))
        return tuple(made)

    def round_trips(self) -> Mapping[str, RemoteRoundTrip]:
        """Those there, paced and timed there: no chunk waits for a socket."""
        launches = self._process.ask("round_trips")["launches"]
        return {launch: RemoteRoundTrip(self._process, launch) for launch in launches}

    def close(self) -> None:
        """End the process, and with it all that it holds."""
        self._process.close()


class RemoteClock:
    """The clock there: a block of named launches is one message there and one back."""

    def __init__(
        self, process: InterpreterProcess, index: int, *, name: str, is_simulated: bool
    ) -> None:
        self._process = process
        self._index = index
        self.name = name
        self.is_simulated = is_simulated

    def cold(self) -> RemoteClock:
        """The same clock there, with the caches flushed before each launch.

        Raises:
            FeatureUnavailableError: it cannot do that.
        """
        index = self._process.ask("cold", series=self._index)["series"]
        return RemoteClock(self._process, index, name=self.name, is_simulated=self.is_simulated)

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Launch each in order there; gives the seconds of each, as measured there."""
        names = [launch.name for launch in launches if isinstance(launch, RemoteLaunch)]
        if len(names) != len(launches):
            message = "a clock of another interpreter times that interpreter's launches only"
            raise TypeError(message)
        answer = self._process.ask("time_block", series=self._index, names=names)
        return tuple(answer["latency_s"])


class RemoteRoundTrip:
    """A round trip there: a block of them is one message there and one back."""

    def __init__(self, process: InterpreterProcess, launch: str) -> None:
        self._process = process
        self._launch = launch

    def time_paced(self, count: int, period_s: float) -> tuple[Chunk, ...]:
        """One for each of ``count`` chunks that come ``period_s`` apart, by the clock there."""
        answer = self._process.ask(
            "time_paced", launch=self._launch, count=count, period_s=period_s
        )
        return tuple(Chunk(**told) for told in answer["chunks"])

    def time_hot(self, count: int) -> tuple[float, ...]:
        """``count`` of them back to back; gives the seconds of each, as measured there."""
        answer = self._process.ask("time_hot", launch=self._launch, count=count)
        return tuple(answer["latency_s"])


class RemoteLaunch:
    """A launch there, by its name; called, it is a block of its own."""

    def __init__(self, name: str, clock: RemoteClock) -> None:
        self.name = name
        self._clock = clock

    def __call__(self) -> None:
        """Launch it there, and time it for nothing."""
        self._clock.time_block([self])
