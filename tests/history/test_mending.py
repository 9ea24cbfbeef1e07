"""asv's results that lack what the records hold, as asv itself leaves them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from asv.results import Results

from harness.history.asv_results import read_results, results_name
from harness.history.mending import mend
from harness.history.places import (
    MEASURE,
    Failure,
    record_label,
    records_folder,
    write_failure,
)
from harness.history.rebuild import rebuild
from harness.history.series import series_of
from tests.history.records import COMMIT, CONTEXT, keep_results, measurement, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

ENVIRONMENT = CONTEXT.environment_name


def _round(round_: int, *samples: float, started_unix_s: float = 1e9) -> Record:
    label = record_label(COMMIT, ENVIRONMENT, round_)
    context = replace(CONTEXT, round=round_, started_unix_s=started_unix_s + round_)
    name = f"20261128T19000{round_}Z-abc-{label}"
    return record(name, [measurement(latency_s=samples)], context)


def _fail(results: Path) -> None:
    when_s = 1795892409.0
    write_failure(
        records_folder(results, "bench"), Failure(COMMIT, ENVIRONMENT, MEASURE, "why", when_s)
    )


def _path(results: Path) -> Path:
    return results / "bench" / results_name(COMMIT, ENVIRONMENT)


def _asv_adds(results: Path, one: Record, *, fails: bool = False) -> None:
    """What asv does with a round that it appends, by its own code."""
    found = Results.load(str(_path(results)), machine_name="bench")
    for value in series_of(one):
        params = found.get_result_params(value.benchmark)
        benchmark = {"name": value.benchmark, "version": "1", "params": params}
        told = Mock(stderr="", errcode=int(fails), profile=None, number=[None], samples=[None])
        told.result = [None] if fails else [value.value]
        if not fails and value.samples is not None:
            told.result, told.samples, told.number = [1.0], [list(value.samples)], [1]
        found.add_result(benchmark, told, record_samples=True, append_samples=True)
    found.save(str(results))


def _latency(results: Path) -> tuple[tuple[float, ...] | None, ...]:
    (found,) = (
        one
        for one in read_results(_path(results)).series
        if one.benchmark == "latency.Pipeline.track_latency"
    )
    return found.samples


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of one round, as asv has them."""
    keep_results(tmp_path, _round(0, 0.1, 0.3))
    rebuild(tmp_path)
    return tmp_path


def test_what_is_whole_stays_as_it_is(results: Path) -> None:
    before = _path(results).read_bytes()

    assert mend(results, "bench", [ENVIRONMENT]) == ()

    assert _path(results).read_bytes() == before


def test_a_round_that_fails_takes_none_of_the_rounds_before_away(results: Path) -> None:
    first, second = _round(0, 0.1, 0.3), _round(1, 0.2)
    _fail(results)
    _asv_adds(results, first, fails=True)
    assert _latency(results) == (None,)

    assert mend(results, "bench", [ENVIRONMENT]) == (_path(results),)
    assert _latency(results) == ((0.1, 0.3),)

    # Then the round is tried again.
    keep_results(results, second)
    _asv_adds(results, second)
    assert _latency(results) == ((0.1, 0.3, 0.2),)
    assert mend(results, "bench", [ENVIRONMENT]) == ()


def test_a_round_that_was_appended_to_a_failure_gets_those_before_it_back(results: Path) -> None:
    first, second = _round(0, 0.1, 0.3), _round(1, 0.2)
    _asv_adds(results, first, fails=True)
    keep_results(results, second)
    _asv_adds(results, second)
    assert _latency(results) == ((0.2,),)

    assert mend(results, "bench", [ENVIRONMENT]) == (_path(results),)

    assert _latency(results) == ((0.1, 0.3, 0.2),)


def test_one_benchmark_that_failed_although_there_is_a_record_comes_back(results: Path) -> None:
    found = Results.load(str(_path(results)), machine_name="bench")
    name = "latency.Pipeline.track_p99"
    params = found.get_result_params(name)
    told = Mock(stderr="", errcode=1, profile=None, number=[None], samples=[None], result=[None])
    benchmark = {"name": name, "version": "1", "params": params}
    found.add_result(benchmark, told, record_samples=True, append_samples=False)
    found.save(str(results))

    assert mend(results, "bench", [ENVIRONMENT]) == (_path(results),)

    again = Results.load(str(_path(results)), machine_name="bench")
    assert again.get_result_value(name, params)[0] > 0.0


def test_a_gap_in_asvs_own_rounds_is_no_loss(results: Path) -> None:
    """With ``asv run -a rounds=3`` the number of a round that failed is not given again."""
    third = _round(2, 0.2)
    keep_results(results, third)
    _asv_adds(results, third)

    assert mend(results, "bench", [ENVIRONMENT]) == ()


def test_a_record_that_asv_was_not_told_of_is_added(results: Path) -> None:
    keep_results(results, _round(1, 0.2))
    os.utime(_path(results), (1e9, 1e9))

    assert mend(results, "bench", [ENVIRONMENT]) == (_path(results),)

    assert _latency(results) == ((0.1, 0.3, 0.2),)
