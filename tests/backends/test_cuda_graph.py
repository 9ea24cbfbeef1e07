"""Recording a CUDA graph, on bindings that only write down what they are asked."""

from __future__ import annotations

import sys
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.backends.cuda_graph import CudaGraph
from harness.errors import EngineError, MissingDependencyError


class Code(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


class Bindings(ModuleType):
    """``cuda.bindings.driver``; the call named ``broken`` fails."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local")

    def __init__(self) -> None:
        super().__init__("cuda.bindings.driver")
        self.calls: list[str] = []
        self.broken = ""

    def _answer(self, name: str, *values: Any) -> tuple[Any, ...]:
        self.calls.append(name)
        if name == self.broken:
            return (Code.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, *(None for _ in values))
        return (Code.CUDA_SUCCESS, *values)

    def CUstream(self, handle: int) -> str:  # noqa: N802  # the driver's own names
        return f"stream {handle}"

    def cuStreamBeginCapture(self, stream: str, mode: str) -> Any:  # noqa: N802
        assert (stream, mode) == ("stream 7", "thread local")
        return self._answer("begin")

    def cuStreamEndCapture(self, stream: str) -> Any:  # noqa: N802
        return self._answer("end", "graph")

    def cuGraphInstantiate(self, graph: str, flags: int) -> Any:  # noqa: N802
        assert (graph, flags) == ("graph", 0)
        return self._answer("instantiate", "executable")

    def cuGraphLaunch(self, executable: str, stream: str) -> Any:  # noqa: N802
        assert (executable, stream) == ("executable", "stream 7")
        return self._answer("launch")

    def cuGraphExecDestroy(self, executable: str) -> Any:  # noqa: N802
        assert executable == "executable"
        return self._answer("destroy executable")

    def cuGraphDestroy(self, graph: str) -> Any:  # noqa: N802
        assert graph == "graph"
        return self._answer("destroy graph")


@pytest.fixture
def bindings(monkeypatch: pytest.MonkeyPatch) -> Bindings:
    made = Bindings()
    package, parent = ModuleType("cuda"), ModuleType("cuda.bindings")
    parent.driver = made  # type: ignore[attr-defined]
    package.bindings = parent  # type: ignore[attr-defined]
    for name, module in (("cuda", package), ("cuda.bindings", parent), (made.__name__, made)):
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_work_is_recorded_once_and_launched_as_one(bindings: Bindings) -> None:
    graph = CudaGraph(7, lambda: bindings.calls.append("work"))
    graph.launch()
    graph.launch()
    graph.close()

    assert bindings.calls == [
        "begin",
        "work",
        "end",
        "instantiate",
        "launch",
        "launch",
        "destroy executable",
        "destroy graph",
    ]


def test_a_recording_is_ended_also_where_the_work_fails(bindings: Bindings) -> None:
    """A stream that records takes no other work."""

    def fail() -> None:
        raise EngineError("cannot be queued", where="vocoder")

    with pytest.raises(EngineError, match="cannot be queued"):
        CudaGraph(7, fail)

    assert bindings.calls == ["begin", "end"]


@pytest.mark.parametrize(
    ("broken", "calls"),
    [
        ("begin", ["begin"]),
        ("end", ["begin", "end"]),
        ("instantiate", ["begin", "end", "instantiate", "destroy graph"]),
    ],
)
def test_what_cannot_be_recorded_is_an_error(
    bindings: Bindings, broken: str, calls: list[str]
) -> None:
    bindings.broken = broken

    with pytest.raises(EngineError) as caught:
        CudaGraph(7, lambda: None)

    assert caught.value.what == "CUDA answers CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
    assert caught.value.where == "CUDA graph"
    assert bindings.calls == calls


def test_a_launch_that_fails_is_an_error(bindings: Bindings) -> None:
    graph = CudaGraph(7, lambda: None)
    bindings.broken = "launch"

    with pytest.raises(EngineError, match="CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
        graph.launch()


def test_without_the_bindings_it_says_which_extra_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)

    with pytest.raises(MissingDependencyError, match="cuda-bindings is not installed") as caught:
        CudaGraph(7, lambda: None)

    assert caught.value.fix == "pip install 'trt-harness[cuda]'"
