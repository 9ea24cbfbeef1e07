"""What ran on a device: variants side by side, what their rooflines would allow, their peer."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from harness.report.device import render_device
from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.terminal import render
from harness.report.words import sum_sentence
from harness.types import (
    COLD,
    ENQUEUE,
    GRAPH,
    Variant,
)
from tests.report.devices import (
    CEILINGS,
    COMPONENTS,
    CPU,
    ENQUEUED,
    FACTOR,
    FLAG,
    FP32,
    INT8,
    PEER16,
    PEER32,
    RECORD,
    TUNED,
    make_record,
    printed_costs,
    printed_device,
)


def _words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _line(lines: list[str], *starts: str) -> list[str]:
    """The words of the one line that begins so."""
    (found,) = (line.split() for line in lines if line.split()[: len(starts)] == list(starts))
    return found[len(starts) :]


# What returns when the device is done, by the host's clock.
WAITED = Variant("onnxruntime-cuda", "fp32")
# All that there is of one library, with every peer.
BUILT = (FP32, FLAG, INT8, Variant("tensorrt", "int8+fp16", "qdq+flag", GRAPH))
MANY = (*BUILT, *(replace(v, launch=ENQUEUE) for v in BUILT), PEER32, PEER16, TUNED)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("variants", [tuple(FACTOR), MANY])
def test_nothing_is_wider_than_the_terminal_and_no_number_is_cut(
    variants: tuple[Variant, ...], width: int
) -> None:
    record = make_record(*variants)
    lines = [*printed_device(record, width), *printed_costs(record, width)]

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    text = _words(lines)
    for number in (" 6.40 ", " 3.20 ", " 1.60 ", " 25.6 ", " 12.8 ", " 13.3 m "):
        assert number in text


def test_the_names_of_a_real_pipeline_are_whole_on_80_columns() -> None:
    names = ("content_encoder", "pitch_encoder", "conditioner", "flow_decoder", "latent_to_mel")
    extra = Variant("onnxruntime-cuda", "fp16", "", ENQUEUE)
    record = make_record(*MANY, extra)
    record = replace(
        record,
        measurements=tuple(
            replace(m, component=name)
            for m in record.measurements
            for name in (names if m.component == "encoder" else [m.component])
        ),
        costs=tuple(
            replace(c, component=name)
            for c in record.costs
            for name in (names if c.component == "encoder" else [c.component])
        ),
    )

    lines = [*printed_device(record, 80), *printed_costs(record, 80)]

    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    for name in names:
        assert any(line.split()[:2] == [name, "fp32"] for line in lines)


@pytest.mark.parametrize("width", [80, 160])
def test_the_whole_report_fits(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(figures_of(RECORD)))
    text = console.file.getvalue()  # type: ignore[attr-defined]

    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "NVIDIA H200 (GPU-0)" in " ".join(text.split())


def test_every_variant_of_the_device_is_one_line() -> None:
    lines = printed_device(make_record(*FACTOR, WAITED), 160)

    expected = {
        ("tensorrt", "fp32", "graph"): "6.40 6.40 6.00 .400 .250 .500 .125 45.5 0.50",
        ("tensorrt", "fp16", "by", "flag", "graph"): "3.20 3.20 3.00 .200 .250 .500 .125 45.5 0.25",
        ("tensorrt", "fp32", "enqueue"): "9.60 9.60 9.00 .600 .250 .500 .125 45.5 -",
        ("torch-cuda", "fp16", "graph"): "12.8 12.8 12.0 .800 .250 .500 .125 45.5 1.00",
    }
    for start, cells in expected.items():
        assert _line(lines, *start) == cells.split()
    text = _words(lines)
    assert text.startswith("end to end at 1 s, hot: ms on the device")
    assert "vs peer: p50 over that of torch-cuda fp16 (graph), in this run" in text
    assert "onnxruntime fp32" not in text


def test_a_whole_that_is_faster_than_its_parts_has_gaps_below_nothing() -> None:
    record = replace(
        make_record(FP32),
        measurements=tuple(
            replace(m, latency_s=(5.5e-3,) * 400) if m.component == "pipeline" else m
            for m in make_record(FP32).measurements
        ),
    )

    assert _line(printed_device(record, 160), "tensorrt", "fp32", "graph")[:4] == [
        *("5.50", "5.50", "6.00", "-.500")
    ]


def test_copies_that_were_not_measured_are_dashes() -> None:
    lines = printed_device(make_record(FP32, ENQUEUED, copies=("host_enqueue",)), 160)

    assert _line(lines, "tensorrt", "fp32", "enqueue")[4:7] == ["-", "-", ".125"]
    assert "vs peer" not in _words(lines)


def test_what_waits_for_the_device_is_beside_the_others_and_what_needs_none_is_not() -> None:
    lines = printed_device(make_record(FP32, WAITED, CPU), 160)

    cells = ["call", "12.2", "12.2", "11.4", ".760", "-", "-", "-", "45.5"]
    assert _line(lines, "onnxruntime-cuda", "fp32") == cells
    text = _words(lines)
    assert "onnxruntime fp32" not in text
    assert "call: the host's clock, waits included" in text
    # Of a way of launching that is not there, nothing is told.
    assert "enqueue:" not in text
    assert "call:" not in _words(printed_device(make_record(FP32, ENQUEUED), 160))
    assert "enqueue: events" in _words(printed_device(make_record(FP32, ENQUEUED), 160))


def test_rooflines_are_told_by_component_with_what_binds_them() -> None:
    table = printed_costs(make_record(FP32, FLAG), 160)

    assert _line(table, "component", "precision")[2:] == ["vs", "fp32", "roof", "disk", "memory"]
    assert _line(table, "encoder", "fp32")[3:] == ["2.0", "p", "-", "-"]
    assert _line(table, "decoder", "fp32")[3:] == ["2.0", "m", "-", "-"]
    assert _line(table, "pipeline", "fp32")[3:] == ["2.1", "-", "-"]
    told = [line.split()[-4:-2] for line in table if line.split()[:3] == ["fp16", "by", "flag"]]
    assert told == [["3.3", "m"], ["1.3", "m"], ["0.50", "1.8"]]
    text = _words(table)
    assert "roof: p50 over the least time that products (p) or memory traffic (m)" in text
    peer = printed_costs(make_record(PEER32), 160)
    assert _line(peer, "encoder", "fp32")[3:5] == ["8.0", "p"]
    assert _line(peer, "decoder", "fp32")[3:5] == ["8.0", "m"]
    assert _line(peer, "pipeline", "fp32")[3] == "8.5"


def test_the_ceilings_are_told_once() -> None:
    text = _words(printed_device(RECORD, 160))

    assert text.count("The roof is that of this device as measured") == 1
    assert "products fp32 2, fp16 8, int8 32 T(FL)OP/s (cuBLAS 11.11.3" in text
    assert "copies 1.00 TB/s" in text
    without = _words(printed_device(replace(RECORD, ceilings=None), 160))
    assert "roof" not in without.lower()


def test_a_variant_whose_cost_is_not_known_has_no_roof() -> None:
    """As fp32 beside graphs in fp16 alone."""
    half = tuple(
        replace(c, precision="fp16", cost=c.cost.in_precision("fp16")) for c in RECORD.costs
    )

    text = _words(printed_costs(make_record(FP32, PEER16, costs=half), 160))

    own, peer = text.removeprefix("tensorrt, graph").split("torch-cuda, graph")
    assert "roof" not in own
    assert "vs fp32 roof disk memory" in peer
    assert " 13.3 m " in peer


def test_every_case_has_tables_of_its_own() -> None:
    both = replace(
        RECORD,
        measurements=RECORD.measurements + tuple(replace(m, batch=2) for m in RECORD.measurements),
    )

    text = _words(printed_device(both, 160))

    titles = re.findall(r"end to end at 1 s(?:, batch 2)?", text)
    assert titles == ["end to end at 1 s", "end to end at 1 s, batch 2"]


def test_where_nothing_ran_on_a_device_nothing_is_told_of_one() -> None:
    assert render_device(figures_of(make_record(CPU))) == []


def test_json_holds_the_costs_and_the_ceilings() -> None:
    document = json.loads(to_json(figures_of(RECORD)))

    assert document["ceilings"]["matrix_macs_per_s"] == CEILINGS.matrix_macs_per_s
    assert [cost["component"] for cost in document["costs"]] == list(COMPONENTS)


def test_a_sum_of_cold_components_is_explained() -> None:
    record = make_record(FP32)
    cold = replace(record, measurements=tuple(replace(m, mode=COLD) for m in record.measurements))
    (hot_group,), (cold_group,) = figures_of(record).groups, figures_of(cold).groups

    told = "components' medians add up to 6.00 ms, -6.2% against the pipeline's median"
    assert sum_sentence(hot_group) == told
    assert sum_sentence(cold_group) == (
        f"{told}: each component's caches are flushed before it, the pipeline's once"
    )
