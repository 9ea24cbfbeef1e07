"""PyTorch eager on the CPU: the reference of every accuracy, and a peer in the timings."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.backends.protocol import call_series
from harness.errors import ModelError
from harness.measure.paced import HostRoundTrip
from harness.pipeline.feeds import constant_inputs
from harness.pipeline.modules import as_tuple, build_module, hash_weights, import_torch
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Arrays, Built, Inspection, Series, Workshop
    from harness.pipeline.pipeline import Pipeline


class TorchBackend:
    """Runs the pipeline's own modules in fp32 on ``threads`` threads."""

    name = "torch"
    precision = "fp32"
    route = ""
    graph_precision = None
    is_calibrated = False
    builds_engines = False
    can_flush = True
    uses_gpu = False

    def __init__(self, *, threads: int) -> None:
        self.threads = threads

    def ceilings(self, cache: Cache) -> None:
        """Not measured of a CPU, which shares its own."""

    def check_can_run(self) -> None:
        """The CPU is always there."""

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
    ) -> TorchSession:
        """Build every component's module.

        Raises:
            MissingDependencyError: torch is not installed.
            ModelError: a component cannot be made, or is given as ONNX only.
        """
        return TorchSession(pipeline, threads=self.threads)

    def inspect(self, *_: object) -> dict[str, Inspection]:
        """Nothing: PyTorch's memory is that of the whole process, and its modules are fp32."""
        return {}


class TorchSession:
    """The modules of a pipeline and the tensors that pass between them."""

    def __init__(self, pipeline: Pipeline, *, threads: int) -> None:
        # Threads that wait actively take the cores from whatever is measured in turn with PyTorch
        # (where this was tried, convolutions of 0.1 ms took 5). It is read when torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._torch = import_torch("the torch backend")
        self._torch.set_num_threads(threads)
        self._pipeline = pipeline
        self._modules: dict[str, Any] = {}
        self._load_s: dict[str, float] = {}
        self._tensors: dict[str, Any] = {}
        for name in pipeline.components:
            started = time.perf_counter()
            self._modules[name] = build_module(pipeline, name)
            self._load_s[name] = time.perf_counter() - started

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that making each component took."""
        return self._load_s

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Take the free inputs and constants; PyTorch allocates the other tensors as it runs."""
        self._tensors = {name: self._tensor(array) for name, array in inputs.items()}
        for name, component in self._pipeline.components.items():
            for input_name, array in constant_inputs(component, sizes).items():
                self._tensors[f"{name}.{input_name}"] = self._tensor(array)

    def _tensor(self, array: NDArray[Any]) -> Any:  # noqa: ANN401
        return self._torch.from_numpy(array.copy())

    def launch(self, component: str) -> None:
        """Run one component on the tensors that feed it."""
        declared = self._pipeline.components[component]
        arguments = [
            self._tensors[tensor.source or f"{component}.{name}"]
            for name, tensor in declared.inputs.items()
        ]
        for output, value in zip(declared.outputs, self._run(component, arguments), strict=True):
            self._tensors[f"{component}.{output}"] = value

    def _run(self, component: str, arguments: list[Any]) -> tuple[Any, ...]:
        try:
            with self._torch.inference_mode():
                return as_tuple(self._modules[component](*arguments))
        except Exception as error:
            what = f"forward() raised {type(error).__name__}: {error}"
            fix = "check the declared shapes against the module"
            where = f"{self._pipeline.manifest}: components.{component}"
            raise ModelError(what, where=where, fix=fix) from error

    def launch_pipeline(self) -> None:
        """Run every component once, in order."""
        for component in self._pipeline.order:
            self.launch(component)

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now."""
        array = self._tensors[f"{component}.{output}"].numpy()
        return np.array(array)

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays."""
        declared = self._pipeline.components[component]
        results = self._run(component, [self._tensor(inputs[name]) for name in declared.inputs])
        return {name: value.numpy() for name, value in zip(declared.outputs, results, strict=True)}

    def weights(self) -> dict[str, str]:
        """The hash of each component's weights."""
        return {name: hash_weights(module) for name, module in self._modules.items()}

    def series(self) -> Sequence[Series]:
        """Every component and the whole, each launch a call."""
        return (call_series(self, self._pipeline),)

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """The whole pipeline: what is bound lies on the host already."""
        return {CALL: HostRoundTrip(self.launch_pipeline)}

    def close(self) -> None:
        """Free the modules and their tensors."""
        self._modules.clear()
        self._tensors.clear()
