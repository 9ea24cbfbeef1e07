"""``harness history run``, with a stand-in for asv."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import OptionError, StorageError
from harness.history.instrument import PACKAGE
from harness.history.places import BUILD, Failure, record_label, write_failure

pytest.importorskip("asv")

from harness.history import running
from harness.history.lock import hold_folders, release
from harness.history.plan import plan_hash, read_plan
from harness.history.running import RunRequest, run_history
from harness.measure.environment import git_state
from harness.store.parquet import ParquetStore
from harness.version import __version__
from tests.history.records import CONTEXT, record
from tests.history.repositories import Repository, with_history

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Stands in for asv: notes its arguments and its commits, and does what a file "script" says.
_ASV = """
import json, os, pathlib, sys, time
root = pathlib.Path.cwd()
words = sys.argv[1:]
commits = pathlib.Path(words[1].removeprefix("HASHFILE:")).read_text().split()
appends = os.environ.get("TRT_HARNESS_HISTORY_APPEND")
with open(root / "calls", "a") as file:
    file.write(json.dumps({"words": words, "commits": commits, "appends": appends}) + "\\n")
def tell(**event):
    with open(os.environ["TRT_HARNESS_HISTORY_EVENTS"], "a") as file:
        file.write(json.dumps(event) + "\\n")
exec((root / "script").read_text())
"""
_MEASURES = """
for commit in commits:
    tell(event="installed", commit=commit, seconds=0.25)
    tell(event="measured", commit=commit, round=0, seconds=2.0, phases_s={"measure": 1.5})
"""


@pytest.fixture
def repository(
    tmp_path: Path, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Repository:
    (tmp_path / "repository").mkdir()
    onnx_toy().rename(tmp_path / "repository" / "toy")
    made = with_history(tmp_path / "repository", "toy")
    (made.root / ".gitignore").write_text("/calls\n/script\n/.asv/\n/reports/\n__pycache__/\n")
    (made.root / "script").write_text(_MEASURES)
    monkeypatch.setattr(running, "asv_command", lambda: [sys.executable, "-c", _ASV])
    monkeypatch.setenv("HOME", str(tmp_path))
    return made


def _run(repository: Repository, range_spec: str = "main", **more: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    request = RunRequest(repository.root, range_spec, machine="here", **more)
    return run_history(request, said.append), said


def _calls(repository: Repository) -> list[dict[str, Any]]:
    path = repository.root / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _records(repository: Repository) -> Path:
    folder = repository.root / "reports" / "asv" / "results" / "here" / "records"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _environment_name(repository: Repository) -> str:
    words = _calls(repository)[-1]["words"]
    return str(words[words.index("--environment") + 1])


def _keep(
    repository: Repository,
    commit: str,
    round_: int,
    environment_name: str,
    **changes: Any,
) -> None:
    label = record_label(commit, environment_name, round_)
    plan = plan_hash(read_plan(repository.root / "benchmarks" / "plan.json"))
    context = replace(
        CONTEXT,
        commit=commit,
        machine="here",
        environment_name=environment_name,
        round=round_,
        machine_values={},
        plan_hash=plan,
    )
    known = {"environment": {"harness_commit": git_state(PACKAGE)}, "harness_version": __version__}
    name = f"20261128T19000{round_}Z-abc-{label}"
    ParquetStore(_records(repository)).append(
        replace(record(name, context=context), **{**known, **changes})
    )


def test_asv_is_given_all_that_makes_it_ask_nothing_and_keep_samples(
    repository: Repository,
) -> None:
    one, two = repository.commit("one"), repository.commit("two")

    summary, said = _run(repository)

    (call,) = _calls(repository)
    assert call["commits"] == [two, one]
    words = call["words"]
    assert words[0] == "run"
    assert {"--record-samples", "forkserver", "--show-stderr"} <= set(words)
    assert words[words.index("--machine") + 1] == "here"
    assert words[words.index("-a") + 1] == "rounds=1"
    assert "--append-samples" not in words
    assert (summary.measured, summary.failed, summary.asv_problem) == (2, {}, "")
    assert said[-1] == f"  {one[:8]}  2 of 2: 2.0 s (install 0.2 s, measure 1.5 s)"
    assert json.loads((repository.root.parent / ".asv-machine.json").read_text())["here"]


def test_what_the_machine_was_flagged_for_is_told_with_the_commit(repository: Repository) -> None:
    one = repository.commit("one")
    (repository.root / "script").write_text(
        'tell(event="measured", commit=commits[0], seconds=2, phases_s={"measure": 1},'
        ' flagged=["something else ran"])'
    )

    _, said = _run(repository)

    assert said[-1] == f"  {one[:8]}  1 of 1: 2.0 s (measure 1.0 s), flagged: something else ran"


def test_each_round_goes_over_all_commits_and_appends_to_the_one_before(
    repository: Repository,
) -> None:
    repository.commit("one")

    summary, _ = _run(repository, rounds=3)

    assert [call["appends"] for call in _calls(repository)] == [None, "1", "1"]
    appends = ["--append-samples" in call["words"] for call in _calls(repository)]
    assert appends == [False, True, True]
    assert summary.measured == 3


def test_a_run_goes_on_where_another_was_interrupted(repository: Repository) -> None:
    one, two, three = (repository.commit(name) for name in ("one", "two", "three"))
    _run(repository, "HEAD")
    environment = _environment_name(repository)
    _keep(repository, one, 0, environment)
    _keep(repository, one, 1, environment)
    _keep(repository, two, 0, environment)
    (repository.root / "calls").unlink()

    _run(repository, rounds=2)

    assert [call["commits"] for call in _calls(repository)] == [[three], [three, two]]


# As a kill after the first commit leaves it: its record is there, and asv's results of it as well.
_KILLED = """
import signal, pathlib
name = words[words.index("--environment") + 1]
for commit in commits[:{count}]:
    path = root / "reports/asv/results/here" / f"{{commit[:8]}}-{{name}}.json"
    path.write_text(json.dumps({{"commit_hash": commit, "date": 0, "params": {{"machine": "here"}},
        "env_name": name, "python": "", "requirements": {{}}, "result_columns": [], "results": {{}},
        "version": 2}}))
    os.utime(path, (2e9, 2e9))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_new_is_gone_on_with_where_a_kill_has_ended_it(repository: Repository) -> None:
    commits = [repository.commit(str(number)) for number in range(4)]
    (repository.root / "script").write_text(_KILLED.format(count=1))

    assert _run(repository, "NEW", rounds=2)[0].asv_problem
    (killed,) = _calls(repository)
    environment = _environment_name(repository)
    _keep(repository, killed["commits"][0], 0, environment)
    (repository.root / "script").write_text(_MEASURES)
    (repository.root / "calls").unlink()
    _run(repository, "NEW", rounds=2)

    assert killed["commits"] == commits
    assert [call["commits"] for call in _calls(repository)] == [commits[1:], commits]


