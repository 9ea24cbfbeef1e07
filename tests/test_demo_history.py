"""The demo's repository: what each commit changes, and that it is the same every time."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parent.parent
TINY = ROOT / "fixtures" / "tiny"


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


demo: Any = load(ROOT / "benchmarks" / "demo" / "repository.py", "demo_repository")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "repository"
    demo.make_repository(folder, TINY)
    return folder


def multiplied(models: ModuleType) -> int:
    """Multiply-accumulates of the vocoder for one second."""
    vocoder = models.vocoder()
    with FlopCounterMode(display=False) as counter:
        vocoder(torch.zeros(1, 20, 50))
    return int(counter.get_total_flops()) // 2


def test_each_commit_has_its_message_and_a_day_of_its_own(repository: Path) -> None:
    commits = demo.plan_commits()
    told = git(repository, "log", "--reverse", "--format=%s|%ct").splitlines()

    assert len(told) == 30
    for index, (line, commit) in enumerate(zip(told, commits, strict=True)):
        assert line == f"{commit.message}|{1_767_261_600 + index * 86_400}"
    assert git(repository, "status", "--porcelain") == ""


def test_commits_have_the_same_names_every_time(repository: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    demo.make_repository(again, TINY)

    assert git(again, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")


def test_the_work_changes_as_it_is_told() -> None:
    macs = [commit.macs for commit in demo.plan_commits()]
    steps = {
        index: after / before - 1
        for index, (before, after) in enumerate(itertools.pairwise(macs), 1)
        if before != after
    }

    expected = {8: 0.10, 14: 0.031, 18: 0.08, 19: -0.074, **dict.fromkeys(range(22, 28), 0.005)}
    assert steps == pytest.approx(expected, abs=1e-3)
    assert macs[17] == macs[19], "what was reverted is as before"


@pytest.mark.parametrize("index", [0, 8, 18, 29])
def test_the_models_of_a_commit_do_the_work_that_it_tells(repository: Path, index: int) -> None:
    commit = demo.plan_commits()[index]
    before = multiplied(load(TINY / "models.py", "demo_models_before"))
    source = git(repository, "show", f"main~{29 - index}:{demo.PIPELINE}/models.py")
    path = repository.parent / f"models{index}.py"
    path.write_text(source, encoding="utf-8")

    after = multiplied(load(path, f"demo_models_{index}"))

    assert after - before == commit.macs - demo.BASE_MACS


def test_the_broken_commit_cannot_be_exported_and_no_other_is(repository: Path) -> None:
    broken = [index for index, commit in enumerate(demo.plan_commits()) if commit.is_broken]
    assert broken == [20]

    source = git(repository, "show", f"main~9:{demo.PIPELINE}/models.py")
    path = repository.parent / "broken.py"
    path.write_text(source, encoding="utf-8")

    with pytest.raises(NameError, match="_build"):
        load(path, "demo_models_broken").vocoder()


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        demo.make_repository(tmp_path, TINY)
