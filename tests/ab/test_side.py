"""Each commit in its own installed copy, exported by its own code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.ab import install as installing
from harness.ab import side as making
from harness.ab.install import install
from harness.ab.revisions import resolve
from harness.ab.side import Workplace, make_side
from harness.errors import (
    DeclarationError,
    FeatureUnavailableError,
    MissingDependencyError,
    WorkerError,
)
from harness.history.exporting import ExportSizes
from harness.observer import SilentObserver
from tests.history.repositories import PYPROJECT, Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.history.exporting import Exporter

WORDS = ("--samples=9",)


@pytest.fixture
def repository(tmp_path: Path, onnx_toy: Callable[..., Path]) -> Repository:
    found = Repository(tmp_path / "repository")
    onnx_toy().rename(found.root / "toy")
    found.commit("Add the pipeline")
    return found


def place_of(repository: Repository, cache: Path, **changes: object) -> Workplace:
    values = {
        "repository": repository.root,
        "pipeline": "toy",
        "words": WORDS,
        "backends": ("onnxruntime",),
        "sizes": ExportSizes(),
        "cache": cache,
        "python": Path(sys.executable),
    }
    return Workplace(**{**values, **changes})  # type: ignore[arg-type]


def made(repository: Repository, label: str, folder: Path, **changes: object) -> tuple[str, ...]:
    place = place_of(repository, folder / "cache", **changes)
    revision = resolve(label, repository.root)
    return make_side(revision, place, folder / label, SilentObserver())


def test_graphs_that_are_given_need_no_export(repository: Repository, tmp_path: Path) -> None:
    words = made(repository, "HEAD", tmp_path)
    root = str(tmp_path / "HEAD" / "tree" / "toy")
    assert words == ("run", root, "--cache", str(tmp_path / "cache"), *WORDS)


def test_each_commit_exports_with_its_own_packages(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Exporter] = []

    def export(exporter: Exporter, *_: object) -> Path:
        seen.append(exporter)
        return exporter.exports

    monkeypatch.setattr(making, "export_with", export)
    # That of an interpreter that was moved is not another's.
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "moved"))
    for version in ("1", "2"):
        files = {"pyproject.toml": PYPROJECT, "voice/__init__.py": f"VERSION = {version}\n"}
        repository.commit(f"Version {version}", files)
        repository.git("tag", f"v{version}")

    words = [made(repository, label, tmp_path) for label in ("v1", "v2", "v1~1")]

    for exporter, expected in zip(seen, ("1", "2"), strict=False):
        path = ":".join(map(str, exporter.packages))
        script = "import voice, harness; print(voice.VERSION, harness.__file__)"
        done = subprocess.run(
            [exporter.python, "-c", script],
            env={"PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        version, where = done.stdout.split()
        assert version == expected
        # The harness of here, for a project that is another; nothing else that lies beside it.
        assert Path(where).resolve().parent == installing.PACKAGE
    # What the code of one commit has exported is never taken for another's.
    assert len({exporter.exports for exporter in seen}) == 3
    assert seen[2].exports.name == "no-project"
    for its, exporter in zip(words, seen, strict=True):
        assert its[-2:] == ("--artifacts", str(exporter.exports))


def test_a_project_that_cannot_be_built_is_named_with_the_reason(
    repository: Repository, tmp_path: Path
) -> None:
    commit = repository.commit("Break it", {"pyproject.toml": "[project]\nname = 'a'\n= 2\n"})
    with pytest.raises(
        WorkerError, match=r"its project cannot be built: .*pyproject.toml"
    ) as error:
        made(repository, "HEAD", tmp_path)
    assert error.value.where == f"commit {commit[:8]}"


def test_uv_that_is_missing_is_told(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("A project", {"pyproject.toml": PYPROJECT})
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setattr("harness.history.uv.shutil.which", lambda _: None)
    revision = resolve("HEAD", repository.root)
    with pytest.raises(MissingDependencyError, match="uv is not installed"):
        install(
            revision,
            repository.root,
            tmp_path / "side",
            python=Path(sys.executable),
            cache=tmp_path / "cache",
        )


def test_a_commit_without_the_pipeline_tells_which_there_are(
    repository: Repository, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError, match=r"no pipeline.toml in its folder 'voice'") as error:
        made(repository, "HEAD", tmp_path, pipeline="voice")
    assert error.value.fix == "--pipeline: name one of: toy"
    commit = repository.git("rev-parse", "HEAD")
    assert error.value.where == f"commit {commit[:8]}"


def test_a_wrong_declaration_is_that_of_its_commit(repository: Repository, tmp_path: Path) -> None:
    commit = repository.commit("Break it", {"toy/pipeline.toml": "components = 3\n"})
    with pytest.raises(DeclarationError) as error:
        made(repository, "HEAD", tmp_path)
    assert error.value.where.startswith(f"commit {commit[:8]}: toy/pipeline.toml")


def test_why_an_export_fails_is_told_of_its_commit(repository: Repository, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'harness: models.py: it is wrong'\nexit 2\n")
    python.chmod(0o755)
    declaration = (repository.root / "toy/pipeline.toml").read_text()
    text = declaration.replace('onnx = "encoder.onnx"', 'factory = "models.py:encoder"')
    commit = repository.commit("By PyTorch", {"toy/pipeline.toml": text})
    with pytest.raises(WorkerError, match=r"ended with 2: models.py: it is wrong") as error:
        made(repository, "HEAD", tmp_path, python=python)
    assert error.value.where == f"commit {commit[:8]}"


def test_what_would_run_another_commits_modules_here_is_refused(
    repository: Repository, tmp_path: Path
) -> None:
    made(repository, "HEAD", tmp_path, backends=("torch",))
    repository.commit("A project", {"pyproject.toml": PYPROJECT, "voice/__init__.py": ""})
    repository.git("tag", "installed")
    with pytest.raises(FeatureUnavailableError, match="is not the commit's own project"):
        made(repository, "installed", tmp_path, backends=("torch",))


def test_the_plan_of_the_example_is_json(repository: Repository) -> None:
    # What the suites' plan is read from lies beside them, in the working tree.
    (repository.root / "benchmarks").mkdir()
    (repository.root / "benchmarks/plan.json").write_text(json.dumps({"pipeline": "toy"}))
    from harness.cli.ab_words import find_plan  # noqa: PLC0415

    found = find_plan(repository.root)
    assert found is not None
    assert found.pipeline == "toy"
