"""``harness bisect`` over a scratch repository with made up times: right, also after a kill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from harness.bisect.search import Found, Step
from harness.bisect.state import State
from harness.store.parquet import ParquetStore
from tests.ab.launches import InThisProcess, in_this_process
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.bisect.search import Search

SIMULATION = {"macs_per_s": 1e7, "overhead_s": 1e-4, "noise": 0.004, "process_noise": 0.001}
PLAN = {
    "pipeline": "toy",
    "backends": ["simulated"],
    "durations_s": [1.0],
    "batches": [1],
    "threads": 1,
    "simulation": SIMULATION,
}
# How wide the encoder is at each commit: the fifth is a tenth slower; one cannot be read at all.
WIDTHS = (100, 100, 100, 0, 100, 111, 111, 111)
CULPRIT = 5


@pytest.fixture
def repository(
    tmp_path: Path, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Repository:
    in_this_process(monkeypatch)
    found = Repository(tmp_path / "repository")
    onnx_toy(hidden=WIDTHS[0]).rename(found.root / "toy")
    (found.root / "benchmarks").mkdir()
    (found.root / "benchmarks/plan.json").write_text(json.dumps(PLAN))
    for place, width in enumerate(WIDTHS):
        graph = found.root / "toy/encoder.onnx"
        if width:
            graph.write_bytes((onnx_toy(hidden=width) / "encoder.onnx").read_bytes())
        else:
            graph.write_bytes(b"no graph")
        found.commit(f"Number {place}, {width} wide")
        found.git("tag", f"c{place}")
    return found


@pytest.fixture
def bisect(
    harness: Callable[..., tuple[int, str, str]], repository: Repository, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
        short = (
            "--samples",
            30,
            "--pairs",
            "7:15",
            "--margin",
            "1%",
            "--repository",
            repository.root,
        )
        return harness("bisect", *folders, *short, *arguments)

    return call


def _records(tmp_path: Path) -> set[str]:
    return {record.record_id for record in ParquetStore(tmp_path / "out").query()}


@pytest.mark.slow
def test_it_ends_at_the_right_commit_with_its_evidence(
    bisect: Callable[..., tuple[int, str, str]], repository: Repository, tmp_path: Path
) -> None:
    code, out, err = bisect(
        *("c0", "c7", "--benchmark", "encoder/simulated fp32/1 s"),
        *("--json", tmp_path / "found.json"),
    )

    assert code == 0, err
    culprit = repository.git("rev-parse", f"c{CULPRIT}")
    assert f"{culprit[:12]} made it slower: Number 5, 111 wide" in out
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["culprit"] == culprit
    assert told["evidence"]["base"] == repository.git("rev-parse", f"c{CULPRIT - 1}")
    assert told["evidence"]["status"] == "slower"
    assert set(told["evidence"]["record_ids"]) <= _records(tmp_path)
    # The one in the middle cannot be read: it is left out, with its reason.
    broken = repository.git("rev-parse", "c3")
    (skipped,) = (step for step in told["steps"] if step["skipped"])
    assert skipped["head"] == broken
    assert "encoder.onnx" in skipped["skipped"]
    # What is looked at is all that is measured.
    (first, *_) = ParquetStore(tmp_path / "out").query()
    assert {m.component for m in first.measurements} == {"encoder"}


@pytest.mark.slow
def test_it_goes_on_after_a_kill(
    bisect: Callable[..., tuple[int, str, str]],
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(InThisProcess):
        count = 0

        def __call__(self, order: Any) -> Any:
            Killed.count += 1
            # In the middle of the second step.
            if Killed.count == 30:
                raise SystemExit(137)
            return super().__call__(order)

    monkeypatch.setattr("harness.ab.experiment.CommandLauncher", Killed)
    words = ("c0", "c7", "--benchmark", "encoder")
    with pytest.raises(SystemExit):
        bisect(*words)
    (path,) = (tmp_path / "cache/bisect").glob("*.json")
    kept = json.loads(path.read_text())["steps"]
    assert len(kept) in {1, 2}
    before = _records(tmp_path)

    code, out, err = bisect(*words)

    assert code == 0
    assert f"Going on after {len(kept)} steps" in err
    assert f"{repository.git('rev-parse', f'c{CULPRIT}')[:12]} made it slower" in out
    steps = json.loads(path.read_text())["steps"]
    # What was kept is that of the first run, and each A/B was made once.
    assert steps[: len(kept)] == kept
    assert set(steps[0]["record_ids"]) <= before
    judged = {(step["base"], step["head"], step["margin"]) for step in steps}
    assert len(judged) == len(steps)

    # What is known is told again without measuring; unless it is to be forgotten.
    Killed.count = 100
    _, again, _ = bisect(*words)
    assert Killed.count == 100
    assert again == out
    code, _, _ = bisect(*words, "--restart")
    assert code == 0
    assert Killed.count > 100


def test_ends_that_tell_nothing_are_told(bisect: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = bisect("c5", "c7", "--benchmark", "encoder")
    assert code == 3
    assert "There is nothing to find: the bad commit is not slower" in out

    code, _, err = bisect("c2", "c3", "--benchmark", "encoder")
    assert code == 2
    assert "encoder.onnx" in err


def test_what_is_measured_otherwise_is_another_bisection(
    bisect: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("c0", "c7", "--benchmark", "encoder")
    monkeypatch.setattr(
        "harness.bisect.running.run_bisection", lambda *_: Found((), None, "not measured here")
    )

    def count() -> int:
        return len(list((tmp_path / "cache/bisect").glob("*.lock")))

    def told(environment: dict[str, Any]) -> Callable[..., dict[str, Any]]:
        return lambda *_, **__: environment

    for _ in range(2):
        code, out, _ = bisect(*words)
        assert code == 3
        assert "not measured here" in out
        assert count() == 1
    bisect(*words, "--max-time", 100)
    assert count() == 2
    bisect(*words, "--export-python", "/bin/sh")
    assert count() == 3
    here = {"cpu": "some", "harness_version": "1", "harness_commit": None}
    for changed in (
        {"cpu": "other"},
        {"harness_version": "2"},
        {"harness_commit": {"commit": "a"}},
    ):
        environment = {**here, **changed}
        monkeypatch.setattr("harness.measure.environment.describe_environment", told(environment))
        before = count()
        bisect(*words)
        assert count() == before + 1


def test_what_another_process_is_measuring_is_left_to_it(
    bisect: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("c0", "c7", "--benchmark", "encoder")
    monkeypatch.setattr("harness.bisect.running.run_bisection", lambda *_: Found((), None, "x"))
    bisect(*words)
    (path,) = (tmp_path / "cache/bisect").glob("*.lock")
    with FileLock(path):
        code, _, err = bisect(*words)
    assert code == 2
    assert "is being measured by another process" in err


def test_a_subject_that_would_move_the_cursor_is_shown(
    bisect: Callable[..., tuple[int, str, str]],
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = repository.commit("Mend\x1b[2J [/red] it", {"notes.md": "x"})
    evidence = Step("a" * 40, commit, 0.01, "slower", 1.1, 1.05, 1.15, 8, is_simulated=True)

    def measured(_: Search, state: State, *__: object) -> Found:
        state.add(evidence)
        return Found((commit,), evidence)

    monkeypatch.setattr("harness.bisect.running.run_bisection", measured)
    path = tmp_path / "found.json"
    code, out, _ = bisect("c0", commit, "--benchmark", "encoder", "--json", path)
    assert code == 0
    assert out.startswith("SIMULATED: the times are made up")
    assert r"made it slower: Mend\x1b[2J [/red] it" in out
    told = json.loads(path.read_text())
    assert told["is_simulated"]
    assert told["evidence"]["is_simulated"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("c7", "c0", "--benchmark", "encoder"), "c7: c7 ("),
        (("c0", "c0", "--benchmark", "encoder"), "is not before"),
        (("c0", ".", "--benchmark", "encoder"), ".: the working tree is no commit"),
        (("c0", "c7", "--benchmark", " "), "--benchmark: it names nothing"),
        (("c0", "c7", "--benchmark", "voice"), "toy has no component 'voice'"),
        (("c0", "c7", "--benchmark", "pipeline/2 s"), "--benchmark: 'pipeline/2 s' is no series"),
        (("c0", "nothing", "--benchmark", "encoder"), "git knows no commit"),
    ],
)
def test_bad_input(
    bisect: Callable[..., tuple[int, str, str]], arguments: tuple[object, ...], message: str
) -> None:
    code, _, err = bisect(*arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("text", ["", "[]", '{"version": 3, "steps": []}', '{"steps": [1]}'])
def test_a_damaged_state_is_told(
    bisect: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    init = State.__init__

    def at_path(self: State, *arguments: Any) -> None:
        init(self, *arguments)
        self.path = path

    monkeypatch.setattr(State, "__init__", at_path)
    code, _, err = bisect("c0", "c7", "--benchmark", "encoder")
    assert code == 2
    assert "begin anew with --restart" in err
