"""ONNX Runtime's CUDA provider: the graphs as they are, their tensors in the GPU's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.backends.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeSession
from harness.backends.protocol import Inspection
from harness.errors import FeatureUnavailableError
from harness.measure.paced import HostRoundTrip
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.backends.protocol import Built
    from harness.pipeline.pipeline import Pipeline

_NAME: Final = "onnxruntime-cuda"
_PROVIDER: Final = "CUDAExecutionProvider"
_GPU: Final = 0
# fp32 means fp32. What the provider cannot run is left to the CPU's.
_PROVIDERS: Final = ((_PROVIDER, {"device_id": str(_GPU), "use_tf32": "0"}), "CPUExecutionProvider")


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    """Runs graphs of fp32 or fp16 on the GPU; a launch returns when the GPU is done."""

    name = _NAME
    # Its stream is its own, and the host's caches are not what its kernels read.
    can_flush = False
    uses_gpu = True

    def __init__(self, *, threads: int = 1, precision: str = "fp32") -> None:
        super().__init__(threads=threads, precision=precision)

    def check_can_run(self) -> None:
        """See that there is a provider for the GPU.

        Raises:
            FeatureUnavailableError: this ONNX Runtime has none.
        """
        _check_provider()

    def open(self, pipeline: Pipeline, built: Mapping[str, Built]) -> OnnxRuntimeCudaSession:
        """Open every component of ``pipeline``.

        Raises:
            FeatureUnavailableError: this ONNX Runtime has no CUDA provider, or it does not start.
            ContractError: ONNX Runtime cannot load a graph.
        """
        paths = {name: one.path for name, one in built.items()}
        return OnnxRuntimeCudaSession(pipeline, paths, threads=self.threads)

    def inspect(
        self,
        pipeline: Pipeline,
        built: Mapping[str, Built],  # noqa: ARG002
        sizes: Mapping[str, int],  # noqa: ARG002
        inputs: Mapping[str, NDArray[Any]],  # noqa: ARG002
    ) -> dict[str, Inspection]:
        """Which ONNX Runtime, and its provider's options.

        Raises:
            FeatureUnavailableError: this ONNX Runtime has no CUDA provider.
        """
        version = str(_check_provider().__version__)
        providers = [_PROVIDER, "CPUExecutionProvider"]
        details = {"onnxruntime": version, "providers": providers, "tf32": False}
        return {name: Inspection(None, None, details) for name in pipeline.components}


class OnnxRuntimeCudaSession(OnnxRuntimeSession):
    """The open sessions of a pipeline and the tensors that they share in the GPU's memory."""

    providers = _PROVIDERS

    def __init__(self, pipeline: Pipeline, models: Mapping[str, Path], *, threads: int) -> None:
        _check_provider()
        super().__init__(pipeline, models, threads=threads)
        self._host: dict[str, NDArray[Any]] = {}
        for name, session in self._sessions.items():
            # One whose libraries are not found is left out, with no more than a line of log.
            if _PROVIDER not in session.get_providers():
                what = f"ONNX Runtime's {_PROVIDER} does not start"
                fix = "are the CUDA and cuDNN that it was built for in LD_LIBRARY_PATH?"
                raise FeatureUnavailableError(what, where=name, fix=fix)

    def place(self, array: NDArray[Any]) -> Any:  # noqa: ANN401
        """A value in the GPU's memory."""
        return self._runtime.OrtValue.ortvalue_from_numpy(array, "cuda", _GPU)

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor on the GPU; the inputs stay on the host as well, to be copied."""
        super().bind(sizes, inputs)
        self._host = {name: np.ascontiguousarray(array) for name, array in inputs.items()}

    def round_trips(self) -> Mapping[str, HostRoundTrip]:
        """The copies of the free inputs, the whole pipeline, and the copies of what it puts out."""
        return {CALL: HostRoundTrip(self._make_round_trip)}

    def _make_round_trip(self) -> None:
        for name, array in self._host.items():
            self._values[name].update_inplace(array)
        self.launch_pipeline()
        for component, output in self._pipeline.final_outputs:
            self._values[f"{component}.{output}"].numpy()

    def launch(self, component: str) -> None:
        """Run one component on its bound tensors, and wait for the GPU."""
        super().launch(component)
        self._bindings[component].synchronize_outputs()


def _check_provider() -> Any:  # noqa: ANN401
    """The module ``onnxruntime``, where it has the provider."""
    import onnxruntime  # noqa: PLC0415

    if _PROVIDER not in onnxruntime.get_available_providers():
        what = f"ONNX Runtime {onnxruntime.__version__} has no {_PROVIDER}"
        fix = "install onnxruntime-gpu instead of onnxruntime, or use the backend onnxruntime"
        raise FeatureUnavailableError(what, where=_NAME, fix=fix)
    return onnxruntime
