"""``harness calibrate``, and what ``harness run`` makes of the sets that it is given."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from harness.artifacts.calibration import load_set, save_set
from harness.artifacts.sources import pipeline_hash
from harness.calibrate import CalibrationOptions, make_calibration_set
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.worker import WorkerPool
    from tests.conftest import ToyFactory

    Harness = Callable[..., tuple[int, str, str]]
    Arrays = dict[str, NDArray[Any]]

FED = {
    "audio",
    "f0",
    "voiced",
    "speaker",
    "latent",
    "mask",
    "content_encoder.content_features",
    "pitch_encoder.pitch_features",
    "conditioner.conditioning",
    "flow_decoder.output_latent",
    "latent_to_mel.mel",
}


@pytest.fixture
def calibrate(harness: Harness, shared_cache: Cache) -> Harness:
    def call(pipeline: object, *arguments: object) -> tuple[int, str, str]:
        return harness("calibrate", pipeline, "--cache", shared_cache.root, *arguments)

    return call


def _refused(result: tuple[int, str, str]) -> str:
    """The line on standard error of a command that was refused."""
    code, out, err = result
    lines = [line for line in err.splitlines() if line.startswith("harness: ")]
    assert code == 2
    assert len(lines) == 1
    assert "Traceback" not in out + err
    return lines[0]


# Making a set.


def test_the_same_seed_makes_the_same_file_byte_for_byte(
    calibrate: Harness, tmp_path: Path
) -> None:
    first, again = tmp_path / "first.npz", tmp_path / "again.npz"

    results = [
        calibrate("tiny", "--samples", 4, "--out", first),
        calibrate("tiny", "--samples", 4, "--seed", 0, "--out", again),
    ]

    assert [code for code, _, _ in results] == [0, 0]
    assert first.read_bytes() == again.read_bytes()


def test_what_is_printed_is_what_numpy_reads(calibrate: Harness, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"

    code, out, _ = calibrate("tiny", "--samples", 4, "--out", path)

    assert code == 0
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "manifest.json"}
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    # The audio that comes out feeds nothing, and is left out.
    assert set(arrays) == set(manifest["tensors"]) == FED
    assert f"{path}: 4 samples, {path.stat().st_size / 1e6:.2f} MB" in out
    assert f"hash {manifest['content_hash']}" in out
    for name, array in arrays.items():
        shape = ", ".join(map(str, array.shape[1:]))
        assert array.shape[0] == 4
        assert f"  {name}: {array.dtype} [{shape}], {array.min():g} to {array.max():g}" in out
        assert manifest["tensors"][name] == {
            "dtype": array.dtype.name,
            "shape": list(array.shape[1:]),
            "min": array.min().item(),
            "max": array.max().item(),
        }
    assert arrays["voiced"].dtype == np.bool_
    assert arrays["audio"].shape == (4, 1, 16_000)
    assert manifest["seed"] == 0
    assert manifest["samples"] == 4
    assert manifest["pipeline"] == "tiny"
    assert manifest["format"] == 1
    assert manifest["generator_version"] == 1


def test_a_set_goes_into_the_folder_of_reports_by_default(
    harness: Harness, onnx_toy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = onnx_toy()
    monkeypatch.chdir(tmp_path)

    code, out, _ = harness("calibrate", root, "--cache", tmp_path / "cache")

    assert code == 0
    assert "reports/toy-calibration.npz: 16 samples" in out
    assert (tmp_path / "reports" / "toy-calibration.npz").is_file()


def test_recordings_that_are_left_out_are_told(calibrate: Harness, tmp_path: Path) -> None:
    sound, out = tmp_path / "sound", tmp_path / "set.npz"
    sound.mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 16_000)
    soundfile.write(sound / "noise.wav", noise, 16_000)
    (sound / "notes.txt").write_text("no sound")

    code, _, err = calibrate("tiny", "--audio", sound, "--out", out)

    warning, error = (line for line in err.splitlines() if line.startswith("harness: "))
    assert warning.startswith(f"harness: warning: {sound / 'notes.txt'} is left out: cannot be")
    assert error == (
        f"harness: {sound}: the recordings make 3 windows, at least 4 are needed; add longer or "
        "more recordings"
    )
    assert code == 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "int8"), "--precision: nothing is converted without --sweep; add --sweep"),
        (("--sweep", "--precision", "fp16"), "--precision: fp16 is not calibrated; name one of"),
        (("--sweep", "--precision", "fp32"), "--precision: fp32 is not calibrated; name one of"),
        (("--sweep", "--precision", "int4"), "there is no precision 'int4'; choose one of: fp32"),
        (("--samples", "3"), "--samples: 3 is too few to show a range; give 4 or more"),
        (("--samples", "many"), "'many' is not a valid integer"),
        (("--seed", "-1"), "--seed: the seed is -1; give 0 to 4294967295"),
        (("--audio", "nowhere"), "nowhere: is no folder; give a folder of recordings"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    harness: Harness, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "set.npz"

    line = _refused(
        harness("calibrate", "tiny", "--cache", tmp_path / "cache", "--out", out, *arguments)
    )

    assert message in line
    assert not out.exists()
    assert not (tmp_path / "cache").exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_made(
    harness: Harness, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    folder = tmp_path / "folder"
    folder.mkdir()
    cache = ("--cache", tmp_path / "cache")

    below = _refused(harness("calibrate", "tiny", *cache, "--out", file / "set.npz"))
    itself = _refused(harness("calibrate", "tiny", *cache, "--out", folder))

    assert f"{file}: cannot write" in below
    assert "is a directory" in itself
    assert not (tmp_path / "cache").exists()
    assert file.read_text() == "in the way"


# A sweep.


def test_a_sweep_prints_every_component_and_the_best_rule_and_keeps_no_graphs(
    calibrate: Harness, toy: ToyFactory, shared_cache: Cache, tmp_path: Path
) -> None:
    # As no other test calibrates it, so that its histograms are in no cache.
    few = ("--samples", 6, "--seed", 66)
    before = {entry.path for entry in shared_cache.entries()}

    both = ("--precision", "int8", "--precision", "int8-ort")

    code, out, _ = calibrate(toy(), "--sweep", *both, *few, "--out", tmp_path / "set.npz")

    assert code == 0
    for table in out.split("SNR in dB against")[1:]:
        rows = [line.split() for line in table.splitlines() if line.strip()]
        for name in ("encoder", "decoder", "pipeline"):
            (row,) = (row for row in rows if row[0] == name)
            assert len(row) == 8  # the name, a constant's and those of six rules
        (encoder,) = (row for row in rows if row[0] == "encoder")
        assert all(float(value) > float(encoder[1]) for value in encoder[2:])
        assert len({*encoder[2:]}) > 1  # the rules differ
    assert out.count("Best for its worst component: ") == 2
    new = [entry for entry in shared_cache.entries() if entry.path not in before]
    kinds = {entry.kind for entry in new}
    assert {"histograms"} <= kinds <= {"onnx", "reference", "histograms"}
    assert list((shared_cache.root / "tmp").iterdir()) == []


def test_a_sweep_without_pytorch_is_refused(
    calibrate: Harness, onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    line = _refused(calibrate(onnx_toy(), "--sweep", "--out", tmp_path / "set.npz"))

    assert "--sweep: there is nothing to compare with: encoder is an ONNX file" in line


# Using a set.


@pytest.fixture(scope="module")
def good(
    shared_cache: Cache, shared_pool: WorkerPool, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A set of the tiny pipeline, as it is written."""
    path = tmp_path_factory.mktemp("sets") / "good.npz"
    options = CalibrationOptions(samples=4)
    save_set(make_calibration_set(load_pipeline("tiny"), options, shared_cache, shared_pool), path)
    return path


