"""The tables of live audio and of several streams."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness.report.figures import Figures, figures_of
from harness.report.json import to_json
from harness.report.terminal import render
from harness.types import CALL, CONCURRENT, GRAPH, HOT, PACED, Budget, Measurement, Record

HOT_MS, PACED_MS, PERIOD_MS = 4.0, 5.0, 100.0


def _measured(mode: str, latency_ms: float, **fields: Any) -> Measurement:
    known = Measurement(
        component="pipeline",
        backend="tensorrt",
        precision="fp16",
        route="flag",
        launch=GRAPH,
        mode=mode,
        clock="host",
        duration_s=0.1,
        batch=1,
        threads=1,
        load_s=0.1,
        first_s=0.2,
        latency_s=(latency_ms / 1e3,) * 400,
        snr_db=45.5,
    )
    return replace(known, **fields)


PACED_PAIR = (
    _measured(
        PACED,
        PACED_MS,
        period_s=PERIOD_MS / 1e3,
        missed_deadlines=2,
        lateness_s=(2e-5,) * 400,
    ),
    _measured(HOT, HOT_MS),
)
STREAMS = tuple(
    _measured(
        CONCURRENT,
        latency_ms,
        streams=streams,
        block_passes=(40,) * 10,
        block_wall_s=(40 * latency_ms / 1e3 / streams,) * 10,
    )
    for streams, latency_ms in ((1, 4.0), (4, 8.0))
)


def _figures(*measurements: Measurement) -> Figures:
    record = Record(
        record_id="id",
        created_utc="2026-01-01T00:00:00+00:00",
        harness_version="0",
        pipeline="voice",
        command=(),
        inputs={"kind": "synthetic", "seed": 0},
        budget=Budget(0.0045, 0.1, 1, "", ""),
        environment={
            "cpu": "a processor",
            "is_virtual_machine": False,
            "load_average_1min": 0.5,
            "python": "3.11.0",
            "packages": {"tensorrt": "8.5", "torch": "2.0"},
        },
        artifacts=(),
        engines=(),
        calibration=None,
        measurements=measurements,
    )
    return figures_of(record)


def _printed(figures: Figures, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(figures))
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def _cells(text: str, first: str) -> list[str]:
    (line,) = (x.strip() for x in text.splitlines() if x.strip().startswith(first))
    return line.removeprefix(first).split()


def test_a_paced_run_is_told_by_chunk_with_buffering_and_against_back_to_back() -> None:
    text = _printed(_figures(*PACED_PAIR), 160)

    assert "0.1 s, paced, a chunk every 100 ms: ms from host to host" in text
    cells = _cells(text, "tensorrt fp16 by flag, graph ")
    # 2 in 400: the bound is that of Clopper and Pearson.
    expected = ["5.00", "5.00", "105", "105", "2/400", "1.6%", "4.00", "1.25", ".020", "45.5"]
    assert cells == expected
    assert "+buf adds the period" in " ".join(text.split())
    # The whole by itself is no table of components, and has no sum to tell.
    assert "add up to" not in text
    assert "ms on the device" not in text


def test_the_budget_is_held_against_how_the_work_was_to_come() -> None:
    # Back to back, and in one stream, it is within: that is not what was asked.
    for measured, arrival in (
        (PACED_PAIR, "paced, by chunk"),
        (STREAMS, "concurrent, 4 streams"),
    ):
        figures = _figures(*measured)
        text = " ".join(_printed(figures, 240).split())
        assert f"p99 <= 4.5 ms end to end at 0.1 s, {arrival}: MISSED" in text
        assert figures.is_missed
        (verdict,) = json.loads(to_json(figures))["budget_verdicts"]
        assert verdict["arrival"] == arrival


def test_a_missed_deadline_is_told_and_missed_whatever_the_budget() -> None:
    paced, hot = (replace(m, latency_s=(0.004,) * 400) for m in PACED_PAIR)
    late, good = _figures(paced, hot), _figures(replace(paced, missed_deadlines=0), hot)

    sentence = "Deadlines, tensorrt fp16 by flag, graph at 0.1 s: MISSED 2 of 400"
    assert "WITHIN" in _printed(late, 240)
    assert sentence in _printed(late, 240)
    assert late.is_missed
    assert "Deadlines" not in _printed(good, 240)
    assert not good.is_missed


@pytest.mark.parametrize(("missed", "told"), [(400, "100%"), (398, "100%"), (380, "97%")])
def test_a_bound_near_all_is_told_as_a_number(missed: int, told: str) -> None:
    paced, hot = PACED_PAIR

    text = _printed(_figures(replace(paced, missed_deadlines=missed), hot), 160)

    assert _cells(text, "tensorrt fp16 by flag, graph ")[5] == told


def test_streams_are_told_with_their_rate_against_one() -> None:
    text = _printed(_figures(*STREAMS), 160)

    assert "0.1 s, concurrent: ms from host to host, inferences a second of all" in text
    name = "tensorrt fp16 by flag, graph"
    rows = [line.split() for line in text.splitlines() if line.strip().startswith(name)]
    assert [" ".join(row[5:]) for row in rows] == [
        "1 1 4.00 4.00 250 250 to 250 1 - - 400 1.60 45.5",
        "4 1 8.00 8.00 500 500 to 500 4 2.00 2.00 400 0.80 45.5",
    ]


@pytest.mark.parametrize("measured", [PACED_PAIR, STREAMS])
def test_nothing_is_cut_off_on_a_narrow_terminal(measured: tuple[Measurement, ...]) -> None:
    text = _printed(_figures(*measured), 80)
    assert "…" not in text


def test_the_json_has_the_same_figures() -> None:
    paced, hot = json.loads(to_json(_figures(*PACED_PAIR)))["measurements"]

    assert paced["paced"]["missed_upper"] == pytest.approx(0.01565, abs=1e-4)
    assert paced["paced"]["buffered_median_s"] == pytest.approx(0.105)
    assert paced["paced"]["ratio_to_hot"] == pytest.approx(1.25)
    assert paced["concurrent"] is None
    assert (hot["paced"], hot["concurrent"]) == (None, None)
    _, four = json.loads(to_json(_figures(*STREAMS)))["measurements"]
    assert four["concurrent"]["rate_per_s"]["value"] == pytest.approx(500.0)
    assert four["concurrent"]["rate_ratio"] == pytest.approx(2.0)
    assert four["streams"] == 4


def test_a_ratio_is_to_pytorch_measured_in_the_same_way() -> None:
    peers = tuple(
        replace(m, backend="torch", precision="fp32", route="", launch=CALL, latency_s=(s,) * 400)
        for m, s in zip(PACED_PAIR, (0.050, 0.020), strict=True)
    )
    figures = _figures(*PACED_PAIR, *peers)

    ratios = {
        (group.backend, group.mode): group.pipeline.ratio_to_torch for group in figures.groups
    }
    assert ratios["tensorrt", PACED] == pytest.approx(0.1)
    assert ratios["tensorrt", HOT] == pytest.approx(0.2)
    # By component there is nothing to compare.
    assert "against PyTorch eager" not in _printed(figures, 160)


@pytest.mark.parametrize("passes", [(), (50,) * 8])
def test_misses_that_come_together_have_a_higher_bound(passes: tuple[int, ...]) -> None:
    paced, hot = PACED_PAIR
    apart, together = [0.005] * 400, [0.005] * 400
    apart[::50] = together[100:108] = [0.11] * 8
    bounds = {}
    for name, latency_s in (("apart", apart), ("together", together)):
        measured = replace(
            paced, latency_s=tuple(latency_s), missed_deadlines=8, block_passes=passes
        )
        (found, _) = json.loads(to_json(_figures(measured, hot)))["measurements"]
        bounds[name] = (found["paced"]["missed_upper"], found["paced"]["worth"])

    assert bounds["apart"] == (pytest.approx(0.0357, abs=1e-3), 400.0)
    assert bounds["together"][0] > 0.07
    assert bounds["together"][1] < 60.0


def test_misses_of_one_process_alone_have_a_higher_bound() -> None:
    paced, hot = PACED_PAIR
    late = [0.005] * 400
    late[::40] = [0.11] * 10
    parts = [
        replace(m, process=process, latency_s=tuple(late) if process == 1 else m.latency_s)
        for process in range(4)
        for m in (replace(paced, missed_deadlines=10 * (process == 1)), hot)
    ]

    paced_figures = json.loads(to_json(_figures(*parts)))["measurements"][0]["paced"]

    assert (paced_figures["missed"], paced_figures["count"]) == (10, 1600)
    assert paced_figures["worth"] < 200.0
