"""``harness report`` on the command line: which record, in which format, and what is no record."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from harness.noise.calibration import Calibration, SeriesNoise, save
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share
from harness.store.headers import VERSION_KEY
from harness.store.parquet import ParquetStore, record_from_json, record_to_json
from tests.cli.test_gate import keep, side
from tests.gate.made import head
from tests.history.records import CONTEXT, record
from tests.history.repositories import Repository
from tests.report.summaries import EXAMPLES, hostile, missed, parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.types import Record

    Harness = Callable[..., tuple[int, str, str]]

FORMATS = ("terminal", "markdown", "html", "csv", "json")


@pytest.fixture
def report(harness: Harness, tmp_path: Path) -> Harness:
    """``harness report`` with a cache that holds no calibration."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return harness("report", *arguments, "--cache", tmp_path / "cache")

    return run


def of_version(path: Path, version: int) -> Path:
    """The record at ``path``, as another version of the harness would have written it."""
    table = pq.read_table(path)
    table = table.replace_schema_metadata(
        {**table.schema.metadata, VERSION_KEY: str(version).encode()}
    )
    pq.write_table(table, path)
    return path


def damaged(path: Path) -> Path:
    """With another sample than the hash is of: its header can be read."""
    table = pq.read_table(path)
    column = table.column("load_s").to_pylist()
    position = table.column_names.index("load_s")
    other = table.set_column(position, "load_s", [[one + 1.0 for one in column]])
    pq.write_table(other.replace_schema_metadata(table.schema.metadata), path)
    return path


def plain(made: Record) -> Record:
    """Without half a surrogate pair."""
    return record_from_json(record_to_json(made).replace("\\ud800", ""))


def test_a_record_is_shown_with_its_verdict_first(report: Harness) -> None:
    code, out, err = report(EXAMPLES / "h200" / "pinned.parquet")
    assert (code, err) == (0, "")
    first = "voice_conversion: WITHIN the budget: p99 1.58 of 100 ms at 1 s; headroom 98.4%"
    assert out.splitlines()[0] == first
    assert "\x1b" not in out


def test_of_a_folder_the_newest_record_is_shown_and_that_of_a_pipeline_if_it_is_named(
    report: Harness, tmp_path: Path
) -> None:
    older = head(record_id="old", created_utc="2026-01-01T00:00:00+00:00", pipeline="other")
    newer = head(record_id="new", created_utc="2026-01-02T00:00:00+00:00")
    newest_below = head(record_id="below", created_utc="2026-01-03T00:00:00+00:00")
    keep(tmp_path, older, newer)
    keep(tmp_path / "below", newest_below)
    assert "  new, 2026-01-02" in report(tmp_path)[1]
    assert "  old, 2026-01-01" in report(tmp_path, "--pipeline", "other")[1]
    code, _, err = report(tmp_path, "--pipeline", "third")
    assert (code, "no record in it is of third, only of other, tiny" in err) == (2, True)
    assert "  below," in report(tmp_path / "below")[1]


