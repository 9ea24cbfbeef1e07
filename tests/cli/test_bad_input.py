"""Bad input gets one line (what, where, what to do), exit code 2, and leaves nothing behind."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.artifacts.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import ToyFactory

AUDIO = ("[dimensions]", '[audio]\nsample_rate_hz = 64\noutput = "decoder.level"\n[dimensions]')


@pytest.fixture
def refused(
    harness: Callable[..., tuple[int, str, str]], shared_cache: Cache, tmp_path: Path
) -> Callable[..., str]:
    """Run, expect exit code 2 with one line and no new file; gives the line."""

    def call(*arguments: object) -> str:
        entries = {entry.path for entry in shared_cache.entries()}
        out = tmp_path / "out"

        code, stdout, stderr = harness(
            # A later option replaces an earlier one of the same name.
            "run",
            "--samples",
            2,
            "--cache",
            shared_cache.root,
            "--out",
            out,
            *arguments,
        )

        lines = [line for line in stderr.splitlines() if line.startswith("harness: ")]
        assert code == 2
        assert len(lines) == 1
        assert "Traceback" not in stdout + stderr
        assert not out.exists() or list(out.iterdir()) == []
        assert list((shared_cache.root / "tmp").glob("*")) == []
        assert {entry.path for entry in shared_cache.entries()} >= entries
        return lines[0]

    return call


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--interpreter", "torch"], "'torch' names no Python; write BACKEND=PYTHON"),
        (["--interpreter", "torch=/none/python"], "there is no program /none/python"),
        (["--interpreter", "torch=python3"], "torch is not measured; add --backend torch"),
        (["--interpreter", "tpu=python3"], "tpu takes no interpreter; it can be given for"),
        (
            [
                *("--backend", "torch"),
                *("--interpreter", "torch=python3", "--interpreter", "torch=python3"),
            ],
            "two are given for torch; leave one out",
        ),
    ],
)
def test_an_interpreter_that_cannot_be_meant(
    refused: Callable[..., str], toy: ToyFactory, options: list[str], message: str
) -> None:
    line = refused(toy(), *options)

    assert line.startswith(f"harness: --interpreter: {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--launch", "call"],
            "--launch: there is no way of launching 'call'; choose graph or enqueue",
        ),
        (["--precision", "int8"], "--precision: torch-cuda runs fp32 and fp16 only"),
    ],
)
def test_what_pytorch_on_a_gpu_does_not_do(
    refused: Callable[..., str], toy: ToyFactory, options: list[str], message: str
) -> None:
    line = refused(toy(), "--backend", "torch-cuda", *options)

    assert line.startswith(f"harness: {message}")


def test_an_unknown_key(refused: Callable[..., str], toy: ToyFactory) -> None:
    line = refused(toy(("p99_s", "p95_s")))

    assert "toy/pipeline.toml: budget.p95_s: unknown key; did you mean 'p99_s'?" in line


def test_a_pipeline_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "is no pipeline; give a folder that holds a pipeline.toml" in refused("nowhere")


def test_a_factory_that_raises(refused: Callable[..., str], toy: ToyFactory) -> None:
    toy()
    root = toy(("return Encoder(width)", "raise ValueError('too narrow')"), file="models.py")

    assert "models.py:encoder raised ValueError: too narrow; mend the factory" in refused(root)


def test_a_duration_outside_the_profile(refused: Callable[..., str], toy: ToyFactory) -> None:
    line = refused(toy(), "--duration", 30)

    assert "--duration: 30 s lies outside the profile of toy; choose 0.125 to 1 s" in line


def test_a_batch_outside_the_profile(refused: Callable[..., str], toy: ToyFactory) -> None:
    assert "--batch: batch 3 lies outside the profile" in refused(toy(), "--batch", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "cuda"), "there is no backend 'cuda'; choose one of: onnxruntime, torch"),
        (("--threads", "4096"), "--threads: 4096 threads"),
        (("--threads", "0"), "--threads: 0 threads"),
        (("--max-time", "0"), "--max-time: 0 s; give more than 0 s"),
        (("--max-time", "nan"), "--max-time"),
        (("--mode", "paced", "--component", "encoder"), "the mode paced is of the whole pipeline"),
        (("--rel-precision", "0"), "--rel-precision: 0 of the median; give more than 0 %"),
        (("--rel-precision", "0%"), "--rel-precision: 0 of the median; give more than 0 %"),
        (("--rel-precision", "-1%"), "--rel-precision: -0.01 of the median; give more than 0 %"),
        (("--rel-precision", "100%"), "--rel-precision: 1 of the median"),
        (("--rel-precision", "50"), "--rel-precision: 50 of the median"),
        (("--rel-precision", "nan"), "--rel-precision: nan of the median"),
        (("--rel-precision", "inf%"), "--rel-precision: inf of the median"),
        (("--rel-precision", "fine"), "'fine' is no share: write 0.5% or 0.005"),
        (("--rel-precision", "%"), "'%' is no share: write 0.5% or 0.005"),
        (("--rel-precision", ""), "'' is no share: write 0.5% or 0.005"),
        (("--samples", "0"), "--samples: 0 samples; ask for 1 or more"),
        (("--opset", "23"), "--opset: opset 23 is not supported"),
        (("--duration", "long"), "'long' is not a valid float; see 'harness run --help'"),
        (("--duration", "nan"), "--duration"),
        (("--durations", "1"), "No such option"),
        (("--converted", "x.wav"), "--converted: there is no recording"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_an_option_that_cannot_be_used(
    refused: Callable[..., str], toy: ToyFactory, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(toy(), *arguments)


def _graph_with_inverse(path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["b", "f", 6]),
        helper.make_tensor_value_info("voiced", TensorProto.BOOL, ["b", "f"]),
        helper.make_tensor_value_info("inverse", TensorProto.BOOL, []),
    ]
    output = helper.make_tensor_value_info("level", TensorProto.FLOAT, ["b", "f"])
    node = helper.make_node("ReduceSum", ["features", "axes"], ["level"], keepdims=0)
    axes = onnx.numpy_helper.from_array(np.array([2]), "axes")
    graph = helper.make_graph([node], "g", inputs, [output], [axes])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path
    )


def test_an_onnx_file_with_an_extra_input(refused: Callable[..., str], toy: ToyFactory) -> None:
    root = toy(('factory = "models.py:decoder"', 'onnx = "decoder.onnx"'))
    _graph_with_inverse(root / "decoder.onnx")

    line = refused(root)

    assert "the graph has 'inverse', which is not declared" in line
    assert "components.decoder.inputs" in line


def test_a_recording_that_is_not_there(refused: Callable[..., str], toy: ToyFactory) -> None:
    line = refused(toy(AUDIO), "--audio", "missing.wav")

    assert "missing.wav: there is no such file; give a sound file" in line


def test_a_recording_that_is_none(
    refused: Callable[..., str], toy: ToyFactory, tmp_path: Path
) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"RIFF no sound")

    assert "speech.wav: cannot be read" in refused(toy(AUDIO), "--audio", path)


def test_a_recording_for_a_pipeline_without_audio(
    refused: Callable[..., str], toy: ToyFactory
) -> None:
    assert "toy takes no audio; give it an [audio] table" in refused(toy(), "--audio", "x.wav")


def test_a_generator_that_gives_something_else(
    refused: Callable[..., str], toy: ToyFactory
) -> None:
    toy()
    root = toy((".astype(np.float32)", ""), file="inputs.py")

    assert "signal is float64 [1, 32], declared is float32 [1, 32]" in refused(root)


def test_a_generator_of_nan(refused: Callable[..., str], toy: ToyFactory) -> None:
    toy()
    root = toy(("rng.standard_normal(", "np.nan * rng.standard_normal("), file="inputs.py")

    assert "signal holds NaN or infinity" in refused(root)


def test_a_folder_of_records_that_cannot_be_made(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")

    code, _, err = harness("run", toy(), "--out", file / "out")

    assert code == 2
    assert "cannot write" in err
    assert len(err.splitlines()) == 1


def test_a_full_disk_while_exporting(
    harness: Callable[..., tuple[int, str, str]],
    toy: ToyFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.artifacts.cache.hash_file", no_space)
    cache = Cache(tmp_path / "cache")

    code, _, err = harness("run", toy(), "--cache", cache.root, "--out", tmp_path / "out")

    assert code == 2
    assert "the disk is full; free some space" in err
    assert list(cache.entries()) == []
    assert list((cache.root / "tmp").iterdir()) == []


def test_a_full_disk_while_recording(
    harness: Callable[..., tuple[int, str, str]],
    toy: ToyFactory,
    shared_cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", no_space)
    out = tmp_path / "out"

    code, _, err = harness("run", toy(), "--cache", shared_cache.root, "--out", out, "--samples", 2)

    assert code == 2
    assert "the disk is full" in err
    assert list(out.iterdir()) == []


def test_two_outputs_of_one_name(refused: Callable[..., str], toy: ToyFactory) -> None:
    root = toy(AUDIO)

    assert "same file" in refused(root, "--audio", root / "a.wav", "--json", root / "a.wav")


def test_a_dangling_link_beside_the_models_is_no_matter(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    root = toy()
    (root / ".#models.py").symlink_to("nobody@nowhere")
    (root / "folder.py").mkdir()

    code, _, _ = harness("run", root, "--plan", "--cache", tmp_path / "cache")

    assert code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mode", "fast"], "--mode: there is no mode 'fast'; choose of: hot, cold, paced"),
        (["--period", 0.1], "--period: it is of no use in the mode hot; add --mode paced"),
        (["--mode", "paced", "--period", 0], "--period: 0 s; give more than 0 s"),
        (["--mode", "concurrent"], "--streams: how many streams?; give 1 or more"),
        (["--mode", "paced", "--tail"], "--tail: it is of no use in the mode paced; leave it out"),
        (["--mode", "paced", "--no-canary"], "--no-canary: it is of no use in the mode paced"),
        (
            ["--mode", "concurrent", "--streams", 2, "--energy"],
            "--energy: it is of no use in the mode concurrent",
        ),
        (
            ["--mode", "concurrent", "--streams", 2, "--backend", "torch"],
            "--mode concurrent: torch runs one inference at a time here",
        ),
    ],
)
def test_a_way_of_arriving_that_cannot_be_meant(
    refused: Callable[..., str], toy: ToyFactory, options: list[object], message: str
) -> None:
    assert refused(toy(), *options).startswith(f"harness: {message}")
