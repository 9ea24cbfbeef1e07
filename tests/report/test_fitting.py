"""Tables on terminals of any width: names may break, figures never."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.history.output import _table
from harness.report.figures import figures_of
from harness.report.fitting import FittedTable, fold_name
from harness.report.sweep import render_sweep
from harness.report.tables import milliseconds_of, table_of
from harness.report.terminal import render
from harness.store.parquet import read_record
from harness.types import (
    CONCURRENT,
    HOT,
    PACED,
    Artifact,
    Budget,
    Engine,
    Measurement,
    NodeCounts,
    Record,
    SweepRow,
)
from tests.report.devices import CPU, FLAG, FP32, INT8, PEER16, make_record

WIDTHS = (60, 80, 120, 200)
LONG = {
    "encoder": "bidirectional_context_encoder",
    "decoder": "autoregressive_flow_matching_decoder_with_attention",
}
# From far under a microsecond to minutes, and medians that nothing knows.
SCALES = (1e-5, 1.0, 123456.789)


def printed(parts: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(parts)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def long_names(record: Record, scale: float) -> Record:
    def changed(measured: Measurement) -> Measurement:
        # The spread makes every quantile another, and the last few have no interval.
        latency_s = tuple(s * scale * (1 + i % 97 / 50) for i, s in enumerate(measured.latency_s))
        return replace(
            measured,
            component=LONG.get(measured.component, measured.component),
            latency_s=latency_s[:50],
            load_s=measured.load_s * scale,
            first_s=measured.first_s * scale,
            snr_db=-129.6 if measured.snr_db else None,
            min_snr_db=30.0,
            constant_snr_db=-3.1,
            dependent_snr_db=131.4,
            relative_l2=3.1e-6,
            log_spectral_distance_db=12.34,
            accuracy_inputs=4,
        )

    return replace(
        record,
        measurements=tuple(map(changed, record.measurements)),
        artifacts=tuple(
            Artifact(name, "fp32", "0" * 40, 10**11, 10**10, 1.23e-10, NodeCounts(fp32=1234))
            for name in LONG.values()
        ),
        engines=tuple(
            Engine(name, v.backend, v.precision, 10**11, NodeCounts(1, 2, 1234), 1.0, 1, v.route)
            for name in LONG.values()
            for v in (CPU, FP32, FLAG, INT8)
        ),
        budget=Budget(0.1, 1.0, 1, "", ""),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scale", SCALES)
def test_no_figure_of_a_report_is_cut(width: int, scale: float) -> None:
    figures = figures_of(long_names(make_record(CPU, FP32, FLAG, INT8, PEER16), scale))

    text = printed(render(figures), width)

    assert "…" not in text
    lines = [line.split() for line in text.splitlines()]
    assert max(len(line) for line in text.splitlines()) <= width
    # The main figures are there at any width, whole: p50 and p99 of each group in one line.
    for group in figures.groups:
        latency = group.pipeline.latency
        wanted = {milliseconds_of(latency.median), milliseconds_of(latency.p99)}
        assert any(wanted <= set(line) for line in lines), (group.variant, wanted)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("modes", [(PACED, HOT), (CONCURRENT, CONCURRENT)])
def test_no_figure_of_another_arrival_is_cut(width: int, modes: tuple[str, str]) -> None:
    (whole,) = (m for m in make_record(FLAG).measurements if m.component == "pipeline")
    measured = tuple(
        replace(
            whole,
            mode=mode,
            streams=streams,
            snr_db=12.3,
            min_snr_db=40.0,
            period_s=0.1 if mode == PACED else None,
            missed_deadlines=399 if mode == PACED else None,
            lateness_s=(1e-3,) * 400 if mode == PACED else (),
            latency_s=tuple(12.3456 + i * 1e-3 for i in range(400)),
            block_passes=(40,) * 10,
            block_wall_s=(1e-4,) * 9 + (2e-4,),
        )
        for mode, streams in zip(modes, (1, 64) if CONCURRENT in modes else (1, 1), strict=True)
    )

    text = printed(render(figures_of(make_record(FLAG, measurements=measured))), width)

    assert "…" not in text
    assert "12545" in text.replace("~", "").split()  # p50
    if CONCURRENT in modes:
        assert "3.636e+05" in text.split()


def test_where_there_is_room_nothing_is_left_out() -> None:
    text = printed(render(figures_of(long_names(make_record(CPU), 1.0))), 200)
    assert "left out" not in text
    assert LONG["decoder"] in text


def test_a_long_name_takes_several_lines_and_stays_whole() -> None:
    text = printed(render(figures_of(long_names(make_record(CPU), 1.0))), 80)

    firsts = [line[1:].split(" ")[0] for line in text.splitlines() if line.startswith(" ")]
    assert LONG["encoder"] in "".join(firsts)
    assert LONG["decoder"] in "".join(firsts)


def test_what_is_left_out_is_told_and_is_the_least_worth() -> None:
    text = " ".join(printed(render(figures_of(long_names(make_record(CPU), 1e3))), 60).split())

    assert "left out for want of width: jitter" in text
    assert "(--json has all)" in text
    assert "p50" in text


def test_what_cannot_be_left_out_is_split() -> None:
    rules = {f"percentile {99 + i / 100}": float(-100 - i) for i in range(12)}
    rows = [
        SweepRow(
            "int8",
            rule,
            {**dict.fromkeys(LONG.values(), snr), "pipeline": snr},
            {**dict.fromkeys(LONG.values(), -1.0), "pipeline": -1.0},
        )
        for rule, snr in rules.items()
    ]

    text = printed(render_sweep(rows), 60)

    words = text.split()
    assert "…" not in text
    for rule, snr in rules.items():
        assert rule.replace("percentile ", "p") in words
        assert words.count(f"{snr:.1f}") >= 3
    # Every part has the names again, and there is one title.
    assert words.count("component") > 1
    assert text.count("by clipping rule") == 1


def test_a_column_wider_than_the_terminal_is_not_cut() -> None:
    table = table_of("wide")
    table.add_column("figure", no_wrap=True)
    table.add_row("name", "1234567890" * 5)

    text = printed(table, 30)

    assert "1234567890" * 5 in "".join(text.replace("name", "").split())


def test_a_table_may_be_printed_again_at_another_width() -> None:
    table = table_of("twice", ("spare",))
    table.add_column("spare", no_wrap=True)
    table.add_column("kept", no_wrap=True)
    table.add_row("name", "1" * 20, "2" * 20)
    assert isinstance(table, FittedTable)

    narrow, wide = printed(table, 40), printed(table, 80)

    assert "left out for want of width: spare" in " ".join(narrow.split())
    assert "1" * 20 in wide
    assert "left out" not in wide


@given(st.text("ab_-. ", min_size=1, max_size=60), st.integers(1, 30))
def test_a_folded_name_has_all_its_letters(name: str, width: int) -> None:
    lines = fold_name(name, width)
    assert "".join("".join(lines).split()) == "".join(name.split())
    assert all(len(line) <= width for line in lines)


def test_a_name_breaks_after_an_underscore() -> None:
    assert fold_name("bidirectional_context_encoder", 16) == [
        "bidirectional_",
        "context_encoder",
    ]
    assert fold_name("tensorrt fp16 by flag, graph", 22) == ["tensorrt fp16 by flag,", "graph"]
    assert fold_name("abcdefgh", 3) == ["abc", "def", "gh"]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_figure_of_a_history_is_cut(width: int) -> None:
    names = ["date", "component", "variant", *(f"figure_{n}_s" for n in range(12))]
    rows = [["2026-01-01", LONG["decoder"], "tensorrt fp16 by flag, graph"] + [12.345678] * 12]

    text = printed(_table(names, rows), width)

    assert "…" not in text
    assert text.split().count("1.235e+04") == 12


EXAMPLES = sorted((Path(__file__).parents[2] / "reports/examples/h200").glob("*.parquet"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_figure_of_a_real_record_is_cut(path: Path) -> None:
    figures = figures_of(read_record(path))
    for width in WIDTHS:
        text = printed(render(figures), width)
        assert "…" not in text
        assert max(len(line) for line in text.splitlines()) <= width
    # As docs/records.md has it: two of them are older than any judgement of the machine.
    validity = figures.record.validity
    known = {"enqueue": None, "routes": None}
    assert (validity and validity.status) == known.get(path.stem, "valid")
