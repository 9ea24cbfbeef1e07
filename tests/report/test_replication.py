"""What a report shows of several processes: one row of all, and what they differ by."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from harness.errors import RecordError
from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.terminal import render
from harness.types import (
    CALL,
    CONCURRENT,
    PACED,
    Budget,
    Engine,
    Measurement,
    MissingProcess,
    Record,
    Replication,
    Variant,
)
from tests.report.devices import make_record

CPU = Variant("onnxruntime", "fp32", "", CALL)


def replicated(processes: int = 8, builds: int = 1, *, odd: int | None = None) -> Record:
    """Every process at 1 ms times its own factor; each build 5 % slower than the one before."""
    rng = np.random.default_rng(0)
    base = make_record(CPU)
    measured: list[Measurement] = []
    for process in range(processes * builds):
        build = process % builds
        factor = np.exp(rng.normal(0.0, 0.0005)) * 1.05**build * (0.98 if process == odd else 1)
        for one in base.measurements:
            latency_s = tuple(1e-3 * factor * np.exp(rng.normal(0.0, 0.003, 50)))
            snr_db = 40.0 + build
            measured.append(
                replace(one, latency_s=latency_s, process=process, build=build, snr_db=snr_db)
            )
    return replace(base, measurements=tuple(measured), replication=Replication(processes, builds))


def printed(record: Record) -> str:
    console = Console(file=io.StringIO(), width=110)
    console.print(render(figures_of(record)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_row_holds_all_samples_and_the_interval_of_the_processes_medians() -> None:
    record = replicated(8)
    (group,) = figures_of(record).groups

    assert [row.measurement.component for row in group.rows] == ["encoder", "decoder", "pipeline"]
    row = group.pipeline
    parts = [m for m in record.measurements if m.component == "pipeline"]
    medians = sorted(float(np.median(part.latency_s)) for part in parts)
    assert row.latency.count == 400
    assert (row.processes, row.builds) == (8, 1)
    assert row.latency.median.value == pytest.approx(float(np.median(medians)))
    # The order statistics of 8 medians, not of 400 samples.
    assert row.latency.median.lower == medians[0]
    assert row.latency.median.upper == medians[-1]
    assert "n = 400; 8 processes;" in printed(record)


def test_processes_and_builds_are_told_apart() -> None:
    text = printed(replicated(6, 2))

    assert "Replication: onnxruntime fp32, 1 s: 12 processes of 2 builds" in text
    assert "n = 600; 12 processes, 2 builds" in text
    assert "builds %" in text


def test_accuracy_is_that_of_the_worst_build() -> None:
    (group,) = figures_of(replicated(2, 2)).groups

    assert group.pipeline.measurement.snr_db == 40.0


def test_an_odd_process_is_counted() -> None:
    text = printed(replicated(13, odd=4))

    assert "1/13" in text
    assert "up to 36%" in text


def test_a_missing_process_is_told_with_its_reason() -> None:
    missing = (MissingProcess(3, 1, "encoder: is damaged"),)
    record = replace(replicated(2, 2), replication=Replication(2, 2, missing=missing))

    assert "process 3 of build 1 is missing: encoder: is damaged" in printed(record)


def test_one_process_that_is_left_of_three_is_no_run_of_its_own() -> None:
    missing = tuple(MissingProcess(n, 0, "interrupted") for n in (1, 2))
    record = replace(replicated(1), replication=Replication(3, 1, missing=missing))

    (group,) = figures_of(record).groups
    text = printed(replace(record, is_complete=False))

    assert not group.pipeline.latency.median.is_finite
    assert "n = 50; 1 of 3 processes;" in text
    assert "process 1 of build 0 is missing: interrupted" in text
    assert "process 2 of build 0 is missing: interrupted" in text
    assert "over 1 process no median has an interval" in " ".join(text.split())


def test_one_process_that_measures_itself_has_no_such_table() -> None:
    assert "Replication" not in printed(make_record(CPU))


def test_what_a_process_measured_twice_is_refused() -> None:
    record = replicated(2)
    twice = replace(record, measurements=(*record.measurements, record.measurements[0]))

    with pytest.raises(RecordError, match="encoder at 1 s by onnxruntime fp32 is there twice"):
        figures_of(twice)


def test_the_first_build_is_the_one_whose_size_is_shown() -> None:
    def engine(build: int) -> Engine:
        return Engine(
            "encoder",
            "onnxruntime",
            "fp32",
            None,
            None,
            1.0,
            1,
            "",
            10 + build,
            1.0,
            {"build": build},
        )

    record = replace(replicated(2, 2), engines=(engine(0), engine(1)))
    (group,) = figures_of(record).groups

    assert group.rows[0].size_bytes == 10


def test_without_the_whole_pipeline_nothing_is_said_of_it() -> None:
    record = replicated(2)
    only = tuple(m for m in record.measurements if m.component == "decoder")
    text = printed(replace(record, measurements=only))

    assert "decoder" in text
    assert "add up to" not in text


def test_json_tells_each_processs_median() -> None:
    record = replicated(3, 2)
    figures = json.loads(to_json(figures_of(record)))["replication_figures"]

    whole = next(figure for figure in figures if figure["component"] == "pipeline")
    assert (whole["processes"], whole["builds"]) == (6, 2)
    assert whole["build"]["sd"] == pytest.approx(np.log(1.05) / np.sqrt(2), rel=0.05)
    assert [one["build"] for one in whole["process_medians"]] == [0, 1, 0, 1, 0, 1]
    parts = [m for m in record.measurements if m.component == "pipeline"]
    assert whole["process_medians"][4]["median_s"] == pytest.approx(
        float(np.median(parts[4].latency_s))
    )


def arrived(mode: str, processes: int = 6, **facts: object) -> Record:
    """Whole inferences as they arrive so, beside back to back, in every process."""
    base = replicated(processes)
    whole = [m for m in base.measurements if m.component == "pipeline"]
    others = tuple(
        replace(
            m,
            mode=mode,
            latency_s=tuple(2.0 * s for s in m.latency_s),
            **{name: (value,) * 2 for name, value in facts.items()},
        )
        for m in whole
    )
    return replace(base, measurements=(*whole, *others))


def test_a_series_is_named_with_how_work_arrived() -> None:
    record = arrived(PACED)
    text = printed(record)

    assert "pipeline, paced" in text
    figures = json.loads(to_json(figures_of(record)))["replication_figures"]
    assert [(f["component"], f["mode"], f["streams"]) for f in figures] == [
        ("pipeline", "hot", 1),
        ("pipeline", PACED, 1),
    ]


def test_streams_of_several_processes_have_a_rate_over_processes() -> None:
    record = arrived(CONCURRENT, block_passes=25, block_wall_s=0.5)
    document = json.loads(to_json(figures_of(record)))

    assert "pipeline, 1 stream" in printed(record)
    (found,) = (m for m in document["measurements"] if m["mode"] == CONCURRENT)
    assert len(found["block_passes"]) == len(found["block_wall_s"]) == 12
    rate = found["concurrent"]["rate_per_s"]
    assert (rate["value"], rate["count"]) == (50.0, 6)


def test_a_pool_keeps_how_late_every_process_was() -> None:
    record = arrived(PACED, lateness_s=1e-5)
    (found,) = (
        g.pipeline.measurement
        for g in figures_of(record).groups
        if g.pipeline.measurement.mode == PACED
    )

    assert found.lateness_s == (1e-5,) * 12


def test_a_series_of_several_is_of_no_process_and_no_build() -> None:
    document = json.loads(to_json(figures_of(replicated(2, 2))))
    assert {(m["process"], m["build"]) for m in document["measurements"]} == {(None, None)}
    document = json.loads(to_json(figures_of(replicated(2))))
    assert {(m["process"], m["build"]) for m in document["measurements"]} == {(None, 0)}


@pytest.mark.parametrize(
    ("over_largest", "words"),
    [
        (2.0, "WITHIN in each of 8 processes. p99 is at most"),
        (0.5, "MISSED in 8 of 8 processes. p99 of process"),
        # One process alone has a largest sample that is above it.
        (1 - 1e-6, "INCONCLUSIVE: known to be within it in 7 of 8 processes. p99 of process"),
    ],
)
def test_a_budget_is_held_against_every_process(over_largest: float, words: str) -> None:
    base = replicated(8)
    longer = tuple(replace(m, latency_s=m.latency_s * 8) for m in base.measurements)
    largest_s = max(max(m.latency_s) for m in longer if m.component == "pipeline")
    budget = Budget(over_largest * largest_s, 1.0, 1, "", "")
    record = replace(base, measurements=longer, budget=budget)
    figures = figures_of(record)
    text = " ".join(printed(record).split())

    assert words in text
    assert ("of other processes up to 31% may miss it" in text) is words.startswith("WITHIN")
    (told,) = json.loads(to_json(figures))["budget_verdicts"]
    assert (told["processes"], told["missed_in"]) == (8, 8 if "MISSED" in words else 0)


def test_the_mark_of_few_processes_is_explained() -> None:
    few = " ".join(printed(lengthened(3)).split())
    assert "~ too few processes for a finite 95 % interval" in few
    assert "~ too few samples" not in few
    assert "~ too few" not in printed(lengthened(6))


def lengthened(processes: int) -> Record:
    base = replicated(processes)
    longer = tuple(replace(m, latency_s=m.latency_s * 8) for m in base.measurements)
    return replace(base, measurements=longer)