def test_the_default_is_the_folder_of_runs(
    report: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = report()
    assert (code, out) == (2, "")
    assert "reports: there is no such file or folder" in err
    assert "harness run PIPELINE" in err
    keep(tmp_path / "reports", head())
    assert report()[0] == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_goes_to_a_file_or_to_standard_output(
    report: Harness, tmp_path: Path, kind: str
) -> None:
    keep(tmp_path / "in", head())
    code, out, err = report(tmp_path / "in", "--format", kind)
    assert (code, err) == (0, "")
    file = tmp_path / "new" / "folder" / "report"
    code, nothing, err = report(tmp_path / "in", "--format", kind, "--out", file)
    assert (code, nothing, err) == (0, "", "")
    assert file.read_text(encoding="utf-8") == out
    assert out.count("10.0") or kind in {"csv", "json"}
    if kind == "json":
        assert json.loads(out)["status"] == "within"
    if kind == "csv":
        assert len(list(csv.DictReader(io.StringIO(out)))) > 20


def test_a_report_exits_with_0_whatever_it_says(report: Harness, tmp_path: Path) -> None:
    keep(tmp_path / "missed", missed())
    keep(tmp_path / "cut", record("cut", parts(), is_complete=False))
    for folder in ("missed", "cut"):
        assert report(tmp_path / folder)[0] == 0


def test_details_are_what_the_run_told(report: Harness, tmp_path: Path) -> None:
    path = EXAMPLES / "cpu" / "processes.parquet"
    code, out, _ = report(path, "--details")
    assert code == 0
    assert out.startswith("tiny: INCONCLUSIVE")
    assert "Replication: onnxruntime fp32, 1 s: 12 processes" in out
    code, out, _ = report(path, "--details", "--format", "json")
    assert code == 0
    # As harness run --json has it.
    assert len(json.loads(out)["measurements"][0]["latency_s"]) == 18000
    for kind in ("markdown", "html", "csv"):
        code, _, err = report(path, "--details", "--format", kind)
        assert (code, f"a report as {kind} has no details" in err) == (2, True)


def test_the_head_of_an_ab_is_held_against_its_base(report: Harness, tmp_path: Path) -> None:
    keep(tmp_path, side("base"), side("head", slower=0.5))
    code, out, err = report(tmp_path)
    assert (code, err) == (0, "")
    assert "  20260101-head," in out
    assert "the whole is slower, +5.00 %" in out
    assert "'harness noise'" in out
    code, out, _ = report(tmp_path / "tiny-20260101-base.parquet")
    assert (code, "Baseline" in out) == (0, False)


def test_a_baseline_is_a_file_a_folder_or_a_commit(report: Harness, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    commit = repository.commit("one", {"file": "1"})
    repository.commit("two", {"file": "2"})
    keep(tmp_path / "head", side("head", slower=0.5))
    history = asdict(replace(CONTEXT, commit=commit))
    (base,) = keep(tmp_path / "base", side("base", replication=None, history=history))
    places = ("--records", tmp_path / "base", "--repository", repository.root)
    for name in (base, tmp_path / "base", commit, "main"):
        code, out, err = report(tmp_path / "head", "--baseline", name, *places)
        assert (code, err) == (0, ""), name
        text = " ".join(out.split())
        assert "the whole is slower, +" in text
        assert "the processes of both took no turns" in text
    code, _, err = report(tmp_path / "head", "--baseline", tmp_path / "none.parquet")
    assert (code, "there is no such file" in err) == (2, True)


def test_a_baseline_of_another_environment_is_refused_or_labelled(
    report: Harness, tmp_path: Path
) -> None:
    keep(tmp_path / "head", side("head"))
    (base,) = keep(tmp_path, side("base", environment={"cpu": "other", "gpu": None}))
    code, out, err = report(tmp_path / "head", "--baseline", base)
    assert (code, out) == (2, "")
    assert "not the same environment: cpu other / some" in err
    code, out, _ = report(tmp_path / "head", "--baseline", base, "--across")
    assert (code, "NOT THE SAME ENVIRONMENT" in out) == (0, True)


def test_the_base_of_an_ab_in_another_environment_is_told_and_no_error(
    report: Harness, tmp_path: Path
) -> None:
    keep(tmp_path, side("head"), side("base", environment={"cpu": "other", "gpu": None}))
    code, out, _ = report(tmp_path)
    assert code == 0
    assert "Baseline: not compared with 20260101-base" in out


def test_the_margin_is_asked_for_or_the_machines(report: Harness, tmp_path: Path) -> None:
    keep(tmp_path / "records", side("base"), side("head", slower=0.5))
    label = "pipeline, onnxruntime fp32, 1 s, hot"
    noise = SeriesNoise(label, 0.01, 0.01, 0.2, Share(0, 2000, 0.0, 0.0015), 0.03)
    environment = fingerprint(side("head").environment)
    made = Calibration(environment, "tiny", "2026-01-01T00:00:00", (noise,))
    save(made, tmp_path / "cache")
    assert "the whole is same" in report(tmp_path / "records")[1]
    out = report(tmp_path / "records", "--margin", "0.1%")[1]
    assert "the whole is slower" in out
    code, _, err = report(tmp_path / "records", "--margin", "7")
    assert (code, "is no margin" in err) == (2, True)


def test_an_empty_folder_says_what_to_run(report: Harness, tmp_path: Path) -> None:
    code, out, err = report(tmp_path)
    assert (code, out) == (2, "")
    assert "there is no record in it; measure one: 'harness run PIPELINE --out" in err


def test_a_record_of_a_newer_schema_is_named_and_in_a_folder_passed_over(
    report: Harness, tmp_path: Path
) -> None:
    old = head(record_id="old", created_utc="2026-01-01T00:00:00+00:00")
    new = head(record_id="new", created_utc="2026-01-02T00:00:00+00:00")
    _, path = keep(tmp_path, old, new)
    of_version(path, 99)
    code, out, err = report(path)
    assert (code, out) == (2, "")
    assert "tiny-new.parquet: has schema version 99" in err
    code, out, err = report(tmp_path)
    assert (code, "  old, " in out) == (0, True)
    assert "tiny-new.parquet: has schema version 99" in err
    assert "it is left out" in err
    of_version(tmp_path / "tiny-old.parquet", 99)
    code, out, err = report(tmp_path)
    assert (code, out, "there is no record in it" in err) == (2, "", True)


def test_a_damaged_record_is_named_and_in_a_folder_passed_over(
    report: Harness, tmp_path: Path
) -> None:
    old = head(record_id="old", created_utc="2026-01-01T00:00:00+00:00")
    new = head(record_id="new", created_utc="2026-01-02T00:00:00+00:00")
    _, path = keep(tmp_path, old, new)
    damaged(path)
    code, _, err = report(path)
    assert (code, "tiny-new.parquet: is damaged" in err) == (2, True)
    code, out, err = report(tmp_path)
    assert (code, "  old, " in out, "it is left out" in err) == (0, True, True)
    (tmp_path / "tiny-old.parquet").unlink()
    code, _, err = report(tmp_path)
    assert (code, "no record in it can be read" in err) == (2, True)
    path.write_bytes(b"PAR1")
    assert report(path)[0] == 2


def test_a_file_of_another_pipeline_than_was_asked_for_is_refused(
    report: Harness, tmp_path: Path
) -> None:
    (path,) = keep(tmp_path, head())
    code, _, err = report(path, "--pipeline", "other")
    assert (code, "it is of the pipeline tiny, not of other" in err) == (2, True)


@pytest.mark.parametrize("kind", FORMATS)
def test_hostile_names_end_no_format(report: Harness, tmp_path: Path, kind: str) -> None:
    # Half a surrogate pair can be in no file; what makes one of its name is no record's.
    made = plain(replace(hostile(), pipeline="tiny", record_id="a"))
    keep(tmp_path, made)
    arguments = (tmp_path, "--format", kind, "--out", tmp_path / "out")
    assert report(*arguments)[0] == 0
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert ("<script>" in text) == (kind in {"terminal", "csv", "json"})


def test_hostile_names_end_no_details(report: Harness, tmp_path: Path) -> None:
    made = plain(replace(hostile(), pipeline="tiny", record_id="a"))
    keep(tmp_path, made)
    code, out, err = report(tmp_path, "--details", "--out", tmp_path / "out")
    assert (code, out, err) == (0, "", "")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert not {*"\x1b\u202e"} & {*text}
    # In the summary and in the details.
    assert text.count("[bold red]x[/]") >= 2


def test_what_cannot_be_written_is_bad_input(report: Harness, tmp_path: Path) -> None:
    (path,) = keep(tmp_path, head())
    code, _, err = report(path, "--out", tmp_path)
    assert (code, "it is a folder" in err) == (2, True)
    (tmp_path / "file").write_text("mine")
    code, _, err = report(path, "--out", tmp_path / "file" / "x")
    assert (code, "cannot write" in err) == (2, True)
    assert (tmp_path / "file").read_text() == "mine"
    code, _, err = report(path, "--format", "pdf")
    assert (code, "'pdf' is not one of" in err) == (2, True)


def test_an_error_leaves_the_file_that_was_there(report: Harness, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    out.write_text("before")
    code, *_ = report(tmp_path / "none.parquet", "--format", "html", "--out", out)
    assert (code, out.read_text()) == (2, "before")


def test_a_terminal_of_ascii_gets_ascii(tmp_path: Path) -> None:
    ParquetStore(tmp_path).append(head(environment={"cpu": "名前", "gpu": None}))
    arguments = [sys.executable, "-m", "harness", "report", str(tmp_path)]
    done = subprocess.run(
        arguments,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    assert "\\u540d\\u524d" in text
    assert "####" in text


def test_no_colour_is_no_colour(
    report: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, head())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert "\x1b" not in report(tmp_path)[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    report(tmp_path, "--out", tmp_path / "out")
    assert "\x1b" not in (tmp_path / "out").read_text()


@pytest.mark.parametrize("words", [("--margin", "5"), ("--margin", "1%"), ("--across",)])
def test_what_is_asked_of_a_comparison_needs_one(report: Harness, words: tuple[str, ...]) -> None:
    code, out, err = report(EXAMPLES / "h200" / "pinned.parquet", *words)

    assert (code, out) == (2, "")
    assert err == (
        f"harness: {words[0]}: it is compared with nothing; name a --baseline, or leave it out\n"
    )
