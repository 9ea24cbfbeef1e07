"""What the script that kills runs calls complete: nothing is killed here."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.history.asv_results import COLUMNS, results_files
from harness.history.rebuild import rebuild
from harness.history.series import PROCESS_MEDIAN
from tests.conftest import REPOSITORY
from tests.history.records import CONTEXT, keep_results, measurement, record

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytest.importorskip("psutil")
pytest.importorskip("asv")

ROUNDS = 2


@pytest.fixture(scope="module")
def kill() -> ModuleType:
    path = REPOSITORY / "benchmarks" / "asv_kills" / "kill.py"
    spec = importlib.util.spec_from_file_location("kill", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two commits in two rounds, as records and as asv's results."""
    folder = tmp_path / "results"
    for round_ in range(ROUNDS):
        for commit in ("a" * 40, "b" * 40):
            context = replace(CONTEXT, commit=commit, round=round_, started_unix_s=float(round_))
            samples = tuple(0.01 + 0.001 * round_ + 1e-5 * i for i in range(10))
            one = record(f"{commit[0]}{round_}", [measurement(latency_s=samples)], context)
            keep_results(folder, one)
    rebuild(folder)
    return folder


def spoil(results: Path, column: str, value: Any) -> None:
    """Write ``value`` over a cell of the first commit's process medians."""
    path = next(results_files(results))
    content = json.loads(path.read_text())
    content["results"][PROCESS_MEDIAN.name][COLUMNS.index(column)] = value
    path.write_text(json.dumps(content))


def test_what_is_whole_is_called_so(kill: ModuleType, results: Path, tmp_path: Path) -> None:
    assert kill.commits_held(results, ROUNDS) == 2
    assert kill.rounds_recorded(results / "bench") == 2 * ROUNDS
    assert kill.rows_astray(results, tmp_path) == []


@pytest.mark.parametrize(
    ("column", "value", "is_held"),
    [
        ("result", [math.nan], False),
        ("result", None, False),
        ("result", [0.5], True),
        ("samples", [[0.01045, math.nan]], False),
        ("samples", [[0.01045]], False),
        ("samples", None, False),
    ],
)
def test_asvs_results_that_are_not_the_records_are_found(
    kill: ModuleType, results: Path, tmp_path: Path, column: str, value: Any, *, is_held: bool
) -> None:
    spoil(results, column, value)

    assert kill.commits_held(results, ROUNDS) == (2 if is_held else 1)
    (astray,) = kill.rows_astray(results, tmp_path)
    assert PROCESS_MEDIAN.name in astray


def test_a_commit_without_its_rounds_is_not_complete(
    kill: ModuleType, results: Path, tmp_path: Path
) -> None:
    next(results_files(results)).unlink()

    assert kill.commits_held(results, ROUNDS) == 1
    assert kill.commits_held(results, ROUNDS + 1) == 0
    assert kill.rows_astray(results, tmp_path)
    (results / "bench" / "records").rename(tmp_path / "away")
    assert kill.rounds_recorded(results / "bench") == 0


def test_one_flaw_is_enough_to_be_bad(kill: ModuleType) -> None:
    last = {
        "exit code": 0,
        "complete": 6,
        "of": 6,
        "rounds": 2,
        "rounds recorded": 12,
        "figures other than the records'": [],
    }
    good = {**dict.fromkeys(kill.BAD, 0), "last run": last}
    assert kill.is_good(good)
    for flaw in kill.BAD:
        assert not kill.is_good({**good, flaw: 1})
    flaws = {"exit code": 2, "complete": 5, "of": 7, "rounds recorded": 11}
    for name, value in {**flaws, "figures other than the records'": ["one"]}.items():
        assert not kill.is_good({**good, "last run": {**last, name: value}})
