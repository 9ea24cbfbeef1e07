"""The backends that TensorRT is held against, by the names that options give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.backends.interpreter import RemoteBackend
from harness.backends.interpreter_process import OPTION, BackendSpec
from harness.errors import OptionError
from harness.types import ENQUEUE, GRAPH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.backends.protocol import Backend

# The class of each, and the precisions that it runs; none are named where it runs every one.
_CLASSES: Final = {
    "onnxruntime": ("harness.backends.onnxruntime:OnnxRuntimeBackend", ()),
    "torch": ("harness.backends.torch:TorchBackend", ("fp32",)),
    "onnxruntime-cuda": (
        "harness.backends.onnxruntime_cuda:OnnxRuntimeCudaBackend",
        ("fp32", "fp16"),
    ),
    "torch-cuda": ("harness.backends.torch_cuda:TorchCudaBackend", ("fp32", "fp16")),
    "torch-cuda-benchmark": ("harness.backends.torch_cuda:TorchCudaBackend", ("fp32", "fp16")),
    "torch-cuda-compile": ("harness.backends.torch_cuda:TorchCudaBackend", ("fp32", "fp16")),
}
PEERS: Final = tuple(_CLASSES)


def runnable_precisions(name: str, precisions: Sequence[str]) -> list[str]:
    """Those of ``precisions`` that the backend called ``name`` runs, each once.

    Raises:
        OptionError: there are some, and it runs none of them.
    """
    _, own = _CLASSES.get(name, ("", ()))
    runnable = [p for p in dict.fromkeys(precisions) if not own or p in own]
    if precisions and not runnable:
        what = f"{name} runs {' and '.join(own)} only, and {', '.join(precisions)} is asked for"
        raise OptionError(what, where="--precision", fix=f"add --precision {own[0]}")
    return runnable


def make_peer(
    name: str, *, threads: int, precision: str, launches: Sequence[str], python: Path | None
) -> Backend:
    """The backend called ``name``, one of :data:`PEERS`; in ``python`` where that is given.

    Raises:
        OptionError: it cannot run so.
    """
    arguments: dict[str, Any] = {"precision": precision}
    if name == "torch":
        arguments = {"threads": threads}
    elif name.startswith("torch-cuda"):
        route = name.removeprefix("torch-cuda").removeprefix("-")
        arguments |= {"route": route, "launches": list(launches)}
    else:
        arguments["threads"] = threads
    spec = BackendSpec(_CLASSES[name][0], arguments)
    return spec.make() if python is None else RemoteBackend(spec, python)


def describe_interpreters(backends: Iterable[Backend]) -> dict[str, dict[str, Any]]:
    """By backend, the Python and the packages that it runs in, of those in another than this one.

    Raises:
        HarnessError: one cannot be started.
    """
    return {
        backend.name: backend.describe_interpreter()
        for backend in backends
        if isinstance(backend, RemoteBackend)
    }


def check_launches(launches: Sequence[str], where: str = "--launch") -> None:
    """Check that each of ``launches`` is a way of launching on a GPU.

    Raises:
        OptionError: one is not.
    """
    for launch in launches:
        if launch not in {GRAPH, ENQUEUE}:
            fix = f"choose {GRAPH} or {ENQUEUE}"
            raise OptionError(f"there is no way of launching {launch!r}", where=where, fix=fix)


def check_interpreters(interpreters: Mapping[str, Path], names: Sequence[str]) -> None:
    """Check that each is that of a backend of ``names``.

    Raises:
        OptionError: one is not, and would change nothing.
    """
    for name in interpreters:
        if name not in PEERS:
            fix = f"it can be given for: {', '.join(PEERS)}"
            raise OptionError(f"{name} takes no interpreter", where=OPTION, fix=fix)
        if name not in names:
            what = f"{name} is not measured"
            raise OptionError(what, where=OPTION, fix=f"add --backend {name}, or leave it out")
