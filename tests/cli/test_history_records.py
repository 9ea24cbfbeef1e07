"""``harness history query``, ``rebuild`` and ``import`` on the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from harness.cli import main
from harness.store.parquet import ParquetStore
from tests.history.records import COMMIT, CONTEXT, measurement, record
from tests.history.test_importing import old_results

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results with the records of two commits."""
    store = ParquetStore(tmp_path / "results" / "bench" / "records")
    later = replace(CONTEXT, commit="ff" * 20, commit_unix_s=CONTEXT.commit_unix_s + 60)
    store.append(record("b", context=later))
    store.append(record("a"))
    return tmp_path / "results"


def test_a_table_says_what_is_common_once(results: Path, capsys: Capture) -> None:
    assert main(["history", "query", str(results)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].startswith("machine bench")
    assert "onnxruntime fp32, 1 s" in lines[0]
    assert lines[1].split() == ["date", "commit", "component", "median_ms", "p99_ms"]
    assert [line.split()[2:4] for line in lines[3:]] == [
        *(["01234567", "encoder"], ["01234567", "pipeline"]),
        *(["ffffffff", "encoder"], ["ffffffff", "pipeline"]),
    ]


def test_csv_json_and_parquet_go_where_they_are_sent(results: Path, capsys: Capture) -> None:
    ask = ["history", "query", str(results), "--component", "pipeline", "--variant", "onnxruntime"]
    ask += ["--size", "1 s", "--machine", "bench", "--metric", "median", "--metric", "energy"]
    assert main([*ask, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["commit"], row["energy_j"]) for row in rows] == [
        (COMMIT, "0.5"),
        ("ff" * 20, "0.5"),
    ]
    out = results.parent / "new" / "x.parquet"
    assert main([*ask, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 2 rows\n"
    assert pq.read_table(out)["median_s"].to_pylist() == [float(row["median_s"]) for row in rows]
    assert main([*ask, "--format", "json"]) == 0
    assert [row["commit"] for row in json.loads(capsys.readouterr().out)] == [COMMIT, "ff" * 20]


def test_a_query_of_ones_own(results: Path, capsys: Capture) -> None:
    sql = "SELECT commit, count(*) AS n FROM series GROUP BY commit ORDER BY commit"
    assert main(["history", "query", str(results), "--sql", sql, "--format", "csv"]) == 0
    assert capsys.readouterr().out == f"commit,n\n{COMMIT},2\n{'ff' * 20},2\n"


def test_a_record_that_is_cut_off_is_skipped_and_named(results: Path, capsys: Capture) -> None:
    path = results / "bench" / "records" / "tiny-a.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["history", "query", str(results), "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    assert f"harness: warning: skipped: {path}: is no record, or is damaged" in said.err


def test_simulated_series_are_told_of_beside_the_figures(results: Path, capsys: Capture) -> None:
    shown = record("c", [measurement(simulated=True)], is_complete=True)
    ParquetStore(results / "bench" / "records").append(shown)
    assert main(["history", "query", str(results)]) == 0
    assert "simulated: 1 of 5 series were timed" in " ".join(capsys.readouterr().out.split())
    assert main(["history", "query", str(results), "--sql", "SELECT 1", "--format", "csv"]) == 0
    assert "harness: note: simulated: 1 of 5 series" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["missing"], "there is no such record"),
        (["--metric", "p50"], "--metric: there is no metric 'p50'"),
        (["--format", "parquet"], "--format: parquet is no text; name a file with --out"),
        (["--out", "x.xls"], "x.xls: .xls is no format"),
        (["--commits", "v1..v2"], "v1..v2: git does not know it"),
        (["--sql", "SELECT 1", "--size", "1 s"], "--sql: a query of your own selects for itself"),
        (["--sql", "SELECT"], "the query: Parser Error"),
    ],
)
def test_bad_input_is_one_line(results: Path, capsys: Capture, words: list[str], what: str) -> None:
    where = [] if words == ["missing"] else [str(results)]
    options = ["--repository", str(results)]
    assert main(["history", "query", *where, *words, *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert what in said.err
    assert len(said.err.splitlines()) == 1


def test_results_are_made_again(results: Path, capsys: Capture) -> None:
    assert main(["history", "rebuild", str(results)]) == 0
    assert capsys.readouterr().out == f"{results}: wrote 4 files\n"
    path = results / "bench" / f"{COMMIT[:8]}-{CONTEXT.environment_name}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert main(["history", "rebuild", str(results)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{results}: wrote 2 files, set 1 aside\n"
    assert f"harness: warning: set aside: {path}: is no JSON, or cut off" in said.err
    assert path.read_bytes() == whole


def test_old_results_become_records(tmp_path: Path, capsys: Capture) -> None:
    old_results(tmp_path)
    for said in ("wrote 1 records", "wrote 0 records, 1 were there already"):
        assert main(["history", "import", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().out == f"{tmp_path}: {said}\n"
    assert main(["history", "query", str(tmp_path / "out"), "--metric", "count"]) == 0
    assert "imported" in capsys.readouterr().out
