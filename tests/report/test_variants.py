"""Routes to a precision, ways of launching, and copies: each apart from the other."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.errors import RecordError
from harness.report.figures import figures_of
from harness.report.gate import missed_reasons, open_reasons
from harness.report.json import to_json
from harness.report.precisions import render_accuracies, render_costs
from harness.report.terminal import render
from harness.states import FAIL, Finding, Validity
from harness.types import (
    CALL,
    COLD,
    ENQUEUE,
    GRAPH,
    Artifact,
    Budget,
    Engine,
    Measurement,
    MissingProcess,
    NodeCounts,
    Record,
    Replication,
    Variant,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.figures import Figures
    from harness.report.rows import Row

COMPONENTS = ("encoder", "decoder")
COPIES = ("host_to_device", "device_to_host", "host_enqueue")
# Milliseconds in fp32, as a graph.
MS = {"encoder": 4.0, "decoder": 8.0, "pipeline": 10.0} | dict.fromkeys(COPIES, 100.0)

CPU = Variant("torch", "fp32")
FP32, FLAG, TYPED = (
    Variant("tensorrt", precision, route, GRAPH)
    for precision, route in (("fp32", ""), ("fp16", "flag"), ("fp16", "graph types"))
)
ENQUEUED = Variant("tensorrt", "fp32", "", ENQUEUE)
FLAG_ENQUEUED = Variant("tensorrt", "fp16", "flag", ENQUEUE)
FACTOR = {CPU: 50.0, FP32: 1.0, FLAG: 0.5, TYPED: 0.25, ENQUEUED: 2.0, FLAG_ENQUEUED: 1.5}


def _measurement(component: str, variant: Variant, **fields: Any) -> Measurement:
    known = Measurement(
        component=component,
        backend=variant.backend,
        precision=variant.precision,
        route=variant.route,
        launch=variant.launch,
        mode="hot",
        clock="host" if variant.launch == CALL else "cuda events",
        duration_s=1.0,
        batch=1,
        threads=2,
        load_s=0.1,
        first_s=0.2,
        latency_s=(MS[component] * FACTOR[variant] / 1e3,) * 20,
        snr_db=30.0,
        min_snr_db=20.0,
    )
    if component in COPIES:
        known = replace(known, snr_db=None, min_snr_db=None)
    return replace(known, **fields)


def _engine(component: str, variant: Variant) -> Engine:
    # Asked for by a flag, most of it stays as it was.
    typed, flag = NodeCounts(fp16=10), NodeCounts(fp16=1, fp32=9)
    return Engine(
        component=component,
        backend="tensorrt",
        precision=variant.precision,
        route=variant.route,
        memory_bytes=10_000_000 * (1 + len(variant.route)),
        nodes={"": NodeCounts(fp32=10), "flag": flag, "graph types": typed}[variant.route],
        duration_s=1.0,
        batch=1,
        size_bytes=1_000_000 * (1 + len(variant.route)),
        build_s=12.5,
        details={"library": "tensorrt 10.0"},
    )


RECORD = Record(
    record_id="id",
    created_utc="2026-01-01T00:00:00+00:00",
    harness_version="0",
    pipeline="voice",
    command=(),
    inputs={"kind": "synthetic", "seed": 0},
    budget=Budget(0.0075, 1.0, 1, "", ""),
    environment={
        "cpu": "a processor",
        "is_virtual_machine": False,
        "load_average_1min": 0.5,
        "python": "3.11.0",
        "packages": {"tensorrt": "10.0", "torch": "2.0"},
    },
    artifacts=tuple(
        Artifact(name, precision, "00" * 20, 77_000_000, 1_000, 1e-7)
        for precision in ("fp32", "fp16")
        for name in COMPONENTS
    ),
    engines=tuple(_engine(c, v) for v in (FP32, FLAG, TYPED) for c in COMPONENTS),
    calibration=None,
    measurements=tuple(
        _measurement(component, variant)
        for variant in FACTOR
        for component in (
            *COMPONENTS,
            "pipeline",
            *(COPIES if variant.launch == GRAPH else ()),
        )
    ),
)


def _rows(figures: Figures) -> dict[tuple[str, Variant], Row]:
    return {
        (row.measurement.component, row.measurement.variant): row
        for group in figures.groups
        for row in (*group.rows, *group.transfers)
    }


def _names(rows: Sequence[Row]) -> list[str]:
    return [row.measurement.component for row in rows]


def _printed(*parts: Any, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


# Copies.


def test_copies_are_kept_apart_from_the_components() -> None:
    for group in figures_of(RECORD).groups:
        assert _names(group.rows) == ["encoder", "decoder", "pipeline"]
        assert _names(group.transfers) == (list(COPIES) if group.variant.launch == GRAPH else [])
        assert group.pipeline.measurement.component == "pipeline"


def test_copies_stay_apart_wherever_they_stand_in_the_record() -> None:
    for measurements in (
        RECORD.measurements[::-1],
        sorted(RECORD.measurements, key=lambda m: m.component not in COPIES),
    ):
        for group in figures_of(replace(RECORD, measurements=tuple(measurements))).groups:
            assert set(_names(group.rows)) == {"encoder", "decoder", "pipeline"}
            assert set(_names(group.transfers)) <= set(COPIES)


def test_copies_are_not_added_to_the_components() -> None:
    without = replace(
        RECORD, measurements=tuple(m for m in RECORD.measurements if m.component not in COPIES)
    )

    for figures in (figures_of(RECORD), figures_of(without)):
        sums_s = {group.variant: group.sum_of_medians_s for group in figures.groups}
        assert sums_s == {variant: pytest.approx(12e-3 * f) for variant, f in FACTOR.items()}
    verdicts = [budget.verdict for budget in figures_of(RECORD).budgets]
    assert verdicts == [budget.verdict for budget in figures_of(without).budgets]


def test_copies_have_neither_engines_nor_graphs() -> None:
    rows = _rows(figures_of(RECORD))

    for name in COPIES:
        row = rows[name, FLAG]
        assert (row.size_bytes, row.memory_bytes) == (None, None)
        assert (row.graph_nodes, row.engine_nodes, row.mostly) == (None, None, "")
        assert not row.is_pipeline


def test_copies_have_no_floor_to_keep() -> None:
    """Whatever a record says: accuracy is that of what is computed."""
    record = replace(
        RECORD,
        measurements=tuple(
            replace(m, min_snr_db=20.0) if m.component in COPIES else m for m in RECORD.measurements
        ),
    )

    figures = figures_of(record)

    assert figures.unchecked_floors == ()
    assert figures.missed_floors == ()


def test_json_holds_the_copies_beside_the_components() -> None:
    document = json.loads(to_json(figures_of(RECORD)))

    assert len(document["measurements"]) == len(RECORD.measurements)
    copies = [row for row in document["measurements"] if row["component"] in COPIES]
    assert len(copies) == 3 * 3
    assert {row["summary"]["median"]["value"] for row in copies} == {0.1, 0.05, 0.025}


# Routes.


def test_a_route_is_part_of_the_label() -> None:
    rows = _rows(figures_of(RECORD))

    assert rows["encoder", TYPED].label == "fp16 by graph types"
    assert rows["encoder", FLAG].label == "fp16 by flag (mostly fp32)"
    assert rows["encoder", FLAG_ENQUEUED].label == "fp16 by flag (mostly fp32)"
    assert rows["encoder", FP32].label == "fp32"
    assert rows["encoder", CPU].label == "fp32"


def test_a_route_without_anything_known_of_its_nodes_is_labelled_with_the_route_alone() -> None:
    unknown = tuple(replace(engine, nodes=None) for engine in RECORD.engines)
    empty = tuple(replace(engine, nodes=NodeCounts()) for engine in RECORD.engines)

    labels = [
        _rows(figures_of(replace(RECORD, engines=engines)))["encoder", FLAG].label
        for engines in (unknown, empty)
    ]

    assert labels == ["fp16 by flag", "fp16 by flag (no products)"]


def test_each_route_has_its_own_engine() -> None:
    rows = _rows(figures_of(RECORD))

    for name, count in (("encoder", 1), ("pipeline", 2)):
        for variant in (FP32, FLAG, FLAG_ENQUEUED, TYPED):
            share = count * (1 + len(variant.route))
            assert rows[name, variant].size_bytes == 1_000_000 * share
            assert rows[name, variant].memory_bytes == 10_000_000 * share
    assert rows["pipeline", FLAG].engine_nodes == NodeCounts(fp16=2, fp32=18)
    assert rows["pipeline", TYPED].engine_nodes == NodeCounts(fp16=20)


def test_the_size_is_that_of_what_was_built_and_else_that_of_the_graph() -> None:
    unbuilt = tuple(replace(engine, size_bytes=None) for engine in RECORD.engines)

    row = _rows(figures_of(replace(RECORD, engines=unbuilt)))["encoder", FLAG]

    assert row.size_bytes == 77_000_000
    assert _rows(figures_of(RECORD))["encoder", CPU].size_bytes is None


def test_an_engine_that_was_given_is_named_and_taken_for_no_precision() -> None:
    """It may be of anything: a time of fp16 must not stand in a row that says INT8."""
    engines = tuple(
        replace(engine, details={"given": "mine.engine"}, nodes=None)
        if (engine.component, engine.route) == ("encoder", FLAG.route)
        else engine
        for engine in RECORD.engines
    )

    rows = _rows(figures_of(replace(RECORD, engines=engines)))

    assert rows["encoder", FLAG].label == "mine.engine, given"
    assert rows["pipeline", FLAG].label == "fp16 by flag (mine.engine given)"
    for name in ("encoder", "pipeline"):
        assert rows[name, FLAG].graph_nodes is None
        assert rows[name, FLAG].size_bytes == _rows(figures_of(RECORD))[name, FLAG].size_bytes
    assert rows["encoder", FLAG_ENQUEUED].label == "mine.engine, given"
    assert "given" not in rows["encoder", TYPED].label


def test_the_name_of_a_given_file_is_no_markup() -> None:
    engines = tuple(
        replace(engine, details={"given": "v[/b]:smile:.engine"}) for engine in RECORD.engines
    )

    rows = _rows(figures_of(replace(RECORD, engines=engines)))

    assert rows["encoder", FLAG].label == "v__b__smile_.engine, given"


# Launches.


def test_fp32_is_compared_with_what_was_launched_alike() -> None:
    rows = _rows(figures_of(RECORD))

    for name in (*COMPONENTS, "pipeline"):
        assert rows[name, FLAG].ratio_to_fp32 == pytest.approx(0.5)
        assert rows[name, TYPED].ratio_to_fp32 == pytest.approx(0.25)
        assert rows[name, FLAG_ENQUEUED].ratio_to_fp32 == pytest.approx(1.5 / 2.0)
        assert rows[name, FP32].ratio_to_fp32 == rows[name, ENQUEUED].ratio_to_fp32 == 1.0


def test_without_fp32_launched_alike_there_is_no_ratio_to_it() -> None:
    record = replace(
        RECORD, measurements=tuple(m for m in RECORD.measurements if m.variant != ENQUEUED)
    )

    rows = _rows(figures_of(record))

    assert rows["pipeline", FLAG_ENQUEUED].ratio_to_fp32 is None
    assert rows["pipeline", FLAG].ratio_to_fp32 == pytest.approx(0.5)


def test_every_launch_is_compared_with_pytorch() -> None:
    rows = _rows(figures_of(RECORD))

    assert rows["pipeline", FLAG].ratio_to_torch == pytest.approx(0.5 / 50.0)
    assert rows["pipeline", ENQUEUED].ratio_to_torch == pytest.approx(2.0 / 50.0)
    assert rows["pipeline", CPU].ratio_to_torch is None
    text = _printed(render(figures_of(RECORD)))
    ratios = text[text.index("median against PyTorch") :]
    # A column for each that is told apart.
    assert ratios.count("by flag") >= 2
    assert ratios.split("encoder")[0].count("graph types") == 1
    assert ratios.split("encoder")[0].count("enqueue") == 2


def test_what_is_launched_differently_is_not_read_side_by_side() -> None:
    side_by_side = [[group.variant for group in groups] for groups in figures_of(RECORD).by_backend]

    assert side_by_side == [[CPU], [FP32, FLAG, TYPED], [ENQUEUED, FLAG_ENQUEUED]]


def test_a_series_is_there_twice_only_if_route_and_launch_are_the_same() -> None:
    assert len(figures_of(RECORD).groups) == len(FACTOR)
    for measurement in RECORD.measurements:
        doubled = replace(RECORD, measurements=(*RECORD.measurements, measurement))
        with pytest.raises(RecordError, match="is there twice") as caught:
            figures_of(doubled)
        assert str(measurement.variant) in caught.value.what


def test_every_route_and_launch_has_a_budget_to_keep() -> None:
    figures = figures_of(RECORD)

    # Not PyTorch, which is the peer.
    variants = [FP32, FLAG, TYPED, ENQUEUED, FLAG_ENQUEUED]
    assert [budget.variant for budget in figures.budgets] == variants
    text = " ".join(_printed(render(figures)).split())
    for subject in (
        "tensorrt fp32, graph",
        "tensorrt fp16 by flag (mostly fp32), graph",
        "tensorrt fp16 by graph types, graph",
        "tensorrt fp32, enqueue",
        "tensorrt fp16 by flag (mostly fp32), enqueue",
    ):
        assert text.count(f"Budget, {subject}: p99 <= 7.5 ms end to end at 1 s") == 1
    verdicts = json.loads(to_json(figures))["budget_verdicts"]
    assert [(v["backend"], v["precision"], v["route"], v["launch"]) for v in verdicts] == [
        (v.backend, v.precision, v.route, v.launch) for v in variants
    ]


def test_a_floor_that_is_missed_is_told_once_however_it_was_launched() -> None:
    record = replace(
        RECORD,
        measurements=tuple(
            replace(m, snr_db=5.0) if (m.component, m.route) == ("decoder", "flag") else m
            for m in RECORD.measurements
        ),
    )

    figures = figures_of(record)

    assert [row.measurement.variant for row in figures.missed_floors] == [FLAG, FLAG_ENQUEUED]
    text = " ".join(_printed(render(figures)).split())
    assert text.count("decoder (tensorrt, fp16 by flag (mostly fp32)) is wrong") == 1


def test_tables_name_the_launch_and_the_routes() -> None:
    _, as_graphs, enqueued = figures_of(RECORD).by_backend

    costs = _printed(render_costs(as_graphs))
    accuracies = _printed(render_accuracies(as_graphs, ""))
    others = _printed(render_costs(enqueued), render_accuracies(enqueued, ""))

    assert costs.startswith("tensorrt, graph, 1 s, hot: latency in ms")
    # What it is worth does not depend on how it is launched.
    assert accuracies.startswith("tensorrt, 1 s: accuracy against PyTorch fp32")
    assert "tensorrt, enqueue, 1 s, hot: latency in ms" in others
    for label in ("fp16 by flag (mostly fp32)", "fp16 by graph types"):
        assert costs.count(label) == 3
    for asked in ("fp16 by flag", "fp16 by graph types"):
        assert accuracies.count(asked) == 3
    assert "mostly" not in accuracies
    # The launch that returns when it is done needs no name.
    assert "torch fp32, 1 s, hot: latency in ms" in _printed(render(figures_of(RECORD)))


def test_json_tells_the_route_and_launch_of_each_row_and_how_its_engine_was_built() -> None:
    document = json.loads(to_json(figures_of(RECORD)))

    told = {
        (row["component"], row["backend"], row["precision"], row["route"], row["launch"])
        for row in document["measurements"]
    }
    assert len(told) == len(RECORD.measurements)
    engine = next(e for e in document["engines"] if e["route"] == "flag")
    assert (engine["size_bytes"], engine["build_s"]) == (5_000_000, 12.5)
    assert engine["details"] == {"library": "tensorrt 10.0"}


def test_the_main_table_says_what_ran() -> None:
    record = replace(
        RECORD,
        measurements=tuple(m for m in RECORD.measurements if m.variant == FLAG),
    )

    text = " ".join(_printed(render(figures_of(record))).split())

    assert "tensorrt fp16 by flag (mostly fp32), graph, 1 s, hot: latency in ms" in text
    assert "2 of 20 convolutions and products ran in fp16" in text


def test_what_a_budget_is_not_of_is_told() -> None:
    budget = Budget(0.0075, 1.0, 1, "", "")
    cold = tuple(replace(m, mode=COLD) for m in RECORD.measurements if m.variant == FP32)
    parts = tuple(m for m in RECORD.measurements if m.variant == FP32 and m.component == "encoder")
    for measurements, told in (
        (cold, "not judged: it is one of the mode hot, and this run is cold"),
        (parts, "not judged: it is one of the whole pipeline, which was not measured"),
    ):
        figures = figures_of(replace(RECORD, budget=budget, measurements=measurements))
        assert f"end to end at 1 s: {told}" in _printed(render(figures))
        assert open_reasons(figures) == [f"the budget of tensorrt fp32, graph is {told}"]
        (verdict,) = json.loads(to_json(figures))["budget_verdicts"]
        assert (verdict["verdict"], verdict["reason"]) == ("not measured", told)
    elsewhere = figures_of(replace(RECORD, budget=replace(budget, duration_s=9.0)))
    assert "end to end at 9 s: not measured in this run" in _printed(render(elsewhere))


def test_what_makes_a_run_missed_or_open_is_told() -> None:
    floors = tuple(replace(m, min_snr_db=99.0) for m in RECORD.measurements)
    figures = figures_of(replace(RECORD, budget=Budget(1e-9, 1.0, 1, "", ""), measurements=floors))
    reasons = missed_reasons(figures)
    assert "the budget is missed by tensorrt fp32, graph" in reasons
    assert reasons[-1] == "an accuracy floor is missed"
    unchecked = tuple(replace(m, snr_db=None) for m in RECORD.measurements)
    bad = Validity((Finding(FAIL, "hot", "cool"),))
    lost = Replication(2, 1, missing=(MissingProcess(1, 0, "died"),))
    record = replace(RECORD, measurements=unchecked, validity=bad, replication=lost)
    found = open_reasons(figures_of(record))
    assert found[:2] == ["1 process is missing", "the machine's state makes the run invalid"]
    assert "the budget of tensorrt fp16 by graph types, graph is inconclusive" in found
    assert found[-1] == "accuracy floors are not checked"