def test_what_is_new_is_told_by_this_machine_and_environment_alone(repository: Repository) -> None:
    old, one, two = (repository.commit(str(number)) for number in range(3))
    _run(repository, "HEAD")
    environment = _environment_name(repository)
    (repository.root / "calls").unlink()
    elsewhere = _records(repository).parents[1] / "there" / "records"
    elsewhere.mkdir(parents=True)
    label = record_label(two, environment, 0)
    (elsewhere / f"toy-20261128T190000Z-abc-{label}.parquet").touch()
    _keep(repository, two, 0, "another environment")

    _run(repository, "NEW")
    _keep(repository, one, 0, environment)
    _run(repository, "NEW")
    three = repository.commit("3")
    _keep(repository, two, 0, environment)
    _run(repository, "NEW")

    # All where nothing was measured here; then what has come since what was.
    assert [call["commits"] for call in _calls(repository)] == [[old, one, two], [two], [three]]


def _edit_plan(repository: Repository, **changes: Any) -> None:
    path = repository.root / "benchmarks" / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=3))


@pytest.mark.parametrize(
    "changes",
    [
        {"harness_version": "0.0.9"},
        {"environment": {"harness_commit": {"commit": "f" * 40, "is_dirty": False}}},
        {"history": asdict(replace(CONTEXT, machine="here", machine_values={}))},
        {"plan": {"max_samples": 13}},
    ],
)
def test_rounds_by_another_plan_or_harness_are_never_pooled(
    repository: Repository, changes: dict[str, Any]
) -> None:
    one, two = repository.commit("one"), repository.commit("two")
    _run(repository, "HEAD")
    environment = _environment_name(repository)
    plan = changes.pop("plan", {})
    _keep(repository, one, 0, environment, **changes)
    _edit_plan(repository, **plan)
    (repository.root / "calls").unlink()

    with pytest.raises(OptionError, match=f"--rounds: 1 commits .* {one[:8]} first;.*--again"):
        _run(repository, rounds=2)

    # Before anything else was measured for hours.
    assert _calls(repository) == []
    _run(repository)
    _run(repository, again=True)
    assert [call["commits"] for call in _calls(repository)] == [[two], [two, one]]


