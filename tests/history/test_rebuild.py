"""asv's results made again from the records: what asv itself would have written, whole or not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from asv.results import Results, get_filename
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.history.asv_results import read_results, results_files
from harness.history.places import records_folder
from harness.history.rebuild import rebuild, repair
from harness.history.series import series_of
from harness.states import FAIL, FLAG, Finding, Validity
from tests.history.records import COMMIT, CONTEXT, measurement, record
from tests.history.records import keep_results as keep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.types import Record

NAME = f"{COMMIT[:8]}-{CONTEXT.environment_name}.json"


def rounds(*samples: Sequence[float], **changes: Any) -> list[Record]:
    return [
        record(
            f"r{index}",
            [measurement(latency_s=tuple(its))],
            replace(CONTEXT, round=index, started_unix_s=1e9 + index, **changes),
        )
        for index, its in enumerate(samples)
    ]


def by_asv(records: Sequence[Record]) -> dict[str, Any]:
    """What asv keeps of the same figures, by its own code."""
    params = {**CONTEXT.machine_values, "python": CONTEXT.python, **CONTEXT.requirements}
    context = (params, CONTEXT.requirements, COMMIT, round(CONTEXT.commit_unix_s * 1000))
    found = Results(*context, CONTEXT.python, CONTEXT.environment_name, {})
    for number, one in enumerate(records):
        for value in series_of(one):
            benchmark = {
                "name": value.benchmark,
                "version": "1",
                "params": [[repr(param)] for param in value.params],
            }
            result = Mock(stderr="", errcode=0, profile=None, number=[None], samples=[None])
            if value.samples is None:
                result.result = [value.value]
            else:
                # asv takes the median of the samples, whatever the figure is.
                result.result, result.samples, result.number = [1.0], [list(value.samples)], [1]
            found.add_result(benchmark, result, record_samples=True, append_samples=number > 0)
    return {
        name: (
            found.get_result_value(name, params := found.get_result_params(name)),
            found.get_result_samples(name, params),
            found.get_result_stats(name, params),
        )
        for name in found.get_all_result_keys()
    }


def rounded(stats: list[dict[str, float] | None]) -> list[dict[str, float] | None]:
    """asv shortens statistics when it writes them."""
    return [s and {k: float(f"{v:.4e}") for k, v in s.items() if v is not None} for s in stats]


def test_figures_are_those_that_asv_would_have_written(tmp_path: Path) -> None:
    records = rounds([0.1, 0.3, 0.2], [0.4, 0.25, 0.15, 0.35], [0.22])
    keep(tmp_path, *records)

    made = rebuild(tmp_path)

    path = tmp_path / "bench" / NAME
    assert set(made.written) == {
        *(path, tmp_path / "bench" / "machine.json", tmp_path / "benchmarks.json"),
    }
    loaded = Results.load(str(path), machine_name="bench")
    expected = by_asv(records)
    assert set(loaded.get_all_result_keys()) == set(expected)
    for name, (values, samples, stats) in expected.items():
        params = loaded.get_result_params(name)
        assert loaded.get_result_value(name, params) == values
        assert loaded.get_result_samples(name, params) == samples
        told = loaded.get_result_stats(name, params)
        assert told == (stats if stats == [None] else rounded(stats))
    assert loaded.date == 1_700_000_000_000
    assert loaded.params == {
        **CONTEXT.machine_values,
        "python": "3.11",
        "torch": "2.13.0",
    }


@given(
    st.lists(
        st.lists(st.floats(1e-9, 1e3, allow_nan=False), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_samples_of_all_rounds_come_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, samples: list[list[float]]
) -> None:
    results = tmp_path_factory.mktemp("results")
    keep(results, *rounds(*samples))
    rebuild(results)
    found = {one.benchmark: one for one in read_results(results / "bench" / NAME).series}
    latency = found["latency.Pipeline.track_latency"]
    assert latency.samples == (tuple(value for its in samples for value in its),)
    assert latency.combinations == (("'onnxruntime fp32'", "'1 s'"),)
    medians = found["latency.Pipeline.track_process_median"].samples[0]
    assert medians is not None
    assert len(medians) == len(samples)


def test_a_later_run_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    first, second = rounds([0.1], [0.2])
    again = record(
        *("again", [measurement(latency_s=(0.5,))]),
        replace(CONTEXT, round=0, started_unix_s=2e9),
    )
    keep(tmp_path, again, second, first)
    rebuild(tmp_path)
    (latency,) = (
        one
        for one in read_results(tmp_path / "bench" / NAME).series
        if one.benchmark == "latency.Pipeline.track_latency"
    )
    assert latency.samples == ((0.5,),)
    assert latency.started_unix_s == 2e9


def test_commits_and_environments_have_files_of_their_own(tmp_path: Path) -> None:
    others = [{"commit": "ff" * 20}, {"environment_name": "x" * 200}, {"machine": "other"}]
    for index, changes in enumerate(others):
        if "machine" in changes:
            changes["machine_values"] = {}
        keep(tmp_path, record(f"r{index}", context=replace(CONTEXT, **changes)))
    rebuild(tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in results_files(tmp_path)}
    assert names == {
        f"bench/ffffffff-{CONTEXT.environment_name}.json",
        get_filename("bench", COMMIT, "x" * 200),
        f"other/{NAME}",
    }
    assert json.loads((tmp_path / "other" / "machine.json").read_text()) == {
        "machine": "other",
        "version": 1,
        "cpu": "some",
        **dict.fromkeys(("arch", "num_cpu", "os", "ram"), ""),
    }


def test_each_commit_keeps_the_machine_that_it_was_measured_on(tmp_path: Path) -> None:
    values = {**CONTEXT.machine_values, "driver": "580.1"}
    newer = replace(CONTEXT, commit="ff" * 20, machine_values=values)
    silent = replace(CONTEXT, commit="ee" * 20, machine_values={})
    keep(tmp_path, record(), record("b", context=newer), record("c", context=silent))
    rebuild(tmp_path)
    drivers = {one.commit[:2]: one.params for one in map(read_results, results_files(tmp_path))}
    assert {key: params.get("driver") for key, params in drivers.items()} == {
        "01": None,
        "ff": "580.1",
        "ee": None,
    }
    # Where the record does not tell, it is what the machine's file says.
    assert drivers["ee"]["ram"] == "16000000"


def test_what_does_not_apply_is_no_failure(tmp_path: Path) -> None:
    """A variant that has a size the other has not."""
    keep(
        tmp_path,
        record(
            measurements=(
                measurement(),
                measurement(duration_s=4.0),
                measurement(backend="torch"),
            )
        ),
    )
    rebuild(tmp_path)
    (latency,) = (
        one
        for one in read_results(tmp_path / "bench" / NAME).series
        if one.benchmark == "latency.Pipeline.track_latency"
    )
    known = dict(zip(latency.combinations, latency.results, strict=True))
    assert math.isnan(known["'torch fp32'", "'4 s'"] or 0.0)
    assert sum(math.isfinite(value or math.nan) for value in known.values()) == 3


def test_what_others_wrote_into_a_file_stays(tmp_path: Path) -> None:
    keep(tmp_path, record())
    rebuild(tmp_path)
    path = tmp_path / "bench" / NAME
    content = json.loads(path.read_text())
    content["results"]["time_suite.time_it"] = [[0.5], [], "3"]
    content["results"]["latency.Pipeline.track_p99"] = [None, []]
    content["durations"] = {"<build>": 3.0}
    path.write_text(json.dumps(content))

    rebuild(tmp_path)

    loaded = Results.load(str(path), machine_name="bench")
    assert loaded.get_result_value("time_suite.time_it", []) == [0.5]
    assert loaded.benchmark_version["time_suite.time_it"] == "3"
    assert loaded.duration["<build>"] == 3.0
    params = loaded.get_result_params("latency.Pipeline.track_p99")
    assert loaded.get_result_value("latency.Pipeline.track_p99", params)[0] > 0.0


def test_parameters_stay_in_the_order_that_asv_knows(tmp_path: Path) -> None:
    keep(tmp_path, record(measurements=(measurement(), measurement(backend="torch"))))
    rebuild(tmp_path)
    path = tmp_path / "benchmarks.json"
    benchmarks = json.loads(path.read_text())
    name = "latency.Pipeline.track_latency"
    benchmarks[name]["params"][0] = ["'torch fp32'", "'other fp32'"]
    path.write_text(json.dumps(benchmarks))

    rebuild(tmp_path)

    (latency,) = (
        one for one in read_results(tmp_path / "bench" / NAME).series if one.benchmark == name
    )
    assert latency.params[0] == ("'torch fp32'", "'other fp32'", "'onnxruntime fp32'")
    assert [math.isnan(value or 0.0) for value in latency.results] == [False, True, False]


def test_records_that_cannot_be_used_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(
        tmp_path,
        record("good"),
        record("interrupted", is_complete=False),
        record("invalid", validity=Validity((Finding(FAIL, "it was hot", "cool it"),))),
        record("flagged", validity=Validity((Finding(FLAG, "it was warm", ""),))),
        record("another", context=None),
        record("empty", [measurement(latency_s=())]),
        record("nan", [measurement(latency_s=(0.1, math.nan))]),
        record("imported", context=replace(CONTEXT, imported_from="old.json")),
        record("astray", context=replace(CONTEXT, machine="..")),
        # asv names its files by eight characters of the hash.
        record("twin", context=replace(CONTEXT, commit=COMMIT[:8] + "f" * 32)),
    )
    folder = records_folder(tmp_path, "bench")
    (folder / "tiny-cut.parquet").write_bytes((folder / "tiny-good.parquet").read_bytes()[:-9])

    made = rebuild(tmp_path)

    told = {"interrupted", "invalid", "another", "empty", "nan", "cut", "astray", "twin"}
    for name in told:
        (reason,) = (one for one in made.left_out if f"tiny-{name}.parquet" in one)
        assert reason in caplog.text
    assert len(made.left_out) == len(told)
    expected = by_asv([record("good")])
    assert {one.benchmark for one in read_results(tmp_path / "bench" / NAME).series} == set(
        expected
    )


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    other = record("b", context=replace(CONTEXT, commit="ff" * 20))
    keep(tmp_path, record(), other)
    path = tmp_path / "bench" / NAME
    rebuild(tmp_path, [path])
    assert list(results_files(tmp_path)) == [path]


def test_nothing_is_written_without_records(tmp_path: Path) -> None:
    assert rebuild(tmp_path / "missing").written == ()
    assert repair(tmp_path / "missing").written == ()
    assert list(tmp_path.iterdir()) == []


def test_a_machine_file_of_another_machine_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, record())
    path = tmp_path / "bench" / "machine.json"
    path.write_text(json.dumps({"machine": "desk", "version": 1}))
    with pytest.raises(
        RecordError, match='of the machine "desk", in the folder of bench'
    ) as caught:
        rebuild(tmp_path)
    assert caught.value.where == str(path)


def test_results_cut_off_anywhere_are_never_half_read_and_come_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, record())
    rebuild(tmp_path)
    path = tmp_path / "bench" / NAME
    whole = path.read_bytes()
    for kept in sorted({0, 1, len(whole) - 1, *range(2, len(whole), 97)}):
        path.write_bytes(whole[:kept])
        with pytest.raises(RecordError) as caught:
            read_results(path)
        assert caught.value.where == str(path)
        caplog.clear()

        made = repair(tmp_path)

        assert made.written == (path,)
        (aside,) = made.set_aside
        assert str(path) in caplog.text
        assert path.read_bytes() == whole
        assert aside.read_bytes() == whole[:kept]
        aside.unlink()
    assert repair(tmp_path).set_aside == ()


def test_all_of_asvs_files_come_back_when_all_are_cut_off(tmp_path: Path) -> None:
    keep(tmp_path, record(), record("b", context=replace(CONTEXT, commit="ff" * 20)))
    rebuild(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert len(files) == 4
    for path, content in files.items():
        path.write_bytes(content[:-3])
    made = repair(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == files
    assert len(made.set_aside) == 4


def test_damage_without_records_is_set_aside_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, record())
    rebuild(tmp_path)
    path = tmp_path / "bench" / "ffffffff-env.json"
    for content in ("{", "[]"):
        path.write_text(content)
        made = repair(tmp_path)
        assert made.written == ()
        assert not path.exists()
    assert f"{path}: there are no records" in caplog.text
    assert sorted(p.name for p in path.parent.glob("*.damaged*")) == [
        *("ffffffff-env.json.damaged", "ffffffff-env.json.damaged-2"),
    ]


@pytest.mark.parametrize("version", [1, 3])
def test_results_of_another_asv_are_no_damage(tmp_path: Path, version: int) -> None:
    keep(tmp_path, record())
    rebuild(tmp_path)
    path = tmp_path / "bench" / NAME
    text = path.read_text().replace('"version": 2', f'"version": {version}')
    path.write_text(text)
    for function in (repair, rebuild):
        with pytest.raises(RecordError, match=f"has version {version} of asv's format"):
            function(tmp_path)
    assert path.read_text() == text
