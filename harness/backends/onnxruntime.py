"""ONNX Runtime on the CPU, with outputs bound to the inputs that they feed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.backends.onnxruntime_inspection import inspect_graphs
from harness.backends.onnxruntime_session import CPU, open_graph
from harness.backends.protocol import Sessions, as_built, call_series, open_all
from harness.errors import ModelError
from harness.measure.concurrent import HostStreams
from harness.measure.paced import HostRoundTrip
from harness.pipeline.feeds import constant_inputs
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Arrays, Built, Inspection, Series, Workshop
    from harness.pipeline.pipeline import Pipeline


class OnnxRuntimeBackend:
    """Runs graphs of one precision with ONNX Runtime's CPU provider, on ``threads`` threads."""

    name = "onnxruntime"
    route = ""
    is_calibrated = False
    builds_engines = False
    can_flush = True
    uses_gpu = False

    def __init__(self, *, threads: int, precision: str = "fp32") -> None:
        self.threads = threads
        self.precision = precision
        self.graph_precision = precision

    def ceilings(self, cache: Cache) -> None:
        """Not measured of a CPU, which shares its own."""

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

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> OnnxRuntimeSession:
        """Open every component of ``pipeline``.

        Raises:
            ContractError: ONNX Runtime cannot load a graph.
        """
        return OnnxRuntimeSession(pipeline, _paths(built), threads=self.threads)

    def open_streams(
        self, pipeline: Pipeline, built: Mapping[str, Built], count: int
    ) -> HostSessions:
        """Open every component ``count`` times; the streams share the threads evenly.

        Raises:
            HarnessError: as :meth:`open`.
        """
        threads = max(1, self.threads // count)
        shared = type(self)(threads=threads, precision=self.precision)
        return HostSessions(open_all(lambda _: shared.open(pipeline, built), count), threads)

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
    ) -> dict[str, Inspection]:
        """Open and run each component once in a process of its own, and see what it did.

        Raises:
            HarnessError: that process failed.
        """
        return inspect_graphs(pipeline, _paths(built), sizes, inputs, threads=self.threads)


def _paths(built: Mapping[str, Built]) -> dict[str, Path]:
    return {name: one.path for name, one in built.items()}


class OnnxRuntimeSession:
    """The open sessions of a pipeline and the tensors that they share, in host memory or another's.

    Another execution provider is a subclass, with its own ``providers`` and ``place()``.
    """

    providers: Sequence[Any] = CPU

    def __init__(self, pipeline: Pipeline, models: Mapping[str, Path], *, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415

        self._runtime = onnxruntime
        self._pipeline = pipeline
        self._sessions: dict[str, Any] = {}
        self._bindings: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._load_s: dict[str, float] = {}
        for name in pipeline.components:
            started = time.perf_counter()
            self._sessions[name] = open_graph(
                models[name], threads=threads, providers=self.providers
            )
            self._load_s[name] = time.perf_counter() - started

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that opening each component took."""
        return self._load_s

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor at ``sizes`` and bind it to each component that uses it."""
        self._values = {name: self.place(array) for name, array in inputs.items()}
        for name, component in self._pipeline.components.items():
            binding = self._sessions[name].io_binding()
            constants = constant_inputs(component, sizes)
            for input_name, tensor in component.inputs.items():
                key = tensor.source or f"{name}.{input_name}"
                if tensor.source is None:
                    self._values[key] = self.place(constants[input_name])
                binding.bind_ortvalue_input(input_name, self._values[key])
            for output, declared in component.outputs.items():
                array = np.zeros(declared.concrete_shape(sizes), dtype=declared.dtype)
                self._values[f"{name}.{output}"] = self.place(array)
                binding.bind_ortvalue_output(output, self._values[f"{name}.{output}"])
            self._bindings[name] = binding

    def place(self, array: NDArray[Any]) -> Any:  # noqa: ANN401
        """A value of ONNX Runtime's, in the memory of the provider."""
        return self._runtime.OrtValue.ortvalue_from_numpy(array)

    def launch(self, component: str) -> None:
        """Run one component on its bound tensors."""
        try:
            self._sessions[component].run_with_iobinding(self._bindings[component])
        except KeyboardInterrupt:
            raise
        except Exception as error:
            raise self._run_error(component, error) from error

    def launch_pipeline(self) -> None:
        """Run every component once, in order."""
        for component in self._pipeline.order:
            self.launch(component)

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now."""
        return np.array(self._values[f"{component}.{output}"].numpy())

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays."""
        names = list(self._pipeline.components[component].outputs)
        try:
            results = self._sessions[component].run(names, dict(inputs))
        except Exception as error:
            raise self._run_error(component, error) from error
        return dict(zip(names, results, strict=True))

    def series(self) -> Sequence[Series]:
        """Every component and the whole, each launch a call."""
        return (call_series(self, self._pipeline),)

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """The whole pipeline: what is bound lies on the host already."""
        return {CALL: HostRoundTrip(self.launch_pipeline)}

    def close(self) -> None:
        """Free the sessions and their tensors."""
        self._bindings.clear()
        self._values.clear()
        self._sessions.clear()

    def _run_error(self, component: str, error: Exception) -> ModelError:
        where = f"{self._pipeline.manifest}: components.{component}"
        fix = "check the declared shapes against the graph"
        return ModelError(f"ONNX Runtime failed: {error}", where=where, fix=fix)


class HostSessions(Sessions):
    """Sessions whose launches return when they are done: a thread each."""

    def clocks(self) -> Mapping[str, HostStreams]:
        """What launches a round trip in every session, again and again."""
        trips = [session.round_trips()[CALL] for session in self.sessions]
        return {CALL: HostStreams([t.call for t in trips if isinstance(t, HostRoundTrip)])}
