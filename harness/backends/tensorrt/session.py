"""A pipeline of engines on one device: every tensor stays there, from audio to audio."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from harness.backends.cuda_graph import CudaGraph
from harness.backends.device_series import device_series
from harness.backends.nvtx import marked
from harness.backends.tensorrt.buffers import Buffers
from harness.backends.tensorrt.engine import OpenEngine
from harness.backends.tensorrt.profiles import check_declared
from harness.errors import EngineError
from harness.measure.paced import HostRoundTrip
from harness.pipeline.feeds import constant_inputs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.accuracy import relative_l2
from harness.types import GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.backends.cuda import CudaDevice
    from harness.backends.protocol import Arrays, Built, Series
    from harness.backends.tensorrt.library import Library
    from harness.pipeline.pipeline import Pipeline

# Kernels may add in another order from launch to launch; what is missing differs by far more.
_MAX_GRAPH_ERROR: Final = 1e-2
Shapes = dict[str, tuple[int, ...]]


class TensorRTSession:
    """The open engines of a pipeline and the buffers that they share, on one stream.

    One that is opened ``beside`` another shares its engines' weights, where TensorRT lets it.
    """

    def __init__(  # noqa: PLR0913  # each is one independent choice
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        library: Library,
        device: CudaDevice,
        *,
        launches: Sequence[str],
        plugins: tuple[str, ...] = (),
        nvtx: bool = False,
        make_graph: Callable[[int, Callable[[], None]], Any] = CudaGraph,
        beside: TensorRTSession | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._device = device
        self._launches = tuple(launches)
        self._plugins = plugins
        self._nvtx = nvtx
        self._make_graph = make_graph
        self._graphs: dict[str, Any] = {}
        self._shapes: dict[str, Shapes] = {}
        self._load_s: dict[str, float] = {}
        self.engines: dict[str, OpenEngine] = {}
        self._buffers = Buffers(pipeline, device)
        try:
            for name in pipeline.components:
                self._open(name, built[name], library, beside)
        except BaseException:
            # The device outlives the session, and so would the memory.
            self.close()
            raise

    def _open(
        self, name: str, built: Built, library: Library, beside: TensorRTSession | None
    ) -> None:
        started = time.perf_counter()
        with _naming(name):
            engine = beside.engines[name].beside() if beside is not None else None
            engine = engine or OpenEngine(library, built.path, name, self._plugins)
            self.engines[name] = engine
            check_declared(self._pipeline, name, engine.inputs, engine.outputs)
            self._buffers.add(name, engine)
        self._load_s[name] = time.perf_counter() - started

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that reading and opening each engine took."""
        return self._load_s

    def memory_bytes(self, name: str, built: Built) -> int | None:
        """The bytes of an engine's file, activations and outputs, at the profile's max."""
        activations = self.engines[name].device_memory_bytes
        if activations is None or built.size_bytes is None:
            return None
        outputs = self._pipeline.components[name].outputs
        return (
            built.size_bytes
            + activations
            + sum(self._buffers.size_bytes(name, output) for output in outputs)
        )

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Set every shape to ``sizes`` and upload the free inputs and the constants."""
        for name, component in self._pipeline.components.items():
            declared = {n: t.concrete_shape(sizes) for n, t in component.inputs.items()}
            found = self._set_shapes(name, declared)
            for output, tensor in component.outputs.items():
                expected = tensor.concrete_shape(sizes)
                if found[output] != expected:
                    what = f"{output} is {list(found[output])}, declared is {list(expected)}"
                    fix = "mend the declaration, or build the engine from the right graph"
                    raise EngineError(what, where=name, fix=fix)
            for constant, array in constant_inputs(component, sizes).items():
                self._buffers.write(f"{name}.{constant}", array)
        for name, array in inputs.items():
            self._buffers.write(name, array)
        self._buffers.stage(inputs, self._final_shapes())

    def _set_shapes(self, name: str, inputs: Mapping[str, tuple[int, ...]]) -> Shapes:
        engine = self.engines[name]
        known = self._shapes.get(name)
        if known is not None and {t.name: known[t.name] for t in engine.inputs} == dict(inputs):
            return known
        # A recorded graph is of the former shapes, and so is the context until it has taken all.
        self._drop_graphs()
        self._shapes.pop(name, None)
        self._shapes[name] = engine.set_shapes(inputs)
        for tensor in self._shapes[name]:
            engine.set_address(tensor, self._buffers.address(name, tensor))
        return self._shapes[name]

    def _final_shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            f"{name}.{output}": self._shapes[name][output]
            for name, output in self._pipeline.final_outputs
        }

    def launch(self, component: str) -> None:
        """Run one component, kernel by kernel, and wait for it."""
        with _naming(component):
            self._enqueue(component)
            self._device.synchronize()

    def launch_pipeline(self) -> None:
        """Run every component in order, as one graph if graphs are asked for, and wait."""
        if GRAPH in self._launches:
            self._graph(WHOLE_PIPELINE).launch()
        else:
            self._enqueue_all()
        self._device.synchronize()

    def _enqueue(self, component: str) -> None:
        self.engines[component].enqueue(self._device.stream_handle)

    def _enqueue_all(self) -> None:
        for name in self._pipeline.order:
            self._enqueue(name)

    def _graph(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._graphs:
            work = self._work(name)
            # TensorRT loads kernels and takes memory on the first launch at a shape, which no
            # recording allows.
            work()
            self._device.synchronize()
            expected = self._outputs(name)
            with _naming(name):
                self._graphs[name] = self._make_graph(self._device.stream_handle, work)
            self._check_graph(name, expected)
        return self._graphs[name]

    def _outputs(self, name: str) -> dict[tuple[str, str], NDArray[Any]]:
        """What the outputs of a component, or the pipeline's final ones, hold now."""
        outputs: Sequence[tuple[str, str]] = self._pipeline.final_outputs
        if name != WHOLE_PIPELINE:
            outputs = [(name, output) for output in self._pipeline.components[name].outputs]
        return {(owner, output): self.read(owner, output) for owner, output in outputs}

    def _check_graph(self, name: str, expected: Mapping[tuple[str, str], NDArray[Any]]) -> None:
        """Check that the graph holds all of the work: what was left out of it is never redone.

        Raises:
            EngineError: an output is not what the same launches, made one by one, computed.
        """
        for owner, output in expected:
            self._buffers.spoil(owner, output)
        self._graphs[name].launch()
        self._device.synchronize()
        for key, value in self._outputs(name).items():
            error = relative_l2(expected[key], value)
            if not error <= _MAX_GRAPH_ERROR:
                what = f"as a CUDA graph {'.'.join(key)} differs by {error:.1e} (relative L2)"
                fix = "does a plugin work on a stream of its own? measure with --launch enqueue"
                raise EngineError(what, where=name, fix=fix)

    def _work(self, name: str) -> Callable[[], None]:
        return self._enqueue_all if name == WHOLE_PIPELINE else lambda: self._enqueue(name)

    def _drop_graphs(self) -> None:
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now, in the declared dtype."""
        declared = self._pipeline.components[component].outputs[output]
        array = self._buffers.read(component, output, self._shapes[component][output])
        return array.astype(declared.dtype, copy=False)

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays; what is bound is overwritten."""
        self._set_shapes(component, {name: array.shape for name, array in inputs.items()})
        for name, array in inputs.items():
            self._buffers.write_input(component, name, array)
        outputs = self._pipeline.components[component].outputs
        for output in outputs:
            # What is not written must not pass for what a former launch wrote.
            self._buffers.spoil(component, output)
        self.launch(component)
        return {output: self.read(component, output) for output in outputs}

    def series(self) -> Sequence[Series]:
        """Components and the whole, launched in each way, with copies in the first series."""
        found: list[Series] = []
        for launch in self._launches:
            targets: dict[str, Callable[[], None]] = {}
            for name in (*self._pipeline.order, WHOLE_PIPELINE):
                target = self._graph(name).launch if launch == GRAPH else self._work(name)
                targets[name] = marked(target, name) if self._nvtx else target
            whole = targets.pop(WHOLE_PIPELINE)
            copies = None if found else (self._buffers.queue_inputs, self._buffers.queue_outputs)
            found += device_series(self._device, launch, targets, whole, copies)
        return found

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """The copies to the device, the whole pipeline and the copies back, on one stream."""
        return {
            launch: HostRoundTrip(self._waited(self.queued_round_trip(launch)))
            for launch in self._launches
        }

    def queued_round_trip(self, launch: str) -> Callable[[], None]:
        """What queues a round trip, and does not wait for it."""
        whole = self._graph(WHOLE_PIPELINE).launch if launch == GRAPH else self._enqueue_all

        def queue() -> None:
            self._buffers.queue_inputs()
            whole()
            self._buffers.queue_outputs()

        return queue

    def _waited(self, queue: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            queue()
            self._device.synchronize()

        return call

    def close(self) -> None:
        """Free graphs, buffers and engines; what the device cannot do any more is passed over."""
        for free in (
            self._device.synchronize,
            self._drop_graphs,
            self._buffers.close,
            *(engine.close for engine in self.engines.values()),
        ):
            with suppress(EngineError):
                free()
        self.engines.clear()


@contextmanager
def _naming(component: str) -> Iterator[None]:
    """Say in an error of the device which component it was about."""
    try:
        yield
    except EngineError as error:
        if error.where in {component, ""} or error.where.endswith(".engine"):
            raise
        where = f"{component} ({error.where})"
        raise EngineError(error.what, where=where, fix=error.fix) from error
