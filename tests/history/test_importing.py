"""asv's own results of before, as records that say what they are."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import RecordError
from harness.history.asv_results import read_machine, read_results
from harness.history.context import context_of
from harness.history.importing import import_results
from harness.history.places import records_folder
from harness.history.query import Records, Selection
from harness.history.rebuild import rebuild
from harness.store.parquet import ParquetStore, read_record
from tests.history.records import COMMIT, CONTEXT, record

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["result", "params", "version", "started_at", "duration", "samples"]
PARAMS = {"machine": "bench", "cpu": "some", "ram": 16, "python": "3.9", "numpy": "1.20"}
CONTENT: dict[str, Any] = {
    "commit_hash": COMMIT,
    "env_name": "virtualenv-py3.9",
    "date": 1_600_000_000_000,
    "params": PARAMS,
    "python": "3.9",
    "requirements": {"numpy": "1.20"},
    "env_vars": {},
    "result_columns": COLUMNS,
    "durations": {},
    "version": 2,
    "results": {
        "suite.time_it": [
            [0.2, None, math.nan, 0.5],
            [["1", "2"], ["'a'", "'b'"]],
            "v1",
            1_600_000_100_000,
            1.5,
            [[0.1, 0.2, 0.3], None, None, None],
        ],
    },
}


def old_results(folder: Path, content: dict[str, Any] = CONTENT, name: str = "old.json") -> Path:
    path = folder / "bench" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def with_results(results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**CONTENT, "results": results, **changes}


def test_results_become_records_that_say_what_they_are(tmp_path: Path) -> None:
    old_results(tmp_path)
    made = import_results(tmp_path, pipeline="voice")
    (path,) = made.written
    assert path.parent == records_folder(tmp_path, "bench")
    found = read_record(path)
    first, last = found.measurements
    assert (first.component, first.latency_s) == ("suite.time_it(1, 'a')", (0.1, 0.2, 0.3))
    assert (last.component, last.latency_s) == ("suite.time_it(2, 'b')", (0.5,))
    assert (first.verdict_reason, last.verdict_reason) == ("", "only the median was kept")
    for one in found.measurements:
        assert (one.clock, one.backend, one.precision, one.mode) == ("asv", *["unknown"] * 3)
        assert not one.simulated
    context = context_of(found)
    assert context is not None
    assert (context.commit, context.commit_unix_s) == (COMMIT, 1_600_000_000.0)
    assert (context.machine, context.imported_from) == ("bench", "bench/old.json")
    assert context.machine_values == {"machine": "bench", "cpu": "some", "ram": "16"}
    assert (found.pipeline, found.created_utc) == ("voice", "2020-09-13T12:28:20+00:00")


def test_what_was_imported_is_not_imported_again(tmp_path: Path) -> None:
    old_results(tmp_path)
    first = import_results(tmp_path, pipeline="voice")
    again = import_results(tmp_path, pipeline="voice")
    assert (len(first.written), first.known) == (1, 0)
    assert (again.written, again.known) == ((), 1)


def test_imported_series_are_queried_beside_the_rest_and_marked(tmp_path: Path) -> None:
    old_results(tmp_path / "old")
    import_results(tmp_path / "old", pipeline="tiny", out=tmp_path / "records")
    ParquetStore(tmp_path / "records").append(record())
    with Records([str(tmp_path / "records")]) as records:
        found = records.select(Selection(), ["median"])
        names = found.columns
        rows = [dict(zip(names, row, strict=True)) for row in found.rows()]
    assert [(row["imported"], row["component"]) for row in rows] == [
        (True, "suite.time_it(1, 'a')"),
        (True, "suite.time_it(2, 'b')"),
        (False, "encoder"),
        (False, "pipeline"),
    ]


def test_no_results_of_asv_are_made_of_what_was_imported(tmp_path: Path) -> None:
    path = old_results(tmp_path)
    before = path.read_bytes()
    import_results(tmp_path, pipeline="voice")
    assert rebuild(tmp_path).written == ()
    assert path.read_bytes() == before


def test_what_is_not_in_seconds_is_left_out_and_named(tmp_path: Path) -> None:
    row = [[1.0], [], "1"]
    results = {"s.track_x": row, "s.mem_it": row, "s.time_it": row, "s.track_s": row}
    old_results(tmp_path, with_results(results))
    units = {name: {"unit": "bytes"} for name in ("s.mem_it",)}
    units["s.track_s"] = {"unit": "seconds"}
    (tmp_path / "benchmarks.json").write_text(json.dumps({**units, "version": 2}))
    made = import_results(tmp_path, pipeline="voice")
    (path,) = made.written
    told = {one.component for one in read_record(path).measurements}
    assert told == {"s.time_it", "s.track_s"}
    assert {reason.split(",")[0] for reason in made.left_out} == {
        *("s.track_x: its unit is unknown", "s.mem_it: its unit is bytes"),
    }


def test_figures_of_the_harness_itself_are_not_imported(tmp_path: Path) -> None:
    old_results(tmp_path, with_results({"latency.Pipeline.track_latency": [[1.0], []]}))
    assert import_results(tmp_path, pipeline="voice").written == ()


@pytest.mark.parametrize(
    ("samples", "what"), [([], "has no samples"), ([0.1, math.nan], "has nan among its samples")]
)
def test_samples_that_are_none_are_left_out_and_named(
    tmp_path: Path, samples: list[float], what: str
) -> None:
    row = [[0.5], [], "1", None, None, [samples]]
    path = old_results(tmp_path, with_results({"time_bad": row, "time_good": [[0.5], []]}))
    made = import_results(tmp_path, pipeline="voice")
    assert [one.component for one in read_record(made.written[0]).measurements] == ["time_good"]
    assert [reason.split(";")[0] for reason in made.left_out] == [f"{path}: time_bad {what}"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"version": 1}, "has version 1 of asv's format, this reads 2; run 'asv update'"),
        ({"version": 3}, "has version 3 of asv's format, this reads 2; use the asv that wrote it"),
        ({"version": None}, "has version null"),
        ({"params": {"machine": "desk"}}, 'is of the machine "desk", in the folder of bench'),
        ({"commit_hash": None}, "has no commit_hash, or one of another kind"),
        ({"result_columns": [*COLUMNS, "colour"]}, 'has a column "colour"'),
        ({"results": {"time_it": 3}}, "time_it has other columns than the file"),
        ({"results": {"time_it": [[1.0] * 3, [["1", "2"]]]}}, "has 3 figures for 2 combinations"),
        ({"results": {"time_it": [["fast"], []]}}, "has a figure that is no number"),
        ({"results": {"time_it": [[1.0], [], "1", None, None, [0.5]]}}, "samples that are no num"),
        ({"results": {"time_it": [[1.0], [], "1", None, None, [[1], [2]]]}}, "2 lists of samples"),
        ({"results": {"time_it": [[1.0], [1]]}}, "parameters that are no lists of texts"),
        ({"results": {"time_it": [[1.0], [], "1", "now"]}}, "has a start that is no time"),
    ],
)
def test_a_file_that_is_not_what_asv_writes_is_named_and_the_rest_imported(
    tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    path = old_results(tmp_path, {**CONTENT, **change}, "bad.json")
    old_results(tmp_path)
    with pytest.raises(RecordError) as caught:
        read_results(path)
    assert caught.value.where == str(path)
    assert what in str(caught.value)
    made = import_results(tmp_path, pipeline="voice")
    assert len(made.written) == 1
    assert len(made.left_out) == 1
    assert what in made.left_out[0]


def test_a_file_cut_off_anywhere_is_never_half_read(tmp_path: Path) -> None:
    path = old_results(tmp_path)
    content = path.read_bytes()
    for kept in range(len(content)):
        path.write_bytes(content[:kept])
        with pytest.raises(RecordError, match="is no JSON, or cut off"):
            read_results(path)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no results of asv") as caught:
        import_results(tmp_path, pipeline="voice")
    assert caught.value.where == str(tmp_path)


def test_a_machine_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: No such file") as caught:
        read_machine(tmp_path / "bench")
    assert caught.value.where == str(tmp_path / "bench" / "machine.json")
    assert CONTEXT.machine == "bench"
