"""Precisions side by side, from records of which every figure is known."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.errors import RecordError
from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.precisions import render_accuracies, render_costs
from harness.report.promises import mostly_other, named_precision
from harness.report.terminal import render
from harness.report.words import floor_sentence, held_sentence
from harness.types import Artifact, Budget, Engine, Measurement, NodeCounts, Record

if TYPE_CHECKING:
    from harness.report.figures import Figures
    from harness.report.rows import Row

PRECISIONS = ("fp32", "fp16", "int8", "int8-ort", "int8+fp16")
COMPONENTS = ("content_encoder", "pitch_encoder", "vocoder")
# Milliseconds of each component, and of the pipeline.
FP32_MS = {"content_encoder": 40.0, "pitch_encoder": 2.0, "vocoder": 160.0, "pipeline": 200.0}
FACTOR = {"fp32": 1.0, "fp16": 1.25, "int8": 1.5, "int8-ort": 0.5, "int8+fp16": 2.0}


def _measurement(component: str, precision: str, **fields: Any) -> Measurement:
    known = Measurement(
        component=component,
        backend="onnxruntime",
        precision=precision,
        mode="hot",
        clock="host",
        duration_s=1.0,
        batch=1,
        threads=2,
        load_s=0.1,
        first_s=0.2,
        latency_s=(FP32_MS[component] * FACTOR[precision] / 1e3,) * 20,
        accuracy_inputs=4,
        snr_db=43.21,
        constant_snr_db=3.41,
        dependent_snr_db=40.98,
        relative_l2=0.0069,
        log_spectral_distance_db=0.77 if component in {"vocoder", "pipeline"} else None,
        min_snr_db=20.0,
    )
    return replace(known, **fields)


def _artifact(component: str, precision: str) -> Artifact:
    asked = NodeCounts(**{named_precision(precision): 9, "fp32": 9 * (precision == "fp32") or 1})
    nodes = None if precision == "fp32" else asked
    return Artifact(component, precision, "00" * 20, 2_500_000, 1_000, 1e-7, nodes)


def _engine(component: str, precision: str) -> Engine:
    # All but int8-ort runs in fp32.
    ran = NodeCounts(int8=8, fp32=2) if precision == "int8-ort" else NodeCounts(fp32=10)
    return Engine(component, "onnxruntime", precision, 123_456_789, ran, 1.0, 1)


ENVIRONMENT = {
    "cpu": "a processor",
    "is_virtual_machine": False,
    "load_average_1min": 0.5,
    "python": "3.11.0",
    "packages": {"onnxruntime": "1.0", "torch": "2.0"},
}
RECORD = Record(
    record_id="id",
    created_utc="2026-01-01T00:00:00+00:00",
    harness_version="0",
    pipeline="voice",
    command=(),
    inputs={"kind": "synthetic", "seed": 0},
    budget=Budget(0.25, 1.0, 1, "", ""),
    environment=ENVIRONMENT,
    artifacts=tuple(_artifact(c, p) for p in PRECISIONS for c in COMPONENTS),
    engines=tuple(_engine(c, p) for p in PRECISIONS for c in COMPONENTS),
    calibration=None,
    measurements=tuple(_measurement(c, p) for p in PRECISIONS for c in (*COMPONENTS, "pipeline")),
)


def _changed(component: str, precision: str, **fields: Any) -> Record:
    """The record with other fields in one of its measurements."""
    return replace(
        RECORD,
        measurements=tuple(
            replace(m, **fields) if (m.component, m.precision) == (component, precision) else m
            for m in RECORD.measurements
        ),
    )


def _row(figures: Figures, component: str, precision: str, backend: str = "onnxruntime") -> Row:
    (row,) = (
        row
        for group in figures.groups
        for row in group.rows
        if (row.measurement.component, row.measurement.precision, row.measurement.backend)
        == (component, precision, backend)
    )
    return row


def _printed(*parts: Any, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def _tables(record: Record, width: int = 80) -> tuple[list[str], list[str]]:
    """The lines of the table of latencies, and of that of accuracies."""
    (groups,) = figures_of(record).by_backend
    costs, accuracies = render_costs(groups), render_accuracies(groups, " that calibrated nothing")
    return _printed(costs, width=width), _printed(accuracies, width=width)


# What counts as quantized.


@pytest.mark.parametrize(
    ("precision", "named"),
    [
        ("fp32", "fp32"),
        ("fp16", "fp16"),
        ("int8", "int8"),
        ("int8-ort", "int8"),
        ("int8+fp16", "int8"),
    ],
)
def test_the_precision_that_a_name_promises(precision: str, named: str) -> None:
    assert named_precision(precision) == named


@pytest.mark.parametrize(
    ("precision", "nodes", "expected"),
    [
        ("int8", NodeCounts(int8=5, fp32=5), ""),
        ("int8", NodeCounts(int8=4, fp32=5), "fp32"),
        ("int8", NodeCounts(int8=5, fp16=3, fp32=3), "fp32"),
        ("int8-ort", NodeCounts(int8=9, fp32=1), ""),
        ("int8-ort", NodeCounts(fp32=3), "fp32"),
        ("int8+fp16", NodeCounts(int8=1, fp16=5, fp32=4), "fp16"),
        ("int8+fp16", NodeCounts(int8=5, fp16=5), ""),
        ("fp16", NodeCounts(fp16=1, fp32=2), "fp32"),
        ("fp16", NodeCounts(fp16=2, fp32=2), ""),
        ("fp32", NodeCounts(fp32=7), ""),
        ("int8", NodeCounts(), ""),
    ],
)
def test_under_half_in_the_precision_asked_for_is_mostly_another(
    precision: str, nodes: NodeCounts, expected: str
) -> None:
    got = mostly_other(precision, nodes)

    # Of two others that are equally many either is right.
    assert got == expected or (nodes.fp16 == nodes.fp32 and got in {"fp16", "fp32"})
    assert bool(got) == bool(expected)


def test_what_a_graph_holds_in_words() -> None:
    assert held_sentence("int8", NodeCounts(int8=25, fp32=8)) == (
        "25 of 33 convolutions and products in int8"
    )
    assert held_sentence("int8+fp16", NodeCounts(int8=1, fp16=3)) == (
        "1 of 4 convolutions and products in int8, mostly fp16"
    )
    assert held_sentence("fp16", NodeCounts(fp16=2, fp32=2)) == (
        "2 of 4 convolutions and products in fp16"
    )
    assert held_sentence("int8", NodeCounts()) == "no convolutions or matrix products"


def _only(precision: str, graph: NodeCounts | None, ran: NodeCounts | None) -> Row:
    """The row of one component, with these counts."""
    record = replace(
        RECORD,
        measurements=(_measurement("vocoder", precision),),
        artifacts=(replace(_artifact("vocoder", precision), nodes=graph),),
        engines=(replace(_engine("vocoder", precision), nodes=ran),),
    )
    return _row(figures_of(record), "vocoder", precision)


def test_a_label_tells_what_ran_and_without_that_what_the_graph_asks_for() -> None:
    held, none = NodeCounts(int8=10), NodeCounts(fp32=10)

    assert _only("int8", held, none).label == "int8 (mostly fp32)"
    assert _only("int8", none, held).label == "int8"
    assert _only("int8", none, None).label == "int8 (mostly fp32)"
    assert _only("int8", held, None).label == "int8"
    assert _only("int8", None, None).label == "int8"
    # Looked into, and there is nothing to multiply: not even what the graph says counts.
    assert _only("int8", none, NodeCounts()).label == "int8 (no products)"


# Figures.


def test_a_ratio_is_taken_in_the_same_backend_and_case_alone() -> None:
    def of(precision: str, ms: float, **fields: Any) -> Measurement:
        return _measurement("pipeline", precision, latency_s=(ms / 1e3,) * 3, **fields)

    record = replace(
        RECORD,
        measurements=(
            of("fp32", 10.0),
            of("int8", 4.0),
            of("int8", 7.0, duration_s=2.0),
            of("int8", 8.0, batch=2),
            of("fp32", 40.0, backend="torch"),
            of("int8", 30.0, backend="another"),
        ),
    )

    rows = {
        (m.backend, m.precision, m.duration_s, m.batch): row
        for group in figures_of(record).groups
        for row in group.rows
        for m in [row.measurement]
    }

    ratios = {key: row.ratio_to_fp32 for key, row in rows.items()}
    assert ratios == {
        ("onnxruntime", "fp32", 1.0, 1): 1.0,
        ("onnxruntime", "int8", 1.0, 1): pytest.approx(0.4),
        ("onnxruntime", "int8", 2.0, 1): None,
        ("onnxruntime", "int8", 1.0, 2): None,
        ("torch", "fp32", 1.0, 1): 1.0,
        ("another", "int8", 1.0, 1): None,
    }
    assert rows["onnxruntime", "int8", 1.0, 1].ratio_to_torch == pytest.approx(0.1)
    assert rows["onnxruntime", "int8", 2.0, 1].ratio_to_torch is None


def test_sizes_and_nodes_of_a_component_are_those_of_its_precision() -> None:
    row = _row(figures_of(RECORD), "vocoder", "int8-ort")

    assert row.size_bytes == 2_500_000
    assert row.memory_bytes == 123_456_789
    assert row.graph_nodes == NodeCounts(int8=9, fp32=1)
    assert row.engine_nodes == NodeCounts(int8=8, fp32=2)


def test_those_of_the_pipeline_are_the_sums_of_its_components() -> None:
    row = _row(figures_of(RECORD), "pipeline", "int8-ort")

    assert row.size_bytes == 3 * 2_500_000
    assert row.memory_bytes == 3 * 123_456_789
    assert row.graph_nodes == NodeCounts(int8=27, fp32=3)
    assert row.engine_nodes == NodeCounts(int8=24, fp32=6)


def test_a_sum_of_which_a_part_is_not_known_is_not_known() -> None:
    engines = list(RECORD.engines)
    at = next(i for i, e in enumerate(engines) if (e.component, e.precision) == ("vocoder", "int8"))
    engines[at] = replace(engines[at], memory_bytes=None, nodes=None)
    figures = figures_of(replace(RECORD, engines=tuple(engines)))

    whole = _row(figures, "pipeline", "int8")
    assert whole.memory_bytes is None
    assert whole.engine_nodes is None
    assert whole.size_bytes == 3 * 2_500_000
    assert _row(figures, "content_encoder", "int8").memory_bytes == 123_456_789
    assert _row(figures, "pipeline", "fp16").memory_bytes == 3 * 123_456_789


def test_pytorch_has_neither_graphs_nor_engines() -> None:
    peer = _measurement("vocoder", "fp32", backend="torch")
    figures = figures_of(replace(RECORD, measurements=(*RECORD.measurements, peer)))

    row = _row(figures, "vocoder", "fp32", backend="torch")

    assert (row.size_bytes, row.memory_bytes, row.graph_nodes, row.engine_nodes) == (None,) * 4
    assert row.ratio_to_torch is None


def test_a_series_that_is_there_twice_is_refused() -> None:
    doubled = replace(RECORD, measurements=(*RECORD.measurements, RECORD.measurements[-1]))

    with pytest.raises(RecordError, match="is there twice"):
        figures_of(doubled)


def test_every_precision_has_a_budget_to_keep() -> None:
    budgets = figures_of(RECORD).budgets

    assert [budget.variant.precision for budget in budgets] == list(PRECISIONS)
    text = " ".join(_printed(render(figures_of(RECORD)), width=200))
    for budget in budgets:
        assert budget.label.split(" ")[0] in PRECISIONS
        assert f"Budget, onnxruntime {budget.label}: p99 <= 250 ms end to end at 1 s" in text


# The tables.


def _lines_of(lines: list[str], component: str) -> list[str]:
    """The lines of a component's block: from its name to the next line that is empty."""
    start = next(index for index, line in enumerate(lines) if line.strip().startswith(component))
    block = []
    for line in lines[start:]:
        if not line.strip(" ─"):
            break
        block.append(line)
    return block


