"""The file of a calibration set: what it holds, that it is whole, and what is refused."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.artifacts.calibration import (
    FORMAT,
    MANIFEST,
    MIN_SAMPLES,
    CalibrationSet,
    as_calibrator_input,
    load_set,
    make_set,
    required_tensors,
    save_set,
)
from harness.artifacts.sources import pipeline_hash
from harness.errors import CalibrationError, StorageError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

SAMPLES = 5

Tensors = dict[str, "NDArray[Any]"]


def make_tensors(samples: int = SAMPLES) -> Tensors:
    """What the toy is fed at its opt: 8 frames of 4 samples, 6 features."""
    rng = np.random.default_rng(0)
    return {
        "signal": rng.standard_normal((samples, 1, 32)).astype(np.float32),
        "voiced": rng.random((samples, 1, 8)) > 0.5,
        "encoder.features": rng.standard_normal((samples, 1, 8, 6)).astype(np.float32),
    }


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def calibration(pipeline: Pipeline) -> CalibrationSet:
    info = {
        "pipeline": pipeline.name,
        "pipeline_hash": pipeline_hash(pipeline),
        "kind": "synthetic",
        "seed": 7,
    }
    return make_set(pipeline, make_tensors(), info, "the set")


def test_a_set_is_printed_without_its_numbers(calibration: CalibrationSet) -> None:
    printed = repr(calibration)

    count = len(calibration.tensors)
    assert printed.startswith(f"<CalibrationSet: {len(calibration)} samples of {count} tensors, ")
    assert calibration.content_hash in printed
    assert len(printed) < 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.npz"


@pytest.fixture
def saved(calibration: CalibrationSet, path: Path) -> Path:
    save_set(calibration, path)
    return path


def load(path: Path, pipeline: Pipeline) -> CalibrationSet:
    return load_set(path, pipeline, pipeline_hash(pipeline))


def refusal(path: Path, pipeline: Pipeline) -> CalibrationError:
    """The error, which always says where and what to do."""
    with pytest.raises(CalibrationError) as caught:
        load(path, pipeline)
    assert caught.value.where.startswith(str(path))
    assert caught.value.fix
    assert caught.value.exit_code == 2
    return caught.value


def write_foreign(path: Path, tensors: Tensors) -> Path:
    np.savez(path, **tensors)  # type: ignore[arg-type]
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_manifest(path: Path, **changes: Any) -> None:
    members = members_of(path)
    manifest = {**json.loads(members[MANIFEST]), **changes}
    write_members(path, {**members, MANIFEST: json.dumps(manifest).encode()})


def change_member(path: Path, name: str, array: NDArray[Any]) -> None:
    content = io.BytesIO()
    np.save(content, array)
    write_members(path, {**members_of(path), f"{name}.npy": content.getvalue()})


# What is written is what is read


def test_a_set_that_was_saved_is_loaded_as_it_was(
    calibration: CalibrationSet, saved: Path, pipeline: Pipeline
) -> None:
    loaded = load(saved, pipeline)

    assert loaded.content_hash == calibration.content_hash
    assert loaded.info == calibration.info
    assert len(loaded) == len(calibration) == SAMPLES
    assert set(loaded.tensors) == {"signal", "voiced", "encoder.features"}
    for name, array in calibration.tensors.items():
        assert loaded.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.tensors[name], array)


def test_saving_again_gives_the_same_bytes(
    calibration: CalibrationSet, saved: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    """Whenever, wherever, over a file that is there, in another order, and of what was loaded."""
    content = saved.read_bytes()
    other = tmp_path / "elsewhere" / "other.npz"

    save_set(calibration, saved)
    assert saved.read_bytes() == content
    save_set(load(saved, pipeline), other)
    assert other.read_bytes() == content
    tensors = dict(reversed(make_tensors().items()))
    info = dict(reversed(calibration.info.items()))
    save_set(make_set(pipeline, tensors, info, "the set"), other)
    assert other.read_bytes() == content


def test_other_values_give_other_bytes(
    calibration: CalibrationSet, saved: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    tensors = make_tensors()
    tensors["voiced"][2, 0, 3] ^= True
    other = make_set(pipeline, tensors, calibration.info, "the set")

    save_set(other, tmp_path / "other.npz")

    assert other.content_hash != calibration.content_hash
    assert (tmp_path / "other.npz").read_bytes() != saved.read_bytes()


def test_numpy_reads_it(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != MANIFEST}

    expected = make_tensors()
    assert set(arrays) == set(expected)
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])
    assert arrays["voiced"].dtype == np.bool_


def test_the_manifest_tells_what_it_holds(calibration: CalibrationSet, saved: Path) -> None:
    manifest = json.loads(members_of(saved)[MANIFEST])

    signal = make_tensors()["signal"]
    assert manifest["format"] == FORMAT == 1
    assert manifest["samples"] == SAMPLES
    assert manifest["content_hash"] == calibration.content_hash
    assert (manifest["pipeline"], manifest["kind"], manifest["seed"]) == ("toy", "synthetic", 7)
    assert manifest["pipeline_hash"] == calibration.info["pipeline_hash"]
    assert set(manifest["tensors"]) == set(calibration.tensors)
    assert manifest["tensors"]["signal"] == {
        "dtype": "float32",
        "shape": [1, 32],
        "min": float(signal.min()),
        "max": float(signal.max()),
    }
    assert manifest["tensors"]["voiced"] == {
        "dtype": "bool",
        "shape": [1, 8],
        "min": False,
        "max": True,
    }


def test_the_file_tells_nothing_of_when_it_was_made(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# What a component is fed


def test_a_component_is_fed_its_own_tensors_by_the_names_of_its_inputs(
    calibration: CalibrationSet, pipeline: Pipeline
) -> None:
    tensors = make_tensors()

    decoder = calibration.component_inputs(pipeline, "decoder", 3)

    assert set(decoder) == {"features", "voiced"}
    np.testing.assert_array_equal(decoder["features"], tensors["encoder.features"][3])
    np.testing.assert_array_equal(decoder["voiced"], tensors["voiced"][3])
    assert decoder["voiced"].dtype == np.bool_
    assert decoder["voiced"].shape == (1, 8)


def test_a_constant_is_fed_as_it_is_declared(
    calibration: CalibrationSet, pipeline: Pipeline
) -> None:
    encoder = calibration.component_inputs(pipeline, "encoder", 0)

    assert set(encoder) == {"signal", "gain"}
    assert (encoder["gain"].dtype, encoder["gain"].shape) == (np.float32, ())
    assert encoder["gain"] == 0.5


def test_every_source_and_every_free_input_is_required(pipeline: Pipeline) -> None:
    required = required_tensors(pipeline)

    assert set(required) == {"signal", "voiced", "encoder.features"}
    assert required["voiced"].dtype == "bool"


def test_the_hash_of_a_component_changes_with_its_own_tensors_only(
    calibration: CalibrationSet, pipeline: Pipeline
) -> None:
    def hashes(**changes: NDArray[Any]) -> tuple[str, str]:
        changed = replace(calibration, tensors={**calibration.tensors, **changes})
        encoder, decoder = (changed.component_hash(pipeline, n) for n in ("encoder", "decoder"))
        return encoder, decoder

    tensors = make_tensors()
    encoder, decoder = hashes()
    assert encoder != decoder
    assert hashes(**make_tensors()) == (encoder, decoder)
    tensors["signal"][4, 0, 0] += 1
    assert hashes(signal=tensors["signal"])[0] != encoder
    assert hashes(signal=tensors["signal"])[1] == decoder
    tensors["voiced"][4, 0, 0] ^= True
    assert hashes(voiced=tensors["voiced"])[0] == encoder
    assert hashes(voiced=tensors["voiced"])[1] != decoder


def test_the_hash_of_a_component_changes_with_its_constants(
    calibration: CalibrationSet, pipeline: Pipeline, toy: ToyFactory
) -> None:
    changed = load_pipeline(toy(("value = 0.5", "value = 0.25")))

    for name, is_same in [("encoder", False), ("decoder", True)]:
        before, after = (calibration.component_hash(p, name) for p in (pipeline, changed))
        assert (before == after) is is_same


def test_a_bool_becomes_int8_in_front_of_a_calibrator_alone(calibration: CalibrationSet) -> None:
    voiced = calibration.tensors["voiced"][:, :, ::2]

    fed = as_calibrator_input(voiced)

    assert fed.dtype == np.int8
    assert fed.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(fed, voiced)
    assert calibration.tensors["voiced"].dtype == np.bool_
    signal = calibration.tensors["signal"][:, :, ::2]
    assert as_calibrator_input(signal).dtype == np.float32
    assert as_calibrator_input(signal).flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(as_calibrator_input(signal), signal)
    assert as_calibrator_input(np.array(0.5, np.float32)).shape == ()
    assert as_calibrator_input(np.array(True)).shape == ()


# Refusals: of a set of ours, and of one made by other tools


def test_a_set_of_another_pipeline_is_refused(saved: Path, pipeline: Pipeline) -> None:
    change_manifest(saved, pipeline="voice_conversion")

    error = refusal(saved, pipeline)

    assert error.what == "is a set of the pipeline 'voice_conversion', not of 'toy'"
    assert error.fix == "make it again with harness calibrate toy"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models.py", "torch.manual_seed(0)", "torch.manual_seed(1)"),
        ("inputs.py", "> 0.5", "> 0.4"),
        ("pipeline.toml", "value = 0.5", "value = 0.25"),
        ("pipeline.toml", "max = 16", "max = 32"),
    ],
    ids=["code", "generator", "value", "dimension"],
)
def test_a_set_from_before_a_change_is_refused(
    saved: Path, pipeline: Pipeline, toy: ToyFactory, file: str, old: str, new: str
) -> None:
    assert len(load(saved, pipeline)) == SAMPLES

    error = refusal(saved, load_pipeline(toy((old, new), file=file)))

    assert error.what == "was made before toy's code, weights or declaration changed"
    assert "harness calibrate toy" in error.fix


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[components.encoder]", '[components.encoder]\ndescription = "first"'),
        ("[components.encoder]", "[components.encoder]\nmin_snr_db = { fp16 = 40.0 }"),
        ("p99_s = 0.1", "p99_s = 0.2"),
        ("durations_s = [0.5]", "durations_s = [1.0]"),
    ],
    ids=["words", "floor", "budget", "durations"],
)
def test_one_from_before_a_change_of_nothing_that_computes_is_taken(
    saved: Path, toy: ToyFactory, old: str, new: str
) -> None:
    assert len(load(saved, load_pipeline(toy((old, new))))) == SAMPLES


@pytest.mark.parametrize("name", ["signal", "voiced", "encoder.features"])
def test_a_missing_tensor_is_named_and_so_is_what_there_is(
    path: Path, pipeline: Pipeline, name: str
) -> None:
    tensors = make_tensors()
    del tensors[name]

    error = refusal(write_foreign(path, tensors), pipeline)

    assert f"has no '{name}'" in error.what
    assert all(other in error.what for other in tensors)


def test_tensors_that_feed_nothing_are_left_out(path: Path, pipeline: Pipeline) -> None:
    extra = {"decoder.level": np.full((3, 1), np.nan), "note": np.array("made by hand")}

    loaded = load(write_foreign(path, {**make_tensors(), **extra}), pipeline)

    assert set(loaded.tensors) == {"signal", "voiced", "encoder.features"}
    assert loaded.content_hash == load(write_foreign(path, make_tensors()), pipeline).content_hash


def with_value(array: NDArray[Any], value: float) -> NDArray[Any]:
    changed = array.copy()
    changed[3, 0, 1] = value
    return changed


BAD_TENSORS: dict[str, tuple[str, Callable[[NDArray[Any]], NDArray[Any]], str]] = {
    "shorter": ("signal", lambda a: a[:, :, :31], "a sample is [1, 31], the pipeline's is [1, 32]"),
    "no batch": ("voiced", lambda a: a[:, 0], "a sample is [8], the pipeline's is [1, 8]"),
    "batch of 2": (
        "encoder.features",
        lambda a: np.repeat(a, 2, axis=1),
        "a sample is [2, 8, 6], the pipeline's is [1, 8, 6]",
    ),
    "bool as float": (
        "voiced",
        lambda a: a.astype(np.float32),
        "is float32, declared is bool",
    ),
    "bool as int8": ("voiced", as_calibrator_input, "is int8, declared is bool"),
    "float64": ("signal", lambda a: a.astype(np.float64), "is float64, declared is float32"),
    "float16": ("signal", lambda a: a.astype(np.float16), "is float16, declared is float32"),
    "NaN": ("encoder.features", lambda a: with_value(a, np.nan), "NaN or infinity in sample 3"),
    "infinity": ("signal", lambda a: with_value(a, np.inf), "NaN or infinity in sample 3"),
    "minus infinity": ("signal", lambda a: with_value(a, -np.inf), "(1 of 5 samples)"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_tensor_that_does_not_fit_is_named(
    calibration: CalibrationSet, path: Path, pipeline: Pipeline, case: str, has_manifest: bool
) -> None:
    name, change, expected = BAD_TENSORS[case]
    tensors = make_tensors()
    tensors[name] = change(tensors[name])
    if has_manifest:
        save_set(replace(calibration, tensors=tensors), path)
    else:
        write_foreign(path, tensors)

    error = refusal(path, pipeline)

    assert expected in error.what
    assert error.where == f"{path}: {name}"


def test_a_bool_given_as_float_is_told_to_stay_one(path: Path, pipeline: Pipeline) -> None:
    tensors = make_tensors()
    tensors["voiced"] = tensors["voiced"].astype(np.float32)

    assert refusal(write_foreign(path, tensors), pipeline).fix == "keep bool as bool"


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_too_few_samples_show_no_range(path: Path, pipeline: Pipeline, samples: int) -> None:
    error = refusal(write_foreign(path, make_tensors(samples)), pipeline)

    assert error.what.startswith(f"holds {samples} sample")
    assert error.fix == f"give {MIN_SAMPLES} or more"
    assert len(load(write_foreign(path, make_tensors(MIN_SAMPLES)), pipeline)) == 4


@pytest.mark.parametrize("count", [0, 4, 6])
def test_tensors_of_different_numbers_of_samples_are_refused(
    path: Path, pipeline: Pipeline, count: int
) -> None:
    tensors = {**make_tensors(), "voiced": make_tensors(count)["voiced"]}

    error = refusal(write_foreign(path, tensors), pipeline)

    assert "different numbers of samples" in error.what
    assert f"'voiced': {count}" in error.what
    assert "'signal': 5" in error.what


def test_a_number_is_no_stack_of_samples(path: Path, pipeline: Pipeline) -> None:
    tensors = {**make_tensors(), "signal": np.array(1, np.float32)}

    assert "'signal': 0" in refusal(write_foreign(path, tensors), pipeline).what


def test_what_is_wrong_is_refused_before_it_is_saved(pipeline: Pipeline) -> None:
    tensors = {**make_tensors(), "signal": np.full((SAMPLES, 1, 32), np.nan, np.float32)}

    with pytest.raises(CalibrationError, match=r"^the set of toy: signal: holds NaN or infinity"):
        make_set(pipeline, tensors, {}, "the set of toy")


def test_one_without_a_manifest_is_held_against_the_declaration_alone(
    path: Path, pipeline: Pipeline, calibration: CalibrationSet
) -> None:
    loaded = load_set(write_foreign(path, make_tensors()), pipeline, "of another time")

    assert loaded.content_hash == calibration.content_hash
    assert loaded.info == {"kind": "foreign", "file": "set.npz"}


# Files that are none, or are damaged


def test_a_file_that_is_not_there_is_told_how_to_make(path: Path, pipeline: Pipeline) -> None:
    error = refusal(path, pipeline)

    assert error.what == "there is no such file"
    assert error.fix == f"make it: harness calibrate toy --out {path}"


def text(path: Path) -> None:
    path.write_text("no set\n")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, make_tensors()["signal"])


def pickled(path: Path) -> None:
    np.savez(path, **{**make_tensors(), "signal": np.array([{}] * SAMPLES)})  # type: ignore[arg-type]


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shortened_by_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    """A bit of the last number of an array."""
    content = bytearray(path.read_bytes())
    last = make_tensors()["signal"].tobytes()[-16:]
    content[content.index(last) + 15] ^= 1
    path.write_bytes(bytes(content))


def compressed_and_flipped(path: Path) -> None:
    np.savez_compressed(path, **make_tensors())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    start = content.index(b"signal.npy") + 200
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))


DAMAGES = (
    text,
    nothing,
    folder,
    single_array,
    pickled,
    shortened,
    shortened_by_a_byte,
    flipped,
    compressed_and_flipped,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_set_or_damaged_is_refused(
    saved: Path, pipeline: Pipeline, damage: Callable[[Path], None]
) -> None:
    damage(saved)

    error = refusal(saved, pipeline)

    assert "harness calibrate" in error.fix
    assert "Traceback" not in str(error)


def test_every_bit_counts(saved: Path, pipeline: Pipeline) -> None:
    """One that the file's own checksum does not cover: its array is written anew."""
    signal = make_tensors()["signal"]
    signal.view(np.uint32)[2, 0, 5] ^= 1
    change_member(saved, "signal", signal)

    assert "damaged: its hash is not that of its content" in refusal(saved, pipeline).what


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (b"[]", "not of format 1"),
        (b'"text"', "not of format 1"),
        (b"{}", "not of format 1"),
        (b'{"format": 99}', "not of format 1"),
        (b'{"format": ', "is no calibration set"),
        (b"\xff\xfe\xfd", "is no calibration set"),
        (b"", "is no calibration set"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    saved: Path, pipeline: Pipeline, manifest: bytes, expected: str
) -> None:
    write_members(saved, {**members_of(saved), MANIFEST: manifest})

    assert expected in refusal(saved, pipeline).what


