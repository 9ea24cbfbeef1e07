"""``harness ab`` from the command line, with processes that are this one, and made up times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.store.parquet import ParquetStore
from tests.ab.launches import in_this_process
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIMULATION = {"macs_per_s": 1e7, "overhead_s": 1e-4, "noise": 0.004, "process_noise": 0.001}
PLAN = {
    "pipeline": "toy",
    "backends": ["simulated"],
    "durations_s": [1.0],
    "batches": [1],
    "threads": 1,
    "simulation": SIMULATION,
}


@pytest.fixture
def repository(
    tmp_path: Path, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """The toy; the tag ``slow`` has a tenth more work in the encoder, ``notes`` none."""
    in_this_process(monkeypatch)
    found = Repository(tmp_path / "repository")
    onnx_toy(hidden=100).rename(found.root / "toy")
    found.commit("Add the pipeline", {"benchmarks/plan.json": json.dumps(PLAN)})
    found.git("tag", "first")
    found.commit("Notes", {"notes.md": "nothing"})
    found.git("tag", "notes")
    other = onnx_toy(hidden=110)
    (found.root / "toy/encoder.onnx").write_bytes((other / "encoder.onnx").read_bytes())
    found.commit("Widen the encoder")
    found.git("tag", "slow")
    return found


@pytest.fixture
def ab(
    harness: Callable[..., tuple[int, str, str]], repository: Repository, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
        short = ("--samples", 40, "--no-telemetry")
        return harness("ab", "--repository", repository.root, *folders, *short, *arguments)

    return call


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_a_slower_commit_is_told_and_two_records_are_left(
    ab: Callable[..., tuple[int, str, str]], repository: Repository, tmp_path: Path
) -> None:
    code, out, _ = ab("first", "slow", "--margin", "1%")

    assert code == 1
    told = _flat(out)
    assert "Widen the encoder" in told
    assert "slower" in told
    assert "The same graph on both sides: decoder." in told
    base, head = ParquetStore(tmp_path / "out").query()
    for record, tag in ((base, "first"), (head, "slow")):
        commit = repository.git("rev-parse", tag)
        assert record.environment["pipeline_commit"] == {"commit": commit, "is_dirty": False}
        assert record.replication is not None
        count = record.replication.processes
        assert count in {8, 12, 16}
        assert all(m.simulated for m in record.measurements)
        # Each process has its own level.
        assert len({m.latency_s for m in record.measurements if m.component == "encoder"}) == count
    assert base.replication is not None
    assert head.replication is not None
    assert base.replication.experiment == head.replication.experiment != ""


def test_equal_graphs_are_told_and_are_the_same(
    ab: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, _ = ab("first", "notes", "--margin", "1%", "--json", tmp_path / "it.json")

    assert code == 0
    assert "The same graph on both sides: every component." in _flat(out)
    told = json.loads((tmp_path / "it.json").read_text())
    assert told["is_simulated"]
    assert {row["status"] for row in told["rows"]} == {"same"}
    assert told["same_graphs"] == ["encoder", "decoder"]


def test_a_commit_against_itself_is_an_a_a(ab: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ab("first", "first", "--margin", "1%")
    assert code == 0
    assert "Both are the same: an A/A" in out


def test_what_stays_open_exits_3(ab: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ab("first", "notes", "--margin", "0", "--pairs", "8:8")
    assert code == 3
    assert "inconclusive" in out
    assert "Ended since the most pairs are measured." in out


def test_the_working_tree_is_measured_as_it_is(
    ab: Callable[..., tuple[int, str, str]], repository: Repository, onnx_toy: Callable[..., Path]
) -> None:
    other = onnx_toy(hidden=60)
    (repository.root / "toy/encoder.onnx").write_bytes((other / "encoder.onnx").read_bytes())

    code, _, err = ab("first", "HEAD")
    assert code == 2
    assert "differs from it in 1 file, as toy/encoder.onnx" in err

    code, out, _ = ab("HEAD", ".", "--component", "encoder")
    assert code == 0
    assert "faster" in out
    assert "the working tree, on top of" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("first", "nothing"), "nothing: git knows no commit, branch or tag"),
        (("first", "slow", "--pipeline", "../x"), "--pipeline: '../x' is no folder"),
        (("first", "slow", "--pipeline", "voice"), "name one of: toy"),
        (("first", "slow", "--pairs", "3:8"), "--pairs: '3:8' is no range"),
        (("first", "slow", "--pairs", "9:8"), "--pairs: '9:8' is no range"),
        (("first", "slow", "--margin", "2"), "--margin: a margin of 2"),
        (("first", "slow", "--max-time", "0"), "--max-time: 0 s"),
        (("first", "slow", "--engines", "rebuild"), "--engines: no backend builds engines"),
        (("first", "slow", "--mode", "paced"), "--mode: paced takes no turns"),
        (("first", "slow", "--backend", "nothing"), "--backend: there is no backend 'nothing'"),
        (("first", "slow", "--component", "nothing"), "toy has no component 'nothing'"),
        (("first", "slow", "--export-python", "/nowhere/python"), "--export-python: there is no"),
    ],
)
def test_bad_input_leaves_no_record(
    ab: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    code, _, err = ab(*arguments)
    assert code == 2
    assert message in err
    assert not list((tmp_path / "out").glob("*"))


def test_without_a_plan_the_pipeline_must_be_named(
    ab: Callable[..., tuple[int, str, str]], repository: Repository
) -> None:
    (repository.root / "benchmarks/plan.json").unlink()
    code, _, err = ab("first", "notes")
    assert code == 2
    assert "--pipeline: it is not told which pipeline" in err


def test_an_interruption_keeps_whole_pairs_and_exits_130(
    ab: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.ab.launches import InThisProcess  # noqa: PLC0415

    class Interrupted(InThisProcess):
        def __call__(self, order):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
            if order.process == 2:
                raise KeyboardInterrupt
            return super().__call__(order)

    monkeypatch.setattr("harness.ab.experiment.CommandLauncher", Interrupted)
    code, out, _ = ab("first", "slow")
    assert code == 130
    assert "Ended since interrupted." in out
    for record in ParquetStore(tmp_path / "out").query():
        assert not record.is_complete
        assert {m.process for m in record.measurements} == {0, 1}