def test_there_is_a_line_for_each_precision_in_both_tables_at_80_columns() -> None:
    costs, accuracies = _tables(RECORD)

    for lines in (costs, accuracies):
        assert max(map(len, lines)) <= 80
        assert "…" not in "".join(lines)
        for component in (*COMPONENTS, "pipeline"):
            block = _lines_of(lines, component)
            assert len(block) == len(PRECISIONS)
            for line, precision in zip(block, PRECISIONS, strict=True):
                assert precision in line.split()
            assert component in block[0]


def test_latencies_stand_beside_their_ratio_and_what_they_cost() -> None:
    costs, _ = _tables(RECORD)

    assert costs[0].strip() == "onnxruntime, 1 s, hot: latency in ms, size in MB"
    assert _lines_of(costs, "vocoder")[0].split() == [
        *("vocoder", "fp32", "160", "~160", "1.00", "2.50", "123.46")
    ]
    assert _lines_of(costs, "vocoder")[3].split() == [
        *("int8-ort", "80.0", "~80.0", "0.50", "2.50", "123.46")
    ]
    assert _lines_of(costs, "pipeline")[2].split() == [
        *("int8", "(mostly", "fp32)", "300", "~300", "1.50", "7.50", "370.37")
    ]


def test_a_precision_that_hardly_ran_is_labelled_for_what_it_is() -> None:
    costs, _ = _tables(RECORD)

    assert "int8-ort (mostly" not in " ".join(costs)
    for component in (*COMPONENTS, "pipeline"):
        labels = [line for line in _lines_of(costs, component) if "(mostly fp32)" in line]
        assert len(labels) == 3  # fp16, int8 and int8+fp16


