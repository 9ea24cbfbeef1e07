"""Try one backend or library, in a process of its own: ``python -m harness.doctor.probe NAME``.

The last line of its output is JSON: ``told``, and where it cannot be used ``what`` and ``fix``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from harness.api import make_backends
from harness.backends.gpu import gpu_problem, has_gpu
from harness.backends.tensorrt.library import AUTO, TENSORRT, TENSORRT_RTX, find_library
from harness.errors import (
    EngineError,
    FeatureUnavailableError,
    HarnessError,
    missing_dependency,
)
from harness.pipeline.modules import import_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

# By the name of its distribution: the module, what it is for, the extra that installs it.
LIBRARIES: Final = {
    "pycuda": ("pycuda.driver", "running TensorRT engines", "pycuda"),
    "cuda-bindings": ("cuda.bindings.driver", "recording CUDA graphs", "cuda"),
    "nvidia-ml-py": ("pynvml", "reading the GPU's state", "cuda"),
    "nvtx": ("nvtx", "marking launches for NVIDIA's profilers", "cuda"),
}


def probe(name: str) -> dict[str, str]:
    """Try ``name``; what it is, and where it cannot be used why not and what to do."""
    told: list[str] = []
    try:
        if name in LIBRARIES:
            told.append(_library(name))
        else:
            _backend(name, told)
    except HarnessError as error:
        return {"told": ", ".join(told), "what": error.what, "fix": error.fix}
    except Exception as error:  # noqa: BLE001  # whatever a library raises is the finding
        what = f"{type(error).__name__}: {error}"
        return {"told": ", ".join(told), "what": what, "fix": f"install {name} again"}
    return {"told": ", ".join(told)}


def _library(name: str) -> str:
    module, purpose, extra = LIBRARIES[name]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing_dependency(name, extra, purpose) from error
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "version not told"


def _backend(name: str, told: list[str]) -> None:
    """Try a backend; ``told`` grows with what is found on the way."""
    if name in {TENSORRT, TENSORRT_RTX, AUTO}:
        library = find_library(name, has_gpu=has_gpu())
        told.append(str(library))
        if library.module.Builder(library.logger) is None:
            what = f"{library} makes no builder: {library.problem() or 'it gives no reason'}"
            raise EngineError(what, fix="does the driver fit this version?")
        told.append("builds engines")
    elif name.startswith("onnxruntime"):
        told.append(_try_onnxruntime())
    elif name == "torch" or not gpu_problem():
        torch = import_torch(f"the backend {name}")
        told.append(f"PyTorch {torch.__version__}")
        torch.ones(2).sum().item()
    else:
        # Before torch is loaded, which takes seconds.
        what = f"no GPU: {gpu_problem()}"
        raise FeatureUnavailableError(what, where=name, fix="use the backend torch")
    for backend in make_backends([name], ["fp32"]):
        backend.check_can_run()
    told.append("runs")


def _try_onnxruntime() -> str:
    """Run a graph of one node on the CPU; gives version and providers."""
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    from onnx import TensorProto, helper  # noqa: PLC0415

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "probe", value[:1], value[1:])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (answer,) = session.run(None, {"x": np.ones(1, np.float32)})
    providers = [name.removesuffix("ExecutionProvider") for name in _providers(onnxruntime)]
    told = f"ONNX Runtime {onnxruntime.__version__} ({', '.join(providers)})"
    if answer[0] != 2.0:  # noqa: PLR2004
        what = f"{told} adds 1 and 1 to {answer[0]}"
        raise FeatureUnavailableError(what, fix="install onnxruntime again")
    return told


def _providers(module: Any) -> Sequence[str]:  # noqa: ANN401
    return list(module.get_available_providers())


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1])))  # noqa: T201  # its answer
