"""TensorRT-RTX, which builds on a machine without a GPU, and sessions on fakes of a device."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.backends.protocol import Built
from harness.backends.tensorrt import builder
from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt import open as opening
from harness.backends.tensorrt.library import TENSORRT_RTX, Library, find_library
from harness.backends.tensorrt.options import TensorRTOptions, make_recipe
from harness.backends.tensorrt.session import TensorRTSession
from harness.pipeline.loader import load_pipeline
from harness.types import GRAPH
from tests.backends.tensorrt.fakes import (
    DECODER,
    ENCODER,
    FakeDevice,
    make_library,
    write_engine,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline
    from tests.backends.tensorrt.fakes import Program
    from tests.conftest import ToyFactory

Request = dict[str, Any]


@pytest.fixture(scope="session")
def rtx() -> Library:
    return find_library(TENSORRT_RTX, has_gpu=False)


@pytest.fixture
def builds(rtx: Library, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each call of the builder, which builds all the same."""
    calls: list[Any] = []
    build = rtx.module.Builder.build_serialized_network

    def spy(self: Any, network: Any, config: Any) -> Any:
        calls.append(config)
        return build(self, network, config)

    monkeypatch.setattr(rtx.module.Builder, "build_serialized_network", spy)
    return calls


@pytest.fixture
def make_request(rtx: Library, tmp_path: Path) -> Callable[..., Request]:
    """What the builder's worker is asked: a graph, a profile (min, opt, max by input), options."""

    def make(
        graph: Path,
        profile: dict[str, list[list[int]]],
        *,
        component: str = "net",
        options: TensorRTOptions | None = None,
        **more: Any,
    ) -> Request:
        folder, scratch = tmp_path / "folder", tmp_path / "scratch"
        for path in (folder, scratch):
            path.mkdir(exist_ok=True)
        request = {
            "library": rtx.name,
            "component": component,
            "graph": str(graph),
            "folder": str(folder),
            "scratch": str(scratch),
            "recipe": asdict(make_recipe(rtx, "fp32", "graph", "qdq")),
            "options": asdict(options or TensorRTOptions()),
            "profile": profile,
            **more,
        }
        # As it comes out of the pipe to the worker.
        return dict(json.loads(json.dumps(request)))

    return make


@pytest.fixture
def conv(tmp_path: Path, save_graph: Callable[..., None]) -> Path:
    """A convolution of 5 samples over x [b, 1, t]."""
    path = tmp_path / "conv.onnx"
    save_graph(
        path,
        [helper.make_node("Conv", ["x", "kernel"], ["y"], name="sliding")],
        {"x": (TensorProto.FLOAT, ["b", 1, "t"])},
        {"y": (TensorProto.FLOAT, ["b", 2, "u"])},
        kernel=np.ones((2, 1, 5), np.float32),
    )
    return path


@pytest.fixture
def rtx_engine(make_request: Callable[..., Request], conv: Path) -> Path:
    """An engine that TensorRT-RTX made."""
    request = make_request(conv, {"x": [[1, 1, 5], [1, 1, 8], [2, 1, 16]]})
    builder.build_engine(request)
    return conv.parent / "folder" / "net.engine"


# Sessions, on a device and a TensorRT that are fakes.


@pytest.fixture
def own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has one runtime and one logger; those of fakes are for one test."""
    monkeypatch.setattr(libraries, "_loggers", {})
    monkeypatch.setattr(opening, "_runtimes", {})


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def open_session(
    own_library: None, device: FakeDevice, pipeline: Pipeline, tmp_path: Path
) -> Callable[..., TensorRTSession]:
    """Open the toy with the programs given, launched in the ways given."""

    def call(
        *launches: str,
        encoder: Program = ENCODER,
        decoder: Program = DECODER,
        declared: Pipeline = pipeline,
        **options: Any,
    ) -> TensorRTSession:
        programs = {"encoder": encoder, "decoder": decoder}
        built = {name: Built(write_engine(tmp_path / f"{name}.engine", name)) for name in programs}
        return TensorRTSession(
            declared,
            built,
            make_library(device, programs),
            device,  # type: ignore[arg-type]
            launches=launches or (GRAPH,),
            make_graph=device.make_graph,
            **options,
        )

    return call