def test_accuracies_stand_beside_those_of_a_constant() -> None:
    _, accuracies = _tables(RECORD)

    assert _lines_of(accuracies, "vocoder")[3].split() == [
        *("int8-ort", "43.2", "3.4", "41.0", "6.9e-03", "0.77", "9/10", "8/10")
    ]
    # No audio comes out of the first, and no graph of fp32 was looked into.
    assert _lines_of(accuracies, "content_encoder")[0].split()[-3:] == ["6.9e-03", "-", "10/10"]
    assert "over 4 inputs that calibrated nothing" in " ".join(accuracies)


def test_what_is_under_its_floor_is_marked_wrong_at_any_width() -> None:
    record = _changed("vocoder", "int8", snr_db=19.99)

    for width in (80, 120):
        _, accuracies = _tables(record, width)
        text = " ".join(" ".join(_lines_of(accuracies, "vocoder")).split())
        assert text.count("wrong") == 1
        assert "…" not in "".join(accuracies)
        assert max(map(len, accuracies)) <= width
        for component in ("content_encoder", "pitch_encoder", "pipeline"):
            assert "wrong" not in " ".join(_lines_of(accuracies, component))
    (missed,) = figures_of(record).missed_floors
    assert floor_sentence(missed) == (
        "vocoder (onnxruntime, int8 (mostly fp32)) is wrong: 19.99 dB against PyTorch fp32, "
        "the floor is 20 dB"
    )


