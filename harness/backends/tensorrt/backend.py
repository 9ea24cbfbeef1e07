"""The backend: engines of one recipe, built, opened and looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.backends.ceilings import find_or_measure_ceilings
from harness.backends.cuda import CudaDevice
from harness.backends.cuda_graph import import_driver
from harness.backends.nvtx import check_nvtx
from harness.backends.protocol import Built, Inspection, open_all
from harness.backends.tensorrt.engines import EngineFactory
from harness.backends.tensorrt.header import check_header, read_header
from harness.backends.tensorrt.layer_times import time_layers
from harness.backends.tensorrt.options import GIVEN
from harness.backends.tensorrt.session import TensorRTSession
from harness.backends.tensorrt.streams import TensorRTStreams
from harness.errors import FeatureUnavailableError, OptionError
from harness.types import GRAPH, NodeCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Workshop
    from harness.backends.tensorrt.library import Library
    from harness.backends.tensorrt.options import Recipe, TensorRTOptions
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Ceilings

_devices: Final[list[CudaDevice]] = []


class TensorRTBackend:
    """Builds engines by ``recipe`` and runs them, launched in each of ``launches``.

    ``engines`` are files to open in place of what would be built, by component.
    """

    threads = 1
    builds_engines = True
    can_flush = True
    uses_gpu = True

    def __init__(
        self,
        library: Library,
        recipe: Recipe,
        options: TensorRTOptions,
        *,
        launches: Iterable[str],
        engines: Mapping[str, Path] | None = None,
    ) -> None:
        self.name = library.name
        self.precision = recipe.precision
        # Engines that were given may be of any precision: nothing else is measured by this route.
        self.route = "+".join(filter(None, (recipe.route, GIVEN if engines else "")))
        self.graph_precision = recipe.graph_precision
        self.is_calibrated = recipe.calibrator
        self._library = library
        self._options = options
        self._factory = EngineFactory(library, recipe, options)
        self._launches = tuple(launches)
        self._engines = dict(engines or {})

    def ceilings(self, cache: Cache) -> Ceilings | None:
        """What the GPU does at best, measured once and kept."""
        return find_or_measure_ceilings(self.device(), cache)

    def check_can_run(self) -> None:
        """See that there is a GPU, and all that reaches it.

        Raises:
            FeatureUnavailableError: there is none.
            MissingDependencyError: PyCUDA, the CUDA bindings or NVTX are wanted and not installed.
        """
        self.device()
        if GRAPH in self._launches:
            import_driver()
        if self._options.nvtx:
            check_nvtx()

    def build(
        self, pipeline: Pipeline, models: Mapping[str, OnnxModel], workshop: Workshop
    ) -> dict[str, Built]:
        """The engine of every component: a given one, one from the cache, or a new one.

        Raises:
            EngineError, ContractError: one cannot be built or is not for this library.
            OptionError: an engine is given for what is no component.
        """
        unknown = [name for name in self._engines if name not in pipeline.components]
        if unknown:
            what = f"{pipeline.name} has no component {unknown[0]!r}"
            fix = f"name one of: {', '.join(pipeline.components)}"
            raise OptionError(what, where="--engine", fix=fix)
        given = {name: self._given(path) for name, path in self._engines.items()}
        wanted = {name: model for name, model in models.items() if name not in given}
        built = self._factory.build(pipeline, wanted, workshop)
        return {name: {**given, **built}[name] for name in pipeline.components}

    def _given(self, path: Path) -> Built:
        header = read_header(path)
        check_header(header, self._library.name, self._library.version, path)
        return Built(path, path.stat().st_size, details={"given": path.name, "header": str(header)})

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> TensorRTSession:
        """Open every engine on the GPU.

        Raises:
            FeatureUnavailableError: there is no GPU.
            EngineError: an engine is not for this machine, or does not fit into its memory.
        """
        return TensorRTSession(
            pipeline,
            built,
            self._library,
            self.device(),
            launches=self._launches,
            plugins=self._options.plugins,
            nvtx=self._options.nvtx,
        )

    def open_streams(
        self, pipeline: Pipeline, built: Mapping[str, Built], count: int
    ) -> TensorRTStreams:
        """Open every engine ``count`` times, each on a stream of its own.

        Raises:
            HarnessError: as :meth:`open`.
        """
        devices = [self.device().stream() for _ in range(count)]

        def open_one(opened: Sequence[TensorRTSession]) -> TensorRTSession:
            return TensorRTSession(
                pipeline,
                built,
                self._library,
                devices[len(opened)],
                launches=self._launches,
                plugins=self._options.plugins,
                beside=opened[0] if opened else None,
            )

        return TensorRTStreams(open_all(open_one, count), devices, self._launches)

    def device(self) -> CudaDevice:
        """One for all sessions, so that what runs in turn does so on one stream.

        Raises:
            FeatureUnavailableError: there is no GPU.
            MissingDependencyError: PyCUDA is not installed.
        """
        if not _devices:
            try:
                _devices.append(CudaDevice())
            except FeatureUnavailableError as error:
                what = f"{self._library} runs engines on an NVIDIA GPU, and here is none"
                fix = "measure with --backend onnxruntime"
                if self._library.builds_without_gpu:
                    fix = f"harness build makes the engines without one; {fix}"
                where = f"--backend {self.name}"
                raise FeatureUnavailableError(
                    f"{what} ({error.what})", where=where, fix=fix
                ) from error
        _devices[0].check_thread()
        return _devices[0]

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
    ) -> dict[str, Inspection]:
        """Open and run each engine once; with ``layer_times``, time its layers as well.

        Memory is told, not measured: the engine's file, its activations and outputs at the
        profile's max. What the device has less of is mostly what libraries take for themselves.
        """
        session = self.open(pipeline, built)
        try:
            session.bind(sizes, inputs)
            found = {}
            for name in pipeline.order:
                session.launch(name)
                memory_bytes = session.memory_bytes(name, built[name])
                found[name] = Inspection(
                    memory_bytes, _products(built[name]), self._details(session, name)
                )
        finally:
            session.close()
        return found

    def _details(self, session: TensorRTSession, name: str) -> dict[str, Any]:
        gpu = self.device().info
        details: dict[str, Any] = {
            "gpu_uuid": gpu.uuid,
            "driver_cuda": gpu.driver_cuda,
            "activations_bytes": session.engines[name].device_memory_bytes,
        }
        if self._options.layer_times:
            details["layer_times"] = time_layers(
                self._library, session.engines[name], self.device()
            )
        return details


def _products(built: Built) -> NodeCounts | None:
    products = built.details.get("layers", {}).get("products")
    return None if products is None else NodeCounts(**products)
