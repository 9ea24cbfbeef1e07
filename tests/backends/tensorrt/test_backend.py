"""The backend: what it takes from files, what it asks of the machine, and what it looks into."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.protocol import Built, Workshop
from harness.backends.tensorrt import backend as backends
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.errors import (
    EngineError,
    FeatureUnavailableError,
    MissingDependencyError,
    OptionError,
)
from harness.pipeline.feeds import synthetic_inputs
from harness.types import ENQUEUE, GRAPH, NodeCounts
from tests.backends.tensorrt.fakes import DECODER, ENCODER, make_library, write_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline
    from tests.backends.tensorrt.fakes import FakeDevice

FP32 = Recipe("fp32", "", "fp32")


@pytest.fixture
def make(
    own_library: None, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TensorRTBackend]:
    """A backend of fakes; without a device as this machine is."""
    library = make_library(device, {"encoder": ENCODER, "decoder": DECODER})

    def call(*launches: str, has_device: bool = True, **more: Any) -> TensorRTBackend:
        monkeypatch.setattr(backends, "_devices", [device] if has_device else [])
        options = TensorRTOptions(**more.pop("options", {}))
        return TensorRTBackend(library, FP32, options, launches=launches or (ENQUEUE,), **more)

    return call


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {n: write_engine(tmp_path / f"{n}.engine", n) for n in ("encoder", "decoder")}


def _workshop() -> Any:
    return Workshop(None, None, None)  # type: ignore[arg-type]


def test_engines_that_are_given_are_not_built(
    make: Callable[..., TensorRTBackend], pipeline: Pipeline, files: dict[str, Path]
) -> None:
    built = make(engines=files).build(pipeline, {}, _workshop())

    assert list(built) == ["encoder", "decoder"]
    assert built["encoder"] == Built(
        files["encoder"],
        files["encoder"].stat().st_size,
        details={"given": "encoder.engine", "header": "TensorRT 8.5.3.1"},
    )


def test_what_is_measured_with_given_engines_has_a_route_of_its_own(
    make: Callable[..., TensorRTBackend], files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would stand in one history with what was built here."""
    assert (make().route, make(engines=files).route) == ("", "given")

    monkeypatch.setattr(f"{__name__}.FP32", Recipe("fp16", "flag", "fp32", fp16=True))

    assert (make().route, make(engines=files).route) == ("flag", "flag+given")


def test_an_engine_for_what_is_no_component(
    make: Callable[..., TensorRTBackend], pipeline: Pipeline, files: dict[str, Path]
) -> None:
    backend = make(engines={"vocoder": files["encoder"]})

    with pytest.raises(OptionError, match="toy has no component 'vocoder'") as caught:
        backend.build(pipeline, {}, _workshop())

    assert caught.value.fix == "name one of: encoder, decoder"


def test_a_given_engine_of_the_other_library(
    make: Callable[..., TensorRTBackend], pipeline: Pipeline, tmp_path: Path
) -> None:
    path = write_engine(tmp_path / "a.engine", "encoder", letters=b"vtrt")

    with pytest.raises(EngineError, match=r"was built by TensorRT-RTX 8\.5\.3\.1, and here is"):
        make(engines={"encoder": path}).build(pipeline, {}, _workshop())


def test_without_a_gpu_nothing_can_run(make: Callable[..., TensorRTBackend]) -> None:
    with pytest.raises(FeatureUnavailableError) as caught:
        make(has_device=False).check_can_run()

    assert "TensorRT 8.5.3.1 runs engines on an NVIDIA GPU, and here is none" in caught.value.what
    assert "harness build makes the engines without one" not in caught.value.fix
    assert "--backend onnxruntime" in caught.value.fix


@pytest.mark.parametrize(
    ("launch", "options", "module", "package"),
    [
        (GRAPH, {}, "cuda.bindings", "cuda-bindings"),
        (ENQUEUE, {"nvtx": True}, "nvtx", "nvtx"),
    ],
)
def test_a_package_that_a_run_will_need_is_looked_for_first(
    make: Callable[..., TensorRTBackend],
    monkeypatch: pytest.MonkeyPatch,
    launch: str,
    options: dict[str, Any],
    module: str,
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingDependencyError, match=f"{package} is not installed") as caught:
        make(launch, options=options).check_can_run()

    assert caught.value.fix == "pip install 'trt-harness[cuda]'"


def test_a_run_that_needs_neither_asks_for_neither(
    make: Callable[..., TensorRTBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cuda.bindings", "nvtx"):
        monkeypatch.setitem(sys.modules, module, None)

    make(ENQUEUE).check_can_run()


def test_what_a_component_takes_and_which_layers_are_slow(
    make: Callable[..., TensorRTBackend],
    pipeline: Pipeline,
    files: dict[str, Path],
    device: FakeDevice,
) -> None:
    sizes = pipeline.sizes(duration_s=0.5)
    inputs = synthetic_inputs(pipeline, sizes, seed=1)
    counts = {"int8": 1, "fp16": 2, "fp32": 3}
    built = {
        "encoder": Built(files["encoder"], details={"layers": {"products": counts}}),
        "decoder": Built(files["decoder"], size_bytes=1000),
    }

    found = make(options={"layer_times": True}).inspect(pipeline, built, sizes, inputs)

    assert found["encoder"].nodes == NodeCounts(int8=1, fp16=2, fp32=3)
    assert found["decoder"].nodes is None
    assert found["decoder"].memory_bytes == 1000 + 4096 + 2 * 16 * 4
    assert found["encoder"].memory_bytes is None
    assert found["encoder"].details["gpu_uuid"] == "GPU-0"
    assert found["encoder"].details["activations_bytes"] == 4096
    # The slowest first.
    assert found["encoder"].details["layer_times"] == [
        {"layer": "matmul", "median_s": 0.002},
        {"layer": "reshape", "median_s": 0.001},
    ]
    assert device.memory == {}


def test_layers_are_not_timed_unasked(
    make: Callable[..., TensorRTBackend], pipeline: Pipeline, files: dict[str, Path]
) -> None:
    sizes = pipeline.sizes(duration_s=0.5)
    built = {name: Built(path) for name, path in files.items()}

    found = make().inspect(pipeline, built, sizes, synthetic_inputs(pipeline, sizes, seed=1))

    assert "layer_times" not in found["encoder"].details