def test_a_plan_that_is_written_otherwise_is_the_same(repository: Repository) -> None:
    one = repository.commit("one")
    _run(repository)
    _keep(repository, one, 0, _environment_name(repository))
    _edit_plan(repository, seed=0)
    (repository.root / "calls").unlink()

    _run(repository, rounds=2)

    assert [call["commits"] for call in _calls(repository)] == [[one]]


def test_a_plan_that_is_edited_between_two_rounds_ends_the_run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = repository.commit("one")
    run_round = running._run_round

    def run(*arguments: Any) -> None:
        run_round(*arguments)
        _keep(repository, one, 0, _environment_name(repository))
        _edit_plan(repository, max_samples=13)

    monkeypatch.setattr(running, "_run_round", run)

    with pytest.raises(OptionError, match="another plan"):
        _run(repository, rounds=2)

    assert len(_calls(repository)) == 1


def test_all_is_measured_anew_where_that_is_asked(repository: Repository) -> None:
    one = repository.commit("one")
    _run(repository)
    _keep(repository, one, 0, _environment_name(repository))
    _keep(repository, one, 1, _environment_name(repository))
    (repository.root / "calls").unlink()

    _run(repository, again=True, rounds=2)

    assert [call["commits"] for call in _calls(repository)] == [[one], [one]]
    assert [call["appends"] for call in _calls(repository)] == [None, "1"]


def test_nothing_new_starts_no_asv(
    repository: Repository, harness: Callable[..., tuple[int, str, str]]
) -> None:
    one = repository.commit("one")
    _run(repository)
    _keep(repository, one, 0, _environment_name(repository))
    (repository.root / "calls").unlink()

    options = ("--config", repository.root, "--machine", "here")
    code, out, _ = harness("history", "run", "main", *options)

    assert code == 0
    assert out.startswith("Nothing new")
    assert _calls(repository) == []


def test_what_failed_before_is_tried_again_only_if_asked(repository: Repository) -> None:
    one = repository.commit("one")
    _run(repository)
    failure = Failure(one, _environment_name(repository), BUILD, "why", 1795892400.0)
    write_failure(_records(repository), failure)

    summary, _ = _run(repository)
    assert (summary.measured, len(_calls(repository))) == (0, 1)

    summary, _ = _run(repository, retries_failed=True)
    assert (summary.measured, len(_calls(repository))) == (1, 2)


def test_a_commit_that_fails_is_told_and_its_other_rounds_left_out(
    repository: Repository, harness: Callable[..., tuple[int, str, str]]
) -> None:
    one = repository.commit("one")
    script = 'tell(event="failed", commit=commits[0], stage="build", reason="why"); sys.exit(2)'
    (repository.root / "script").write_text(script)

    options = ("--config", repository.root, "--machine", "here", "--rounds", 2)
    code, out, err = harness("history", "run", "main", *options)

    assert code == 2
    assert f"{one[:8]} failed: build: why" in out
    assert f"{one[:8]}  1 of 1: failed to build: why" in err
    assert len(_calls(repository)) == 1


def test_an_error_of_asv_itself_ends_the_run(
    repository: Repository, harness: Callable[..., tuple[int, str, str]]
) -> None:
    repository.commit("one")
    (repository.root / "script").write_text('print("no", "such thing", sep="\\n"); sys.exit(1)')

    options = ("--config", repository.root, "--machine", "here", "--rounds", 2)
    code, _, err = harness("history", "run", "main", *options)

    assert code == 2
    assert "asv ended early: no | such thing" in err
    assert (repository.root / "reports" / "asv" / "asv.log").read_text() == "no\nsuch thing\n"


def test_a_failure_that_nobody_has_told_of_is_no_success(
    repository: Repository, harness: Callable[..., tuple[int, str, str]]
) -> None:
    """A suite that raises: asv ends with 2, and no commit has failed."""
    repository.commit("one")
    (repository.root / "script").write_text('print("ImportError: a suite"); sys.exit(2)')

    options = ("--config", repository.root, "--machine", "here", "--rounds", 2)
    code, out, err = harness("history", "run", "main", *options)

    assert code == 2
    assert "Nothing new" not in out
    assert "asv ended early: ImportError: a suite" in err
    assert len(_calls(repository)) == 1


