"""What ONNX Runtime makes of a graph: the memory it takes and the precision its nodes run in.

Both are told by a process that does nothing else: in one that has opened other graphs before,
memory that they freed is taken again and counts as none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.backends.onnxruntime_session import open_graph
from harness.backends.protocol import Inspection
from harness.errors import ContractError, WorkerError
from harness.files import load_arrays, save_arrays
from harness.pipeline.feeds import constant_inputs
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline

_ROOT: Final = Path(__file__).resolve().parents[2]
_START: Final = (
    # Not the working directory, whose modules might shadow others.
    f"import sys; sys.path[:] = [*filter(None, sys.path)]; sys.path.append({str(_ROOT)!r}); "
    "from harness.backends.onnxruntime_inspection import main; main()"
)
# glibc keeps what was freed in a heap for each thread, which tells nothing of the graph: here there
# is one heap, and whatever is large is mapped and given back by itself.
_STEADY_MEMORY: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
# Whatever ONNX Runtime fuses, the name of the kernel still tells what it multiplies.
_MATRIX_KERNELS: Final = ("Conv", "MatMul", "Gemm")
_PRECISIONS: Final = {"int8": "int8", "uint8": "int8", "float16": "fp16", "float": "fp32"}


def inspect_graphs(
    pipeline: Pipeline,
    models: Mapping[str, Path],
    sizes: Mapping[str, int],
    inputs: Mapping[str, NDArray[Any]],
    *,
    threads: int,
) -> dict[str, Inspection]:
    """Run every component once, in order, in a new process; see :class:`Inspection`.

    Raises:
        WorkerError: the process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        constants = {
            f"{name}.{i}": array
            for name, component in pipeline.components.items()
            for i, array in constant_inputs(component, sizes).items()
        }
        save_arrays(Path(folder) / "inputs.npz", {**inputs, **constants})
        components = [
            {
                "name": name,
                "graph": str(models[name]),
                "inputs": {i: t.source or f"{name}.{i}" for i, t in component.inputs.items()},
                "outputs": list(component.outputs),
            }
            for name, component in pipeline.components.items()
        ]
        request = {"folder": folder, "components": components, "threads": threads}
        done = subprocess.run(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-c", _START],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **_STEADY_MEMORY},
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        what = f"looking into the graphs failed: {lines[-1] if lines else 'without a word'}"
        raise WorkerError(what, where="onnxruntime", fix="is there enough memory?")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ContractError(**answer["error"])
    return {
        name: Inspection(found["memory_bytes"], NodeCounts(**found["nodes"]))
        for name, found in answer.items()
    }


def main() -> None:
    """Answer one request on standard input; the process that :func:`inspect_graphs` starts."""
    try:
        answer = _inspect(json.load(sys.stdin))
    except ContractError as error:
        answer = {"error": {"what": error.what, "where": error.where, "fix": error.fix}}
    json.dump(answer, sys.stdout)


def _inspect(request: Mapping[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])
    tensors = load_arrays(folder / "inputs.npz")
    answer = {}
    # What the library takes for itself, once, is no component's.
    graphs = [Path(component["graph"]) for component in request["components"]]
    smallest = min(graphs, key=lambda path: path.stat().st_size)
    sessions = [open_graph(smallest, threads=request["threads"])]
    for component in request["components"]:
        name = component["name"]
        before = _private_bytes()
        session = open_graph(
            Path(component["graph"]),
            threads=request["threads"],
            profile_prefix=folder / name,
        )
        feed = {i: tensors[source] for i, source in component["inputs"].items()}
        values = session.run(component["outputs"], feed)
        memory_bytes = _private_bytes() - before
        tensors |= {f"{name}.{o}": v for o, v in zip(component["outputs"], values, strict=True)}
        sessions.append(session)  # freed memory would count for the next one
        with open(session.end_profiling(), encoding="utf-8") as file:  # noqa: PTH123  # a plain name
            nodes = count_kernels(json.load(file))
        answer[name] = {"memory_bytes": max(0, memory_bytes), "nodes": asdict(nodes)}
    return answer


def _private_bytes() -> int:
    """The memory that this process shares with no other, after giving back what it can."""
    import ctypes  # noqa: PLC0415

    import psutil  # noqa: PLC0415

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    return int(psutil.Process().memory_full_info().uss)


def count_kernels(events: Iterable[Mapping[str, Any]]) -> NodeCounts:
    """The convolutions and matrix products in a profile of ONNX Runtime, by precision."""
    counts: Counter[str] = Counter()
    for event in events:
        details = event.get("args", {})
        kernel = details.get("op_name", "")
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        if not any(part in kernel for part in _MATRIX_KERNELS):
            continue
        first: dict[str, Any] = next(iter(details["input_type_shape"]), {})
        precision = _PRECISIONS.get(next(iter(first), ""))
        if precision is not None:
            counts[precision] += 1
    return NodeCounts(**counts)
