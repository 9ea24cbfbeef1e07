"""Each output of a gate: as it was, well-formed, whole at every width, and true to every name."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate.judge import judge
from harness.gate.limits import Limits
from harness.report.escaping import annotation, annotation_property, markdown, marker, visible
from harness.report.gate_annotations import to_annotations
from harness.report.gate_json import to_gate_json
from harness.report.gate_junit import to_junit
from harness.report.gate_markdown import marker_line, to_markdown
from harness.report.gate_model import Status
from harness.report.gate_terminal import render_gate
from tests.gate.made import (
    HOSTILE,
    SLOWER,
    comparison,
    head,
    hostile_open_report,
    hostile_report,
    moved_report,
    row,
    side,
)
from tests.gate.snapshots import FOLDER, printed, snapshots, texts

SNAPSHOTS = snapshots()
HOSTILE_REPORTS = (hostile_report(), hostile_open_report())


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_each_output_is_as_it_was(name: str) -> None:
    assert SNAPSHOTS[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SNAPSHOTS)


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("report", [moved_report(), *HOSTILE_REPORTS])
def test_no_digit_is_cut_at_any_width(width: int, report: object) -> None:
    text = printed(render_gate(report), width)  # type: ignore[arg-type]
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    joined = re.sub(r"\s+", "", text)
    movement = report.movements[0]  # type: ignore[attr-defined]
    for part in movement.parts:
        assert visible(part.component).replace(" ", "") in joined


def test_colour_says_nothing_that_words_do_not() -> None:
    bare, coloured = (printed(render_gate(moved_report()), 80, colour=c) for c in (False, True))
    assert "\x1b" not in bare
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == bare.split()
    assert "MISSED" in bare


def test_markdown_begins_with_a_hidden_line_by_which_a_bot_finds_its_comment() -> None:
    assert to_markdown(moved_report()).splitlines()[0] == "<!-- trt-harness gate: tiny -->"
    first = to_markdown(hostile_report()).splitlines()[0]
    assert first == marker_line(HOSTILE)
    assert "--" not in first.removeprefix("<!--").removesuffix("-->")


def test_every_row_of_a_table_in_markdown_has_as_many_cells_as_its_heading() -> None:
    for report in (moved_report(), *HOSTILE_REPORTS):
        cells = 0
        for line in to_markdown(report).splitlines():
            cells = 0 if not line.startswith("|") else cells or line.count("|")
            assert line.count("|") == cells or not line.startswith("|")


def test_what_is_simulated_or_of_another_environment_is_said_in_every_output() -> None:
    report = hostile_report()
    for text in (
        printed(render_gate(report), 200),
        to_markdown(report),
        to_junit(report),
        to_annotations(report),
    ):
        assert "SIMULATED" in text
        assert re.search("different environment|not the same environment", text, re.IGNORECASE)
    told = json.loads(to_gate_json(report))
    assert (told["simulated"], told["differences"]) == (True, [HOSTILE])


@pytest.mark.parametrize("report", HOSTILE_REPORTS)
def test_no_hostile_name_is_anything_but_itself(report: object) -> None:
    """Every output, whatever is open: no control character, no line, tag or command of its own."""
    for name, text in texts(report).items():  # type: ignore[arg-type]
        text.encode()
        assert not {*"\x1b\u202e\ud800"} & {*text}, name
        for line in text.splitlines():
            command = re.match(r"::(\w+) ", line)
            assert command is None or name == "annotations.txt"
            assert not line.startswith("::error::")
    assert "<script" not in to_markdown(report).lower()  # type: ignore[arg-type]
    tags = {"testsuites", "testsuite", "properties", "property", "testcase"}
    tags |= {"failure", "error", "skipped", "system-out"}
    root = ET.fromstring(to_junit(report))  # type: ignore[arg-type]  # noqa: S314  # our own
    assert {element.tag for element in root.iter()} <= tags
    checks = report.checks  # type: ignore[attr-defined]
    told = json.loads(to_gate_json(report))["checks"]  # type: ignore[arg-type]
    assert [one["subject"] for one in told] == [one.subject for one in checks]


def test_what_is_open_for_a_hostile_name_is_told_with_it() -> None:
    report = hostile_open_report()
    subjects = {check.subject for check in report.checks if check.name == "regression"}
    assert subjects == {
        "onnxruntime fp32, 1 s, hot",
        f"{HOSTILE}, onnxruntime fp32, 1 s, hot",
        f"{HOSTILE} fp32, 1 s, hot",
    }
    assert (report.status, report.exit_code) == (Status.INCONCLUSIVE, 3)
    # The pipeline, of this one gone besides, and its energy and memory: nothing is let through.
    assert report.count(Status.INCONCLUSIVE) == 5


@pytest.mark.parametrize("report", [moved_report(), *HOSTILE_REPORTS])
def test_junit_is_well_formed_with_one_case_a_check(report: object) -> None:
    root = ET.fromstring(to_junit(report))  # type: ignore[arg-type]  # noqa: S314  # our own
    checks = report.checks  # type: ignore[attr-defined]
    cases = list(root.iter("testcase"))
    assert len(cases) == len(checks) == int(root.attrib["tests"])
    tags = {Status.MISSED: "failure", Status.INCONCLUSIVE: "error", Status.NOT_ASKED: "skipped"}
    for case, check in zip(cases, checks, strict=True):
        (inner,) = case
        assert inner.tag == tags.get(check.status, "system-out")
        if check.status is Status.MISSED:
            assert inner.text == inner.attrib["message"] == visible(check.sentence)
    counted = {key: int(root.attrib[key]) for key in ("failures", "errors", "skipped")}
    assert counted == {
        key: len(list(root.iter(tag)))
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    names = [case.attrib["name"] for case in cases]
    assert len(names) == len(set(names))


def test_annotations_are_a_line_each_with_the_file_that_they_point_to() -> None:
    report = replace(moved_report(), source="a%,b:\r\n.toml")
    lines = to_annotations(report).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("::error file=a%25%2Cb%3A%0D%0A.toml,title=tiny%3A regression")
    assert lines[-1].startswith("::notice title=Gate of tiny::MISSED")
    for hostile in HOSTILE_REPORTS:
        for line in to_annotations(hostile).splitlines():
            assert re.match(r"::(error|warning|notice) [^\n]*?::", line)


def test_a_file_whose_name_is_no_text_is_printed_all_the_same() -> None:
    text = to_annotations(replace(moved_report(), source="a\udcff.toml"))
    assert "file=a\ufffd.toml," in text
    text.encode()


def test_odd_processes_are_told() -> None:
    odd = row("pipeline", SLOWER, 1.05)
    odd = replace(odd, time=replace(odd.time, odd_base=(2,), odd_head=(3, 6)))
    report = judge(head(), Limits(), comparison((odd,)))
    assert "n = 8; odd: 2 of the base and 3, 6 of the head)" in to_junit(report)


def test_a_gate_that_passes_has_no_annotation_but_the_notice() -> None:
    (line,) = to_annotations(judge(head(), Limits())).splitlines()
    assert line.startswith("::notice ")


def test_json_has_all_in_seconds_and_null_for_what_is_infinite() -> None:
    endless = row("pipeline", SLOWER, 1.05)
    endless = replace(endless, time=replace(endless.time, upper=float("inf")))
    report = judge(head(), Limits(), comparison((endless,)))
    told = json.loads(to_gate_json(report))
    assert (told["status"], told["exit_code"], told["format"]) == ("missed", 1, 1)
    (movement,) = told["movements"]
    assert movement["change_s"] == pytest.approx(0.5e-3)
    assert (movement["upper"], movement["upper_s"]) == (None, None)
    told = json.loads(to_gate_json(moved_report()))
    (movement,) = told["movements"]
    assert (movement["moved"], movement["moved_against"]) == ("vocoder", ["encoder"])
    assert movement["components"][0]["component"] == "vocoder"


def test_without_a_baseline_there_is_no_table_and_it_is_said() -> None:
    report = judge(head(), Limits())
    text = printed(render_gate(report), 80)
    assert "Gate of tiny: a, against no baseline" in text
    assert "verdict" not in text
    assert json.loads(to_gate_json(report))["base"] is None


def test_the_side_that_is_made_up_makes_the_report_simulated() -> None:
    for name in ("base", "head"):
        sides = {name: side(name, is_simulated=True)}
        assert judge(head(), Limits(), comparison(**sides)).is_simulated  # type: ignore[arg-type]
    assert not judge(head(), Limits(), comparison()).is_simulated


@given(st.text())
def test_what_is_visible_is_on_one_line_and_may_stand_in_xml(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert re.sub(r"\s", "", shown).isprintable()
    shown.encode()
    told = ET.fromstring(f"<a>{html.escape(shown)}</a>").text or ""  # noqa: S314  # our own
    assert told == shown


@given(st.text())
def test_markdown_shows_what_was_written(text: str) -> None:
    escaped = markdown(text).replace("<span>&#36;</span>", "&#36;")
    assert html.unescape(escaped).replace("\u200b", "") == visible(text)
    # No character is left that begins something, but for the entities themselves.
    assert not re.search(
        r"[\\`*\[\]|~<>]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|[@#]\w",
        re.sub(r"&#?\w+;", ".", escaped),
    )


@given(st.text())
def test_a_marker_ends_no_comment(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.]+(-[A-Za-z0-9.]+)*", marker(text))


@given(st.text())
def test_annotations_can_be_read_back(text: str) -> None:
    for escape, codes in (
        (annotation, {"%0D": "\r", "%0A": "\n", "%25": "%"}),
        (annotation_property, {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}),
    ):
        escaped = escape(text)
        assert not {"\r", "\n"} & {*escaped}
        for code, character in codes.items():
            escaped = escaped.replace(code, character)
        assert escaped == text
    assert not {":", ","} & {*annotation_property(text)}
