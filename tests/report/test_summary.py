"""What is told of a record: what first, what it comes to, and with which figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from harness.report.drawing import bar, heights_of, sparkline
from harness.report.summarize import summarize_record
from harness.report.summary import (
    BAD,
    BUDGET,
    CANARIES,
    COMPARISON,
    COMPONENTS,
    MACHINE,
    OPEN,
    VARIANTS,
    Figure,
    Span,
    Summary,
    Trace,
    Word,
)
from harness.report.summary_comparison import Against
from harness.report.summary_folding import folded
from harness.states import Block, Validity
from harness.types import MissingProcess, Replication
from tests.cli.test_gate import side
from tests.gate.made import head
from tests.history.records import record
from tests.report.summaries import (
    BUSY,
    EVERY,
    HOT,
    against,
    interrupted,
    many,
    parts,
    real,
    states,
    summary,
)


def figures(told: Summary, table: str, quantity: str) -> list[Figure]:
    return [one for found, one in told.figures if (found.key, one.quantity) == (table, quantity)]


def keys(told: Summary) -> list[str]:
    return list(dict.fromkeys(table.key for table in told.tables))


@pytest.mark.parametrize("name", EVERY)
def test_a_row_has_a_cell_for_each_column(name: str) -> None:
    for table in summary(name).tables:
        assert table.rows
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}


@pytest.mark.parametrize("name", EVERY)
def test_a_figure_that_has_a_value_has_a_text_and_one_without_is_a_blank(name: str) -> None:
    for _, one in summary(name).figures:
        assert one.text
        if one.lower is not None and one.upper is not None and one.value is not None:
            assert one.lower <= one.value <= one.upper


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("h200-pinned", "within", "WITHIN the budget: p99 1.58 of 100 ms at 1 s; headroom 98.4%"),
        ("h200-routes", "missed", "MISSED: an accuracy floor is missed"),
        ("h200-processes", "inconclusive", "INCONCLUSIVE: the budget of tensorrt"),
        ("simulated", "within", "SIMULATED, WITHIN"),
        ("interrupted", "inconclusive", "INTERRUPTED, INCONCLUSIVE: the run was interrupted"),
        ("invalid", "inconclusive", "INVALID, INCONCLUSIVE: the machine's state"),
        ("missed", "missed", "MISSED: the budget is missed by onnxruntime fp32; an accuracy"),
        ("no-budget", "no budget", "no latency budget is declared"),
        ("nothing", "no budget", "no latency budget is declared"),
    ],
)
def test_the_headline_says_what_it_comes_to(name: str, status: str, words: str) -> None:
    told = summary(name)
    assert told.status == status
    assert told.headline.startswith(words)


def test_what_spoils_the_figures_is_a_mark_and_stands_in_every_table_of_times() -> None:
    for name, word in (
        ("simulated", "SIMULATED"),
        ("interrupted", "INTERRUPTED"),
        ("invalid", "INVALID"),
    ):
        told = summary(name)
        assert told.marks[0].text.startswith(word)
        for table in told.tables:
            assert word in table.title or table.key == MACHINE
    assert summary("h200-pinned").marks == ()


def test_a_verdict_of_times_that_do_not_count_is_not_green() -> None:
    (table,) = (one for one in summary("invalid").tables if one.key == BUDGET)
    word = table.rows[0].cells[0]
    assert word == Word("WITHIN", OPEN)


def test_a_missed_budget_of_an_invalid_run_is_not_missed_and_a_floor_is() -> None:
    late = parts(60.0)
    validity = replace(real("h200/pinned").validity, findings=(HOT,))  # type: ignore[type-var]
    told = summarize_record(record("a", late, validity=validity))
    assert told.status == "inconclusive"
    assert "the budget is missed by onnxruntime fp32" in told.headline
    wrong = parts(60.0, snr_db=39.0, min_snr_db=40.0)
    told = summarize_record(record("a", wrong, validity=validity))
    assert told.status == "missed"


def test_the_slices_of_a_budget_add_up_to_it_and_their_bars_follow_each_other() -> None:
    (table,) = (one for one in summary("h200-pinned").tables if one.key == COMPONENTS)
    slices = table.rows[: next(i for i, row in enumerate(table.rows) if row.begins)]
    first = [row.cells[0] for row in slices]
    times = [cell.value for cell in first if isinstance(cell, Figure) and cell.value is not None]
    assert sum(times) == pytest.approx(0.1)
    spans = [cell for row in slices for cell in row.cells if isinstance(cell, Span)]
    # But for the gaps, which are below 0 here, and turn back.
    for before, after in pairwise(spans[:6]):
        assert after.begin == pytest.approx(before.end)
    assert all(0.0 <= span.begin <= span.end <= 1.0 for span in spans)


def test_a_bar_is_of_the_budget_where_a_quarter_of_it_is_spent() -> None:
    for name, note in (("missed", False), ("h200-pinned", True)):
        (table,) = (one for one in summary(name).tables if one.key == COMPONENTS)
        assert ("bars: of the p99" in table.notes[0]) == note


def test_percentiles_are_those_of_the_record() -> None:
    made = head()
    told = summarize_record(made)
    (p99,) = figures(told, VARIANTS, "p99")
    assert p99.value == pytest.approx(sorted(made.measurements[-1].latency_s)[395], rel=1e-6)
    assert p99.text == "10.0"
    few = replace(
        made,
        measurements=tuple(replace(m, latency_s=m.latency_s[:20]) for m in made.measurements),
    )
    (p99,) = figures(summarize_record(few), VARIANTS, "p99")
    assert (p99.text, p99.upper) == ("~10.0", None)
    assert any(note.text.startswith("~:") for note in summarize_record(few).notes)


def test_the_ratio_is_to_what_the_note_says() -> None:
    (table,) = (one for one in summary("h200-pinned").tables if one.key == VARIANTS)
    ratios = figures(summary("h200-pinned"), VARIANTS, "ratio")
    assert [one.text for one in ratios] == ["0.63", "1.00", "0.67", "1.00"]
    assert "ratio: p50 over that of torch-cuda fp16, graph, in this run" in table.notes[0]
    made = [*parts(10.0), *parts(20.0, backend="torch")]
    told = summarize_record(record("a", made))
    assert [one.text for one in figures(told, VARIANTS, "ratio")] == ["0.50"]
    halves = [*parts(10.0), *parts(5.0, precision="fp16")]
    told = summarize_record(record("a", halves))
    assert [one.text for one in figures(told, VARIANTS, "ratio")] == ["1.00", "0.50"]
    assert figures(summarize_record(record("a", parts())), VARIANTS, "ratio") == []


def test_an_accuracy_under_its_floor_is_marked_beside_it() -> None:
    (snr,) = figures(summary("missed"), VARIANTS, "snr")
    (floor,) = figures(summary("missed"), VARIANTS, "snr_floor")
    assert (snr.text, snr.level, floor.value) == ("39.0 wrong", BAD, 40.0)


def test_of_several_variants_what_they_come_to_is_told_before_their_components() -> None:
    assert keys(summary("h200-routes"))[:3] == [BUDGET, VARIANTS, COMPONENTS]
    assert keys(summary("h200-pinned")) == [BUDGET, COMPONENTS, VARIANTS, MACHINE, CANARIES]


def test_the_machine_is_told_of_while_it_measured() -> None:
    told = summary("h200-pinned")
    (most,) = figures(told, MACHINE, "gpu_power_max")
    made = real("h200/pinned")
    first, last = made.blocks[0].started_s, made.blocks[-1].ended_s
    read = [
        state.gpu.power_w
        for state in made.telemetry
        if first <= state.monotonic_s <= last and state.gpu and state.gpu.power_w is not None
    ]
    assert most.value == max(read)
    # What was read while nothing ran is left out: it is idle then.
    (least,) = figures(told, MACHINE, "gpu_power_min")
    assert least.value is not None
    assert least.value > min(s.gpu.power_w or 0.0 for s in made.telemetry if s.gpu)


def test_readings_of_another_time_than_the_blocks_are_all_there_is() -> None:
    block = Block("pipeline", 1e6, 1e6 + 1.0, 10)
    told = summarize_record(head(telemetry=states(10), blocks=(block,)))
    (least,) = figures(told, MACHINE, "gpu_power_min")
    assert least.value == 300.0


def test_a_machine_that_was_not_watched_is_told_in_words() -> None:
    told = summary("h200-routes")
    assert MACHINE not in keys(told)
    assert "Machine: not watched" in told.notes[-1].text


def test_validity_is_told_in_words_with_each_finding() -> None:
    notes = [note.text for note in summary("invalid").notes]
    assert "Machine: invalid (60 readings): the figures do not count" in notes
    flagged = summarize_record(head(validity=Validity((BUSY,))))
    assert flagged.verdicts[-1].text.startswith("Machine: flagged (0 readings): the figures count")
    assert flagged.notes[-1].text == f"flag: {BUSY.what}; {BUSY.fix}"
    valid = [note.text for note in summary("h200-pinned").notes]
    assert any(text.startswith("Machine: valid (871 readings): nothing") for text in valid)
    assert f"fail: {HOT.what}; {HOT.fix}" in notes


def test_a_process_that_is_missing_is_told_and_leaves_the_verdict_open() -> None:
    missing = (MissingProcess(2, 0, "it was killed"),)
    told = summarize_record(head(replication=Replication(3, 1, missing=missing)))
    assert told.status == "inconclusive"
    assert "1 process is missing" in told.headline
    assert "Process 2 measured nothing: it was killed" in [one.text for one in told.verdicts]


def test_many_sentences_of_a_kind_stand_below_the_figures_and_are_counted_above() -> None:
    told = summary("h200-fp16")
    above, below = ([one.text for one in part] for part in (told.verdicts, told.notes))
    counted = (
        "INCONCLUSIVE: 14 of 42 series are not known as well as was asked, 3 whole pipelines "
        "among them: told below the figures"
    )
    assert counted in above
    assert sum(text.startswith("INCONCLUSIVE, tensorrt") for text in above) == 0
    assert sum(text.startswith("INCONCLUSIVE, ") for text in below) == 11
    wrong = [*parts(10.0, snr_db=39.0, min_snr_db=40.0)]
    told = summarize_record(record("a", wrong))
    assert "4 accuracies are under their floors: told below the figures" in [
        one.text for one in told.verdicts
    ]
    assert sum("is wrong: 39.0 dB" in one.text for one in told.notes) == 4
    (few,) = (part for part in wrong if part.component == "pipeline")
    told = summarize_record(record("a", [few]))
    assert "At 1 s: pipeline (onnxruntime, fp32) is wrong: 39.0 dB" in told.verdicts[0].text
    missing = tuple(MissingProcess(i, 0, "it was killed") for i in range(4))
    told = summarize_record(head(replication=Replication(5, 1, missing=missing)))
    assert told.verdicts[-1].text == "4 processes measured nothing: told below the figures"


def test_the_baseline_is_told_by_the_whole_and_each_component() -> None:
    told = summary("baseline")
    texts = [one.text for one in told.verdicts]
    assert "Baseline: tiny, head against base: 2 slower, 1 same" in texts
    assert any("the whole is slower, +5.00 % (interval: +4.9" in text for text in texts)
    changes = {one.subject.component: one for one in figures(told, COMPARISON, "change")}
    assert changes["vocoder"].value == pytest.approx(0.5 / 6.0, rel=0.01)
    assert told.notes[-1].text == "Baseline: it was looked for by hand"


def test_what_is_slight_is_told_and_not_marked_as_open() -> None:
    base, head_ = real("h200/ab/equal-base"), real("h200/ab/equal-head")

    told = summarize_record(head_, against(base, head_))

    note = next(one for one in told.notes if "too little to matter" in one.text)
    assert note.level == ""
    assert "conditioner: slight: a change of at most 0.0076 %" in note.text
    assert "host_enqueue: hidden: at most 1.1 %" in note.text
    assert any("3 same, 6 slight, 1 hidden" in v.text for v in told.verdicts)
    rows = [row for table in told.tables if table.key == COMPARISON for row in table.rows]
    words = [cell for row in rows for cell in row.cells if isinstance(cell, Word)]
    assert {(word.text, word.level) for word in words} == {
        ("same", ""),
        ("slight", ""),
        ("hidden", ""),
    }


def test_another_environment_and_no_turns_are_told_before_any_figure() -> None:
    told = summary("other-machine")
    texts = " ".join(one.text for one in told.verdicts)
    assert "NOT THE SAME ENVIRONMENT" in texts
    assert "took no turns" in texts
    for table in told.tables:
        assert ("NOT THE SAME ENVIRONMENT" in table.title) == (table.key == COMPARISON)
    assert "Baseline: not the same environment: cpu other / some" in [n.text for n in told.notes]


def test_an_invalid_or_made_up_base_is_a_mark() -> None:
    base = side("base", validity=replace(real("h200/pinned").validity, findings=(HOT,)))  # type: ignore[type-var]
    told = summarize_record(side("head"), against(base, side("head")))
    assert told.marks[0].text == f"INVALID baseline: {HOT.what}"
    made_up = tuple(replace(one, simulated=True) for one in side("base").measurements)
    told = summarize_record(side("head"), against(side("base", measurements=made_up), side("head")))
    assert told.marks[0].text.startswith("SIMULATED: the baseline's times")
    assert not told.is_simulated


def test_why_there_is_no_comparison_is_told() -> None:
    told = summarize_record(head(), Against(None, ("not compared with x: why",)))
    assert told.verdicts[-1].text == "Baseline: not compared with x: why"
    assert COMPARISON not in keys(told)


def test_a_record_of_work_that_was_slowed_says_so_first() -> None:
    told = summarize_record(head(replication=Replication(1, 1, slowed_by=0.05)))
    assert told.marks[0].text == "SLOWED: its work was made 5 % slower on purpose"


def test_the_commit_is_told_and_whether_it_was_changed() -> None:
    commit = {"commit": "ab" * 20, "is_dirty": True}
    made = replace(interrupted(), history=None, environment={"cpu": "c", "pipeline_commit": commit})
    assert summarize_record(made).commit == "abababababab, changed"
    assert summarize_record(replace(made, environment={})).commit == ""


def test_of_a_thousand_components_those_that_take_most_are_shown() -> None:
    told = summarize_record(many())
    (table,) = (one for one in told.tables if one.key == COMPONENTS)
    shown = folded(table, 40)
    names = [row.name for row in shown.rows]
    assert len(table.rows) > 1000
    assert {"gaps", "headroom", "pipeline", "part_0999"} <= {*names}
    assert "part_0001" not in names
    # Their own order stays.
    assert names == [row.name for row in table.rows if row.name in {*names}]
    assert f"{len(table.rows) - len(names)} of {len(table.rows)} rows" in shown.notes[-1]
    assert folded(table, 2000) is table


def test_bars_and_traces_have_ascii_for_who_has_no_blocks() -> None:
    span = Span(0.25, 0.5, "component")
    assert bar(span, 8) == "  ██"
    assert bar(span, 8, is_ascii=True) == "  ##"
    assert bar(Span(0.5, 1.0, "headroom"), 8) == "    ░░░░"
    assert bar(Span(1.0, 1.0, "tail"), 8) == "       ▏"
    assert bar(None, 8) == ""
    trace = Trace((0.0, 7.0, None, 3.5))
    assert sparkline(trace, 10) == "▁█ ▅"
    assert sparkline(trace, 10, is_ascii=True) == "_# +"
    assert sparkline(trace, 2) == "▅▅"


def test_what_hardly_moves_is_drawn_as_still() -> None:
    assert sparkline(Trace((1980.0, 1981.0)), 10) == "▁▁"
    assert heights_of(Trace((None, None))) == (None, None)
    assert heights_of(Trace((0.0, 0.0))) == (0.0, 0.0)
