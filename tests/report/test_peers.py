"""What a device could do at best, and what a user would run on it instead."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.report.figures import Figures, figures_of
from harness.report.json import to_json
from harness.types import (
    ENQUEUE,
    GRAPH,
    ComponentCost,
    Engine,
    GraphCost,
    MacCounts,
    Record,
    Variant,
)
from tests.report.devices import (
    COMPONENTS,
    COPIES,
    CPU,
    ENQUEUED,
    FACTOR,
    FLAG,
    FP32,
    INT8,
    LEAST_MS,
    MS,
    PEER16,
    PEER32,
    RECORD,
    TUNED,
    make_record,
    printed_costs,
    printed_device,
)

if TYPE_CHECKING:
    from harness.report.rows import Group, Row


def _rows(figures: Figures) -> dict[tuple[str, Variant], Row]:
    return {
        (row.measurement.component, row.measurement.variant): row
        for group in figures.groups
        for row in (*group.rows, *group.transfers)
    }


def _group(record: Record, variant: Variant) -> Group:
    return next(group for group in figures_of(record).groups if group.variant == variant)


# Rooflines.


@pytest.mark.parametrize("variant", [FP32, FLAG, INT8])
def test_the_least_time_is_that_of_products_or_of_memory_in_the_precision(
    variant: Variant,
) -> None:
    rows = _rows(figures_of(RECORD))

    for name, least_ms in LEAST_MS[variant].items():
        row = rows[name, variant]
        assert row.least_s == pytest.approx(least_ms / 1e3)
        times = MS[name] * FACTOR[variant] / least_ms
        assert row.times_roofline == pytest.approx(times)
    bounds = [rows[name, variant].bound for name in COMPONENTS]
    assert bounds == ["compute" if variant == FP32 else "memory", "memory"]


def test_the_least_time_of_the_whole_is_that_of_its_components_together() -> None:
    rows = _rows(figures_of(RECORD))

    for variant, parts in LEAST_MS.items():
        row = rows["pipeline", variant]
        assert row.least_s == pytest.approx(sum(parts.values()) / 1e3)
        assert row.times_roofline == pytest.approx(6.4 * FACTOR[variant] / sum(parts.values()))
        # One is bound by this and one by that.
        assert row.bound == ""


def test_the_least_time_is_one_and_the_same_however_it_is_launched() -> None:
    rows = _rows(figures_of(RECORD))

    for name in (*COMPONENTS, "pipeline"):
        assert rows[name, ENQUEUED].least_s == rows[name, FP32].least_s
        assert rows[name, PEER32].least_s == rows[name, FP32].least_s
        assert rows[name, PEER16].least_s == rows[name, FLAG].least_s


def test_copies_and_the_processor_have_no_roofline() -> None:
    rows = _rows(figures_of(RECORD))

    for key in [(name, FP32) for name in COPIES] + [(name, CPU) for name in COMPONENTS]:
        row = rows[key]
        assert (row.least_s, row.bound, row.times_roofline) == (None, "", None)


def test_an_engine_that_was_given_has_no_roofline_nor_has_the_whole() -> None:
    """Its precision is not known, and with it not the rate that its products could run at."""
    given = Engine(
        component=COMPONENTS[0],
        backend=FLAG.backend,
        precision=FLAG.precision,
        route=FLAG.route,
        memory_bytes=1,
        nodes=None,
        duration_s=1.0,
        batch=1,
        details={"given": "mine.engine"},
    )

    rows = _rows(figures_of(replace(RECORD, engines=(given,))))

    assert rows[COMPONENTS[0], FLAG].least_s is None
    assert rows["pipeline", FLAG].least_s is None
    assert rows[COMPONENTS[1], FLAG].least_s == pytest.approx(LEAST_MS[FLAG][COMPONENTS[1]] / 1e3)
    assert rows["pipeline", INT8].least_s is not None


@pytest.mark.parametrize("fields", [{"ceilings": None}, {"costs": ()}])
def test_without_ceilings_or_costs_there_is_no_roofline(fields: dict[str, Any]) -> None:
    record = replace(RECORD, **fields)

    assert {row.least_s for row in _rows(figures_of(record)).values()} == {None}
    assert not any("roof" in line.split() for line in printed_costs(record, 160))


def test_a_roofline_is_that_of_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    other = tuple(replace(cost, batch=2) for cost in RECORD.costs)

    assert _group(replace(RECORD, costs=other), FP32).pipeline.least_s is None
    assert _group(replace(RECORD, costs=RECORD.costs + other), FP32).pipeline.least_s is not None


def test_a_graph_of_the_precision_tells_its_own_cost() -> None:
    """Half of it stayed in fp32: the builder's own choice could have been all of it."""
    kept = GraphCost(MacCounts(int8=5 * 10**8, fp32=5 * 10**8), 10**8, 0, 0)
    typed, qdq = Variant("tensorrt", "int8", "qdq", GRAPH), INT8
    record = make_record(FP32, typed, qdq)
    record = replace(record, costs=(*record.costs, ComponentCost("encoder", "int8", 1.0, 1, kept)))

    rows = _rows(figures_of(record))

    assert rows["encoder", typed].least_s == pytest.approx(0.5e9 / 16e12 + 0.5e9 / 1e12)
    assert rows["encoder", typed].bound == "compute"
    assert rows["encoder", INT8].least_s == pytest.approx(0.2e-3)


