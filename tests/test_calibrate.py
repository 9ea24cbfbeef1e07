"""Calibration sets as they are made: diverse inputs, and what fp32 PyTorch makes of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from harness.artifacts.cache import Cache
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import Built
from harness.backends.torch import TorchBackend
from harness.calibrate import CalibrationOptions, make_calibration_set
from harness.errors import CalibrationError, HarnessError, InputDataError, OptionError
from harness.pipeline.feeds import calibration_inputs, recording_inputs
from harness.pipeline.loader import load_pipeline
from harness.reference import run_stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.calibration import CalibrationSet
    from harness.artifacts.worker import WorkerPool
    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

RATE = 16_000
AUDIO = ("[dimensions]", '[audio]\nsample_rate_hz = 64\noutput = "decoder.level"\n[dimensions]')


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return load_pipeline("tiny")


@pytest.fixture(scope="module")
def made(tiny: Pipeline, shared_cache: Cache, shared_pool: WorkerPool) -> CalibrationSet:
    return make_calibration_set(
        tiny, CalibrationOptions(samples=5, seed=3), shared_cache, shared_pool
    )


@pytest.fixture
def recorded(
    tiny: Pipeline, shared_cache: Cache, shared_pool: WorkerPool, tmp_path: Path
) -> Callable[..., CalibrationSet]:
    """The set of the recordings in ``tmp_path / "sound"``."""

    def make(**options: Any) -> CalibrationSet:
        chosen = CalibrationOptions(audio=tmp_path / "sound", **options)
        return make_calibration_set(tiny, chosen, shared_cache, shared_pool)

    return make


def _torch_outputs(pipeline: Pipeline, calibration: CalibrationSet) -> dict[str, NDArray[Any]]:
    inputs = {name: calibration.tensors[name] for name in pipeline.declaration.inputs}
    session = TorchBackend(threads=1).open(pipeline, {})
    return run_stack(pipeline, session, pipeline.profile("opt"), inputs)


def _fed(pipeline: Pipeline) -> set[str]:
    """The outputs that feed another component, by hand."""
    assert pipeline.name == "tiny"
    return {
        "content_encoder.content_features",
        "pitch_encoder.pitch_features",
        "conditioner.conditioning",
        "flow_decoder.output_latent",
        "latent_to_mel.mel",
    }


def _write(folder: Path, name: str, samples: NDArray[Any], rate: int = RATE) -> NDArray[np.float32]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return samples.astype(np.float32)


def _noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(RATE * seconds))).astype(np.float32)


# Synthetic sets.


def test_what_feeds_a_later_component_is_what_pytorch_makes_of_the_same_sample(
    tiny: Pipeline, made: CalibrationSet
) -> None:
    expected = _torch_outputs(tiny, made)

    assert set(made.tensors) == set(tiny.declaration.inputs) | _fed(tiny)
    for name in _fed(tiny):
        np.testing.assert_array_equal(made.tensors[name], expected[name], err_msg=name)


def test_the_glue_shows_that_samples_belong_together(made: CalibrationSet) -> None:
    """The conditioner puts its inputs one after the other, so that no computation is needed."""
    content, pitch, speaker = (
        made.tensors[name]
        for name in ("content_encoder.content_features", "pitch_encoder.pitch_features", "speaker")
    )
    glued = made.tensors["conditioner.conditioning"]

    np.testing.assert_array_equal(glued[:, :, :32], np.moveaxis(content, 2, 3))
    np.testing.assert_array_equal(glued[:, :, 32:56], np.moveaxis(pitch, 2, 3))
    np.testing.assert_array_equal(
        glued[:, :, 56:], np.repeat(speaker[:, :, :, np.newaxis], 50, axis=3)
    )


def test_the_free_inputs_are_those_of_the_generator(tiny: Pipeline, made: CalibrationSet) -> None:
    for index in range(5):
        fed = calibration_inputs(tiny, tiny.profile("opt"), seed=3, index=index)
        for name, array in fed.items():
            np.testing.assert_array_equal(made.tensors[name][index], array)


def test_every_sample_is_another_one_at_the_opt_of_the_profile(
    tiny: Pipeline, made: CalibrationSet
) -> None:
    assert len(made) == 5
    assert made.tensors["audio"].shape == (5, 1, RATE)
    assert made.tensors["voiced"].dtype == np.bool_
    for name in {*made.tensors} - {"mask"}:
        distinct = {sample.tobytes() for sample in made.tensors[name]}
        assert len(distinct) == 5, name


def test_the_same_seed_gives_the_same_set_and_another_another(
    tiny: Pipeline, made: CalibrationSet, tmp_path: Path, shared_pool: WorkerPool
) -> None:
    # Nothing of it is in this cache: it is made anew, in other processes.
    empty = Cache(tmp_path)

    again = make_calibration_set(tiny, CalibrationOptions(samples=5, seed=3), empty, shared_pool)
    other = make_calibration_set(tiny, CalibrationOptions(samples=5, seed=4), empty, shared_pool)

    assert again.content_hash == made.content_hash
    assert again.info == made.info
    assert other.content_hash != made.content_hash
    assert not np.array_equal(other.tensors["audio"], made.tensors["audio"])


def test_a_set_tells_how_it_was_made(made: CalibrationSet) -> None:
    info = dict(made.info)

    assert info.pop("fp32").startswith("torch ")
    assert "+" not in made.info["fp32"]
    assert len(info.pop("pipeline_hash")) == 40
    assert info == {
        "pipeline": "tiny",
        "generator_version": 1,
        "window": {"batch": 1, "frames": 50, "samples": RATE},
        "kind": "synthetic",
        "seed": 3,
    }


@pytest.mark.parametrize("samples", [3, 1, 0, -1])
def test_too_few_samples_are_refused(samples: int) -> None:
    with pytest.raises(OptionError, match=f"^--samples: {samples} is too few") as caught:
        CalibrationOptions(samples=samples)

    assert caught.value.where == "--samples"
    assert caught.value.fix == "give 4 or more"


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(OptionError, match="the seed is -1") as caught:
        CalibrationOptions(seed=-1)

    assert caught.value.where == "--seed"


# Without PyTorch.


def test_components_that_are_graphs_are_run_by_onnx_runtime(
    onnx_toy: Callable[..., Path], shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    pipeline = load_pipeline(onnx_toy())
    calibration = make_calibration_set(
        pipeline, CalibrationOptions(samples=4), shared_cache, shared_pool
    )
    built = {name: Built(pipeline.root / f"{name}.onnx") for name in pipeline.components}
    session = OnnxRuntimeBackend(threads=1).open(pipeline, built)

    assert calibration.info["fp32"].startswith("onnxruntime ")
    assert set(calibration.tensors) == {"signal", "voiced", "encoder.features"}
    assert calibration.tensors["encoder.features"].shape == (4, 1, 8, 6)
    for index in range(4):
        fed = {"signal": calibration.tensors["signal"][index], "gain": np.array(0.5, np.float32)}
        features = session.infer("encoder", fed)["features"]
        assert np.abs(features).max() > 0
        np.testing.assert_array_equal(calibration.tensors["encoder.features"][index], features)


def test_a_scalar_among_the_free_inputs_is_calibrated_too(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    """The stack of a number is a row of numbers, of which each must be an array again."""
    toy(
        (
            '"voiced": rng',
            '"gain": np.array(rng.random(), dtype=np.float32),\n        "voiced": rng',
        ),
        file="inputs.py",
    )
    root = toy(
        ("[inputs]", '[inputs]\ngain = { dtype = "float32", shape = [] }'),
        ("shape = [], value = 0.5", 'shape = [], from = "gain"'),
    )
    pipeline = load_pipeline(root)

    calibration = make_calibration_set(
        pipeline, CalibrationOptions(samples=4), shared_cache, shared_pool
    )

    assert calibration.tensors["gain"].shape == (4,)
    session = TorchBackend(threads=1).open(pipeline, {})
    for index in range(4):
        fed = calibration.component_inputs(pipeline, "encoder", index)
        features = session.infer("encoder", {**fed, "gain": np.array(1, np.float32)})["features"]
        np.testing.assert_allclose(
            calibration.tensors["encoder.features"][index], features * fed["gain"], rtol=1e-5
        )


# Recordings.


def test_recordings_are_cut_into_windows_of_exactly_the_opt(
    recorded: Callable[..., CalibrationSet],
    tiny: Pipeline,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sound = tmp_path / "sound"
    long = _write(sound, "b long.wav", _noise(3.5))
    short = _write(sound, "c/short.flac.wav", _noise(0.25, 1))
    whole = _write(sound, "a.wav", _noise(1.0, 2))

    calibration = recorded()

    windows = calibration.tensors["audio"]
    padded = np.pad(short, (0, RATE - short.size))
    expected = np.stack([whole, *long[: 3 * RATE].reshape(3, RATE), padded])
    assert windows.shape == (5, 1, RATE)
    np.testing.assert_array_equal(windows[:, 0], expected)
    assert "5 windows for the 16 samples asked for" in caplog.text
    fed = recording_inputs(tiny, expected[1], tiny.profile("opt"))
    for name, array in fed.items():
        np.testing.assert_array_equal(calibration.tensors[name][1], array)
    features = _torch_outputs(tiny, calibration)
    for name in _fed(tiny):
        np.testing.assert_array_equal(calibration.tensors[name], features[name])


def test_a_set_of_recordings_names_them_with_their_hashes(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    _write(tmp_path / "sound", "one.wav", _noise(3.0))
    _write(tmp_path / "sound", "in/two.wav", _noise(2.0, 1))

    info = recorded(samples=4, seed=1).info

    assert info["kind"] == "recordings"
    assert [file["file"] for file in info["files"]] == ["in/two.wav", "one.wav"]
    assert all(len(file["content_hash"]) == 40 for file in info["files"])


def test_the_same_seed_draws_the_same_windows_each_once(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    noise = _write(tmp_path / "sound", "long.wav", _noise(20.0))

    first, again, other = (recorded(samples=4, seed=seed) for seed in (1, 1, 2))

    assert first.content_hash == again.content_hash
    assert first.content_hash != other.content_hash
    rows = {row.tobytes() for row in noise.reshape(20, RATE)}
    for calibration in (first, other):
        drawn = {window.tobytes() for window in calibration.tensors["audio"]}
        assert len(drawn) == 4
        assert drawn <= rows


def test_files_at_another_rate_and_in_stereo_make_windows_too(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    seconds = np.arange(4 * 44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 220 * seconds)
    _write(tmp_path / "sound", "tone.wav", np.stack([tone, tone], axis=1), 44_100)

    windows = recorded(samples=4).tensors["audio"][:, 0]

    assert windows.shape == (4, RATE)
    assert set(np.argmax(np.abs(np.fft.rfft(windows)), axis=1)) == {220}


def test_files_that_cannot_be_read_are_left_out_with_a_warning(
    recorded: Callable[..., CalibrationSet], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = tmp_path / "sound"
    noise = _write(sound, "good.wav", _noise(4.0))
    _write(sound, "nan.wav", np.full(RATE, np.nan))
    _write(sound, "nothing.wav", np.zeros(0))
    (sound / "notes.txt").write_text("no sound")
    (sound / ".hidden.wav").write_text("no sound either")

    with caplog.at_level(logging.WARNING, "harness"):
        calibration = recorded(samples=4)

    np.testing.assert_array_equal(calibration.tensors["audio"][:, 0], noise.reshape(4, RATE))
    assert [file["file"] for file in calibration.info["files"]] == ["good.wav"]
    warnings = {r.getMessage() for r in caplog.records if r.name == "harness.calibrate"}
    assert len(warnings) == 3
    for name, problem in {
        "nan.wav": "holds NaN",
        "nothing.wav": "holds no samples",
        "notes.txt": "cannot be read",
    }.items():
        assert any(f"{name} is left out: {problem}" in warning for warning in warnings)


def test_hidden_files_are_not_even_tried(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    """Such as those that another system writes beside each recording."""
    _write(tmp_path / "sound", "good.wav", _noise(4.0))
    _write(tmp_path / "sound", "._good.wav", _noise(4.0, 1))

    assert [file["file"] for file in recorded(samples=4).info["files"]] == ["good.wav"]


def _refused(make: Callable[..., CalibrationSet], kind: type[HarnessError]) -> HarnessError:
    with pytest.raises(kind) as caught:
        make()
    return caught.value


def test_a_folder_of_which_nothing_can_be_read_names_what_was_tried(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    sound = tmp_path / "sound"
    sound.mkdir()
    for name in "gfedcba":
        (sound / f"{name}.txt").write_text("no sound")

    error = _refused(recorded, CalibrationError)

    assert error.what == (
        "nothing in it can be read as sound; tried: a.txt, b.txt, c.txt, d.txt, e.txt and 2 more"
    )
    assert error.where == str(sound)
    for name in "gf":
        (sound / f"{name}.txt").unlink()
    assert _refused(recorded, CalibrationError).what.endswith(
        "tried: a.txt, b.txt, c.txt, d.txt, e.txt"
    )


def test_an_empty_folder_says_so(recorded: Callable[..., CalibrationSet], tmp_path: Path) -> None:
    (tmp_path / "sound" / "empty").mkdir(parents=True)

    assert _refused(recorded, CalibrationError).what == "there is no file in it"


def test_what_is_no_folder_is_refused(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    assert _refused(recorded, CalibrationError).what == "is no folder"
    (tmp_path / "sound").write_text("a file")
    error = _refused(recorded, CalibrationError)
    assert error.what == "is no folder"
    assert error.where == str(tmp_path / "sound")


def test_too_few_windows_are_refused(
    recorded: Callable[..., CalibrationSet], tmp_path: Path
) -> None:
    _write(tmp_path / "sound", "a.wav", _noise(2.9))
    _write(tmp_path / "sound", "b.wav", _noise(0.5))

    error = _refused(recorded, CalibrationError)

    assert error.what == "the recordings make 3 windows, at least 4 are needed"
    assert error.fix == "add longer or more recordings"


def test_recordings_for_a_pipeline_that_takes_none_are_refused(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool, tmp_path: Path
) -> None:
    _write(tmp_path / "sound", "a.wav", _noise(4.0))
    options = CalibrationOptions(audio=tmp_path / "sound")

    def make() -> CalibrationSet:
        return make_calibration_set(load_pipeline(toy()), options, shared_cache, shared_pool)

    assert _refused(make, InputDataError).what == "toy takes no audio"
    toy(AUDIO)
    assert _refused(make, InputDataError).what == "toy takes no recordings"
