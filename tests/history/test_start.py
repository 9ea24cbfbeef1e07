"""``harness history init``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError, StorageError
from harness.history.plan import read_plan
from harness.history.start import SUITES, init_history
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _pipeline(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").touch()
    return folder


def test_all_that_asv_needs_is_written(
    tmp_path: Path, harness: Callable[..., tuple[int, str, str]]
) -> None:
    _pipeline(tmp_path / "models" / "voice")
    _pipeline(tmp_path / ".venv" / "another")

    code, out, _ = harness("history", "init", tmp_path)

    assert code == 0
    assert "harness history run HEAD" in out
    names = {path.name for path in (tmp_path / "benchmarks").iterdir()}
    assert names == {*(f"{name}.py" for name in SUITES), "plan.json"}
    assert read_plan(tmp_path / "benchmarks" / "plan.json").pipeline == "models/voice"
    told = json.loads((tmp_path / "asv.conf.json").read_text())
    assert told["environment_type"] == "shared"
    assert told["plugins"] == [
        ".harness.history.asv_environment",
        ".harness.dashboard.asv_publisher",
    ]
    assert told["project"] == tmp_path.name
    assert told["branches"] == ["main"]


def test_what_the_harness_writes_is_ignored(
    tmp_path: Path, harness: Callable[..., tuple[int, str, str]]
) -> None:
    repository = Repository(tmp_path)
    _pipeline(tmp_path / "voice")

    code, out, _ = harness("history", "init", tmp_path)

    assert code == 0
    assert f"written: {tmp_path}/.gitignore, with /.asv/, /reports/, __pycache__/" in out
    repository.commit("all")
    made = ("reports/a.parquet", "reports/asv/html/a", ".asv/env/a", "benchmarks/__pycache__/a")
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert repository.git("status", "--porcelain") == ""


@pytest.mark.parametrize("is_repository", [True, False])
@pytest.mark.parametrize(
    ("held", "left"),
    [
        ("*.o\n/reports/\n", "*.o\n/reports/\n/.asv/\n__pycache__/\n"),
        ("*.o\r\n.asv", "*.o\r\n.asv\r\n/reports/\r\n__pycache__/\r\n"),
        ("# \u00e9\n.asv\nreports\n__pycache__\n", ""),
    ],
)
def test_a_gitignore_gets_the_lines_that_it_lacks_and_no_other(
    tmp_path: Path, held: str, left: str, *, is_repository: bool
) -> None:
    if is_repository:
        Repository(tmp_path)
    _pipeline(tmp_path / "voice")
    path = tmp_path / ".gitignore"
    path.write_bytes(held.encode())

    begun = init_history(tmp_path, None)

    assert path.read_bytes() == (left or held).encode()
    assert not begun.ignored.is_new
    assert bool(begun.ignored.lines) == bool(left)


def test_a_rule_that_git_knows_is_not_said_again(
    tmp_path: Path, harness: Callable[..., tuple[int, str, str]]
) -> None:
    Repository(tmp_path)
    _pipeline(tmp_path / "voice")
    rules = "/reports/*\n!/reports/kept/\n*.pyc\n.asv/**\n"
    (tmp_path / ".gitignore").write_text(rules)

    code, out, _ = harness("history", "init", tmp_path)

    assert code == 0
    assert "git ignores already what is made here" in out
    assert (tmp_path / ".gitignore").read_text() == rules


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    _pipeline(tmp_path / "voice")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "latency.py").write_text("mine")

    with pytest.raises(StorageError, match=r"latency\.py: it is there already; nothing was"):
        init_history(tmp_path, None)

    assert (tmp_path / "benchmarks" / "latency.py").read_text() == "mine"
    assert not (tmp_path / "asv.conf.json").exists()
    assert not (tmp_path / ".gitignore").exists()


def test_the_pipeline_must_be_told_where_it_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no pipeline; name it with --pipeline"):
        init_history(tmp_path, None)
    _pipeline(tmp_path / "a")
    _pipeline(tmp_path / "b")
    with pytest.raises(OptionError, match="there are 2 pipelines: a, b"):
        init_history(tmp_path, None)
    with pytest.raises(OptionError, match=r"c holds no pipeline\.toml"):
        init_history(tmp_path, "c")
    with pytest.raises(OptionError, match="there is no such folder"):
        init_history(tmp_path / "none", None)

    init_history(tmp_path, "b")

    assert read_plan(tmp_path / "benchmarks" / "plan.json").pipeline == "b"
