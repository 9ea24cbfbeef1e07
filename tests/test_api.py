"""The public functions, on the toy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import harness
from harness.api import make_backends
from harness.artifacts.sources import pipeline_hash
from harness.backends.protocol import Built
from harness.backends.simulated import SimulationOptions
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions
from harness.types import Variant
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.artifacts.cache import Cache
    from harness.backends.protocol import Backend
    from tests.conftest import ToyFactory


def test_export_gives_a_checked_graph_of_each_component(
    toy: ToyFactory, shared_cache: Cache
) -> None:
    models = harness.export_and_build_engines(toy(), cache=shared_cache.root)

    assert list(models) == ["encoder", "decoder"]
    assert all(model.path.is_file() for model in models.values())


def test_benchmark_gives_the_record_and_writes_none(
    toy: ToyFactory, shared_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = harness.load_pipeline(toy())

    record = harness.benchmark_end_to_end_latency(
        pipeline, durations_s=[0.25], max_samples=5, threads=1, cache=shared_cache.root
    )

    assert {m.component for m in measured(record)} == {"encoder", "decoder", "pipeline"}
    assert {len(m.latency_s) for m in record.measurements} == {5}
    assert {m.threads for m in record.measurements} == {1}
    assert {path.name for path in tmp_path.iterdir()} == {"toy"}


def test_a_wrong_backend_is_an_error_of_the_tree(toy: ToyFactory) -> None:
    with pytest.raises(harness.HarnessError, match="choose one of"):
        harness.export_and_build_engines(toy(), backend="directml")


def test_engines_are_built_and_given_by_component(
    onnx_toy: Callable[..., Path], shared_cache: Cache
) -> None:
    pipeline = harness.load_pipeline(onnx_toy())
    told = TensorRTChoice(options=TensorRTOptions(tf32=True))

    engines = harness.export_and_build_engines(
        pipeline, backend="tensorrt-rtx", tensorrt=told, cache=shared_cache.root
    )

    assert list(engines) == ["encoder", "decoder"]
    for name, built in engines.items():
        assert isinstance(built, Built)
        assert built.path.name == f"{name}.engine"
        assert built.size_bytes == built.path.stat().st_size
        assert built.build_s is not None
        assert built.build_s > 0.0
        assert built.details["library"] == "tensorrt-rtx"
        assert read_header(built.path).library == "tensorrt-rtx"
    again = harness.export_and_build_engines(
        pipeline, backend="tensorrt-rtx", tensorrt=told, cache=shared_cache.root
    )
    assert all(isinstance(built, Built) and built.was_cached for built in again.values())
    assert [b.path for b in again.values()] == [b.path for b in engines.values()]


def test_several_routes_to_one_engine_are_refused(
    onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = make_backends(["onnxruntime"], ["fp32", "fp16"])
    monkeypatch.setattr("harness.api.make_backends", lambda *_, **__: made)

    with pytest.raises(harness.HarnessError, match="int8 is asked for by several routes"):
        harness.export_and_build_engines(
            onnx_toy(), backend="tensorrt", precision="int8", cache=tmp_path / "cache"
        )

    assert not (tmp_path / "cache").exists()


def test_what_no_backend_takes_is_refused(onnx_toy: Callable[..., Path]) -> None:
    root, told = onnx_toy(), TensorRTChoice()

    for call in (
        lambda: harness.export_and_build_engines(root, tensorrt=told),
        lambda: harness.benchmark_end_to_end_latency(root, tensorrt=told),
    ):
        with pytest.raises(harness.HarnessError, match="tensorrt: no backend is a TensorRT"):
            call()
    with pytest.raises(harness.HarnessError, match="launches: no backend is launched on a GPU"):
        harness.benchmark_end_to_end_latency(root, launches=["enqueue"])
    with pytest.raises(harness.HarnessError, match="torch is not measured"):
        harness.benchmark_end_to_end_latency(root, interpreters={"torch": sys.executable})


def test_launches_interpreters_and_choices_reach_the_backends(
    onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def make(*_: object, **options: Any) -> list[Backend]:
        asked.append(options)
        return []

    monkeypatch.setattr("harness.api.make_backends", make)
    told, simulation = TensorRTChoice(fp16_routes=("flag",)), SimulationOptions(seed=1)

    with pytest.raises(harness.HarnessError, match="no backend or precision is named"):
        harness.benchmark_end_to_end_latency(
            onnx_toy(),
            backends=["tensorrt", "torch-cuda"],
            launches=["enqueue"],
            tensorrt=told,
            interpreters={"torch-cuda": "python3"},
            simulation=simulation,
        )

    assert asked == [
        {
            "threads": None,
            "launches": ["enqueue"],
            "tensorrt": told,
            "interpreters": {"torch-cuda": Path("python3").absolute()},
            "simulation": simulation,
        }
    ]


def test_a_calibration_set_is_given_and_written(
    onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    root, path = onnx_toy(), tmp_path / "sets" / "toy.npz"

    made = harness.create_int8_calibration_dataset(
        root, path, samples=4, seed=2, cache=tmp_path / "cache"
    )

    with np.load(path) as file:
        held = {name: file[name] for name in file.files if name != "manifest.json"}
    assert set(held) == set(made.tensors) == {"signal", "voiced", "encoder.features"}
    for name, array in held.items():
        np.testing.assert_array_equal(array, made.tensors[name])
    assert len(made) == 4
    assert made.info["seed"] == 2
    assert made.info["pipeline_hash"] == pipeline_hash(harness.load_pipeline(root))


def test_a_calibration_set_is_written_only_where_asked(
    onnx_toy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = harness.load_pipeline(onnx_toy())
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    made = harness.create_int8_calibration_dataset(pipeline, cache=tmp_path / "cache")

    assert len(made) == 16
    assert list(empty.iterdir()) == []
    with pytest.raises(harness.HarnessError, match="4 or more"):
        harness.create_int8_calibration_dataset(pipeline, samples=3)


def test_precisions_are_measured_in_one_run(
    onnx_toy: Callable[..., Path], shared_cache: Cache
) -> None:
    """Also of graphs that came without PyTorch, and with a scalar among the inputs."""
    record = harness.benchmark_end_to_end_latency(
        onnx_toy(),
        precisions=["fp32", "int8", "int8"],
        durations_s=[1.0, 0.25],
        max_samples=3,
        threads=1,
        cache=shared_cache.root,
    )

    series = {(m.precision, m.duration_s) for m in record.measurements}
    assert series == {(p, d) for p in ("fp32", "int8") for d in (0.25, 1.0)}
    assert {m.snr_db for m in record.measurements} == {None}
    assert {m.accuracy_inputs for m in record.measurements} == {0}
    # Looked into at the largest of the cases.
    assert {(e.duration_s, e.batch) for e in record.engines} == {(1.0, 1)}
    assert [(e.component, e.precision) for e in record.engines] == [
        (name, precision) for precision in ("fp32", "int8") for name in ("encoder", "decoder")
    ]
    assert record.calibration is not None
    assert record.calibration["fp32"].startswith("onnxruntime ")


def test_no_precision_is_no_run(toy: ToyFactory) -> None:
    with pytest.raises(harness.HarnessError, match="no backend or precision is named"):
        harness.benchmark_end_to_end_latency(toy(), precisions=[])


@pytest.mark.parametrize(
    ("names", "precisions", "expected"),
    [
        (["onnxruntime"], ["fp32"], ["onnxruntime fp32"]),
        (["onnxruntime"], ["int8", "fp32", "int8"], ["onnxruntime int8", "onnxruntime fp32"]),
        (["torch", "torch"], ["fp32"], ["torch fp32"]),
        (["torch-cuda"], ["fp16", "int8"], ["torch-cuda fp16"]),
        (
            ["onnxruntime-cuda"],
            ["int8", "fp32", "fp16"],
            ["onnxruntime-cuda fp32", "onnxruntime-cuda fp16"],
        ),
        (
            ["torch-cuda", "torch-cuda-compile"],
            ["fp32"],
            ["torch-cuda fp32", "torch-cuda fp32 by compile"],
        ),
        (
            ["onnxruntime", "torch"],
            ["fp16", "fp32"],
            ["onnxruntime fp16", "onnxruntime fp32", "torch fp32"],
        ),
    ],
)
def test_every_backend_is_made_once_for_each_precision_that_it_runs(
    names: list[str], precisions: list[str], expected: list[str]
) -> None:
    made = make_backends(names, precisions, threads=1)

    assert [str(Variant(b.name, b.precision, b.route)) for b in made] == expected
    assert {backend.threads for backend in made} <= {1}


@pytest.mark.parametrize("names", [["torch"], ["onnxruntime", "torch"]])
def test_a_peer_that_runs_none_of_the_precisions_is_refused(names: list[str]) -> None:
    with pytest.raises(harness.HarnessError, match="torch runs fp32 only, and fp16, int8 is asked"):
        make_backends(names, ["fp16", "int8"])


def test_an_unknown_precision_is_refused_whatever_the_backend() -> None:
    with pytest.raises(harness.HarnessError, match="there is no precision 'fp8'"):
        make_backends(["torch"], ["fp32", "fp8"])
