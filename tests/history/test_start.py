"""``harness history init``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError, StorageError
from harness.history.plan import read_plan
from harness.history.start import SUITES, init_history

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


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    _pipeline(tmp_path / "voice")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "latency.py").write_text("mine")

    with pytest.raises(StorageError, match=r"latency\.py: it is there already; nothing was"):
        init_history(tmp_path, None)

    assert (tmp_path / "benchmarks" / "latency.py").read_text() == "mine"
    assert not (tmp_path / "asv.conf.json").exists()


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
