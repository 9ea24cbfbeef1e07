"""Recordings in and out: any sound file that libsndfile reads, at any rate, to mono samples."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import InputDataError, OptionError
from harness.files import written_whole
from harness.pipeline.fingerprint import hash_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.pipeline.declaration import Audio, Dimension
    from harness.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Recording:
    """A recording at the pipeline's rate, padded with silence to whole frames.

    ``samples`` is float32 [n], mono, nominally within ±1; ``duration_s`` is that of the padded
    samples, and ``trimmed_count`` the number of samples before the padding.
    """

    path: Path
    content_hash: str
    samples: NDArray[np.float32]
    sample_rate_hz: int
    source_rate_hz: int
    trimmed_count: int
    duration_s: float


def read_recording(pipeline: Pipeline, path: Path) -> Recording:
    """Read ``path``, mix it to mono, resample it to the pipeline's rate, and pad it to frames.

    Raises:
        InputDataError: the pipeline takes no audio, or the file cannot be read or used.
        OptionError: the recording is outside the profile; the message names the range.
    """
    samples, source_rate_hz = read_samples(pipeline, path)
    audio, time = _audio_of(pipeline)
    name, dimension = time
    frame_s = 1.0 / (dimension.per_second or 1.0)
    hop = audio.sample_rate_hz * frame_s
    count = max(1, int(np.ceil(len(samples) / hop)))
    duration_s = count * frame_s
    if not dimension.min <= count <= dimension.max:
        what = f"lasts {len(samples) / audio.sample_rate_hz:.2f} s, outside the profile"
        fix = (
            f"give {dimension.min * frame_s:g} to {dimension.max * frame_s:g} s, or raise "
            f"dimensions.{name}.max"
        )
        raise OptionError(what, where=str(path), fix=fix)
    padded = np.zeros(round(count * hop), dtype=np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    return Recording(
        path=path,
        content_hash=hash_file(path),
        samples=padded,
        sample_rate_hz=audio.sample_rate_hz,
        source_rate_hz=source_rate_hz,
        trimmed_count=min(len(samples), len(padded)),
        duration_s=duration_s,
    )


def read_samples(pipeline: Pipeline, path: Path) -> tuple[NDArray[np.float32], int]:
    """The samples of ``path``, float32 [n], mono and at the pipeline's rate, and the file's rate.

    Raises:
        InputDataError: the pipeline takes no audio, or the file cannot be read or used.
    """
    import soundfile  # noqa: PLC0415
    import soxr  # noqa: PLC0415

    audio, _ = _audio_of(pipeline)
    try:
        source, source_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        what = "there is no such file" if not path.exists() else f"cannot be read: {error}"
        fix = "give a sound file such as WAV or FLAC"
        raise InputDataError(what, where=str(path), fix=fix) from error
    if not np.isfinite(source).all():
        raise InputDataError("holds NaN or infinity", where=str(path), fix="record it again")
    samples = soxr.resample(source.mean(axis=1), source_rate_hz, audio.sample_rate_hz)
    return samples, int(source_rate_hz)


def window_samples(pipeline: Pipeline) -> int:
    """The number of samples of one window at the profile's opt.

    Raises:
        InputDataError: the pipeline takes no audio.
    """
    audio, (_, dimension) = _audio_of(pipeline)
    return round(dimension.opt * audio.sample_rate_hz / (dimension.per_second or 1.0))


def _audio_of(pipeline: Pipeline) -> tuple[Audio, tuple[str, Dimension]]:
    audio, time = pipeline.declaration.audio, pipeline.time_dimension
    if audio is None or time is None:
        what, fix = f"{pipeline.name} takes no audio", "give it an [audio] table"
        raise InputDataError(what, where=str(pipeline.manifest), fix=fix)
    return audio, time


def write_wav(path: Path, samples: NDArray[Any], sample_rate_hz: int) -> None:
    """Write mono ``samples`` (nominally within ±1) to ``path`` as 16-bit WAV, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    import soundfile  # noqa: PLC0415

    with written_whole(path) as scratch, scratch.open("wb") as file:
        try:
            soundfile.write(file, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
        except soundfile.SoundFileError as error:
            raise OSError(errno.EIO, str(error), str(path)) from error