def test_an_output_that_is_not_finite_is_wrong_too() -> None:
    figures = figures_of(_changed("vocoder", "int8", snr_db=-math.inf, relative_l2=math.inf))

    assert [row.measurement.precision for row in figures.missed_floors] == ["int8"]
    assert figures.is_missed


def test_what_is_not_known_is_a_dash() -> None:
    unknown: dict[str, Any] = {
        "snr_db": None,
        "constant_snr_db": None,
        "dependent_snr_db": None,
        "relative_l2": None,
        "log_spectral_distance_db": None,
    }
    record = replace(_changed("vocoder", "int8", **unknown), artifacts=(), engines=())
    record = replace(
        record, measurements=tuple(m for m in record.measurements if m.precision != "fp32")
    )

    costs, accuracies = _tables(record)

    assert _lines_of(costs, "vocoder")[1].split() == ["int8", "240", "~240", "-", "-", "-"]
    assert _lines_of(accuracies, "vocoder")[1].split() == ["int8", *"------"]
    assert "memory: after" not in " ".join(costs)


def test_what_has_no_error_is_called_exact() -> None:
    _, accuracies = _tables(_changed("vocoder", "fp32", snr_db=math.inf, relative_l2=0.0))

    assert _lines_of(accuracies, "vocoder")[0].split()[:3] == ["vocoder", "fp32", "exact"]


