"""ONNX Runtime on the CPU, with outputs bound to the inputs that they feed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import ContractError, ModelError
from harness.pipeline.feeds import constant_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.backends.protocol import Arrays
    from harness.pipeline.pipeline import Pipeline

_PROVIDERS = ["CPUExecutionProvider"]


class OnnxRuntimeBackend:
    """Runs exported graphs with ONNX Runtime's CPU provider, in fp32, on ``threads`` threads."""

    name = "onnxruntime"
    precision = "fp32"
    needs_export = True

    def __init__(self, *, threads: int) -> None:
        self.threads = threads

    def open(self, pipeline: Pipeline, models: Mapping[str, Path]) -> OnnxRuntimeSession:
        """Open every component of ``pipeline``.

        Raises:
            ContractError: ONNX Runtime cannot load a graph.
        """
        return OnnxRuntimeSession(pipeline, models, threads=self.threads)


class OnnxRuntimeSession:
    """The open sessions of a pipeline and the tensors that they share, all in host memory."""

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
            self._sessions[name] = self._open(models[name], threads)
            self._load_s[name] = time.perf_counter() - started

    def _open(self, path: Path, threads: int) -> Any:  # noqa: ANN401
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Each session has a pool of its own: one that spins on after its work would take the cores
        # from the next component, and from a backend that is measured in turn with this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return self._runtime.InferenceSession(path, options, providers=_PROVIDERS)
        except Exception as error:
            what = f"ONNX Runtime cannot load it: {error}"
            raise ContractError(what, where=str(path), fix="export it again") from error

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that opening each component took."""
        return self._load_s

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor at ``sizes`` and bind it to each component that uses it."""
        self._values = {name: self._value(array) for name, array in inputs.items()}
        for name, component in self._pipeline.components.items():
            binding = self._sessions[name].io_binding()
            constants = constant_inputs(component, sizes)
            for input_name, tensor in component.inputs.items():
                key = tensor.source or f"{name}.{input_name}"
                if tensor.source is None:
                    self._values[key] = self._value(constants[input_name])
                binding.bind_ortvalue_input(input_name, self._values[key])
            for output, declared in component.outputs.items():
                array = np.zeros(declared.concrete_shape(sizes), dtype=declared.dtype)
                self._values[f"{name}.{output}"] = self._value(array)
                binding.bind_ortvalue_output(output, self._values[f"{name}.{output}"])
            self._bindings[name] = binding

    def _value(self, array: NDArray[Any]) -> Any:  # noqa: ANN401
        return self._runtime.OrtValue.ortvalue_from_numpy(array)

    def launch(self, component: str) -> None:
        """Run one component on its bound tensors."""
        try:
            self._sessions[component].run_with_iobinding(self._bindings[component])
        except KeyboardInterrupt:
            raise
        except Exception as error:
            raise _run_error(component, error) from error

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
            raise _run_error(component, error) from error
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """Free the sessions and their tensors."""
        self._bindings.clear()
        self._values.clear()
        self._sessions.clear()


def _run_error(component: str, error: Exception) -> ModelError:
    what = f"ONNX Runtime failed: {error}"
    return ModelError(what, where=component, fix="check the declared shapes against the graph")
