"""What a backend is: it builds and opens a pipeline's components, and its session launches them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.types import CALL, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.calibration import CalibrationSet
    from harness.artifacts.export import OnnxModel
    from harness.artifacts.worker import WorkerPool
    from harness.measure.clock import Clock
    from harness.measure.concurrent import StreamsClock
    from harness.measure.paced import RoundTrip
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Ceilings, NodeCounts

Arrays = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Series:
    """What a bound session can be timed on: launches by name, how they reach the device, a clock.

    The names are those of the components and, last, the whole pipeline; on a device also of the
    copies to and from it. No clock: a launch returns when it is done, and the host's clock is
    right. Launches of one series are timed in this order, again and again.
    """

    launch: str
    targets: Mapping[str, Callable[[], None]]
    clock: Clock | None = None


def call_series(session: Session, pipeline: Pipeline) -> Series:
    """The series of a session whose launches return when they are done."""

    def launcher(component: str) -> Callable[[], None]:
        return lambda: session.launch(component)

    targets = {name: launcher(name) for name in pipeline.order}
    return Series(CALL, {**targets, WHOLE_PIPELINE: session.launch_pipeline})


class Session(Protocol):
    """All components of a pipeline, open on one device, sharing their buffers.

    One component's output buffer is the next one's input: no copy between the stages.
    """

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that opening each component took."""

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor at ``sizes`` and upload the free inputs. Launches nothing."""

    def launch(self, component: str) -> None:
        """Run one component on what its bound inputs hold now; returns when it is done."""

    def launch_pipeline(self) -> None:
        """Run every component once, in order; returns when the last is done."""

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now."""

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays; what is bound may be overwritten."""

    def series(self) -> Sequence[Series]:
        """What can be timed of what is bound now."""

    def round_trips(self) -> Mapping[str, RoundTrip]:
        """A whole inference of what is bound now, from host to host, by how it is launched."""

    def close(self) -> None:
        """Free what the session holds; it cannot be used afterwards."""


S = TypeVar("S", bound=Session)


class Streams(Protocol):
    """Sessions of one pipeline that can be launched at the same time."""

    @property
    def threads(self) -> int:
        """The CPU threads that one launch of one stream may use."""

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Bind every session, each to memory of its own."""

    def clocks(self) -> Mapping[str, StreamsClock]:
        """What launches all of them and times each inference, by how it is launched."""

    def read(self, component: str, output: str) -> Sequence[NDArray[Any]]:
        """A copy of what an output holds now, of each stream."""

    def close(self) -> None:
        """Free what the sessions hold."""


class Sessions:
    """What all sets of streams share: their sessions, bound, read and closed together."""

    def __init__(self, sessions: Sequence[Session], threads: int) -> None:
        self.sessions = tuple(sessions)
        self.threads = threads

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Bind every session, each to memory of its own."""
        for session in self.sessions:
            session.bind(sizes, inputs)

    def read(self, component: str, output: str) -> Sequence[NDArray[Any]]:
        """A copy of what an output holds now, of each stream."""
        return tuple(session.read(component, output) for session in self.sessions)

    def close(self) -> None:
        """Free what the sessions hold, the youngest first."""
        for session in reversed(self.sessions):
            session.close()


def open_all(open_one: Callable[[Sequence[S]], S], count: int) -> list[S]:
    """``count`` sessions, each made by ``open_one`` of those before it; all, or none is left.

    Raises:
        HarnessError: one cannot be opened.
    """
    opened: list[S] = []
    try:
        while len(opened) < count:
            opened.append(open_one(opened))
    except BaseException:
        for session in reversed(opened):
            session.close()
        raise
    return opened


@dataclass(frozen=True)
class Inspection:
    """What a backend made of one component; each is None where the backend cannot tell.

    ``memory_bytes`` is what opening it and its first inference took, and ``nodes`` the precision
    in which its convolutions and matrix products really ran.
    """

    memory_bytes: int | None
    nodes: NodeCounts | None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """What a backend opens for one component, and how it came to be.

    ``build_s`` is the seconds that building took, now or when it came into the cache; None where
    nothing is built and ``path`` is the graph itself.
    """

    path: Path
    size_bytes: int | None = None
    build_s: float | None = None
    was_cached: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workshop:
    """What building takes: where results are kept, what builds them, who is told of each.

    ``index`` counts the builds of the same engine, from 0: each has a place of its own in the
    cache. All but the first choose their tactics anew, unless ``pins_tactics``: then they take
    those that the first has found. ``series`` tells builds of one index apart, such as those of two
    experiments.
    """

    cache: Cache
    pool: WorkerPool
    calibration: CalibrationSet | None
    on_done: Callable[[str, Built], None] = lambda _name, _built: None
    on_progress: Callable[[str, float], None] = lambda _name, _fraction: None
    index: int = 0
    pins_tactics: bool = False
    series: str = ""


def as_built(models: Mapping[str, OnnxModel]) -> dict[str, Built]:
    """The graphs themselves, for backends that build nothing."""
    return {name: Built(model.path) for name, model in models.items()}


class Backend(Protocol):
    """Makes engines of exported graphs, and opens them."""

    @property
    def name(self) -> str:
        """The backend's name in options, records and reports."""

    @property
    def precision(self) -> str:
        """The precision that its engines compute in, as reports name it."""

    @property
    def threads(self) -> int:
        """The CPU threads that one launch may use."""

    @property
    def route(self) -> str:
        """How the precision is asked for, where there are several ways; else empty."""

    @property
    def graph_precision(self) -> str | None:
        """The precision of the exported graphs that it builds from; None where it takes none."""

    @property
    def builds_engines(self) -> bool:
        """Whether building is work; else it opens the graphs, or modules, as they are."""

    @property
    def is_calibrated(self) -> bool:
        """Whether building, apart from the graphs, takes a calibration set."""

    @property
    def can_flush(self) -> bool:
        """Whether the caches that its launches use can be flushed before each."""

    @property
    def uses_gpu(self) -> bool:
        """Whether its launches run on the GPU, whose state then says whether they count."""

    def ceilings(self, cache: Cache) -> Ceilings | None:
        """What the device does at best, measured once and kept; None where that is not known."""

    def check_can_run(self) -> None:
        """See that what it builds can be run here, before anything is built.

        Raises:
            FeatureUnavailableError: it cannot; the message names what is missing.
        """

    def build(
        self, pipeline: Pipeline, models: Mapping[str, OnnxModel], workshop: Workshop
    ) -> Mapping[str, Built]:
        """Build every component of ``models``, graphs of ``graph_precision``.

        Raises:
            HarnessError: a component cannot be built.
        """

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> Session:
        """Open every component.

        Raises:
            HarnessError: a component cannot be opened.
        """

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
    ) -> Mapping[str, Inspection]:
        """Look into what ``open()`` makes of each component, apart from any session.

        Raises:
            HarnessError: a component cannot be opened or run.
        """


@runtime_checkable
class StreamsBackend(Protocol):
    """A backend that can run several inferences at the same time."""

    def open_streams(self, pipeline: Pipeline, built: Mapping[str, Built], count: int) -> Streams:
        """Open every component ``count`` times.

        Raises:
            HarnessError: a component cannot be opened so often.
        """


def variant_of(backend: Backend) -> Variant:
    """What a backend builds, however it is launched."""
    return Variant(backend.name, backend.precision, backend.route)
