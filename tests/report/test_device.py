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
from harness.report.precisions import render_costs
from harness.report.terminal import render
from harness.types import (
    ENQUEUE,
    GRAPH,
    Record,
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
    printed_device,
)


def _words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _line(lines: list[str], *starts: str) -> list[str]:
    """The words of the one line that begins so."""
    (found,) = (line.split() for line in lines if line.split()[: len(starts)] == list(starts))
    return found[len(starts) :]


def _report(record: Record, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(figures_of(record)))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def _costs(record: Record, backend: str, launch: str = GRAPH) -> list[str]:
    """The lines of the table of what each precision costs."""
    (groups,) = (
        groups
        for groups in figures_of(record).by_backend
        if (groups[0].backend, groups[0].variant.launch) == (backend, launch)
    )
    console = Console(file=io.StringIO(), width=80)
    console.print(render_costs(groups))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


# All that there is of one library, with every peer.
BUILT = (FP32, FLAG, INT8, Variant("tensorrt", "int8+fp16", "qdq+flag", GRAPH))
MANY = (*BUILT, *(replace(v, launch=ENQUEUE) for v in BUILT), PEER32, PEER16, TUNED)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("variants", [tuple(FACTOR), MANY])
def test_nothing_is_wider_than_the_terminal_and_no_number_is_cut(
    variants: tuple[Variant, ...], width: int
) -> None:
    lines = printed_device(make_record(*variants), width)

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    text = _words(lines)
    for number in (" 6.4 ", " 3.2 ", " 1.6 ", " 9.6 ", " 25.6 ", " 12.8 "):
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

    lines = _report(record, 80)

    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    for name in names:
        assert sum(line.split()[:1] == [name] for line in lines) >= 4
    # The worst of them, of which a cell has the least room.
    assert _words(lines).count(" 2.0 p ") == 5


@pytest.mark.parametrize("width", [80, 160])
def test_the_whole_report_fits(width: int) -> None:
    lines = _report(RECORD, width)

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert "NVIDIA H200 (GPU-0)" in _words(lines)


def test_every_variant_of_the_device_is_one_line() -> None:
    lines = printed_device(RECORD, 160)

    expected = {
        ("tensorrt", "fp32", "graph"): "6.4 6.4 6 .400 .250 .500 .125 45.5 0.50",
        ("tensorrt", "fp16", "by", "flag", "graph"): "3.2 3.2 3 .200 .250 .500 .125 45.5 0.25",
        ("tensorrt", "fp32", "enqueue"): "9.6 9.6 9 .600 .250 .500 .125 45.5 -",
        ("torch-cuda", "fp16", "graph"): "12.8 12.8 12 .800 .250 .500 .125 45.5 1.00",
    }
    for start, cells in expected.items():
        assert _line(lines, *start) == cells.split()
    text = _words(lines)
    assert text.startswith("end to end at 1 s, hot: ms on the device")
    assert "vs peer: p50 over that of torch-cuda fp16, graph, in this run" in text
    assert "onnxruntime" not in text


def test_a_whole_that_is_faster_than_its_parts_has_gaps_below_nothing() -> None:
    record = replace(
        make_record(FP32),
        measurements=tuple(
            replace(m, latency_s=(5.5e-3,) * 400) if m.component == "pipeline" else m
            for m in make_record(FP32).measurements
        ),
    )

    assert _line(printed_device(record, 160), "tensorrt", "fp32", "graph")[:4] == [
        *("5.5", "5.5", "6", "-.500")
    ]


def test_copies_that_were_not_measured_are_dashes() -> None:
    lines = printed_device(make_record(FP32, ENQUEUED, copies=("host_enqueue",)), 160)

    assert _line(lines, "tensorrt", "fp32", "enqueue")[4:7] == ["-", "-", ".125"]
    assert "vs peer" not in _words(lines)


def test_times_the_roofline_stand_beside_the_latencies_with_what_binds_them() -> None:
    record = make_record(FP32, FLAG, PEER32)
    lines = _costs(record, "tensorrt")

    roofs = {
        ("encoder", "fp32"): ["2.0", "p"],
        ("fp16", "by", "flag", "1", "1", "0.50"): ["3.3", "m"],
        ("decoder", "fp32"): ["2.0", "m"],
        ("pipeline", "fp32"): ["2.1"],
        ("fp16", "by", "flag", "3.2", "3.2", "0.50"): ["1.8"],
    }
    for start, roof in roofs.items():
        cells = _line(lines, *start)
        place = 3 if "fp32" in start else 0
        assert cells[place : place + len(roof)] == roof
    assert "roof: p50 over the least time that products (p) or memory traffic (m)" in _words(lines)
    peer = _costs(record, "torch-cuda")
    assert _line(peer, "encoder", "fp32")[3:5] == ["8.0", "p"]


def test_a_roof_that_is_not_known_is_a_dash_beside_those_that_are() -> None:
    """As fp32 beside graphs in fp16 alone."""
    half = tuple(
        replace(c, precision="fp16", cost=c.cost.in_precision("fp16")) for c in RECORD.costs
    )
    record = make_record(PEER32, PEER16, costs=half)

    lines = _costs(record, "torch-cuda")

    assert _line(lines, "encoder", "fp32")[3] == "-"
    assert _line(lines, "fp16", "4", "4", "0.50")[:2] == ["13.3", "m"]
    # Where none is known there is no column of it.
    unknown = _costs(replace(record, costs=()), "torch-cuda")
    assert "roof" not in _words(unknown)


def test_the_ceilings_are_told_once() -> None:
    both = replace(
        RECORD,
        measurements=RECORD.measurements + tuple(replace(m, batch=2) for m in RECORD.measurements),
    )

    for record in (RECORD, both):
        text = _words(printed_device(record, 80))
        assert text.count("products fp32 2, fp16 8, int8 32 T(FL)OP/s (cuBLAS 11.11.3") == 1
        assert "copies 1.00 TB/s, read and written" in text
    without = replace(RECORD, ceilings=None)
    assert "T(FL)OP/s" not in _words(printed_device(without, 80))


def test_every_case_has_tables_of_its_own() -> None:
    both = replace(
        RECORD,
        measurements=RECORD.measurements + tuple(replace(m, batch=2) for m in RECORD.measurements),
    )

    text = _words(printed_device(both, 160))

    titles = re.findall(r"end to end at 1 s(?:, batch 2)?, hot", text)
    assert titles == ["end to end at 1 s, hot", "end to end at 1 s, batch 2, hot"]


def test_where_nothing_ran_on_a_device_nothing_is_told_of_one() -> None:
    assert render_device(figures_of(make_record(CPU))) == []


def test_json_holds_the_costs_and_the_ceilings() -> None:
    document = json.loads(to_json(figures_of(RECORD)))

    assert document["ceilings"]["matrix_macs_per_s"] == CEILINGS.matrix_macs_per_s
    assert [cost["component"] for cost in document["costs"]] == list(COMPONENTS)
