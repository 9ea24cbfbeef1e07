"""Recordings in and converted audio out."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from harness.audio import read_recording, write_wav
from harness.errors import InputDataError, OptionError, StorageError
from harness.pipeline.loader import load_pipeline
from harness.store.parquet import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.pipeline.pipeline import Pipeline

RATE = 16_000


@pytest.fixture
def pipeline() -> Pipeline:
    return load_pipeline("tiny")


def _tone(path: Path, *, rate: int, seconds: float, channels: int = 1) -> Path:
    time_s = np.arange(round(rate * seconds)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 220 * time_s)
    soundfile.write(path, np.stack([tone] * channels, axis=1), rate)
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_becomes_mono_at_the_pipelines_own(
    pipeline: Pipeline, tmp_path: Path, rate: int, channels: int
) -> None:
    path = _tone(tmp_path / "tone.wav", rate=rate, seconds=1.0, channels=channels)

    recording = read_recording(pipeline, path)

    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == (RATE,)
    assert recording.duration_s == 1.0
    assert recording.source_rate_hz == rate
    spectrum = np.abs(np.fft.rfft(recording.samples))
    assert np.argmax(spectrum) == 220


def test_a_recording_is_padded_to_whole_frames(pipeline: Pipeline, tmp_path: Path) -> None:
    recording = read_recording(pipeline, _tone(tmp_path / "a.wav", rate=RATE, seconds=0.505))

    assert recording.trimmed_count == 8080
    assert recording.samples.shape == (8320,)
    assert recording.duration_s == pytest.approx(0.52)
    assert not recording.samples[8080:].any()


@pytest.mark.parametrize("seconds", [0.05, 60.0])
def test_a_recording_outside_the_profile_names_the_range(
    pipeline: Pipeline, tmp_path: Path, seconds: float
) -> None:
    path = _tone(tmp_path / "a.wav", rate=RATE, seconds=seconds)

    with pytest.raises(OptionError, match=r"give 0\.1 to 2 s"):
        read_recording(pipeline, path)


def test_an_empty_recording_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)

    with pytest.raises((InputDataError, OptionError)):
        read_recording(pipeline, tmp_path / "empty.wav")


def test_nan_in_a_recording_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")

    with pytest.raises(InputDataError, match="NaN"):
        read_recording(pipeline, tmp_path / "nan.wav")


def test_a_wav_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_wav(tmp_path / "out.wav", np.linspace(-1, 1, 100, dtype=np.float32), RATE)

    samples, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == RATE
    np.testing.assert_allclose(samples, np.linspace(-1, 1, 100), atol=1e-4)
    with pytest.raises(StorageError):
        write_wav(tmp_path / "no" / "out.wav", samples, RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def _speech(path: Path) -> Path:
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    text = "Hello, this is a short test."
    subprocess.run([program, "-s", "260", "-w", str(path), text], check=True)
    return path


@pytest.mark.speech
def test_speech_is_converted_and_written(
    harness: Callable[..., tuple[int, str, str]], shared_cache: Cache, tmp_path: Path
) -> None:
    speech = _speech(tmp_path / "speech.wav")
    out = tmp_path / "out"
    folders = ("--cache", shared_cache.root, "--out", out)

    code, printed, _ = harness("run", "tiny", "--audio", speech, *folders, "--samples", 3)

    assert code == 0
    assert "speech-converted.wav" in " ".join(printed.split())
    source, source_rate = soundfile.read(speech)
    converted, rate = soundfile.read(out / "speech-converted.wav")
    assert rate == RATE
    assert len(converted) / rate == pytest.approx(len(source) / source_rate, abs=2 / RATE)
    assert converted.std() > 0.01
    (record,) = ParquetStore(out).query()
    assert record.inputs["kind"] == "recording"
    assert record.inputs["file"] == "speech.wav"
    assert record.inputs["source_rate_hz"] == source_rate