def test_a_series_that_an_interruption_left_out_is_no_matter() -> None:
    """What was interrupted in its first round has the series of some precisions only."""
    record = replace(RECORD, measurements=RECORD.measurements[:4] + RECORD.measurements[8:12])

    costs, accuracies = _tables(record)

    for lines in (costs, accuracies):
        block = _lines_of(lines, "vocoder")
        assert ["fp32" in block[0], "int8" in block[1], len(block)] == [True, True, 2]


def test_precisions_side_by_side_replace_the_tables_of_each() -> None:
    several = "\n".join(_printed(render(figures_of(RECORD))))
    alone = replace(RECORD, measurements=RECORD.measurements[:4])
    single = "\n".join(_printed(render(figures_of(alone))))

    assert "accuracy against PyTorch fp32" in several
    assert "jitter" not in several
    assert "accuracy against PyTorch fp32" not in single
    assert "onnxruntime fp32, 1 s, hot: latency in ms" in single
    # Only what was exported is among the exported components: once, not in each precision.
    exported = several.split("latency in ms")[0]
    assert exported.count("vocoder") == 1


def test_one_precision_other_than_fp32_is_shown_with_its_accuracy_too() -> None:
    alone = replace(RECORD, measurements=RECORD.measurements[8:12])

    text = "\n".join(_printed(render(figures_of(alone))))

    assert "accuracy against PyTorch fp32" in text
    assert "int8 (mostly fp32)" in text


# JSON.


def test_json_has_null_for_what_is_infinite_or_unknown() -> None:
    record = _changed(
        "vocoder",
        "int8",
        snr_db=math.inf,
        constant_snr_db=-math.inf,
        dependent_snr_db=math.nan,
        relative_l2=math.inf,
        log_spectral_distance_db=None,
    )

    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    document = json.loads(to_json(figures_of(record)), parse_constant=refuse)

    (row,) = (
        row
        for row in document["measurements"]
        if (row["component"], row["precision"]) == ("vocoder", "int8")
    )
    names = ("snr_db", "constant_snr_db", "dependent_snr_db", "relative_l2")
    assert [row[name] for name in names] == [None] * 4
    assert row["log_spectral_distance_db"] is None


def test_json_holds_the_figures_of_each_row_and_the_engines() -> None:
    document = json.loads(to_json(figures_of(RECORD)))

    rows = {(row["component"], row["precision"]): row for row in document["measurements"]}
    assert len(rows) == len(document["measurements"]) == 20
    row = rows["pipeline", "int8-ort"]
    assert row["ratio_to_fp32"] == pytest.approx(0.5)
    assert row["size_bytes"] == 7_500_000
    assert row["memory_bytes"] == 3 * 123_456_789
    assert row["graph_nodes"] == {"int8": 27, "fp16": 0, "fp32": 3}
    assert row["engine_nodes"] == {"int8": 24, "fp16": 0, "fp32": 6}
    assert row["mostly"] is None
    assert rows["vocoder", "int8"]["mostly"] == "fp32"
    assert rows["vocoder", "fp32"]["graph_nodes"] is None
    assert len(document["engines"]) == 15
    assert document["engines"][0]["nodes"] == {"int8": 0, "fp16": 0, "fp32": 10}


@pytest.mark.parametrize(
    ("snr_db", "told"),
    [(math.inf, "exact"), (43.21, "compared"), (-math.inf, "compared"), (None, "none")],
)
def test_json_tells_an_exact_output_from_one_that_was_not_checked(
    snr_db: float | None, told: str
) -> None:
    record = replace(RECORD, measurements=(_measurement("vocoder", "fp32", snr_db=snr_db),))

    (row,) = json.loads(to_json(figures_of(record)))["measurements"]

    assert row["accuracy"] == told
    assert row["snr_db"] == (43.21 if snr_db == 43.21 else None)
