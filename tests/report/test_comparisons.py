"""A comparison on terminals of any width, and as JSON."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.comparison.model import Comparison, Figure, Series, SeriesComparison, Side
from harness.report.comparisons import (
    render_comparison,
    signed_percent,
    summary_sentence,
    to_comparison_json,
    write_comparison_json,
)
from harness.stats.pairs import PairStatus, PairVerdict
from harness.types import GRAPH, Case, Variant

if TYPE_CHECKING:
    from pathlib import Path

SLOWER, FASTER, SAME, INCONCLUSIVE = (
    PairStatus.SLOWER,
    PairStatus.FASTER,
    PairStatus.SAME,
    PairStatus.INCONCLUSIVE,
)
FLAG = Variant("tensorrt", "fp16", "flag", GRAPH)
FIGURES = (
    Figure("snr_db", 44.6, 38.2),
    Figure("energy_j", 0.5, 0.5),
    Figure("memory_bytes", 1.5e8, None),
    Figure("size_bytes", 2e7, 2.1e7),
)


def verdict(status: PairStatus, ratio: float, **changes: Any) -> PairVerdict:
    base = PairVerdict(status, ratio, ratio - 0.004, ratio + 0.004, 0.995, 0.001, 16)
    return replace(base, **changes)


def row(
    component: str, time: PairVerdict, *, mode: str = "hot", case: Case | None = None, **more: Any
) -> SeriesComparison:
    series = Series(component, FLAG, case or Case(1.0, 1), mode)
    return SeriesComparison(series, 1.234e-3, 1.234e-3 * time.ratio, time, **more)


def comparison(*rows: SeriesComparison, **changes: Any) -> Comparison:
    environment = {"cpu": "some"}
    base = Comparison(
        pipeline="voice_conversion",
        base=Side("main", "ab" * 20, ("r1",), environment),
        head=Side("topic", "cd" * 20, ("r2", "r3"), environment),
        rows=rows,
        margin=0.002,
        is_paired=True,
    )
    return replace(base, **changes)


ROWS = (
    row(
        "content_encoder",
        verdict(SLOWER, 1.0523, odd_base=(3,)),
        cycles=verdict(SLOWER, 1.0502),
        figures=FIGURES,
    ),
    row("vocoder", verdict(INCONCLUSIVE, 1.001, reason="too few for an interval"), mode="cold"),
    row("pipeline", verdict(FASTER, 0.9), case=Case(3.0, 2)),
)


def printed(shown: Comparison, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_comparison(shown))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_figure_stands_in_the_table() -> None:
    lines = [" ".join(line.split()) for line in printed(comparison(*ROWS)).splitlines()]

    assert lines[:3] == [
        "base: main, commit abababababab, r1",
        "head: topic, commit cdcdcdcdcdcd, 2 records",
        "processes in pairs, which took turns",
    ]
    heading = "component ms change % time cycles % cycles SNR dB J memory MB disk MB pairs odd"
    start = lines.index("tensorrt fp16 by flag, graph, 1 s")
    assert lines[start + 2] == heading
    assert lines[start + 4 : start + 6] == [
        "content_encoder 1.23 +5.23 slower +5.02 slower 44.6 0.5 150.00 20.00 16 1",
        "1.30 +4.83 to +5.63 +4.62 to +5.42 38.2 - 21.00 0",
    ]
    assert lines[start + 6] == "vocoder, cold 1.23 +0.10 inconclusive - - - - - - 16 0"
    assert "vocoder, cold: too few for an interval" in lines
    assert "tensorrt fp16 by flag, graph, 3 s, batch 2" in lines
    assert lines[-1] == ("voice_conversion, head against base: 1 slower, 1 faster, 1 inconclusive")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_figure_is_cut_on_any_terminal(width: int) -> None:
    text = printed(comparison(*ROWS, findings=("only of the head: vocoder",)), width)

    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    words = re.findall(r"[-+.\w]+", text)
    for figure in ("+4.83", "+5.63", "1.30", "44.6", "38.2", "150.00", "21.00", "-10.00", "-9.60"):
        assert figure in words, figure
    assert "inconclusive" in words


def test_what_is_simulated_or_of_two_machines_is_told_everywhere() -> None:
    shown = comparison(
        *ROWS[:1],
        differences=("driver 580.1 / 570.2",),
        head=Side("topic", "", ("r2",), {}, is_simulated=True),
        is_paired=False,
    )

    text = printed(shown)

    assert "not the same environment: driver 580.1 / 570.2; what differs may be theirs" in text
    assert "SIMULATED: the times are made up" in text
    label = "SIMULATED, NOT THE SAME ENVIRONMENT"
    assert f"tensorrt fp16 by flag, graph, 1 s, {label}" in text
    assert f"head against base, {label}: 1 slower" in text
    assert "took no turns: a drift of the machine looks like one of the code" in text
    assert " runs " in text


def test_a_change_that_does_not_stand_is_shown_as_open() -> None:
    shown = comparison(replace(ROWS[0], is_discovery=False))

    text = printed(shown)

    assert "content_encoder: slower by itself (p 0.001), but one of so many series is by" in text
    assert summary_sentence(shown).endswith(": 1 inconclusive")


def test_without_an_interval_the_ratio_stands_alone() -> None:
    open_one = verdict(INCONCLUSIVE, 1.5, lower=0.0, upper=math.inf, confidence=1.0, reason="few")

    text = printed(comparison(row("vocoder", open_one)))

    assert "+50.0" in text
    assert "inf" not in text
    assert "change: head over base;" in " ".join(text.split())


@pytest.mark.parametrize(
    ("ratio", "told"),
    [(1.00523, "+0.52"), (0.5, "-50.00"), (2.5, "+150"), (1.0, "0.00"), (1.00001, "0.00")],
)
def test_a_ratio_is_told_as_a_change(ratio: float, told: str) -> None:
    assert signed_percent(ratio) == told


def test_json_has_all_and_no_number_that_json_lacks(tmp_path: Path) -> None:
    open_one = verdict(INCONCLUSIVE, 1.5, lower=0.0, upper=math.inf, reason="few")
    shown = comparison(*ROWS, row("decoder", open_one), findings=("something",))

    write_comparison_json(shown, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())

    assert document == json.loads(to_comparison_json(shown))
    assert (document["status"], document["is_simulated"]) == ("slower", False)
    assert (document["margin"], document["is_paired"]) == (0.002, True)
    first, last = document["rows"][0], document["rows"][-1]
    assert first["series"]["component"] == "content_encoder"
    assert first["series"]["variant"]["precision"] == "fp16"
    assert (first["status"], first["time"]["status"], first["reason"]) == ("slower", "slower", "")
    assert first["time"]["ratio"] == 1.0523
    assert first["cycles"]["status"] == "slower"
    assert first["figures"][2] == {"name": "memory_bytes", "base": 1.5e8, "head": None}
    assert last["time"]["upper"] is None
    assert (last["status"], last["reason"]) == ("inconclusive", "few")
    assert document["findings"] == ["something"]


def test_a_change_of_the_clock_alone_is_open_and_says_so() -> None:
    its = row("decoder", verdict(SLOWER, 1.05), cycles=verdict(SAME, 1.0001))
    shown = comparison(its)

    text = " ".join(printed(shown).split())
    assert "head against base: 1 inconclusive" in text
    assert "decoder: the clock's: slower (+5.00 %) in time, same (+0.01 %) in cycles of the" in text
    (written,) = json.loads(to_comparison_json(shown))["rows"]
    assert (written["status"], written["time"]["status"]) == ("inconclusive", "slower")


def test_what_others_named_is_no_markup_and_moves_no_cursor() -> None:
    hostile = "[red]x[/] [/b] \x1b[2J"
    shown = comparison(
        row(hostile, verdict(INCONCLUSIVE, 1.0, reason=hostile)),
        base=Side(hostile, "", (hostile, "r"), {}),
        findings=(hostile,),
        differences=(hostile,),
        pipeline=hostile,
    )

    text = printed(shown)

    assert "\x1b" not in text
    assert text.count("[red]x[/] [/b] \\x1b[2J") == 7


def test_what_makes_less_of_a_side_is_in_its_heading_and_in_the_last_line() -> None:
    slowed = Side("topic", "", ("r2",), {}, slowed_by=0.1)
    invalid = Side("main", "", ("r1",), {}, invalid="it was hot")
    shown = comparison(*ROWS, base=invalid, head=slowed, unjudged=("encoder",))

    lines = [" ".join(line.split()) for line in printed(shown).splitlines()]

    assert lines[0] == "base: main, r1, INVALID: it was hot"
    assert lines[1] == "head: topic, r2, MADE 10 % SLOWER ON PURPOSE"
    assert lines[-1] == (
        "voice_conversion, head against base, BASE INVALID, HEAD SLOWED ON PURPOSE: 1 slower, "
        "1 faster, 1 inconclusive, 1 of the base not judged"
    )
    document = json.loads(to_comparison_json(shown))
    assert document["status"] == "inconclusive"
    assert (document["head"]["slowed_by"], document["unjudged"]) == (0.1, ["encoder"])