def test_a_later_format_is_refused(saved: Path, pipeline: Pipeline) -> None:
    change_manifest(saved, format=99)

    assert refusal(saved, pipeline).what == "its manifest.json is not of format 1"


@pytest.mark.parametrize("key", ["pipeline", "pipeline_hash", "content_hash"])
def test_a_manifest_with_a_key_missing_is_refused(
    saved: Path, pipeline: Pipeline, key: str
) -> None:
    change_manifest(saved, **{key: None})

    refusal(saved, pipeline)


# Saving: whole or not at all


def visible(folder: Path) -> Iterable[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_target_in_a_file_is_refused(calibration: CalibrationSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageError) as caught:
        save_set(calibration, tmp_path / "file" / "set.npz")

    assert str(tmp_path / "file") in caught.value.where
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_target_that_is_a_folder_is_refused(calibration: CalibrationSet, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    before = visible(tmp_path)

    with pytest.raises(StorageError, match="reports"):
        save_set(calibration, tmp_path / "reports")

    assert visible(tmp_path) == before


def test_a_folder_that_is_not_there_is_made(calibration: CalibrationSet, tmp_path: Path) -> None:
    save_set(calibration, tmp_path / "a" / "b" / "set.npz")

    assert "a/b/set.npz" in {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.npz")}


@pytest.mark.parametrize("was_there", [True, False])
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    calibration: CalibrationSet,
    path: Path,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    was_there: bool,
) -> None:
    if was_there:
        save_set(calibration, path)
    content = path.read_bytes() if was_there else None
    before = visible(path.parent)
    original = zipfile.ZipFile.writestr
    written: list[str] = []

    def writestr(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, data: Any) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(entry.filename)
        original(archive, entry, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)

    with pytest.raises(StorageError, match="the disk is full") as caught:
        save_set(calibration, path)

    assert caught.value.where == str(path)
    assert len(written) == 2
    assert visible(path.parent) == before
    assert path.exists() is was_there
    assert not was_there or path.read_bytes() == content


def test_an_interrupt_leaves_nothing_half_written(
    calibration: CalibrationSet, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = visible(path.parent)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)

    with pytest.raises(KeyboardInterrupt):
        save_set(calibration, path)

    assert visible(path.parent) == before
