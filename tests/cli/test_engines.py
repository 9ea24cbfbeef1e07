"""Engines on the command line: what is missing or misspelt is told before anything is exported."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt.header import read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from tests.conftest import ToyFactory


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is one."""
    problem = "there is no libcuda.so.1, which comes with NVIDIA's driver"
    for module in ("gpu", "tensorrt.engines", "tensorrt.library"):
        monkeypatch.setattr(f"harness.backends.{module}.gpu_problem", lambda *_: problem)
    monkeypatch.setattr("harness.backends.tensorrt.backend._devices", [])


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)


@pytest.fixture
def refused(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> Callable[..., str]:
    """Run the toy, expect exit code 2 with one line, and that nothing was begun; gives the line."""

    def call(*arguments: object, command: str = "run") -> str:
        cache, out = tmp_path / "cache", tmp_path / "out"
        code, stdout, stderr = harness(command, toy(), *arguments, "--cache", cache, "--out", out)

        assert code == 2
        assert stdout == ""
        assert len(stderr.splitlines()) == 1, stderr
        assert not cache.exists()
        assert not out.exists() or list(out.iterdir()) == []
        return stderr.strip()

    return call


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize("command", ["run", "build"])
def test_tensorrt_that_is_not_installed(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("harness.api.has_gpu", lambda: True)

    line = refused("--backend", "tensorrt", command=command)

    assert "--backend tensorrt: tensorrt cannot be imported" in line
    assert "pip install 'trt-harness[tensorrt]', or use --backend onnxruntime" in line


@pytest.mark.parametrize("is_installed", [True, False])
@pytest.mark.parametrize("command", ["run", "build"])
def test_tensorrt_without_a_gpu_whether_it_is_installed_or_not(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str, is_installed: bool
) -> None:
    module = ModuleType("tensorrt")
    module.__version__ = "10.13.3.9"  # type: ignore[attr-defined]
    module.Builder = module.ILogger = object  # type: ignore[attr-defined]
    found: Any = module if is_installed else None
    monkeypatch.setitem(sys.modules, "tensorrt", found)
    monkeypatch.setattr(libraries, "_loggers", {})

    line = refused("--backend", "tensorrt", command=command)

    assert "--backend tensorrt: TensorRT builds and runs engines on an NVIDIA GPU, and" in line
    assert "there is none here (there is no libcuda.so.1, which comes with NVIDIA's" in line
    assert "build with --backend tensorrt-rtx (it needs no GPU), or measure with --backend" in line
    assert "install" not in line


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize("backend", ["tensorrt-rtx", "auto"])
def test_rtx_runs_nothing_without_a_gpu(refused: Callable[..., str], backend: str) -> None:
    line = refused("--backend", backend)

    assert "--backend tensorrt-rtx: TensorRT-RTX" in line
    assert "runs engines on an NVIDIA GPU, and here is none (no GPU: there is no libcuda" in line
    assert "harness build makes the engines without one; measure with --backend onnx" in line


def test_a_gpu_that_is_missing_stops_all_that_is_measured_beside_it(
    refused: Callable[..., str],
) -> None:
    assert "here is none" in refused("--backend", "onnxruntime", "--backend", "tensorrt-rtx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "encoder"), "--engine: 'encoder' is not NAME=FILE; name the component"),
        (("--engine", "=file"), "'=file' is not NAME=FILE"),
        (("--engine", "encoder="), "'encoder=' is not NAME=FILE"),
        (("--engine", "encoder=a", "--engine", "encoder=b"), "two engines are given for encoder"),
        (
            ("--engine", "vocoder=a.engine"),
            "--engine: toy has no component 'vocoder'; name one of: encoder, decoder",
        ),
        (("--engine", "encoder=no.engine"), "no.engine: cannot be read: No such file"),
        (("--launch", "later"), "there is no way of launching 'later'; choose graph or enqueue"),
        (("--plugin", "no.so"), "--plugin: there is no file no.so; name a library"),
        (("--fp16", "flag"), "--fp16 flag: TensorRT-RTX"),
        (("--fp16", "always"), "--fp16: there is no route 'always'; choose one of: graph, flag"),
        (("--int8", "calibrator"), "has no INT8 calibrators; use --int8 qdq"),
        (("--int8", "never"), "--int8: there is no route 'never'"),
        (("--optimization-level", "6"), "--optimization-level: level 6; give 0 to 5"),
        (("--precision-constraints", "maybe"), "there is no 'maybe'; choose one of: obey"),
        (("--fp16-accumulation", "fp32"), "has no algorithm selectors: nobody can bar a kernel"),
        (("--fp16-accumulation", "fp8"), "there is no 'fp8'; choose one of: any, fp32, tf32"),
        (("--fp32-node", "encoder"), "--fp32-node: 'encoder' is not COMPONENT:PATTERN"),
        (("--fp32-node", "encoder:*"), "takes each node's type from the graph"),
        (
            ("--preview-feature", "none", "--preview-feature", "A"),
            "--preview-feature: none, and others",
        ),
        (("--workspace", "0"), "'--workspace': 0 is not in the range x>=1"),
        (("--precision", "int8-ort"), "builds no int8-ort"),
    ],
)
def test_an_option_that_cannot_be_used(
    refused: Callable[..., str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused("--backend", "tensorrt-rtx", *arguments)


def test_a_graph_that_is_given_as_an_engine(refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"\x08\x0a a graph")

    line = refused("--backend", "tensorrt-rtx", "--engine", f"encoder={path}")

    assert f"{path}: is no TensorRT engine; it looks like an ONNX graph; build it first" in line


BUILD_OPTIONS = (
    ("--fp16", "graph"),
    ("--int8", "qdq"),
    ("--workspace", "64"),
    ("--tf32",),
    ("--optimization-level", "0"),
    ("--tactic-source", "CUBLAS"),
    ("--builder-flag", "TF32"),
    ("--precision-constraints", "none"),
    ("--fp16-accumulation", "any"),
    ("--fp32-node", "encoder:*"),
    ("--preview-feature", "none"),
    ("--plugin", "no.so"),
)
RUN_OPTIONS = (*BUILD_OPTIONS, ("--engine", "encoder=a"), ("--profile",), ("--nvtx",))


@pytest.mark.parametrize("backends", [(), ("--backend", "onnxruntime", "--backend", "torch")])
@pytest.mark.parametrize("option", RUN_OPTIONS)
def test_an_option_of_tensorrt_without_it_is_refused(
    refused: Callable[..., str], backends: tuple[str, ...], option: tuple[str, ...]
) -> None:
    line = refused(*backends, *option)

    assert line == (
        f"harness: {option[0]}: no backend is a TensorRT; "
        "add tensorrt, tensorrt-rtx or auto with --backend, or leave it out"
    )


@pytest.mark.parametrize("backends", [(), ("--backend", "onnxruntime")])
@pytest.mark.parametrize("option", BUILD_OPTIONS)
def test_an_option_of_the_builder_is_refused_where_only_graphs_are_made(
    refused: Callable[..., str], backends: tuple[str, ...], option: tuple[str, ...]
) -> None:
    line = refused(*backends, *option, command="build")

    assert line.startswith(f"harness: {option[0]}: no backend is a TensorRT; add tensorrt")


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-cuda", "torch"])
@pytest.mark.parametrize("launch", ["graph", "enqueue"])
def test_a_launch_of_what_runs_in_one_way_is_refused(
    refused: Callable[..., str], backend: str, launch: str
) -> None:
    line = refused("--backend", backend, "--launch", launch)

    assert line == (
        "harness: --launch: no backend is launched on a GPU in more ways than one; "
        "add --backend tensorrt or torch-cuda, or leave it out"
    )


@pytest.mark.parametrize("backends", [(), ("--backend", "torch"), ("--backend", "torch-cuda")])
def test_a_launch_that_there_is_not_is_refused_whatever_the_backend(
    refused: Callable[..., str], backends: tuple[str, ...]
) -> None:
    line = refused(*backends, "--launch", "later")

    assert "--launch: there is no way of launching 'later'; choose graph or enqueue" in line


def test_what_is_wrong_with_options_is_told_before_the_pipeline_is_looked_for(
    harness: Callable[..., tuple[int, str, str]],
) -> None:
    for options in (["--tf32"], ["--launch", "graph"]):
        code, _, stderr = harness("run", "nowhere", *options)

        assert code == 2
        assert stderr.startswith(f"harness: {options[0]}: ")


def test_an_option_that_one_backend_of_several_takes_is_used(
    refused: Callable[..., str],
) -> None:
    """It goes on as far as the missing GPU."""
    both = ("--backend", "onnxruntime", "--backend", "tensorrt-rtx")

    assert "here is none" in refused(*both, "--tf32", "--launch", "enqueue", "--nvtx")


@pytest.mark.usefixtures("no_tensorrt")
def test_auto_builds_with_what_is_there(
    harness: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    root, cache, out = onnx_toy(), tmp_path / "cache", tmp_path / "out"

    code, stdout, stderr = harness(
        "build", root, "--backend", "auto", "--cache", cache, "--out", out
    )

    assert code == 0, stderr
    lines = stdout.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "encoder tensorrt-rtx fp32",
        "decoder tensorrt-rtx fp32",
    ]
    assert "Building tensorrt-rtx fp32" in stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "decoder.engine",
        "decoder.json",
        "encoder.engine",
        "encoder.json",
    ]
    for name in ("encoder", "decoder"):
        assert read_header(out / f"{name}.engine").library == "tensorrt-rtx"
        told = json.loads((out / f"{name}.json").read_text())
        assert told["size_bytes"] == (out / f"{name}.engine").stat().st_size
        assert told["device"]["gpu"] == "none"


@pytest.mark.usefixtures("no_tensorrt")
@pytest.mark.parametrize("backend", ["auto", None])
def test_one_component_is_built_and_no_other(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    tmp_path: Path,
    backend: str | None,
) -> None:
    out = tmp_path / "out"
    options = () if backend is None else ("--backend", backend)
    common = ("--cache", tmp_path / "cache", "--out", out, "--component", "decoder")

    code, stdout, stderr = harness("build", onnx_toy(), *options, *common)

    assert code == 0, stderr
    (line,) = stdout.splitlines()
    assert line.startswith("decoder")
    assert {path.stem for path in out.iterdir()} == {"decoder"}


def test_a_component_to_build_that_there_is_not(refused: Callable[..., str]) -> None:
    line = refused("--component", "vocoder", command="build")

    assert "--component: toy has no component 'vocoder'; name one of: encoder, decoder" in line


@pytest.mark.parametrize("command", ["run", "build"])
def test_nodes_of_what_is_no_component(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    line = refused("--backend", "tensorrt-rtx", "--fp32-node", "vocoder:*", command=command)

    assert "--fp32-node: toy has no component 'vocoder'; name one of: encoder, decoder" in line


def test_an_unknown_flag_of_the_builder_is_told_with_those_that_there_are(
    harness: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    code, _, stderr = harness(
        "build",
        onnx_toy(),
        "--backend",
        "tensorrt-rtx",
        "--builder-flag",
        "FASTER",
        "--cache",
        tmp_path / "cache",
    )

    (line,) = (line for line in stderr.splitlines() if line.startswith("harness: "))
    assert code == 2
    assert "has no BuilderFlag called 'FASTER'; it has: " in line
    assert "SPARSE_WEIGHTS" in line


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_rtx_builds_the_tiny_pipeline_in_every_precision(
    harness: Callable[..., tuple[int, str, str]], shared_cache: Cache, tmp_path: Path
) -> None:
    precisions = ("fp32", "fp16", "int8", "int8+fp16")
    options = [word for precision in precisions for word in ("--precision", precision)]
    command = ("build", "tiny", "--backend", "tensorrt-rtx", *options)
    common = ("--cache", shared_cache.root, "--out", tmp_path)

    code, stdout, stderr = harness(*command, *common)

    assert code == 0, stderr
    lines = stdout.splitlines()
    assert len(lines) == 24
    engines = sorted(tmp_path.rglob("*.engine"))
    assert {path.parent.name for path in engines} == {
        "fp32",
        "fp16-graph",
        "int8-qdq",
        "int8+fp16-qdq",
    }
    assert len(engines) == 24
    for path in engines:
        assert str(read_header(path)).startswith("TensorRT-RTX ")
        assert json.loads(path.with_suffix(".json").read_text())["recipe"]["strong"]

    code, again, _ = harness(*command, *common)

    assert code == 0
    assert again.count(", cached, ") == 24
    assert [line.split(" (")[0] for line in again.splitlines()] == [
        line.split(" (")[0] for line in lines
    ]
