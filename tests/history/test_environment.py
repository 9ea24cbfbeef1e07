"""asv's environment type ``shared``, with a stand-in for uv."""

from __future__ import annotations

import json
import os
import stat
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.history.context import HistoryContext
from harness.history.instrument import PACKAGE
from harness.history.lock import hold_folders, release
from harness.history.places import read_failures
from tests.history.repositories import with_history

pytest.importorskip("asv")

from asv import util
from asv.config import Config
from asv.environment import EnvironmentUnavailable
from asv.repo import get_repo

from harness.history import asv_environment, asv_machine
from harness.history.asv_environment import SharedEnvironment, shared_versions
from harness.history.asv_machine import settle_machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.history.repositories import Repository

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Writes down how it was called; "build" fails where the tree holds a file "broken".
_UV = """#!{python}
import json, pathlib, sys, zipfile
words = sys.argv[1:]
with open({log!r}, "a") as file:
    file.write(json.dumps(words) + "\\n")
if words[0] == "build":
    if pathlib.Path(words[-1], "broken").exists():
        print("resolving", "error: there is no such backend", "it is nowhere", sep="\\n")
        sys.exit(2)
    out = pathlib.Path(words[words.index("--out-dir") + 1])
    with zipfile.ZipFile(out / "voice-1.0-py3-none-any.whl", "w") as archive:
        for path in pathlib.Path(words[-1]).glob("voice/*.py"):
            archive.write(path, "voice/" + path.name)
"""


@pytest.fixture
def repository(
    tmp_path: Path, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Repository:
    onnx_toy().rename(tmp_path / "pipeline")
    made = with_history(tmp_path / "repository", _moved(tmp_path))
    uv = tmp_path / "uv"
    uv.write_text(_UV.format(python=sys.executable, log=str(tmp_path / "uv.log")))
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(asv_environment, "find_uv", lambda: str(uv))
    monkeypatch.setattr(SharedEnvironment, "_locks", {})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["asv", "run", "HEAD^!", "--machine", "here"])
    monkeypatch.chdir(made.root)
    return made


def _moved(tmp_path: Path) -> str:
    (tmp_path / "repository").mkdir()
    (tmp_path / "pipeline").rename(tmp_path / "repository" / "toy")
    return "toy"


def _environment() -> tuple[SharedEnvironment, Any, Any]:
    conf = Config.load("asv.conf.json")
    conf.branches = ["main"]
    return SharedEnvironment(conf, PYTHON, {}, {}), conf, get_repo(conf)


