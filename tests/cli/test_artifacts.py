"""``--artifacts``: an interpreter without PyTorch runs what another one has exported."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import harness as package
from harness.artifacts.cache import Cache
from harness.artifacts.export import KIND as ONNX_KIND
from harness.artifacts.export import export_key, export_source_key
from harness.cli import main
from harness.errors import OptionError
from harness.pipeline.loader import load_pipeline
from harness.reference import KIND as REFERENCE_KIND
from harness.store.parquet import ParquetStore
from tests.conftest import REPOSITORY, TOY
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import ToyFactory

    Harness = Callable[..., tuple[int, str, str]]
    Torchless = Callable[..., subprocess.CompletedProcess[str]]

SHORT = ("--samples", 5, "--max-time", 0.2)
BOTH = ("--precision", "fp32", "--precision", "int8")

# An interpreter that has no torch: neither its module nor its version is found.
_BLOCKER = """
import importlib.machinery, importlib.metadata

HIDDEN = {"torch", "onnxscript"}
find_spec = importlib.machinery.PathFinder.find_spec
from_name = importlib.metadata.Distribution.from_name

def find_visible_spec(name, *arguments, **named):
    return None if name.partition(".")[0] in HIDDEN else find_spec(name, *arguments, **named)

def visible_from_name(name):
    if name in HIDDEN:
        raise importlib.metadata.PackageNotFoundError(name)
    return from_name(name)

importlib.machinery.PathFinder.find_spec = staticmethod(find_visible_spec)
importlib.metadata.Distribution.from_name = staticmethod(visible_from_name)
"""


@pytest.fixture
def torchless(tmp_path: Path) -> Torchless:
    """Run the command line in an interpreter without PyTorch, with a cache of its own."""
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(_BLOCKER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "blocker")}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of an interpreter with PyTorch, which has run the toy in both precisions."""
    folder = tmp_path_factory.mktemp("elsewhere")
    options = (*BOTH, *SHORT, "--cache", folder / "cache", "--out", folder / "out")
    assert main([str(word) for word in ("run", TOY, *options)]) == 0
    return folder / "cache"


