"""Files that a pipeline's own code reads are noticed, and no others."""

from __future__ import annotations

import json
import os
import site
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.artifacts import opened as module
from harness.artifacts.opened import OpenedFiles, noticed_files
from harness.artifacts.sources import outside_sources
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from tests.conftest import ToyFactory


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the pipeline's that is no folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "elsewhere"


def _file(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_read_in_the_block_is_noticed_inside_the_folder_and_out(
    tmp_path: Path, elsewhere: Path
) -> None:
    root = tmp_path / "pipeline"
    own, other = _file(root / "k.json"), _file(elsewhere / "k.json")
    late = _file(root / "late.json")

    with noticed_files(root) as opened:
        json.loads(own.read_text(encoding="utf-8"))
        os.close(os.open(os.fsencode(other), os.O_RDONLY))
    late.read_bytes()

    assert opened.paths() == [own, other]


def test_a_file_of_safetensors_is_noticed_though_python_does_not_open_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "w.safetensors"
    safetensors.save_file({"w": torch.ones(2)}, path)
    before = safetensors.safe_open

    with noticed_files(tmp_path) as opened:
        assert safetensors.load_file(path)["w"].tolist() == [1.0, 1.0]

    assert opened.paths() == [path]
    assert safetensors.safe_open is before


def test_what_is_written_gone_or_compiled_is_left_out(tmp_path: Path) -> None:
    written, gone = tmp_path / "log.txt", _file(tmp_path / "gone.txt")
    compiled = _file(tmp_path / "__pycache__" / "models.pyc")

    with noticed_files(tmp_path) as opened:
        written.write_text("", encoding="utf-8")
        written.read_bytes()
        gone.read_bytes()
        compiled.read_bytes()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "never.txt").read_bytes()
        with pytest.raises(ValueError, match="null"):
            Path(f"{tmp_path}/a\0b").read_bytes()
    gone.unlink()

    assert opened.paths() == []


def test_what_is_installed_the_systems_or_temporary_is_left_out(tmp_path: Path) -> None:
    temporary = _file(Path(tempfile.gettempdir()) / tmp_path.name / "other.json")

    with noticed_files(tmp_path / "pipeline") as opened:
        for path in (json.__file__, pytest.__file__, module.__file__, "/proc/self/stat"):
            Path(path).read_bytes()
        temporary.read_bytes()

    assert opened.paths() == []


def test_an_environment_in_the_folder_is_installed_and_a_folder_in_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _file(tmp_path / "pipeline" / ".venv" / "library.json")
    own = _file(tmp_path / "pipeline" / "k.json")

    for prefix in (tmp_path / "pipeline" / ".venv", tmp_path):
        monkeypatch.setattr(sys, "prefix", str(prefix))
        opened = OpenedFiles(tmp_path / "pipeline")
        opened.add(own, os.O_RDONLY)
        opened.add(library, os.O_RDONLY)
        assert opened.paths() == ([own] if prefix != tmp_path else [own, library])


def test_what_names_no_file_does_not_disturb_who_opens_it(tmp_path: Path) -> None:
    class Broken(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise RuntimeError("not here")

    opened = OpenedFiles(tmp_path)

    for path in (3, None, Broken(), "a\0b"):
        opened.add(path, os.O_RDONLY)

    assert opened.paths() == []


def test_packages_that_a_user_installed_are_installed(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(elsewhere))
    opened = OpenedFiles(tmp_path / "pipeline")

    opened.add(_file(elsewhere / "library.json"), os.O_RDONLY)

    assert opened.paths() == []


def test_no_more_than_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 2)
    opened = OpenedFiles(tmp_path)

    for index in range(4):
        opened.add(_file(tmp_path / f"{index}.json"), os.O_RDONLY)

    assert [path.name for path in opened.paths()] == ["0.json", "1.json"]


def test_what_cannot_be_hashed_and_what_is_declared_are_left_out(toy: ToyFactory) -> None:
    pipeline = load_pipeline(toy())
    own = _file(pipeline.root / "k.json")
    names = list(pipeline.components)
    missing = pipeline.root / "missing.json"

    found = outside_sources(
        pipeline, names, [own, missing, pipeline.root / "models.py", pipeline.manifest]
    )

    inside = {path for path in found if not os.path.isabs(path)}  # noqa: PTH117
    assert inside == {"k.json"}
