"""Everything that measuring takes, made before anything is measured: one build of a run each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.artifacts.worker import WorkerPool
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import as_built
from harness.cases import accuracy_count
from harness.describe import describe_costs, describe_engine, describe_missing
from harness.measure.environment import available_cores
from harness.pipeline.feeds import accuracy_inputs, recording_inputs
from harness.pipeline.restrict import restrict
from harness.prepare import BuildOptions, Prepared, WhichBuild, build_backends, prepare_backends
from harness.reference import (
    Feed,
    Reference,
    check_same_weights,
    run_stack,
    seek_reference,
    why_no_reference,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from harness.artifacts.cache import Cache
    from harness.audio import Recording
    from harness.backends.protocol import Backend, Built
    from harness.checks import Check
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Case, Ceilings, ComponentCost, Engine, Variant


@dataclass(frozen=True)
class Wanted:
    """What is to be measured: the cases, what is fed, how graphs are made, which components.

    No ``components`` means all of them, and the whole pipeline.
    """

    cases: tuple[Case, ...]
    seed: int = 0
    build: BuildOptions = field(default_factory=BuildOptions)
    recording: Recording | None = None
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class Builds:
    """Which builds of the engines to make: ``count`` of them, numbered from ``first``.

    With ``pins_tactics`` later builds use the tactics that the first has found; otherwise all but
    number 0 choose anew. ``series`` tells them apart from builds of the same numbers.
    """

    count: int = 1
    pins_tactics: bool = False
    first: int = 0
    series: str = ""

    @property
    def indices(self) -> range:
        """Their numbers."""
        return range(self.first, self.first + self.count)

    @property
    def are_several(self) -> bool:
        """Whether there are others beside the one that is always there."""
        return self.count > 1 or self.first > 0


ONE_BUILD: Final = Builds()


@dataclass(frozen=True)
class Ready:
    """What is opened and measured: one build of each variant, and what it is fed.

    ``pipeline`` holds the components that are measured. The first feed of a case is timed; all are
    compared with its reference. ``checks`` holds what an earlier look at the same build has found.
    """

    pipeline: Pipeline
    feeds: Mapping[Case, list[Feed]]
    references: Mapping[Case, Reference]
    built: Mapping[Variant, Mapping[str, Built]]
    checks: Mapping[Case, Mapping[Variant, Mapping[str, Check]]] = field(default_factory=dict)


class Preparation:
    """Makes graphs, references and engines; ``make()`` may be called once.

    ``timed`` is entered with the name of each phase.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        backends: Mapping[Variant, Backend],
        cache: Cache,
        wanted: Wanted,
        observer: Observer,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._pipeline = pipeline
        self._backends = backends
        self._cache = cache
        self._wanted = wanted
        self._observer = observer
        self._timed = timed
        # An unknown component is told of before anything is made.
        self._measured = restrict(pipeline, wanted.components)
        self.prepared = Prepared({}, None)
        self.engines: list[Engine] = []
        self.costs: tuple[ComponentCost, ...] = ()
        self.ceilings: Ceilings | None = None
        self.no_reference = why_no_reference(pipeline, wanted.build.foreign)

    def make(self, builds: Builds = ONE_BUILD) -> tuple[Ready, ...]:
        """Everything, once for each of ``builds``, which differ in their engines alone.

        Raises:
            HarnessError: a graph, a reference or an engine is impossible.
        """
        # The inputs come first: where they are wrong, no export is waited for.
        feeds = self._all_feeds()
        with WorkerPool() as pool:
            if any(b.graph_precision is not None for b in self._backends.values()):
                self._prepare(pool)
            references = self._references(feeds, pool)
            if self._wanted.components:
                feeds = self._cut(feeds, references)
            built = {index: self._build(pool, index, builds) for index in builds.indices}
        for index, found in built.items():
            self._inspect(feeds, found, index, builds)
        self._look_up_costs()
        return tuple(Ready(self._measured, feeds, references, found) for found in built.values())

    def _sizes(self, case: Case) -> dict[str, int]:
        return self._pipeline.sizes(duration_s=case.duration_s, batch=case.batch)

    def _all_feeds(self) -> dict[Case, list[Feed]]:
        self._observer.phase("Making the inputs", len(self._wanted.cases))
        feeds = {}
        with self._timed("inputs"):
            for case in self._wanted.cases:
                feeds[case] = self._feeds(case)
                self._observer.step(str(case))
        return feeds

    def _feeds(self, case: Case) -> list[Feed]:
        """The input that is timed, and after it those on which accuracy is taken as well."""
        sizes, recording = self._sizes(case), self._wanted.recording
        if recording is not None:
            return [recording_inputs(self._pipeline, recording.samples, sizes)]
        count = 1 if self.no_reference else accuracy_count(case)
        return accuracy_inputs(self._pipeline, sizes, seed=self._wanted.seed, count=count)

    def _prepare(self, pool: WorkerPool) -> None:
        with self._timed("build"):
            self.prepared = prepare_backends(
                self._pipeline,
                self._backends.values(),
                self._wanted.build,
                self._cache,
                pool,
                self._observer,
            )

    def _references(
        self, feeds: Mapping[Case, list[Feed]], pool: WorkerPool
    ) -> dict[Case, Reference]:
        if self.no_reference:
            return {}
        self._observer.phase("Reference (PyTorch fp32)", len(feeds))
        references: dict[Case, Reference] = {}
        foreign = self._wanted.build.foreign
        with self._timed("reference"):
            for case, several in feeds.items():
                found = seek_reference(
                    self._pipeline,
                    self._sizes(case),
                    several,
                    self._cache,
                    pool,
                    threads=available_cores(),
                    foreign=foreign,
                )
                if found is not None:
                    references[case] = found
                    for models in self.prepared.models.values():
                        check_same_weights(found, models, str(self._pipeline.manifest))
                self._observer.step(str(case))
        missing = [case for case in feeds if case not in references]
        if missing and foreign is not None:
            self.no_reference = describe_missing(
                self._pipeline, missing, foreign, self._wanted.recording, self._wanted.seed
            )
        return references

    def _cut(
        self, feeds: Mapping[Case, list[Feed]], references: Mapping[Case, Reference]
    ) -> dict[Case, list[Feed]]:
        """What the chosen components are fed: what the others would have made comes from outside.

        It is that of the reference, or else of ONNX Runtime.
        """
        wanted = list(self._measured.declaration.inputs)
        cut = {}
        for case, several in feeds.items():
            reference = references.get(case)
            tensors = self._run_all(case, several) if reference is None else reference.tensors
            cut[case] = [
                {name: np.asarray(tensors[name][index]) for name in wanted}
                for index in range(len(several))
            ]
        models = self.prepared.models.items()
        self.prepared = replace(
            self.prepared, models={p: {n: m[n] for n in self._measured.order} for p, m in models}
        )
        return cut

    def _run_all(self, case: Case, feeds: list[Feed]) -> dict[str, np.ndarray]:
        """Every tensor of the whole pipeline, run in the first of the precisions."""
        precision, models = next(iter(self.prepared.models.items()))
        backend = OnnxRuntimeBackend(threads=available_cores(), precision=precision)
        inputs = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
        session = backend.open(self._pipeline, as_built(models))
        try:
            return {**inputs, **run_stack(self._pipeline, session, self._sizes(case), inputs)}
        finally:
            session.close()

    def _build(
        self, pool: WorkerPool, index: int, wanted: Builds
    ) -> dict[Variant, Mapping[str, Built]]:
        with self._timed("build"):
            return build_backends(
                self._measured,
                self._backends,
                self.prepared,
                self._cache,
                pool,
                self._observer,
                WhichBuild(index, wanted.pins_tactics, wanted.series),
            )

    def _inspect(
        self,
        feeds: Mapping[Case, list[Feed]],
        built: Mapping[Variant, Mapping[str, Built]],
        index: int,
        builds: Builds,
    ) -> None:
        """Look into each variant at the largest case; ``index`` tells several builds apart."""
        case = max(self._wanted.cases, key=lambda case: (case.duration_s or 1.0) * case.batch)
        self._observer.phase("Looking into the graphs", len(self._backends))
        with self._timed("inspect"):
            for variant, backend in self._backends.items():
                if index != builds.first and not backend.builds_engines:
                    # There is but one of it.
                    continue
                its = built[variant]
                found = backend.inspect(self._measured, its, self._sizes(case), feeds[case][0])
                for name, inspection in found.items():
                    engine = describe_engine(variant, case, name, its.get(name), inspection)
                    if builds.are_several:
                        engine = replace(engine, details={**engine.details, "build": index})
                    self.engines.append(engine)
                self._observer.step(str(variant))

    def _look_up_costs(self) -> None:
        """What the graphs must do, and what the device can: where there is a device."""
        found = (backend.ceilings(self._cache) for backend in self._backends.values())
        self.ceilings = next(filter(None, found), None)
        if self.ceilings is not None:
            self.costs = describe_costs(self._pipeline, self.prepared, self._wanted.cases)
