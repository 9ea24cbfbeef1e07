"""PyTorch on CUDA, in fp32 or fp16, eager or as CUDA graphs: what is used without TensorRT."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.backends.device_series import device_series
from harness.backends.protocol import Inspection
from harness.backends.torch_cuda_bound import Bound, to_tensor
from harness.backends.torch_cuda_device import open_device, running
from harness.backends.torch_cuda_module import place_module
from harness.errors import OptionError
from harness.measure.paced import HostRoundTrip
from harness.pipeline.modules import import_torch
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.types import ENQUEUE, GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Arrays, Built, Series, Workshop
    from harness.backends.torch_cuda_device import CudaDevice
    from harness.backends.torch_cuda_module import DeviceModule
    from harness.pipeline.pipeline import Pipeline

PRECISIONS: Final = ("fp32", "fp16")
COMPILE: Final = "compile"
BENCHMARK: Final = "benchmark"


class TorchCudaBackend:
    """Runs the pipeline's own modules on PyTorch's GPU.

    Args:
        precision: ``fp32`` (without TF32) or ``fp16``.
        route: ``compile`` for ``torch.compile``, ``benchmark`` to let cuDNN try its algorithms
            first (``torch.backends.cudnn.benchmark``); empty for the modules as they are.
        launches: ``graph``, ``enqueue`` or both.
    """

    name = "torch-cuda"
    graph_precision = None
    is_calibrated = False
    builds_engines = False
    can_flush = True
    uses_gpu = True
    threads = 1

    def __init__(
        self, *, precision: str = "fp32", route: str = "", launches: Sequence[str] = (GRAPH,)
    ) -> None:
        _check("--precision", [precision], PRECISIONS)
        _check("--backend", [route], ("", BENCHMARK, COMPILE))
        _check("--launch", launches, (GRAPH, ENQUEUE))
        self.precision = precision
        self.route = route
        self.launches = tuple(dict.fromkeys(launches))
        self._opened: tuple[Pipeline, TorchCudaSession] | None = None

    def ceilings(self, cache: Cache) -> None:
        """Left to the backends whose layers are known."""

    def check_can_run(self) -> None:
        """See that there is a GPU.

        Raises:
            MissingDependencyError: torch is not installed.
            FeatureUnavailableError: this PyTorch has no CUDA, or finds no GPU.
        """
        open_device()

    def build(
        self,
        pipeline: Pipeline,  # noqa: ARG002  # it runs modules, not graphs
        models: Mapping[str, OnnxModel],  # noqa: ARG002
        workshop: Workshop,  # noqa: ARG002
    ) -> dict[str, Built]:
        """Nothing."""
        return {}

    def open(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],  # noqa: ARG002
    ) -> TorchCudaSession:
        """Put every component's module on the GPU.

        Raises:
            MissingDependencyError: torch is not installed.
            FeatureUnavailableError: this PyTorch has no CUDA, or finds no GPU.
            ModelError: a component cannot be made or run, or is given as ONNX only.
            EngineError: the GPU has too little memory.
        """
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] is pipeline:
            return opened[1]
        return TorchCudaSession(
            pipeline,
            open_device(),
            precision=self.precision,
            launches=self.launches,
            is_compiled=self.route == COMPILE,
            is_tuned=self.route == BENCHMARK,
        )

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],
        sizes: Mapping[str, int],  # noqa: ARG002
        inputs: Mapping[str, NDArray[Any]],  # noqa: ARG002
    ) -> dict[str, Inspection]:
        """Which PyTorch and GPU, and what each component computes in.

        Raises:
            HarnessError: as :meth:`open`.
        """
        session = self.open(pipeline, built)
        # The next open() takes it: making the modules takes seconds.
        self._opened = (pipeline, session)
        return {name: Inspection(None, None, session.details(name)) for name in pipeline.components}


def _check(option: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    for value in values:
        if value not in allowed:
            what = f"torch-cuda has no {value!r}"
            fix = f"choose of: {', '.join(filter(None, allowed))}"
            raise OptionError(what, where=option, fix=fix)
    if not values:
        raise OptionError("none is named", where=option, fix=f"choose of: {', '.join(allowed)}")


class TorchCudaSession:
    """The modules of a pipeline on one device; every launch is on that device's one stream."""

    def __init__(
        self,
        pipeline: Pipeline,
        device: CudaDevice,
        *,
        precision: str,
        launches: Sequence[str],
        is_compiled: bool = False,
        is_tuned: bool = False,
    ) -> None:
        self._torch = import_torch("the backend torch-cuda")
        self._pipeline = pipeline
        self._device = device
        self._launches = tuple(launches)
        self._is_compiled = is_compiled
        self._is_tuned = is_tuned
        self._modules: dict[str, DeviceModule] = {}
        self._load_s: dict[str, float] = {}
        self._bound: Bound | None = None
        device.activate()
        cudnn = self._torch.backends.cudnn
        # For what place_module() tries; every later run tells it itself.
        cudnn.benchmark = is_tuned
        for name in pipeline.components:
            started = time.perf_counter()
            with running(name):
                placed = place_module(
                    pipeline, name, device.device, precision, is_compiled=is_compiled
                )
                self._modules[name] = replace(placed, cudnn=cudnn, is_tuned=is_tuned)
                device.synchronize()
            self._load_s[name] = time.perf_counter() - started

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that making each component, moving it and one first run of it took."""
        return self._load_s

    def details(self, component: str) -> dict[str, Any]:
        """What the record says of a component."""
        module = self._modules[component]
        return {
            **self._device.details(),
            "computes_in": "fp16" if module.is_half else "fp32",
            "compiled": self._is_compiled,
            "cudnn_benchmark": self._is_tuned,
            "notes": list(module.notes),
        }

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Upload the free inputs; at new sizes, capture the graphs, for which all runs thrice."""
        self._device.activate()
        if self._bound is not None and self._bound.fits(sizes, inputs):
            self._bound.update(inputs)
            return
        # First of all, the memory of the old sizes.
        self._bound = None
        self._bound = Bound(
            self._pipeline,
            self._modules,
            self._device,
            sizes,
            inputs,
            has_graphs=GRAPH in self._launches,
        )

    @property
    def _is_bound(self) -> Bound:
        if self._bound is None:
            message = "bind() comes first"
            raise RuntimeError(message)
        return self._bound

    def launch(self, component: str) -> None:
        """Run one component on what its inputs hold now, and wait."""
        self._is_bound.launch(component)
        with running(component):
            self._device.synchronize()

    def launch_pipeline(self) -> None:
        """Run every component once, in order, and wait."""
        self._is_bound.launch_pipeline()
        with running(WHOLE_PIPELINE):
            self._device.synchronize()

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now, in the declared dtype."""
        return self._read(component, output, self._is_bound.latest[f"{component}.{output}"])

    def _read(self, component: str, output: str, tensor: Any) -> NDArray[Any]:  # noqa: ANN401
        dtype = self._pipeline.components[component].outputs[output].dtype
        return np.array(tensor.cpu().numpy(), dtype=dtype)

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component, eager, on the given arrays; it keeps what is bound as it is."""
        self._device.activate()
        declared = self._pipeline.components[component]
        module = self._modules[component]
        with running(component), self._torch.inference_mode():
            arguments = [
                to_tensor(self._torch, inputs[name], dtype).to(self._device.device)
                for name, dtype in zip(declared.inputs, module.inputs, strict=True)
            ]
            made = module.run(arguments)
            return {
                name: self._read(component, name, value)
                for name, value in zip(declared.outputs, made, strict=True)
            }

    def series(self) -> Sequence[Series]:
        """Per launch: the components and the whole, then the host's part of handing it over.

        The first has the copies too: to the device before the components, back after them.
        """
        self._device.activate()
        bound = self._is_bound
        # What is copied back has to be there.
        self.launch_pipeline()
        made: list[Series] = []
        for launch in self._launches:
            is_graph = launch == GRAPH
            targets, whole = bound.targets(is_graph=is_graph)
            copies = None if made else (bound.copy_inputs, bound.copy_back(is_graph=is_graph))
            made += device_series(self._device, launch, targets, whole, copies)
        return tuple(made)

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """The copies to the device, the whole pipeline and the copies back, on the one stream."""
        self._device.activate()
        return {
            launch: HostRoundTrip(self._waited(self._is_bound.round_trip(is_graph=launch == GRAPH)))
            for launch in self._launches
        }

    def _waited(self, queue: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            queue()
            with running(WHOLE_PIPELINE):
                self._device.synchronize()

        return call

    def close(self) -> None:
        """Free the graphs, the modules and their memory."""
        self._bound = None
        self._modules.clear()
        self._device.release()
