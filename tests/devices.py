"""A backend that stands in for one of a device: it builds engines, and is timed in several ways."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.backends.onnxruntime import OnnxRuntimeSession
from harness.backends.protocol import Built, Inspection, Series, call_series
from harness.types import ENQUEUE, GRAPH, NodeCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Session, Workshop
    from harness.measure.clock import Clock
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Ceilings


class MadeUp:
    """Gives every launch ``latency_s``; fails with ``failure`` in block number ``fail_in_block``.

    Four blocks warm up: they are alike, and it takes as many to see that.
    """

    def __init__(
        self,
        name: str,
        latency_s: float,
        *,
        is_simulated: bool = False,
        failure: BaseException | None = None,
        fail_in_block: int = 0,
    ) -> None:
        self.name = name
        self.latency_s = latency_s
        self.is_simulated = is_simulated
        self.failure = failure
        self.fail_in_block = fail_in_block
        self.blocks = 0

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        if self.failure is not None and self.blocks == self.fail_in_block:
            raise self.failure
        for launch in launches:
            launch()
        self.blocks += 1
        return (self.latency_s,) * len(launches)


class DeviceSession(OnnxRuntimeSession):
    """Stands in for a device: its launches are timed as graphs, as enqueued, and with copies."""

    def __init__(
        self, pipeline: Pipeline, models: Mapping[str, Path], clocks: Sequence[Clock]
    ) -> None:
        super().__init__(pipeline, models, threads=1)
        self.toy = pipeline
        self.clocks = clocks
        self.launched: list[str] = []
        self.is_closed = False

    def launch(self, component: str) -> None:
        self.launched.append(component)
        super().launch(component)

    def series(self) -> Sequence[Series]:
        graph, enqueue, copy = self.clocks
        targets = call_series(self, self.toy).targets
        return (
            Series(GRAPH, targets, graph),
            Series(ENQUEUE, targets, enqueue),
            Series(GRAPH, {"host_to_device": lambda: None, "device_to_host": lambda: None}, copy),
        )

    def close(self) -> None:
        self.is_closed = True
        super().close()


class DeviceBackend:
    """Builds copies of the graphs and calls them engines."""

    name = "device"
    precision = "fp16"
    threads = 1
    route = "flag"
    graph_precision = "fp32"
    builds_engines = True
    can_flush = True
    uses_gpu = True
    is_calibrated = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clocks: list[Clock] = [
            MadeUp("graph clock", 1e-3),
            MadeUp("enqueue clock", 3e-3, is_simulated=True),
            MadeUp("copy clock", 5e-6),
        ]
        self.built_of: dict[str, OnnxModel] = {}
        self.workshop: Workshop | None = None
        self.opened: list[DeviceSession] = []
        self.found_ceilings: Ceilings | None = None
        self.asked_for_ceilings: list[Cache] = []
        self.obstacle: Exception | None = None

    def ceilings(self, cache: Cache) -> Ceilings | None:
        self.asked_for_ceilings.append(cache)
        return self.found_ceilings

    def check_can_run(self) -> None:
        if self.obstacle is not None:
            raise self.obstacle

    def build(
        self, pipeline: Pipeline, models: Mapping[str, OnnxModel], workshop: Workshop
    ) -> dict[str, Built]:
        assert list(models) == list(pipeline.components)
        self.built_of, self.workshop = dict(models), workshop
        built = {}
        for seconds, (name, model) in enumerate(models.items(), start=1):
            path = self.folder / f"{name}.engine"
            shutil.copy(model.path, path)
            details = {"library": "fake 1.0", "device": "a guess"}
            built[name] = Built(path, 1000 * seconds, float(seconds), name == "decoder", details)
            workshop.on_progress(name, 0.5)
            workshop.on_done(name, built[name])
        return built

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> Session:
        paths = {name: one.path for name, one in built.items()}
        session = DeviceSession(pipeline, paths, self.clocks)
        self.opened.append(session)
        return session

    def inspect(
        self, _pipeline: Pipeline, built: Mapping[str, Built], *_: object
    ) -> dict[str, Inspection]:
        assert all(one.path.suffix == ".engine" for one in built.values())
        found = Inspection(5_000_000, NodeCounts(fp16=2), {"device": "a device", "layers": {}})
        return dict.fromkeys(built, found)


class Notes:
    """An observer that notes all it is told."""

    def __init__(self) -> None:
        self.phases: dict[str, list[str]] = {}
        self.sizes: dict[str, int] = {}
        self.fractions: dict[str, list[float]] = {}
        self.messages: list[str] = []

    def phase(self, title: str, steps: int) -> None:
        self.phases[title] = []
        self.sizes[title] = steps
        self.fractions[title] = []

    def step(self, text: str) -> None:
        list(self.phases.values())[-1].append(text)

    def fraction(self, done: float) -> None:
        list(self.fractions.values())[-1].append(done)

    def message(self, text: str) -> None:
        self.messages.append(text)
