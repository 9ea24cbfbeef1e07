"""``harness history detect`` on the command line."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.cli import main
from harness.history.commits import KnownCommit
from tests.history.records import CONTEXT, record
from tests.history.test_detect import COUNT, commit, keep, noisy, series
from tests.history.test_query import keep as keep_records

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_table_says_commit_size_kind_and_what_was_taken_out(
    tmp_path: Path, capsys: Capture
) -> None:
    keep(tmp_path, {"pipeline": noisy(1, 0.1), "encoder": noisy(2)})

    assert main(["history", "detect", str(tmp_path)]) == 1

    said = words(capsys.readouterr().out)
    assert said.startswith(f"machine bench, {CONTEXT.environment_name}, fingerprint ")
    assert "tiny: pipeline, onnxruntime fp32, 1 s step, slower +" in said
    assert f"{commit(11)[:8]}..{commit(12)[:8]} still slower" in said
    assert "intervals in brackets and good..bad: 95 %" in said
    assert "no change in 1 of 2 series" in said
    assert "no canary: a drift of the machine is not told from one of the work" in said
    assert "simulated" not in said


def test_subjects_of_commits_are_no_markup_and_move_no_cursor(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, {"pipe[/]": noisy(1, 0.1)}, machine="[/b]")
    hostile = "[red]x[/] [/b] \x1b[2J"
    known = {commit(index): KnownCommit(index, hostile) for index in range(COUNT)}
    monkeypatch.setattr("harness.history.detect.know_commits", lambda *_: known)

    assert main(["history", "detect", str(tmp_path)]) == 1

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "[red]x[/] [/b] \\x1b[2J" in words(said)
    assert "machine [/b]" in said
    assert "pipe[/]" in said


def test_the_order_and_what_is_left_out_are_told(tmp_path: Path, capsys: Capture) -> None:
    keep(tmp_path / "r", {"pipeline": noisy(1)})
    environment = {"cpu": "some", "gpu": None, "pipeline_commit": {"commit": "ab" * 20}}
    keep_records(tmp_path / "r", record("topic", context=None, environment=environment))
    out = tmp_path / "out.json"

    assert main(["history", "detect", str(tmp_path / "r"), "--json", str(out)]) == 0
    said = words(capsys.readouterr().out)
    told = "git does not know all of the commits: the others are in the order of their dates"
    assert told in said
    assert "left out: 1 records that are of a commit, and of no history (--all-records" in said
    document = json.loads(out.read_text())
    assert (document["left_out"], document["series"][0]["order"]) == (1, "dates")
    assert main(["history", "detect", str(tmp_path / "r"), "--all-records"]) == 0
    assert "left out" not in capsys.readouterr().out


def test_series_that_are_called_alike_are_told_apart(tmp_path: Path, capsys: Capture) -> None:
    keep(tmp_path, {"pipeline": noisy(1, 0.1)})
    keep(tmp_path, {"pipeline": noisy(2, 0.1)}, prefix="x", measurement={"threads": 1})

    assert main(["history", "detect", str(tmp_path)]) == 1

    said = words(capsys.readouterr().out)
    assert "1 s (perf_counter, 1 thread) step" in said
    assert "1 s (perf_counter, 2 threads) step" in said


def test_a_fault_of_the_harness_is_no_verdict(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep(tmp_path, {"pipeline": noisy(1)})

    def fail(*_: object) -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr("harness.history.detected.render_detected", fail)
    assert main(["history", "detect", str(tmp_path)]) == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: what nobody thought of" in said
    assert said.splitlines()[-1].startswith("harness: this is a fault of the harness, and no verd")


def test_json_has_all_of_it(tmp_path: Path, capsys: Capture) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1)})
    out = tmp_path / "out.json"

    assert main(["history", "detect", str(tmp_path / "records"), "--json", str(out)]) == 1

    document = json.loads(out.read_text())
    assert document["exit_code"] == 1
    assert document["simulated"] is False
    (one,) = document["series"]
    assert (one["component"], len(one["commits"]), len(one["times_s"])) == (
        "pipeline",
        COUNT,
        COUNT,
    )
    (change,) = one["changes"]
    assert (change["kind"], change["direction"]) == ("step", "slower")
    assert (change["commit"], change["good"]) == (commit(12), commit(11))
    assert change["lower"] < change["ratio"] < change["upper"]
    capsys.readouterr()
    assert main(["history", "detect", str(tmp_path / "records"), "--json", "-"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == document
    assert "still slower" in said.err


def test_made_up_times_are_told_to_be(tmp_path: Path, capsys: Capture) -> None:
    of = {"measurement": {"simulated": True, "backend": "simulated"}}
    keep(tmp_path / "records", {"pipeline": noisy(3)}, **of)
    out = tmp_path / "out.json"
    assert main(["history", "detect", str(tmp_path / "records"), "--json", str(out)]) == 0
    assert "simulated: 1 of 1 series were timed by a clock" in words(capsys.readouterr().out)
    document = json.loads(out.read_text())
    assert document["simulated"] is True
    assert document["series"][0]["simulated"] is True


def test_too_few_commits_exit_3_and_are_counted(tmp_path: Path, capsys: Capture) -> None:
    keep_records(tmp_path, record("a", [series("pipeline", 0.01)]))
    assert main(["history", "detect", str(tmp_path)]) == 3
    assert "1 commits have a time, too few to tell anything" in words(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["missing"], "there is no such record"),
        (["--commits", "v1..v2"], "v1..v2: git does not know it"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: Capture, options: list[str], what: str
) -> None:
    keep_records(tmp_path / "records", record("a"))
    where = [] if options == ["missing"] else [str(tmp_path / "records")]
    ask = ["history", "detect", *where, *options, "--repository", str(tmp_path)]
    assert main(ask) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert what in said.err
    assert len(said.err.splitlines()) == 1


def test_git_gives_the_order_and_the_subjects(tmp_path: Path, capsys: Capture) -> None:
    repository = tmp_path / "repository"
    git(repository.parent, "init", "--quiet", str(repository))
    names = []
    for index in range(16):
        # All of one date: only git knows which came first.
        git(repository, "commit", "--quiet", "--allow-empty", "--message", f"Commit {index}")
        names.append(git(repository, "rev-parse", "HEAD"))
    times = 0.01 * (1.0 + 0.003 * np.random.default_rng(4).standard_normal(16))
    times[9:] *= 1.1
    records = tmp_path / "records"
    for index, name in enumerate(names):
        context = replace(CONTEXT, commit=name)
        keep_records(records, record(f"r{index}", [series("pipeline", times[index])], context))

    assert main(["history", "detect", str(records), "--repository", str(repository)]) == 1

    said = words(capsys.readouterr().out)
    assert f"{names[9][:8]} {names[8][:8]}..{names[9][:8]} still slower Commit 9" in said


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    settings += ["-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *settings, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
