"""ONNX Runtime's CUDA provider, on machines that do not have it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import onnxruntime
import pytest

from harness.backends import onnxruntime as family
from harness.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from harness.backends.protocol import Built
from harness.errors import FeatureUnavailableError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

PROVIDER = "CUDAExecutionProvider"
BUILT = {name: Built(Path(f"{name}.onnx")) for name in ("encoder", "decoder")}


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A runtime that has the provider, and graphs that it takes to itself."""
    calls: list[dict[str, Any]] = []

    def open_graph(path: Path, **options: Any) -> Any:
        calls.append({"path": path, **options})
        return SimpleNamespace(get_providers=lambda: [PROVIDER])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER])
    monkeypatch.setattr(family, "open_graph", open_graph)
    return calls


@pytest.mark.skipif(PROVIDER in onnxruntime.get_available_providers(), reason="it is here")
def test_a_runtime_without_the_provider_says_what_to_install(pipeline: Pipeline) -> None:
    backend = OnnxRuntimeCudaBackend()
    for call in (
        backend.check_can_run,
        lambda: backend.open(pipeline, BUILT),
        lambda: backend.inspect(pipeline, {}, {}, {}),
    ):
        with pytest.raises(FeatureUnavailableError, match="install onnxruntime-gpu"):
            call()


def test_the_provider_comes_first_and_without_tf32(
    pipeline: Pipeline, opened: list[dict[str, Any]]
) -> None:
    backend = OnnxRuntimeCudaBackend(precision="fp16")
    backend.open(pipeline, BUILT)

    assert [call["path"].stem for call in opened] == ["encoder", "decoder"]
    (name, options), other = opened[0]["providers"]
    assert (name, other) == (PROVIDER, "CPUExecutionProvider")
    assert options["use_tf32"] == "0"
    assert (backend.name, backend.precision, backend.graph_precision) == (
        "onnxruntime-cuda",
        "fp16",
        "fp16",
    )
    found = backend.inspect(pipeline, BUILT, {}, {})
    assert found["encoder"].details["tf32"] is False


def test_a_provider_that_does_not_start_is_no_gpu(
    pipeline: Pipeline, opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(family, "open_graph", lambda *_, **__: other)
    with pytest.raises(FeatureUnavailableError, match=r"does not start; .*LD_LIBRARY_PATH"):
        OnnxRuntimeCudaBackend().open(pipeline, BUILT)
