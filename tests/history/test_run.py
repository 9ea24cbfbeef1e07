"""``harness history run`` for real: asv, uv and git over a scratch repository."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.history.asv_machine import settle_machine
from harness.history.context import context_of
from harness.history.instrument import PACKAGE
from harness.history.places import read_failures
from harness.measure.environment import git_state
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.store.parquet import ParquetStore
from tests.history.repositories import PYPROJECT, Repository, with_history

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("uv")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: asv keeps its machine file there."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TRT_HARNESS_CACHE", str(tmp_path / "cache"))
    return folder


def _results(repository: Repository) -> dict[str, dict[str, Any]]:
    """asv's results by the commit's hash, each with its columns by name."""
    found = {}
    for path in (repository.root / "reports/asv/results/here").glob("*-*.json"):
        told = json.loads(path.read_text())
        columns = told["result_columns"]
        found[told["commit_hash"]] = {
            name: dict(zip(columns, row, strict=False)) for name, row in told["results"].items()
        }
    return found


@pytest.mark.slow
def test_commits_are_measured_and_failures_told(
    home: Path, tmp_path: Path, onnx_toy: Callable[..., Path]
) -> None:
    toy = onnx_toy()
    repository = with_history(tmp_path / "repository", _copy(toy, tmp_path / "repository/toy"))
    first = repository.commit("good", {"pyproject.toml": PYPROJECT, "voice/__init__.py": ""})
    broken = repository.commit("broken", {"pyproject.toml": "[project]\n"})
    wrong = repository.commit("wrong", {"pyproject.toml": PYPROJECT, "toy/pipeline.toml": "x = 1"})
    shutil.copy(toy / "pipeline.toml", repository.root / "toy")
    # The project is a harness itself, whose sampler is of no use: it must not be what measures.
    sampler = {"harness/measure/sampler.py": "raise RuntimeError", "harness/__init__.py": ""}
    packages = PYPROJECT.replace('"voice"]', '"voice", "harness"]')
    last = repository.commit("another sampler", {"pyproject.toml": packages, **sampler})
    (repository.root / "uncommitted").write_text("dirty")

    run = [sys.executable, "-m", "harness", "history", "run", "main", "--machine", "here"]
    done = subprocess.run(
        [*run, "--config", str(repository.root)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2, done.stderr
    assert "2 rounds measured" in done.stdout
    assert "the working tree has changes that are in no commit" in done.stderr
    results = _results(repository)
    whole = results[last]["latency.Pipeline.track_latency"]
    assert len(whole["samples"][0]) >= 8
    assert whole["stats_ci_99_a"][0] <= whole["result"][0] <= whole["stats_ci_99_b"][0]
    assert results[broken]["latency.Pipeline.track_latency"]["result"] is None
    assert results[wrong]["latency.Pipeline.track_latency"]["result"] is None
    records = repository.root / "reports/asv/results/here/records"
    told = {failure.commit: failure for failure in read_failures(records)}
    assert set(told) == {broken, wrong}
    assert (told[broken].stage, told[wrong].stage) == ("build", "measure")
    assert "pipeline.toml" in told[wrong].reason
    kept = list(ParquetStore(records).query())
    contexts = [context_of(record) for record in kept]
    assert [context.commit for context in contexts if context] == [last, first]
    assert kept[0].environment["harness_commit"] == git_state(PACKAGE)
    assert kept[0].environment["harness_commit"] == kept[1].environment["harness_commit"]
    assert [record.environment["pipeline_commit"]["commit"] for record in kept] == [last, first]
    assert kept[0].environment["plan_commit"] == {"commit": last, "is_dirty": False}

    # As a kill may leave them: one file cut off, one not there.
    (cut,) = records.parent.glob(f"{first[:8]}-*.json")
    (lost,) = records.parent.glob(f"{last[:8]}-*.json")
    cut.write_text(cut.read_text()[:1000])
    lost.unlink()

    again = subprocess.run(
        [*run, "--config", str(repository.root)], capture_output=True, text=True, check=False
    )

    assert (again.returncode, again.stdout.split(":")[0]) == (0, "Nothing new"), again.stderr
    assert "An interrupted run is mended: 2 of asv's files" in again.stderr
    for commit in (first, last):
        for name, row in _results(repository)[commit].items():
            for column in ("result", "params", "samples", "stats_ci_99_a", "stats_q_25", "version"):
                then, now = results[commit][name].get(column), row.get(column)
                assert repr(now) == repr(then), (name, column)


def _copy(toy: Path, target: Path) -> str:
    shutil.copytree(toy, target)
    return target.name


@pytest.mark.slow
@pytest.mark.parametrize("interleaved", [False, True])
def test_asv_itself_stores_a_median_of_each_round(
    home: Path, tmp_path: Path, onnx_toy: Callable[..., Path], interleaved: bool
) -> None:
    """asv calls ``setup_cache`` for each round only where it interleaves them."""
    root = tmp_path / "repository"
    name = _copy(onnx_toy(), root / "toy")
    simulation = {"noise": 0.01, "process_noise": 0.05}
    repository = with_history(root, name, backends=["simulated"], simulation=simulation)
    commit = repository.commit("one")
    settle_machine(root / "reports/asv/results", "here")

    run = [sys.executable, "-m", "asv", "run", "HEAD^!", "--machine", "here", "-a", "rounds=3"]
    options = ["--record-samples", "--launch-method", "forkserver"]
    options += ["--interleave-rounds"] if interleaved else []
    done = subprocess.run([*run, *options], cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    records = list(ParquetStore(root / "reports/asv/results/here/records").query())
    contexts = sorted(c.round for c in map(context_of, records) if c is not None)
    assert contexts == [0, 1, 2]
    medians = _results(repository)[commit]["latency.Pipeline.track_process_median"]["samples"][0]
    whole = {
        statistics.median(m.latency_s)
        for record in records
        for m in record.measurements
        if m.component == WHOLE_PIPELINE
    }
    assert set(medians) == whole
    assert len(medians) == len(whole) == 3


@pytest.mark.slow
def test_what_is_new_is_gone_on_with_after_an_interruption(
    home: Path, tmp_path: Path, onnx_toy: Callable[..., Path]
) -> None:
    """asv's own range NEW would end at the commit that is measured, and call nothing new."""
    root = tmp_path / "repository"
    name = _copy(onnx_toy(), root / "toy")
    repository = with_history(root, name, backends=["simulated"], simulation={"noise": 0.01})
    commits = [repository.commit("one"), repository.commit("two")]
    run = [sys.executable, "-m", "harness", "history", "run", "--machine", "here", "--rounds", "2"]
    run += ["--config", str(root)]

    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        assert any(f"{commits[0][:8]}  1 of 2" in line for line in first.stderr)
        first.send_signal(signal.SIGINT)
        first.communicate()
    again = subprocess.run(run, capture_output=True, text=True, check=False)

    assert (first.returncode, again.returncode) == (130, 0), again.stderr
    assert " rounds measured" in again.stdout
    for commit in commits:
        medians = _results(repository)[commit]["latency.Pipeline.track_process_median"]["samples"]
        assert len(medians[0]) == 2