# The peer.


def test_the_peer_is_pytorch_in_the_precision_that_it_is_fastest_in() -> None:
    for group in figures_of(RECORD).groups:
        # Nothing of PyTorch was enqueued.
        if group.variant in {CPU, ENQUEUED}:
            assert (group.peer, group.ratio_to_peer) == (None, None)
            continue
        assert group.peer == PEER16
        assert group.ratio_to_peer == pytest.approx(FACTOR[group.variant] / FACTOR[PEER16])


@pytest.mark.parametrize(
    ("measured", "peer"),
    [
        ([PEER32], PEER32),
        ([PEER32, PEER16], PEER16),
        ([PEER16, TUNED, PEER32], TUNED),
        ([replace(PEER16, route="compile"), PEER32], replace(PEER16, route="compile")),
        # Not what is launched in another way, and no processor.
        ([replace(PEER16, launch=ENQUEUE), PEER32], PEER32),
        ([replace(PEER16, launch=ENQUEUE)], None),
        ([Variant("torch", "fp32")], None),
        ([], None),
    ],
)
def test_which_is_the_peer(measured: list[Variant], peer: Variant | None) -> None:
    group = _group(make_record(FP32, *measured), FP32)

    assert group.peer == peer
    assert (group.ratio_to_peer is None) == (peer is None)


def test_each_way_of_launching_has_a_peer_of_its_own() -> None:
    enqueued = replace(PEER32, launch=ENQUEUE)
    record = make_record(FP32, ENQUEUED, PEER16, enqueued)

    assert _group(record, FP32).peer == PEER16
    assert _group(record, ENQUEUED).peer == enqueued
    assert _group(record, ENQUEUED).ratio_to_peer == pytest.approx(1.5 / 1.9)
    text = " ".join(" ".join(printed_device(record, 160)).split())
    named = "torch-cuda fp16 (graph), torch-cuda fp32 (enqueue)"
    assert f"vs peer: p50 over that of {named}, in this run" in text


def test_a_peer_of_another_case_is_none() -> None:
    record = replace(
        RECORD,
        measurements=tuple(
            replace(m, batch=2) if m.backend == "torch-cuda" else m for m in RECORD.measurements
        ),
    )

    assert _group(record, FP32).peer is None
    assert _group(record, PEER32).peer == PEER16


def test_json_tells_the_roof_and_the_peer() -> None:
    rows = json.loads(to_json(figures_of(RECORD)))["measurements"]

    whole = {
        (row["backend"], row["precision"], row["route"], row["launch"]): row
        for row in rows
        if row["component"] == "pipeline"
    }
    for group in figures_of(RECORD).groups:
        v = group.variant
        row = whole[v.backend, v.precision, v.route, v.launch]
        assert row["peer"] == (None if group.peer is None else str(group.peer))
        assert row["ratio_to_peer"] == group.ratio_to_peer
        assert row["least_s"] == group.pipeline.least_s
    parts = [row for row in rows if row["component"] != "pipeline"]
    assert {row["peer"] for row in parts} == {None}
    assert {"compute", "memory"} & {row["bound"] for row in parts}