def test_an_interruption_ends_asv_as_well(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("one")
    wait = "import signal; tell(event='installed', commit='a', seconds=1); signal.pause()"
    (repository.root / "script").write_text(wait)
    ended: list[int] = []
    send = running.subprocess.Popen.send_signal

    def record(process: Any, number: int) -> None:
        ended.append(number)
        send(process, number)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running.subprocess.Popen, "send_signal", record)
    monkeypatch.setattr(running, "_say", interrupt)

    with pytest.raises(KeyboardInterrupt):
        _run(repository)

    assert ended == [signal.SIGINT]


@pytest.mark.parametrize("shared", [0, 1])
def test_two_runs_at_once_are_refused(repository: Repository, shared: int) -> None:
    repository.commit("one")
    root = repository.root
    folders = [root / "reports" / "asv" / "results", root / ".asv" / "env"]
    folders[1 - shared] = root / "reports" / "elsewhere"
    held = hold_folders(*folders)

    what = ("on these results", "in this env_dir")[shared]
    with pytest.raises(StorageError, match=f"another run works {what}"):
        _run(repository)

    release(held)
    assert _run(repository)[0].measured == 1


def test_changes_that_are_in_no_commit_are_told(repository: Repository) -> None:
    repository.commit("one")
    assert not [line for line in _run(repository)[1] if "in no commit" in line]
    (repository.root / "benchmarks" / "plan.json").write_text(
        (repository.root / "benchmarks" / "plan.json").read_text() + "\n"
    )

    assert [line for line in _run(repository)[1] if "changes that are in no commit" in line]


def test_the_interpreter_that_exports_is_handed_on(
    repository: Repository,
    harness: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRT_HARNESS_EXPORT_PYTHON", "")
    repository.commit("one")
    keep = 'import os; (root / "kept").write_text(os.environ["TRT_HARNESS_EXPORT_PYTHON"])'
    (repository.root / "script").write_text(keep)
    options = ("--config", repository.root, "--machine", "here", "--export-python")

    assert harness("history", "run", "main", *options, sys.executable)[0] == 0
    assert (repository.root / "kept").read_text() == sys.executable
    code, _, err = harness("history", "run", "main", *options, "/no/python")
    assert code == 2
    assert "--export-python: there is no program /no/python" in err


@pytest.mark.parametrize(
    ("range_spec", "count"), [("HEAD", 1), ("HEAD~1..HEAD", 1), ("ALL", 2), ("NEW", 2), ("TAGS", 1)]
)
def test_ranges_are_those_of_asv(repository: Repository, range_spec: str, count: int) -> None:
    repository.commit("one")
    repository.git("tag", "v1")
    repository.commit("two")

    assert _run(repository, range_spec)[0].measured == count


def test_steps_spread_over_the_range(repository: Repository) -> None:
    made = [repository.commit(str(i)) for i in range(5)]

    _run(repository, steps=3)

    commits = _calls(repository)[0]["commits"]
    assert len(commits) == 3
    assert commits[0] == made[4]


def test_a_range_that_is_none_is_refused(repository: Repository) -> None:
    repository.commit("one")

    with pytest.raises(OptionError, match=r"v1\.\.v2: .*give a range of git"):
        _run(repository, "v1..v2")


def test_a_configuration_of_another_environment_type_is_refused(repository: Repository) -> None:
    repository.commit("one")
    path = repository.root / "asv.conf.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "environment_type": "existing"}))

    with pytest.raises(OptionError, match='set "environment_type": "shared"'):
        _run(repository)


def test_bad_options_are_refused(
    tmp_path: Path, harness: Callable[..., tuple[int, str, str]]
) -> None:
    assert harness("history", "run", "--config", tmp_path)[0] == 2
    for option in ("--rounds", "--steps"):
        code, _, err = harness("history", "run", "HEAD", option, 0)
        assert code == 2
        assert f"{option}: it is 0; give 1 or more" in err


def test_what_the_time_was_spent_on_is_told(
    repository: Repository, harness: Callable[..., tuple[int, str, str]]
) -> None:
    repository.commit("one")
    repository.commit("two")

    options = ("--config", repository.root, "--machine", "here")
    code, out, _ = harness("history", "run", "main", *options)

    assert code == 0
    assert out.startswith("2 rounds measured in ")
    assert ": measure 3.0 s, export 0.0 s, install 0.5 s, all else " in out
