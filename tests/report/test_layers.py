"""The times of layers, and what a report notes of engines that were not built."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness.report.figures import figures_of
from harness.report.layers import render_layers
from harness.report.terminal import render
from harness.types import Budget, Engine, Record, Variant
from tests.report.devices import CPU, FP32, make_record

WAITED = Variant("onnxruntime-cuda", "fp32")


def _engine(component: str = "decoder", **details: Any) -> Engine:
    return Engine(component, "tensorrt", "fp16", 1, None, 1.0, 1, route="flag", details=details)


def _layers(count: int, name: str = "layer") -> list[dict[str, Any]]:
    """The slowest takes as many microseconds as there are layers, the last 1."""
    return [{"layer": f"{name} {n}", "median_s": n * 1e-6} for n in range(count, 0, -1)]


def _lines(*engines: Engine, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    for table in render_layers(engines):
        console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def _words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _report(record: Record) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(render(figures_of(record)))
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_the_slowest_layers_are_told_with_their_share_of_the_sum() -> None:
    lines = _lines(_engine(layer_times=_layers(10), layers_timed=10))

    assert _words(lines).startswith("decoder (tensorrt fp16 by flag): the slowest layers")
    shown = [line.split() for line in lines if line.strip().startswith("layer ")][1:]
    assert shown[0] == ["layer", "10", "10.0", "18.2%"]
    assert [row[1] for row in shown] == ["10", "9", "8", "7", "6", "5", "4", "3"]
    caption = _words(lines)
    assert "2 faster layers left out; share: of the sum of all 10, 0.055 ms" in caption
    assert "run one by one here, so that the sum is more than the latency" in caption


@pytest.mark.parametrize(
    ("known", "count", "caption"),
    [
        (30, 200, "192 faster layers left out; share: of the sum of the 30 slowest,"),
        (30, None, "22 or more faster layers left out; share: of the sum of the 30 slowest,"),
        (9, 9, "1 faster layer left out; share: of the sum of all 9,"),
    ],
)
def test_layers_that_are_left_out_are_counted(known: int, count: int | None, caption: str) -> None:
    told: dict[str, Any] = {} if count is None else {"layers_timed": count}

    assert caption in _words(_lines(_engine(layer_times=_layers(known), **told)))


def test_of_few_layers_none_is_left_out() -> None:
    text = _words(_lines(_engine(layer_times=_layers(8), layers_timed=8)))

    assert "left out" not in text
    assert "layer 1 1.0 2.8%" in text


def test_long_names_are_cut_so_that_the_numbers_stay() -> None:
    times = _layers(3, name="/decoder/blocks/0/conv + " * 20)

    lines = _lines(_engine(layer_times=times, layers_timed=3))

    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert sum("..." in line for line in lines) == 3
    assert any(line.split()[-2:] == ["3.0", "50.0%"] for line in lines)


@pytest.mark.parametrize("name", ["{ForeignNode[/enc/a.../enc/b]}", "[bold] copy [/bold]"])
def test_brackets_in_a_name_are_no_markup(name: str) -> None:
    lines = _lines(_engine(layer_times=[{"layer": name, "median_s": 1e-6}], layers_timed=1))

    assert any(line.split()[:-2] == name.split() for line in lines)


def test_a_layer_that_takes_no_time_has_no_share() -> None:
    lines = _lines(_engine(layer_times=[{"layer": "none", "median_s": 0.0}]))

    assert any(line.split() == ["none", "0.0", "-"] for line in lines)


def test_engines_whose_layers_were_not_timed_have_no_table() -> None:
    timed = _engine("encoder", layer_times=_layers(2), layers_timed=2)

    assert _lines(_engine(), _engine(layer_times=[])) == []
    assert _report(make_record(FP32, engines=(timed, _engine()))).count("the slowest layers") == 1


def test_an_engine_that_was_given_is_told() -> None:
    given = _engine(given="mine.engine", header="TensorRT 8.5")

    text = _report(make_record(FP32, engines=(given, _engine("encoder"))))

    told = "decoder (tensorrt fp16 by flag): mine.engine, given by --engine, not built here"
    assert told in text
    assert text.count("given by --engine") == 1


@pytest.mark.parametrize(
    ("layers", "without_choice", "told"),
    [
        ({"fp16_sums": 0}, [], "0 layers sum products in fp16 all the same; kernels were chosen"),
        ({"fp16_sums": 3}, ["a", "b"], "3 layers sum products in fp16 all the same, 2 for want of"),
        ({"problem": "no GPU"}, [], "nobody can tell which layers sum in fp16; kernels were"),
    ],
)
def test_what_sums_in_fp16_all_the_same_is_told(
    layers: dict[str, Any], without_choice: list[str], told: str
) -> None:
    selection = {"layers_asked": 90, "without_choice": without_choice}
    barred = _engine(layers=layers, selection=selection)

    text = _report(make_record(FP32, engines=(barred, _engine("encoder", layers=layers))))

    assert f"decoder (tensorrt fp16 by flag): {told}" in text
    assert "kernels were chosen for 90" in text
    assert text.count("all the same") + text.count("nobody can tell which") == 1


BUDGET = Budget(p99_s=0.1, duration_s=1.0, batch=1, includes="the copies", excludes="")


@pytest.mark.parametrize(
    ("variant", "is_told"), [(FP32, True), (CPU, False), (WAITED, False)], ids=str
)
def test_what_a_budget_leaves_beside_it_on_a_device_is_told(
    variant: Variant, is_told: bool
) -> None:
    text = _report(replace(make_record(variant), budget=BUDGET))

    told = (
        "Includes the copies; leaves out nothing. On a device, p50 and p99 are of what runs there: "
        "copies to and from it are beside them (h2d, d2h)."
    )
    assert (told in text) == is_told
    assert "On a device" not in _report(make_record(variant))