def _arrays(path: Path) -> Arrays:
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "manifest.json"}


def _write(path: Path, arrays: Arrays, manifest: object = None) -> None:
    """A set as another tool writes it, with a manifest if one is given."""
    np.savez(path, **arrays)  # type: ignore[arg-type]
    if manifest is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("manifest.json", json.dumps(manifest))


def _manifest(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json"))


@pytest.fixture
def refused(harness: Harness, tmp_path: Path) -> Callable[[Path], str]:
    """Run with a set that is no good; gives the line. Nothing may be written for it."""

    def call(path: Path) -> str:
        cache, out = tmp_path / "cache", tmp_path / "out"

        line = _refused(
            harness(
                "run",
                "tiny",
                "--precision",
                "int8",
                "--calibration",
                path,
                "--cache",
                cache,
                "--out",
                out,
                "--json",
                tmp_path / "run.json",
            )
        )

        # It is looked into before anything else is done.
        assert not cache.exists()
        assert not (tmp_path / "run.json").exists()
        assert not out.exists() or list(out.iterdir()) == []
        assert line.startswith(f"harness: {path}: ")
        return line.removeprefix(f"harness: {path}: ")

    return call


def _nan(arrays: Arrays) -> Arrays:
    audio = arrays["audio"].copy()
    audio[2, 0, 100] = np.nan
    return {**arrays, "audio": audio}


def _infinite(arrays: Arrays) -> Arrays:
    mel = arrays["latent_to_mel.mel"].copy()
    mel[1:3] = -np.inf
    return {**arrays, "latent_to_mel.mel": mel}


BAD = [
    pytest.param(_nan, "audio: holds NaN or infinity in sample 2 (1 of 4 samples); mend", id="NaN"),
    pytest.param(
        _infinite,
        "latent_to_mel.mel: holds NaN or infinity in sample 1 (2 of 4 samples)",
        id="infinity",
    ),
    pytest.param(
        lambda arrays: {name: array[:1] for name, array in arrays.items()},
        "holds 1 sample, too few to show a range; give 4 or more",
        id="one sample",
    ),
    pytest.param(
        lambda arrays: {name: array[:0] for name, array in arrays.items()},
        "holds 0 samples",
        id="no sample",
    ),
    pytest.param(
        lambda arrays: {name: array for name, array in arrays.items() if name != "voiced"},
        "has no 'voiced', which tiny is fed; it has ",
        id="missing tensor",
    ),
    pytest.param(
        lambda arrays: {n: a for n, a in arrays.items() if n != "conditioner.conditioning"},
        "has no 'conditioner.conditioning', which tiny is fed",
        id="missing output",
    ),
    pytest.param(
        lambda arrays: {**arrays, "voiced": arrays["voiced"].astype(np.float32)},
        "voiced: is float32, declared is bool; keep bool as bool",
        id="bool as float",
    ),
    pytest.param(
        lambda arrays: {**arrays, "voiced": arrays["voiced"].astype(np.int8)},
        "voiced: is int8, declared is bool; keep bool as bool",
        id="bool as int8",
    ),
    pytest.param(
        lambda arrays: {**arrays, "audio": arrays["audio"].astype(np.float64)},
        "audio: is float64, declared is float32",
        id="double",
    ),
    pytest.param(
        lambda arrays: {**arrays, "audio": arrays["audio"][:, :, :320]},
        "audio: a sample is [1, 320], the pipeline's is [1, 16000] at the profile's opt",
        id="other window",
    ),
    pytest.param(
        lambda arrays: {**arrays, "f0": arrays["f0"][:, 0]},
        "f0: a sample is [50], the pipeline's is [1, 50] at the profile's opt",
        id="other rank",
    ),
    pytest.param(
        lambda arrays: {**arrays, "f0": np.repeat(arrays["f0"], 2, axis=0)},
        "its tensors hold different numbers of samples",
        id="other counts",
    ),
    pytest.param(
        lambda arrays: {**arrays, "f0": np.array(1.0, np.float32)},
        "its tensors hold different numbers of samples",
        id="a number",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("has_manifest", [True, False], ids=["manifest", "foreign"])
def test_a_set_that_does_not_fit_is_refused_by_file_and_tensor(
    refused: Callable[[Path], str],
    good: Path,
    tmp_path: Path,
    change: Callable[[Arrays], Arrays],
    message: str,
    has_manifest: bool,
) -> None:
    path = tmp_path / "bad.npz"
    _write(path, change(_arrays(good)), _manifest(good) if has_manifest else None)

    line = refused(path)

    assert line.startswith(message)


def test_a_set_of_another_pipeline_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.npz"
    _write(path, _arrays(good), {**_manifest(good), "pipeline": "voice_conversion"})

    assert refused(path).startswith(
        "is a set of the pipeline 'voice_conversion', not of 'tiny'; make it again with harness "
        "calibrate tiny"
    )


def test_a_set_of_another_pipeline_without_a_manifest_is_refused_by_its_tensors(
    refused: Callable[[Path], str], tmp_path: Path
) -> None:
    path = tmp_path / "toy.npz"
    _write(path, {"signal": np.zeros((4, 1, 32), np.float32), "voiced": np.ones((4, 1, 8), bool)})

    line = refused(path)

    assert line.startswith("has no 'audio', 'f0', ")
    assert "it has signal, voiced; make it again" in line


def test_a_set_from_before_a_change_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / "old.npz"
    _write(path, _arrays(good), {**_manifest(good), "pipeline_hash": "00" * 20})

    assert refused(path).startswith(
        "was made before tiny's code, weights or declaration changed; make it again"
    )


@pytest.mark.parametrize("manifest", [{"format": 2}, [], "text", 1])
def test_a_manifest_of_another_form_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path, manifest: object
) -> None:
    path = tmp_path / "form.npz"
    _write(path, _arrays(good), manifest)

    assert refused(path).startswith("its manifest.json is not of format 1")


def test_values_that_changed_since_are_found(
    refused: Callable[[Path], str], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / "changed.npz"
    arrays = _arrays(good)
    arrays["audio"][0, 0, 0] += 1e-3
    _write(path, arrays, _manifest(good))

    assert refused(path).startswith("is damaged: its hash is not that of its content")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, -1])
def test_a_truncated_file_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path, kept: float
) -> None:
    path = tmp_path / "short.npz"
    content = good.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])

    assert refused(path).startswith("is no ")


