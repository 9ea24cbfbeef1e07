"""A report of made up times says so, whichever backend they stand for."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.terminal import render
from harness.report.words import budget_sentence
from harness.types import Budget, Record
from tests.report.devices import CPU, FLAG, FP32, make_record


def played_back(*, simulated: bool) -> Record:
    record = make_record(CPU)
    budget = Budget(p99_s=0.1, duration_s=1.0, batch=1, includes="", excludes="")
    measured = tuple(replace(m, simulated=simulated) for m in record.measurements)
    return replace(record, budget=budget, measurements=measured)


def text_of(record: Record) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200).print(render(figures_of(record)))
    return stream.getvalue()


@pytest.mark.parametrize("simulated", [True, False])
def test_labels_titles_and_verdicts_say_it_exactly_where_it_is_so(simulated: bool) -> None:
    record = played_back(simulated=simulated)
    figures = figures_of(record)

    assert figures.is_simulated is simulated
    (group,) = figures.groups
    assert group.title == "onnxruntime fp32, 1 s, hot" + (", SIMULATED" if simulated else "")
    assert {row.label for row in group.rows} == {"simulated fp32" if simulated else "fp32"}
    (budget,) = figures.budgets
    assert budget.simulated is simulated
    assert (", SIMULATED: MISSED." in budget_sentence(budget)) is simulated
    document = json.loads(to_json(figures))
    assert document["simulated"] is simulated
    (verdict,) = document["budget_verdicts"]
    assert verdict["simulated"] is simulated
    assert (verdict["label"] == "simulated fp32") is simulated
    assert ("simulated" in text_of(record).lower()) is simulated


def test_a_backend_of_that_name_is_not_called_so_twice() -> None:
    record = played_back(simulated=True)
    measured = tuple(replace(m, backend="simulated") for m in record.measurements)
    (group,) = figures_of(replace(record, measurements=measured)).groups

    assert group.title == "simulated fp32, 1 s, hot"
    assert group.pipeline.label == "fp32"


def test_a_table_of_several_precisions_says_it_of_each() -> None:
    record = make_record(FP32, FLAG)
    measured = tuple(replace(m, simulated=m.precision == "fp16") for m in record.measurements)
    told = text_of(replace(record, measurements=measured))

    assert "simulated fp16 by flag" in told
    assert "simulated fp32" not in told
