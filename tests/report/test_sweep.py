"""The table of a sweep, from rows of which every figure is known."""

from __future__ import annotations

import io
import math

from rich.console import Console

from harness.report.sweep import render_sweep
from harness.types import SweepRow

COMPONENTS = ("content_encoder", "pitch_encoder", "conditioner", "flow_decoder", "vocoder")
RULES = (
    "minmax",
    "entropy",
    "percentile 99",
    "percentile 99.9",
    "percentile 99.99",
    "percentile 99.999",
)


def _row(precision: str, rule: str, snr_db: float, **others: float) -> SweepRow:
    names = (*COMPONENTS, "pipeline")
    return SweepRow(
        precision=precision,
        rule=rule,
        snr_db={**dict.fromkeys(names, snr_db), **others},
        constant_snr_db=dict.fromkeys(names, 4.5),
    )


def _printed(*rows: SweepRow) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(render_sweep(rows))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_rule_is_named_in_full_at_80_columns() -> None:
    text = _printed(*(_row("int8", rule, 30.0) for rule in RULES))

    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    headings = text.split("content_encoder")[0].split()
    for name in ("minmax", "entropy", "99", "99.9", "99.99", "99.999"):
        assert [heading.lstrip("p") for heading in headings].count(name) == 1


def test_there_is_a_row_for_each_component_and_the_pipeline() -> None:
    text = _printed(*(_row("int8", rule, 30.0 + i) for i, rule in enumerate(RULES)))

    values = [f"{30.0 + i:.1f}" for i in range(6)]
    for name in (*COMPONENTS, "pipeline"):
        (line,) = (line for line in text.splitlines() if line.strip().startswith(name))
        assert line.split() == [name, "4.5", *values]


def test_the_best_rule_is_the_one_whose_worst_component_is_best() -> None:
    """Not the one of the best pipeline, nor of the best component."""
    text = _printed(
        _row("int8", "minmax", 40.0, conditioner=math.inf, vocoder=10.0, pipeline=50.0),
        _row("int8", "entropy", 25.0, pipeline=20.0),
        _row("int8", "percentile 99", 60.0, flow_decoder=24.0),
    )

    assert "Best for its worst component: entropy, 20.5 dB above a constant output." in (
        " ".join(text.split())
    )
    assert "exact" in text


def test_the_margin_leaves_out_the_pipeline() -> None:
    row = _row("int8", "minmax", 25.0, pitch_encoder=14.5, pipeline=5.0)

    assert row.least_margin_db == 10.0


def test_each_precision_has_a_table_and_a_best_rule_of_its_own() -> None:
    text = _printed(
        _row("int8", "minmax", 30.0),
        _row("int8", "entropy", 20.0),
        _row("int8-ort", "minmax", 10.0),
        _row("int8-ort", "entropy", 15.0),
    )

    first, second = " ".join(text.split()).split("int8-ort: SNR in dB")
    assert "int8: SNR in dB against PyTorch fp32, by clipping rule" in first
    assert "Best for its worst component: minmax, 25.5 dB" in first
    assert "Best for its worst component: entropy, 10.5 dB" in second