def _calls(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "uv.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _told(environment: SharedEnvironment) -> dict[str, Any]:
    script = "import os; print(os.environ['TRT_HARNESS_HISTORY'])"
    return dict(json.loads(environment.run(["-c", script])))


def test_it_sees_the_packages_of_the_interpreter_that_runs_asv(repository: Repository) -> None:
    environment, *_ = _environment()
    environment.create()

    where = "import numpy, harness, sys; print(numpy.__file__, harness.__file__, sys.prefix)"
    numpy_file, harness_file, prefix = environment.run(["-c", where]).split()

    assert Path(numpy_file).is_relative_to(sysconfig.get_path("purelib"))
    assert Path(harness_file).resolve() == PACKAGE / "__init__.py"
    assert Path(prefix).is_relative_to(repository.root / ".asv" / "env")
    # What lies beside the harness in a checkout is not seen.
    assert environment.run(["-c", "import importlib.util as u; print(u.find_spec('tests'))"]) == (
        "None\n"
    )


def test_it_is_made_once_and_anew_where_the_packages_are_others(repository: Repository) -> None:
    environment, *_ = _environment()
    assert not environment.check_presence()
    environment.create()
    assert _environment()[0].check_presence()

    environment._pth().write_text("/somewhere/else\n")

    assert not _environment()[0].check_presence()


def test_versions_that_split_series_are_its_requirements(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = {"gpu": "NVIDIA H200", "driver": "570.1"}
    monkeypatch.setattr(asv_environment, "telling_gpu", lambda: gpu)

    environment, *_ = _environment()

    assert environment.requirements == shared_versions()
    assert gpu.items() <= environment.requirements.items()
    assert "torch" in environment.requirements
    assert "driver570.1" in environment.name


def test_another_python_is_refused(repository: Repository) -> None:
    conf = Config.load("asv.conf.json")

    with pytest.raises(EnvironmentUnavailable, match=r"and 3\.7 is asked for"):
        SharedEnvironment(conf, "3.7", {}, {})
    assert SharedEnvironment.matches(PYTHON)


def test_a_commit_is_built_by_uv_and_installed_from_asvs_cache_again(
    repository: Repository, tmp_path: Path
) -> None:
    commit = repository.commit("one", {"pyproject.toml": "[project]", "marker": "one"})
    environment, conf, repo = _environment()
    environment.create()

    environment.install_project(conf, repo, commit)
    tree = Path(environment._build_root)
    (tree / "marker").write_text("spoilt")
    environment.install_project(conf, repo, commit)

    (build, install, again) = _calls(tmp_path)
    assert build[:5] == ["build", "--wheel", "--no-build-isolation", "--offline", "--no-config"]
    assert install[:2] == ["pip", "install"]
    assert {"--no-deps", "--offline", "--reinstall"} <= set(install)
    assert install[-1].endswith("voice-1.0-py3-none-any.whl")
    assert again == install
    # The pipeline is read from the checkout: it is never taken for granted.
    assert (tree / "marker").read_text() == "one"
    assert environment.installed_commit_hash is None


def test_commits_share_exports_only_where_the_project_is_the_same(repository: Repository) -> None:
    texts = {"pyproject.toml": "[project]", "voice/model.py": "width = 8"}
    commits = [repository.commit("one", texts), repository.commit("two", {"README": "words"})]
    commits.append(repository.commit("three", {"voice/model.py": "width = 9"}))
    environment, conf, repo = _environment()
    environment.create()

    used = []
    for commit in (*commits, commits[0]):
        environment.install_project(conf, repo, commit)
        used.append(environment._exports)

    assert used[0] == used[1] == used[3]
    assert used[2] != used[0]


def test_a_folder_without_a_project_needs_no_build(repository: Repository, tmp_path: Path) -> None:
    commit = repository.commit("one", {"marker": "one"})
    environment, conf, repo = _environment()
    environment.create()

    environment.install_project(conf, repo, commit)

    assert _calls(tmp_path) == []
    assert Path(environment._build_root, "marker").read_text() == "one"


def test_what_another_commit_has_left_is_taken_away(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("one", {"pyproject.toml": "[project]"})
    (repository.root / "pyproject.toml").unlink()
    second = repository.commit("two")
    environment, conf, repo = _environment()
    environment.create()
    for name in ("voice-1.0", "sound-2.0"):
        (environment._pth().parent / f"{name}.dist-info").mkdir()

    environment.install_project(conf, repo, first)
    environment.install_project(conf, repo, second)

    removed = [call[6:] for call in _calls(tmp_path) if call[:2] == ["pip", "uninstall"]]
    assert removed == [["sound"], ["sound", "voice"]]


def test_a_commit_that_cannot_be_built_is_noted_with_its_reason(repository: Repository) -> None:
    commit = repository.commit("one", {"pyproject.toml": "[project]", "broken": ""})
    environment, conf, repo = _environment()
    environment.create()

    with pytest.raises(util.ProcessError):
        environment.install_project(conf, repo, commit)

    (failure,) = read_failures(repository.root / "reports/asv/results/here/records")
    assert (failure.commit, failure.stage) == (commit, "build")
    assert failure.reason == "error: there is no such backend | it is nowhere"


def test_a_checkout_that_a_kill_has_cut_off_is_made_anew(repository: Repository) -> None:
    commit = repository.commit("one", {"marker": "one"})
    environment, conf, repo = _environment()
    environment.create()
    environment.install_project(conf, repo, commit)
    tree = Path(environment._build_root)
    (tree / ".git" / "index.lock").touch()
    (tree / "marker").unlink()

    environment.install_project(conf, repo, commit)

    assert (tree / "marker").read_text() == "one"


def test_suites_are_told_what_there_is_and_how_it_is_measured(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit("one")
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    environment, conf, repo = _environment()
    environment.create()
    environment.install_project(conf, repo, commit)

    told = _told(environment)

    assert told["components"] == ["encoder", "decoder"]
    assert told["round"] == 0
    command = told["measure"]
    assert command[0] == sys.executable
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options["--exports"] == str(Path(environment._path, "exports", "no-project"))
    assert options["--checkout"] == environment._build_root
    assert options["--records"] == str(repository.root / "reports/asv/results/here/records")
    context = HistoryContext(**json.loads(options["--context"]))
    assert (context.commit, context.machine) == (commit, "here")
    assert context.environment_name == environment.name
    assert context.commit_unix_s == int(repository.git("log", "-1", "--format=%ct"))
    assert context.requirements == environment.requirements


def test_an_interpreter_with_pytorch_exports_where_this_one_has_none(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 9.9.9\n")
    python.chmod(0o755)
    monkeypatch.setenv("TRT_HARNESS_EXPORT_PYTHON", str(python))
    environment, *_ = _environment()
    environment.create()

    words = _told(environment)["measure"]

    assert environment.requirements["torch"] == "9.9.9"
    assert words[words.index("--python") + 1] == str(python)
    site = environment._pth().parent
    packages = [words[i + 1] for i, word in enumerate(words) if word == "--packages"]
    assert packages == [str(site), str(site / "_shared_harness")]

    monkeypatch.setenv("TRT_HARNESS_EXPORT_PYTHON", str(tmp_path / "none"))
    with pytest.raises(EnvironmentUnavailable, match="give the path of a Python that has PyTorch"):
        _environment()


def test_each_measurement_of_a_commit_is_another_round(repository: Repository) -> None:
    """asv calls ``setup_cache`` anew for each round where it interleaves them over commits."""
    commit = repository.commit("one")
    environment, conf, repo = _environment()
    environment.create()
    for expected in (0, 1, 2):
        environment.install_project(conf, repo, commit)
        assert _told(environment)["round"] == expected
        environment.run(["-c", "pass", "setup_cache"], return_stderr=True)

    assert read_failures(repository.root / "reports/asv/results/here/records") == ()


def test_a_measurement_that_dies_without_a_word_is_noted(repository: Repository) -> None:
    commit = repository.commit("one")
    environment, conf, repo = _environment()
    environment.create()
    environment.install_project(conf, repo, commit)

    script = "print('harness: out of memory'); raise SystemExit(4)"
    environment.run(
        ["-c", script, "setup_cache"], return_stderr=True, valid_return_codes=None, timeout=60
    )

    (failure,) = read_failures(repository.root / "reports/asv/results/here/records")
    assert (failure.commit, failure.stage, failure.reason) == (commit, "measure", "out of memory")


def test_a_second_run_on_the_same_results_is_refused(repository: Repository) -> None:
    environment, conf, _ = _environment()
    held = hold_folders(Path(conf.results_dir).resolve(), repository.root / "elsewhere")

    with pytest.raises(util.UserError, match="another run works on these results"):
        environment.create()

    release(held)
    environment.create()


def test_a_second_run_in_the_same_checkouts_is_refused(repository: Repository) -> None:
    environment, conf, _ = _environment()
    held = hold_folders(repository.root / "elsewhere", Path(conf.env_dir).resolve())

    with pytest.raises(util.UserError, match=r"another run works in this env_dir.*an env_dir of"):
        environment.create()

    release(held)
    environment.create()


def test_a_run_on_a_machine_of_another_kind_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, conf, _ = _environment()
    monkeypatch.setattr(asv_machine, "describe_gpu", lambda: {"name": "NVIDIA H200"})
    settle_machine(Path(conf.results_dir), "here")
    monkeypatch.setattr(asv_machine, "describe_gpu", lambda: None)

    with pytest.raises(util.UserError, match="its gpu is 'NVIDIA H200', here no gpu is found"):
        environment.create()

    monkeypatch.setattr(sys, "argv", ["asv", "run", "HEAD^!", "--machine", "there"])
    environment.create()


def test_a_wrong_plan_is_an_error_of_asvs_own(repository: Repository) -> None:
    (repository.root / "benchmarks" / "plan.json").write_text("{}")
    environment, *_ = _environment()
    environment.create()

    with pytest.raises(util.UserError, match="has no 'pipeline'"):
        environment.run(["-c", "pass"])


def test_uv_is_found_beside_the_interpreter_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentUnavailable, match=r"pip install 'trt-harness\[history\]'"):
        asv_environment.find_uv()
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)

    assert asv_environment.find_uv() == os.fspath(tmp_path / "uv")