@pytest.fixture(scope="module")
def exports(elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with nothing but the exports, as ``harness build`` leaves it."""
    folder = tmp_path_factory.mktemp("exports")
    shutil.copytree(elsewhere / ONNX_KIND, folder / ONNX_KIND)
    return folder


def _state(folder: Path) -> dict[str, int]:
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def _kinds(cache: Path) -> set[str]:
    return {entry.kind for entry in Cache(cache).entries()}


def test_the_blocker_hides_torch(torchless: Torchless, tmp_path: Path) -> None:
    done = torchless("run", TOY, "--cache", tmp_path / "own", "--out", tmp_path / "out")

    assert done.returncode == 2
    assert "torch is not installed, and the export needs it" in done.stderr


def test_a_run_without_torch_has_every_figure(
    torchless: Torchless, elsewhere: Path, tmp_path: Path
) -> None:
    before = _state(elsewhere)
    own, out = tmp_path / "own", tmp_path / "out"

    done = torchless(
        *("run", TOY, *BOTH, *SHORT, "--artifacts", elsewhere, "--cache", own, "--out", out)
    )

    assert done.returncode == 0, done.stderr
    assert "No accuracy" not in done.stdout
    (record,) = ParquetStore(out).query()
    assert "torch" not in record.environment["packages"]
    series = {(m.component, m.precision): m for m in measured(record)}
    assert len(series) == 6
    for (_, precision), measurement in series.items():
        assert measurement.accuracy_inputs == 8
        assert measurement.snr_db is not None
        assert measurement.snr_db > (80.0 if precision == "fp32" else 10.0)
    # What the calibration set was made with comes from there as well.
    assert record.calibration is not None
    assert record.calibration["fp32"].startswith("torch 2")
    hashes = {e.info["content_hash"] for e in Cache(elsewhere).entries() if e.kind == ONNX_KIND}
    assert {a.content_hash for a in record.artifacts if a.precision == "fp32"} == hashes
    assert _kinds(own) == {"precision", "histograms"}
    assert _state(elsewhere) == before


def test_without_a_reference_there_the_run_says_how_to_make_one(
    torchless: Torchless, exports: Path, tmp_path: Path, harness: Harness
) -> None:
    cache = tmp_path / "exports"
    shutil.copytree(exports, cache)
    before = _state(cache)
    out = tmp_path / "out"
    run = ("run", TOY, *BOTH, *SHORT, "--artifacts", cache, "--cache", tmp_path / "own")

    done = torchless(*run, "--seed", 3, "--out", out)

    assert done.returncode == 0, done.stderr
    (record,) = ParquetStore(out).query()
    assert {m.snr_db for m in record.measurements} == {None}
    assert record.calibration is not None
    assert record.calibration["fp32"].startswith("onnxruntime ")
    assert _state(cache) == before
    told = f"No accuracy: PyTorch is not installed here and {cache} holds no reference for these"
    assert told in done.stdout
    command = re.search(r"run `harness (.*)` there", done.stdout)
    assert command is not None

    code, _, err = harness(*shlex.split(command[1]), *SHORT, "--out", tmp_path / "there")

    assert code == 0, err
    done = torchless(*run, "--seed", 3, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    (record,) = ParquetStore(tmp_path / "again").query()
    assert all(m.snr_db is not None for m in measured(record))


def test_an_entry_tells_what_it_was_made_from_and_by(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(TOY)
    entries = {entry.label: entry for entry in Cache(elsewhere).entries()}
    export, reference = entries["toy/encoder"].info, entries["toy/reference"].info
    assert export["versions"]["torch"] == reference["torch"] == importlib.metadata.version("torch")
    assert export["versions"]["python"] == ".".join(platform.python_version_tuple()[:2])
    assert reference["threads"] >= 1
    assert len(reference["source_key"]) == 40
    key = export_key(pipeline, "encoder", 20)

    monkeypatch.setattr("harness.artifacts.export._version", lambda package: "0.1")

    assert export_key(pipeline, "encoder", 20) != key
    assert export_source_key(pipeline, "encoder", 20) == export["source_key"]


def test_a_reference_there_is_taken_before_one_is_made_here(
    elsewhere: Path, harness: Harness, tmp_path: Path
) -> None:
    own, out = tmp_path / "own", tmp_path / "out"

    code, text, err = harness(
        *("run", TOY, *SHORT, "--artifacts", elsewhere, "--cache", own, "--out", out)
    )

    assert code == 0, err
    assert "No accuracy" not in text
    assert not own.exists()


def test_weights_that_did_not_make_the_reference_are_refused(
    elsewhere: Path, harness: Harness, tmp_path: Path
) -> None:
    cache = tmp_path / "copy"
    shutil.copytree(elsewhere, cache)
    _edit(cache, "toy/encoder", weights_hash="0" * 40)

    code, _, err = harness(
        *("run", TOY, *SHORT, "--artifacts", cache, "--cache", tmp_path / "own"),
        *("--out", tmp_path / "out"),
    )

    assert code == 2
    assert "components.encoder.factory: the factory makes different weights each time" in err


def test_with_torch_a_missing_reference_is_made_here(
    exports: Path, harness: Harness, tmp_path: Path
) -> None:
    own, out = tmp_path / "own", tmp_path / "out"

    code, text, err = harness(
        *("run", TOY, *SHORT, "--artifacts", exports, "--cache", own, "--out", out)
    )

    assert code == 0, err
    assert "No accuracy" not in text
    assert _kinds(own) == {REFERENCE_KIND}
    assert _kinds(exports) == {ONNX_KIND}


def test_a_build_takes_its_graphs_from_there(
    torchless: Torchless, exports: Path, tmp_path: Path
) -> None:
    options = ("--precision", "fp16", "--out", tmp_path / "graphs", "--cache", tmp_path / "own")

    done = torchless("build", TOY, "--artifacts", exports, *options)

    assert done.returncode == 0, done.stderr
    graphs = sorted(path.name for path in (tmp_path / "graphs").rglob("*.onnx"))
    assert graphs == ["decoder.onnx", "encoder.onnx"]
    assert _kinds(tmp_path / "own") == {"precision"}


def test_from_python(exports: Path, tmp_path: Path) -> None:
    models = package.export_and_build_engines(TOY, artifacts=exports, cache=tmp_path / "own")

    assert all(model.path.is_relative_to(exports) for model in models.values())
    assert not (tmp_path / "own").exists()


def test_a_plan_tells_where_everything_comes_from(
    torchless: Torchless, elsewhere: Path, tmp_path: Path
) -> None:
    done = torchless(*("run", TOY, "--plan", "--artifacts", elsewhere, "--cache", tmp_path / "own"))

    lines = done.stdout.splitlines()
    assert lines[:3] == [
        f"export encoder: from {elsewhere}",
        f"export decoder: from {elsewhere}",
        f"reference at 0.5 s: from {elsewhere} if it holds one; else none",
    ]
    assert not (tmp_path / "own").exists()


# What cannot be taken from there.


@pytest.fixture
def refused(harness: Harness, tmp_path: Path) -> Callable[..., str]:
    """Run, expect exit code 2 and nothing written; gives the one line that tells why."""

    def call(*arguments: object) -> str:
        out, own = tmp_path / "out", tmp_path / "own"
        code, _, err = harness(*arguments, "--out", out, "--cache", own)
        (line,) = (line for line in err.splitlines() if line.startswith("harness: "))
        assert code == 2
        assert not own.exists()
        assert not out.exists() or list(out.iterdir()) == []
        return line.removeprefix("harness: --artifacts: ")

    return call


def test_a_folder_that_is_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    line = refused("run", TOY, "--artifacts", tmp_path / "nowhere")

    assert line.startswith(f"there is no folder {tmp_path / 'nowhere'}; give the folder that ")


def test_a_folder_that_is_no_cache(refused: Callable[..., str]) -> None:
    line = refused("build", TOY, "--artifacts", TOY)

    assert line.startswith(f"{TOY} is no cache of exported graphs, or an empty one; give ")


def test_the_python_call_refuses_the_same(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is no cache"):
        package.benchmark_end_to_end_latency(TOY, artifacts=TOY, cache=tmp_path)


def test_a_pipeline_that_was_never_exported(refused: Callable[..., str], exports: Path) -> None:
    line = refused("run", "tiny", "--artifacts", exports)

    assert line.startswith(f"{exports} lacks exports of tiny at opset 20: content_encoder, ")
    assert "vocoder (never exported); run `harness build tiny --opset 20" in line
    assert line.endswith(f" --cache {exports}` in the interpreter that has PyTorch")


def test_another_opset(refused: Callable[..., str], exports: Path) -> None:
    line = refused("run", TOY, "--artifacts", exports, "--opset", 18)

    assert "encoder, decoder (there at opset 20 only); run `harness build " in line
    assert f"build {TOY} --opset 18 --cache {exports}`" in line


def test_other_code(refused: Callable[..., str], exports: Path, toy: ToyFactory) -> None:
    root = toy(("torch.manual_seed(0)", "torch.manual_seed(1)"), file="models.py")

    line = refused("run", root, "--plan", "--artifacts", exports)

    assert "encoder, decoder (there, but made from other code or by another version" in line


def _edit(cache: Path, label: str, **info: object) -> Path:
    """Change what an entry's builder said of it."""
    (entry,) = (entry for entry in Cache(cache).entries() if entry.label == label)
    manifest = json.loads((entry.path / "manifest.json").read_text())
    manifest["info"].update(info)
    (entry.path / "manifest.json").write_text(json.dumps(manifest))
    return entry.path


def test_only_what_is_damaged_or_made_with_other_modules_is_named(
    refused: Callable[..., str], exports: Path, tmp_path: Path
) -> None:
    cache, module = tmp_path / "copy", tmp_path / "gains.py"
    shutil.copytree(exports, cache)
    (_edit(cache, "toy/encoder") / "encoder.onnx").write_bytes(b"")

    line = refused("build", TOY, "--artifacts", cache)
    assert "at opset 20: encoder (damaged: encoder.onnx is corrupt); run" in line

    module.write_text("GAIN = 1\n")
    _edit(cache, "toy/decoder", outside_sources={str(module): "0" * 40})
    line = refused("build", TOY, "--artifacts", cache)
    assert f"(damaged: encoder.onnx is corrupt), decoder (made with another {module}); run" in line


def test_a_module_that_is_not_here_is_no_reason(
    harness: Harness, exports: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "copy"
    shutil.copytree(exports, cache)
    _edit(cache, "toy/decoder", outside_sources={"/nowhere/gains.py": "0" * 40})

    code, out, err = harness("build", TOY, "--artifacts", cache, "--cache", tmp_path / "own")

    assert code == 0, err
    assert f"decoder: {cache}" in out


def test_the_newest_sound_entry_is_taken(harness: Harness, exports: Path, tmp_path: Path) -> None:
    cache = tmp_path / "copy"
    shutil.copytree(exports, cache)
    older = _edit(cache, "toy/encoder")
    newer = older.with_name("f" * 40)
    shutil.copytree(older, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    manifest["created_unix_s"] += 1
    (newer / "manifest.json").write_text(json.dumps(manifest))
    build = ("build", TOY, "--artifacts", cache, "--cache", tmp_path / "own")

    assert f"encoder: {newer}" in harness(*build)[1]
    (newer / "encoder.onnx").write_bytes(b"")
    assert f"encoder: {older}" in harness(*build)[1]


def test_build_makes_the_references_that_a_run_would_make(
    elsewhere: Path, harness: Harness
) -> None:
    before = {(entry.kind, entry.path) for entry in Cache(elsewhere).entries()}

    code, _, err = harness("build", TOY, "--references", "--cache", elsewhere)

    assert code == 0, err
    # All of it is there: the run of before has made it.
    assert {(entry.kind, entry.path) for entry in Cache(elsewhere).entries()} == before

    code, _, err = harness("build", TOY, "--references", "--seed", 5, "--cache", elsewhere)

    assert code == 0, err
    more = {(entry.kind, entry.path) for entry in Cache(elsewhere).entries()} - before
    assert [kind for kind, _ in more] == [REFERENCE_KIND]


def test_references_that_cannot_be_made_are_told_and_useless_options_refused(
    onnx_toy: Callable[..., Path], tmp_path: Path, harness: Harness
) -> None:
    root, cache = onnx_toy(), ("--cache", tmp_path / "cache")

    code, out, err = harness("build", root, "--references", *cache)
    assert code == 0
    assert "encoder.onnx" in out
    assert "no references: encoder is an ONNX file, not a PyTorch module" in err

    for option, value in (("--duration", 0.5), ("--batch", 2), ("--seed", 0)):
        code, _, err = harness("build", root, option, value, *cache)
        assert code == 2
        assert f"{option}: nothing is computed without --references" in err
    code, _, err = harness("build", root, "--references", "--artifacts", tmp_path, *cache)
    assert code == 2
    assert "--references: references are made by the interpreter that exports" in err
    code, _, err = harness("build", root, "--references", "--duration", 99, *cache)
    assert code == 2