def test_what_is_no_set_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / "set.npz"
    assert refused(path).startswith("there is no such file; make it: harness calibrate tiny")
    path.write_text("not a set at all")
    assert refused(path).startswith("is no ")
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert refused(path).startswith("is no ")
    # Nothing in such a file is ever executed.
    np.savez(path, **{**_arrays(good), "f0": np.array([{}] * 4, dtype=object)})  # type: ignore[arg-type]
    assert refused(path).startswith("is no ")


def test_a_damaged_header_in_a_set_of_another_tool_is_refused(
    refused: Callable[[Path], str], good: Path, tmp_path: Path
) -> None:
    """Its checksum is right, its form is not: numpy reads it as Python and fails in many ways."""
    path = tmp_path / "header.npz"
    _write(path, {name: array for name, array in _arrays(good).items() if name != "f0"})
    header = b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4( \n"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("f0.npy", header + bytes(64))

    assert refused(path).startswith("is no ")


def test_a_set_for_a_run_that_calibrates_nothing_is_refused(
    harness: Harness, good: Path, tmp_path: Path
) -> None:
    cache = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    line = _refused(harness("run", "tiny", *cache, "--precision", "fp16", "--calibration", good))

    assert "--calibration: nothing is calibrated" in line
    assert not (tmp_path / "cache").exists()


def test_a_set_that_is_also_an_output_is_refused(
    harness: Harness, good: Path, tmp_path: Path
) -> None:
    before = good.read_bytes()
    folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    line = _refused(
        harness(
            "run", "tiny", *folders, "--precision", "int8", "--calibration", good, "--json", good
        )
    )

    assert "is the same file as that of" in line
    assert good.read_bytes() == before


def test_a_floor_or_a_description_that_changed_makes_no_set_old(good: Path, tmp_path: Path) -> None:
    import shutil  # noqa: PLC0415

    shipped = load_pipeline("tiny").root
    root = tmp_path / "tiny"
    shutil.copytree(shipped, root, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = root / "pipeline.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("int8 = 20.0", "int8 = 21.0"), encoding="utf-8")
    copy = load_pipeline(root)

    assert len(load_set(good, copy, pipeline_hash(copy))) == 4
    models = root / "models.py"
    models.write_text(models.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert pipeline_hash(copy) != pipeline_hash(load_pipeline("tiny"))
