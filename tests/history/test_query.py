"""Queries over records: what is asked for, oldest first, whatever lies beside the records."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MissingDependencyError, OptionError, RecordError
from harness.history import sources
from harness.history.commits import resolve_commits
from harness.history.output import print_answer, simulated_note, write_answer
from harness.history.query import METRICS, Records, Selection
from harness.history.series import size_label, variant_label
from harness.store.parquet import ParquetStore
from harness.types import Engine, Measurement, Variant
from tests.history.records import COMMIT, CONTEXT, measurement, record
from tests.store.test_parquet import rewrite_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Record

EXAMPLES = Path(__file__).parents[2] / "reports" / "examples" / "h200"


def keep(folder: Path, *records: Record) -> list[Path]:
    return [ParquetStore(folder).append(one) for one in records]


def answer(
    folder: Path, metrics: Sequence[str] = ("median",), **selection: Any
) -> list[dict[str, Any]]:
    with Records([str(folder)]) as records:
        found = records.select(Selection(**selection), metrics)
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows()]


def at_commit(index: int, **changes: Any) -> Record:
    context = replace(
        CONTEXT,
        commit=f"{index:040x}",
        commit_unix_s=CONTEXT.commit_unix_s + 60.0 * index,
        **changes,
    )
    return record(f"r{index}", context=context)


def test_every_series_of_a_record_is_a_row_with_its_labels(tmp_path: Path) -> None:
    keep(tmp_path, record())
    encoder, pipeline = answer(tmp_path, tuple(METRICS))
    assert (encoder["component"], pipeline["component"]) == ("encoder", "pipeline")
    common = {
        "commit": COMMIT,
        "machine": "bench",
        "environment": CONTEXT.environment_name,
        "run": 0,
        "superseded": False,
        "round": 0,
        "pipeline": "tiny",
        "variant": "onnxruntime fp32",
        "size": "1 s",
        "mode": "hot",
        "validity": None,
        "is_complete": True,
        "simulated": False,
        "imported": False,
        "slowed_by": None,
    }
    for row in (encoder, pipeline):
        assert {name: row[name] for name in common} == common
        assert f"{row['commit_utc']:%Y-%m-%d %H:%M:%S}" == "2023-11-14 22:13:20"
    samples = measurement().latency_s
    assert encoder["latency_s"] == list(samples)
    assert (encoder["size_bytes"], encoder["memory_bytes"]) == (1000, 5000)
    assert (pipeline["size_bytes"], pipeline["energy_j"], pipeline["snr_db"]) == (None, 0.5, 120.0)
    assert pipeline["count"] == 10


@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=30))
def test_quantiles_are_those_of_the_report(values: list[float]) -> None:
    expressions = ", ".join(METRICS[name].expression for name in ("median", "p90", "p99"))
    text = f"SELECT {expressions} FROM (SELECT ? AS latency_s)"  # noqa: S608  # our own
    row = duckdb.execute(text, [values]).fetchone()
    assert row == pytest.approx(np.quantile(values, (0.5, 0.9, 0.99)))


def test_names_of_variants_and_sizes_are_those_that_asv_shows(tmp_path: Path) -> None:
    variants = [
        Variant("tensorrt", "fp16", "flag", "graph"),
        Variant("onnxruntime", "int8-ort"),
        Variant("torch-cuda", "fp32", "", "enqueue"),
        Variant("simulated", "fp32"),
    ]
    rows: list[Measurement] = [
        measurement(
            backend=v.backend,
            precision=v.precision,
            route=v.route,
            launch=v.launch,
            duration_s=duration_s,
            batch=batch,
            simulated=simulated,
        )
        for v in variants
        for duration_s, batch in ((None, 1), (0.1, 1), (1.0, 3), (2.56, 1), (1e6, 1))
        for simulated in (False, True)
    ]
    keep(tmp_path, record(measurements=rows))
    told = {(row["variant"], row["size"]) for row in answer(tmp_path)}
    assert told == {(variant_label(one), size_label(one)) for one in rows}


def test_the_oldest_commit_comes_first_and_rounds_in_their_order(tmp_path: Path) -> None:
    keep(
        tmp_path,
        *(
            replace(at_commit(i), created_utc=f"2026-02-{28 - i:02}T00:00:00+00:00")
            for i in (3, 1, 2)
        ),
        replace(at_commit(1, round=1), record_id="r1-1"),
    )
    rows = answer(tmp_path, components=("pipeline",))
    assert [(int(row["commit"], 16), row["round"]) for row in rows] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (3, 0),
    ]


def test_what_is_asked_for_is_selected(tmp_path: Path) -> None:
    shown = [
        measurement("encoder", backend=backend, precision=precision, duration_s=duration_s)
        for backend in ("onnxruntime", "torch")
        for precision in ("fp32", "int8")
        for duration_s in (1.0, 4.0)
    ]
    other = replace(record("b", context=replace(CONTEXT, machine="desk")), pipeline="voice")
    keep(tmp_path, record("a", measurements=shown), other)
    assert len(answer(tmp_path)) == 10
    assert len(answer(tmp_path, machines=("desk",))) == 2
    assert len(answer(tmp_path, pipelines=("voice", "tiny"))) == 10
    assert len(answer(tmp_path, components=("pipeline",))) == 1
    for variant, count in (("torch", 4), ("int8", 4), ("torch/int8", 2), ("torch int8", 2)):
        assert len(answer(tmp_path, variants=(variant,))) == count, variant
    assert len(answer(tmp_path, variants=("torch/int8", "onnxruntime/int8"), sizes=("4 s",))) == 2
    assert answer(tmp_path, commits=()) == []
    assert len(answer(tmp_path, commits=(COMMIT, "ff"))) == 10


def test_an_unknown_metric_is_refused_by_name(tmp_path: Path) -> None:
    keep(tmp_path, record())
    with pytest.raises(OptionError, match="there is no metric 'p50'"):
        answer(tmp_path, ("p50",))


def test_records_that_were_committed_under_the_schema_before_are_read() -> None:
    old = EXAMPLES / "fp16.parquet"
    rows = answer(old, ("median", "energy", "build"), components=("vocoder",))
    assert {row["commit"] for row in rows} == {"256154eb504b63e5e10f060e38018c7de268f8b9"}
    assert all(row["commit_utc"] is None and row["median_s"] > 0 for row in rows)
    assert any(row["build_s"] for row in rows)


def test_of_several_builds_a_series_is_told_once(tmp_path: Path) -> None:
    engine = Engine("encoder", "onnxruntime", "fp32", 1, None, 1.0, 1, "", 10, 2.0)
    keep(tmp_path, record(engines=(engine, replace(engine, build_s=9.0))))
    (row,) = answer(tmp_path, ("build", "bytes"), components=("encoder",))
    assert (row["build_s"], row["size_bytes"]) == (2.0, 10)


def test_a_record_cut_off_anywhere_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = keep(tmp_path, record("whole"))
    content = path.read_bytes()
    cuts = sorted({0, 1, 4, len(content) - 1, *range(8, len(content), 211)})
    for kept in cuts:
        (tmp_path / f"cut-{kept}.parquet").write_bytes(content[:kept])
    assert [row["component"] for row in answer(tmp_path)] == ["encoder", "pipeline"]
    for kept in cuts:
        assert f"cut-{kept}.parquet: is no record, or is damaged" in caplog.text


def test_files_that_are_no_records_of_ours_are_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, record("good"))
    old, odd, strange = keep(tmp_path, record("old"), record("odd"), record("strange"))
    # Before version 4 the header was not compressed.
    plain = {b"trt_harness": json.dumps({"schema_version": 3, "record_id": "old"}).encode()}
    pq.write_table(pq.read_table(old).replace_schema_metadata(plain), old)
    rewrite_header(odd, lambda header: {**header, "history": {"branch": "main"}})
    rewrite_header(strange, lambda header: {**header, "environment": None})
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    assert len(answer(tmp_path)) == 2
    assert "tiny-old.parquet: has schema version 3" in caplog.text
    assert "tiny-odd.parquet: its history is of another kind" in caplog.text
    assert "tiny-strange.parquet: is damaged" in caplog.text
    assert "foreign.parquet: is no record" in caplog.text


def test_a_record_damaged_behind_its_header_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = tuple(np.random.default_rng(0).random(5000))
    bad, _ = keep(
        tmp_path, record("bad", [measurement(latency_s=samples)]), record("good", [measurement()])
    )
    content = bytearray(bad.read_bytes())
    content[4:2000] = bytes(1996)
    bad.write_bytes(bytes(content))
    rows = answer(tmp_path, ("samples",))
    assert [row["latency_s"] for row in rows] == [list(measurement().latency_s)]
    assert "tiny-bad.parquet: is damaged" in caplog.text


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no record that can be read") as caught:
        answer(tmp_path)
    assert caught.value.where == str(tmp_path)
    with pytest.raises(OptionError, match="there is no such record"):
        answer(tmp_path / "missing")


def test_files_patterns_and_folders_are_sources_and_each_file_counts_once(tmp_path: Path) -> None:
    (path,) = keep(tmp_path / "a[1]", record("one"))
    keep(tmp_path / "b's", record("two"))
    given = [str(path), str(tmp_path), str(tmp_path / "*" / "*.parquet"), f"{tmp_path}/b's"]
    with Records(given) as records:
        assert records.select(Selection(), ["count"]).row_count == 4


def test_a_query_of_ones_own_runs_over_the_views(tmp_path: Path) -> None:
    keep(tmp_path, record("a"), record("b"))
    with Records([str(tmp_path)]) as records:
        found = records.ask("SELECT count(*) AS n, any_value(gpu) AS gpu FROM records; ")
        assert (found.columns, list(found.rows())) == (("n", "gpu"), [(2, None)])
        for sql, what in (("SELEC 1", "Parser Error"), ("SELECT nope FROM series", "nope")):
            with pytest.raises(OptionError, match=what):
                records.ask(sql)


def test_simulated_series_are_marked_whatever_the_format(tmp_path: Path) -> None:
    keep(tmp_path, record(measurements=[measurement(), measurement("b", simulated=True)]))
    with Records([str(tmp_path)]) as records:
        found = records.select(Selection(), ["median"])
        assert "simulated: 1 of 2 series" in simulated_note(found)
        shown = io.StringIO()
        print_answer(found, "table", shown)
        *lines, note = shown.getvalue().splitlines()
        marked = [line.split()[-2] == "simulated" for line in lines if "01234567" in line]
        assert marked == [True, False]
        assert "1 of 2" in note
        for kind in ("csv", "json", "table"):
            text = io.StringIO()
            print_answer(found, kind, text)
            assert "simulated" in text.getvalue()
        # A query of one's own may leave the column out: it is told all the same.
        own = records.ask("SELECT component FROM series")
        assert "1 of 2" in simulated_note(own)
        none = records.select(Selection(components=("pipeline",)), ["median"])
        assert simulated_note(none) == ""


def test_formats_hold_the_same_numbers(tmp_path: Path) -> None:
    rows = [measurement(snr_db=math.inf), measurement("b", snr_db=None, latency_s=(0.1, 1 / 3))]
    keep(tmp_path / "records", record(measurements=rows))
    with Records([str(tmp_path / "records")]) as records:
        found = records.select(Selection(), ("samples", "snr"))
        for kind in ("csv", "json", "parquet"):
            write_answer(found, kind, tmp_path / "out" / f"x.{kind}")
    by_json = json.loads((tmp_path / "out" / "x.json").read_text())
    with (tmp_path / "out" / "x.csv").open(newline="") as file:
        by_csv = list(csv.DictReader(file))
    by_parquet = pq.read_table(tmp_path / "out" / "x.parquet").to_pylist()
    assert [row["latency_s"] for row in by_json] == [row["latency_s"] for row in by_parquet]
    assert by_json[0]["latency_s"] == [0.1, 1 / 3]
    assert [json.loads(row["latency_s"]) for row in by_csv] == [r["latency_s"] for r in by_json]
    assert [row["snr_db"] for row in by_json] == [None, None]
    assert [row["snr_db"] for row in by_csv] == ["", "inf"]
    assert {row["commit_utc"] for row in by_json} == {"2023-11-14T22:13:20Z"}


def test_nothing_found_is_an_empty_answer(tmp_path: Path) -> None:
    keep(tmp_path, record())
    with Records([str(tmp_path)]) as records:
        found = records.select(Selection(components=("nope",)), ["median"])
        text = io.StringIO()
        print_answer(found, "json", text)
        assert json.loads(text.getvalue()) == []
        with pytest.raises(OptionError, match="parquet is no text"):
            print_answer(found, "parquet", text)


def test_commits_of_a_range_are_those_that_git_lists(tmp_path: Path) -> None:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*run, "init", "-q", "-b", "main"], check=True)
    for text in ("one", "two", "three"):
        subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", text], check=True)
    whole = resolve_commits("main", tmp_path)
    assert len(whole) == 3
    assert resolve_commits("HEAD~2..HEAD", tmp_path) == whole[:2]
    for unknown in ("v1..v2", "--all"):
        with pytest.raises(OptionError, match="git does not know it") as caught:
            resolve_commits(unknown, tmp_path)
        assert caught.value.where == unknown


@pytest.mark.parametrize("address", ["s3://bucket/records", "https://example.org/a.parquet"])
def test_an_extension_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    """Nothing is fetched: the folder of extensions is empty, and none may be installed."""
    connect = duckdb.connect
    offline = {"extension_directory": str(tmp_path), "autoinstall_known_extensions": "false"}
    monkeypatch.setattr(duckdb, "connect", lambda config: connect(config={**config, **offline}))
    with pytest.raises(MissingDependencyError, match="extension httpfs is not installed") as caught:
        Records([address])
    assert caught.value.where == address
    assert "INSTALL httpfs" in caught.value.fix


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be listed") as caught:
        Records(["https://example.org/records"])
    assert "s3://" in caught.value.fix


def test_an_address_is_handed_to_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local files stand for an object store: DuckDB reads both by the same functions."""
    keep(tmp_path, record("a"), record("b"))
    path, _ = sorted(tmp_path.glob("*.parquet"))
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(path.read_bytes()[:-5])
    monkeypatch.setattr(sources, "_ADDRESS", sources.re.compile("/"))
    with Records([str(tmp_path)]) as records:
        assert records.select(Selection(), ["median"]).row_count == 4
        assert len(records.skipped) == 1
        assert str(cut) in records.skipped[0]


def test_a_few_files_may_be_looked_at_alone(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    first, second = (str(store.append(record(name))) for name in "ab")
    count = "SELECT count(DISTINCT filename) AS files FROM measurements"
    with Records([str(tmp_path)]) as records:
        with records.among({second}):
            assert records.table(count, {})["files"].to_pylist() == [1]
            table = records.table("SELECT file FROM series WHERE file = $name", {"name": first})
            assert table.num_rows == 0
        assert records.table(count, {})["files"].to_pylist() == [2]
        with pytest.raises(RecordError), records.among(set()):
            pass
        assert records.table(count, {})["files"].to_pylist() == [2]
        with pytest.raises(OptionError, match="the query"):
            records.table("SELECT nothing FROM nowhere", {})
