"""What a record says of the machine and of the commits."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.measure import environment
from harness.measure.environment import (
    available_cores,
    describe_environment,
    describe_interpreter,
    git_state,
    ranges_of,
)


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git as on a bare machine: no configuration, and no repository around the folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.invalid")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "inside").mkdir(parents=True)
    (folder / "outside.txt").write_text("1")
    (folder / "inside" / "file.txt").write_text("1")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_clean_checkout_is_at_its_commit(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert git_state(repository) == {"commit": head, "is_dirty": False}
    assert git_state(repository / "inside") == {"commit": head, "is_dirty": False}


@pytest.mark.parametrize("name", ["file.txt", "new.txt"])
def test_changed_or_new_file_makes_the_checkout_dirty(repository: Path, name: str) -> None:
    (repository / "inside" / name).write_text("2")
    head = git(repository, "rev-parse", "HEAD")
    assert git_state(repository / "inside") == {"commit": head, "is_dirty": True}


@pytest.mark.parametrize(
    ("name", "is_dirty"),
    [
        ("reports/a.parquet", False),
        ("inside/reports/asv/html/a.js", False),
        (".asv/env/a/module.py", False),
        ("inside/__pycache__/module.pyc", False),
        ("reports/module.py", True),
        ("reports/deep/module.py", True),
        ("reports.txt", True),
        ("inside/reports", True),
    ],
)
def test_what_the_harness_writes_is_no_change(
    repository: Path, name: str, *, is_dirty: bool
) -> None:
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("1")

    state = describe_environment(repository)["pipeline_commit"]

    assert state == {"commit": git(repository, "rev-parse", "HEAD"), "is_dirty": is_dirty}


def test_a_record_that_is_tracked_counts_and_one_beside_it_does_not(repository: Path) -> None:
    (repository / "reports").mkdir()
    kept, new = repository / "reports" / "kept.parquet", repository / "reports" / "n\u00e9w.parquet"
    kept.write_text("1")
    git(repository, "add", "reports")
    git(repository, "commit", "--quiet", "--message", "kept")

    new.write_text("1")
    assert (git_state(repository) or {})["is_dirty"] is False
    kept.write_text("2")
    assert (git_state(repository) or {})["is_dirty"] is True


def test_what_lies_in_a_folder_called_reports_itself_has_changes_of_its_own(
    repository: Path,
) -> None:
    pipeline = repository / "reports" / "voice"
    pipeline.mkdir(parents=True)
    (pipeline / "pipeline.toml").touch()
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "a pipeline")

    (pipeline / "weights.bin").touch()
    assert describe_environment(pipeline)["pipeline_commit"]["is_dirty"] is True


@pytest.mark.parametrize("name", ["weights.npz", "parts.cpython-311.so", "pipeline.toml", "a.py"])
def test_what_a_pipeline_could_read_is_a_change_in_a_folder_called_reports_too(
    repository: Path, name: str
) -> None:
    reports = repository / "reports"
    reports.mkdir()
    (reports / "run.parquet").touch()
    assert (git_state(repository) or {})["is_dirty"] is False

    (reports / name).touch()

    assert (git_state(repository) or {})["is_dirty"] is True


def test_folders_that_are_named_are_no_change_either(repository: Path) -> None:
    (repository / "out" / "results").mkdir(parents=True)
    (repository / "out" / "results" / "a.json").write_text("1")

    outputs = [repository / "out" / "results"]
    assert (git_state(repository) or {})["is_dirty"] is True
    assert (git_state(repository, outputs=outputs) or {})["is_dirty"] is False
    (repository / "out" / "b.json").write_text("1")
    assert (git_state(repository, outputs=outputs) or {})["is_dirty"] is True


def test_removed_file_makes_the_checkout_dirty(repository: Path) -> None:
    (repository / "inside" / "file.txt").unlink()
    state = git_state(repository)
    assert state is not None
    assert state["is_dirty"] is True


def test_change_outside_the_folder_does_not_count(repository: Path) -> None:
    (repository / "outside.txt").write_text("2")
    inside, whole = git_state(repository / "inside"), git_state(repository)
    assert inside is not None
    assert whole is not None
    assert inside["is_dirty"] is False
    assert whole["is_dirty"] is True


def test_commit_moves_with_the_head(repository: Path) -> None:
    before = git_state(repository)
    (repository / "outside.txt").write_text("2")
    git(repository, "commit", "--quiet", "--all", "--message", "second")
    after = git_state(repository)
    assert before is not None
    assert after is not None
    assert after["commit"] != before["commit"]
    assert after["is_dirty"] is False


def test_folder_outside_git_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_missing_folder_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path / "missing") is None


def test_machine_without_git_has_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_state(repository) is None


def test_environment_names_machine_packages_and_commits(repository: Path) -> None:
    described = describe_environment(repository)
    assert {
        "cpu",
        "cores_available",
        "cpu_affinity",
        "cores_physical",
        "memory_bytes",
        "load_average_1min",
        "governor",
        "is_virtual_machine",
        "kernel",
        "python",
        "packages",
        "interpreters",
        "harness_commit",
        "pipeline_commit",
        "cpu_quota_cores",
        "cpu_max_mhz",
        "turbo",
        "smt",
        "microcode",
        "libc",
        "variables",
        "harness_version",
        "gpu",
    } == described.keys()
    assert described["pipeline_commit"] == git_state(repository)
    assert described["memory_bytes"] > 0
    assert "numpy" in described["packages"]


def test_the_harness_is_all_of_its_package(repository: Path) -> None:
    package = Path(environment.__file__).parent.parent

    assert describe_environment(repository)["harness_commit"] == git_state(package)
    assert (package / "cli").is_dir()


def test_environment_is_plain_json(repository: Path) -> None:
    described = describe_environment(repository)
    assert json.loads(json.dumps(described)) == described


def test_package_that_is_not_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package-of-ours"))
    monkeypatch.setattr(environment, "PACKAGE_FAMILIES", ("no-such",))
    assert list(describe_environment(tmp_path)["packages"]) == ["numpy"]


def test_packages_of_cuda_are_found_whatever_version_is_in_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia_cudnn_cu12-9.1.0.dist-info").mkdir()
    (tmp_path / "nvidia_other-file").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    found = describe_environment(tmp_path)["packages"]

    assert found["nvidia-cudnn-cu12"] == "9.1.0"
    assert not any("other" in name for name in found)


def test_variables_that_change_figures_are_kept_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("CUDA_SECRET", "1")
    monkeypatch.delenv("CUDA_MODULE_LOADING", raising=False)

    found = describe_environment(tmp_path)["variables"]

    assert found["NVIDIA_TF32_OVERRIDE"] == "1"
    assert not {"CUDA_SECRET", "CUDA_MODULE_LOADING"} & found.keys()


def test_the_gpu_is_what_is_given(tmp_path: Path) -> None:
    assert describe_environment(tmp_path)["gpu"] is None
    assert describe_environment(tmp_path, gpu={"uuid": "GPU-1"})["gpu"] == {"uuid": "GPU-1"}


def test_what_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.read_text

    def refuse(path: Path, *arguments: Any, **options: Any) -> str:
        if path.parts[1:2] in {("proc",), ("sys",)}:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr("platform.processor", lambda: "")
    described = describe_environment(tmp_path)
    assert described["governor"] is None
    assert described["cpu"] is None


def test_available_cores_are_those_of_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
        assert describe_environment(Path())["cpu_affinity"] == str(min(allowed))
    finally:
        os.sched_setaffinity(0, allowed)
    assert available_cores() == len(allowed)


@pytest.mark.parametrize(
    ("cores", "told"),
    [({3}, "3"), ({0, 1, 2, 3}, "0-3"), ({8, 0, 2, 1}, "0-2,8"), ({5, 7, 9, 10}, "5,7,9-10")],
)
def test_cores_are_told_as_linux_writes_them(cores: set[int], told: str) -> None:
    assert ranges_of(cores) == told


def test_an_interpreter_is_told_alike_wherever_it_is(repository: Path) -> None:
    described = describe_environment(repository)

    assert described["interpreters"] == {}
    assert {name: described[name] for name in ("python", "packages")} == describe_interpreter()
