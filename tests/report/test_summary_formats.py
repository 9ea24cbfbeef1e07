"""Each format of a summary: the same figures in each, read back, and every name as it is."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from harness.report.escaping import visible
from harness.report.summarize import summarize_record
from harness.report.summary import INTERVAL, Figure
from harness.report.summary_html import to_summary_html
from harness.report.summary_markdown import MOST_CHARACTERS, to_summary_markdown
from harness.report.summary_rows import COLUMNS, to_csv, to_summary_json
from harness.report.summary_terminal import render_summary
from tests.gate.made import HOSTILE
from tests.gate.snapshots import printed
from tests.report.snapshots import ENDS, FILES, FOLDER
from tests.report.summaries import EVERY, SHOWN, many, summary

if TYPE_CHECKING:
    from harness.report.summary import Summary, Table

WIDE = 400


class _Page(HTMLParser):
    """The tables of a page, as lists of rows of texts, and every tag and attribute."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._cell: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def _markdown_tables(text: str) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = []
    is_within = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not is_within:
                tables.append([])
            cells = [html.unescape(cell.strip().strip("*")) for cell in line.split("|")[1:-1]]
            if not re.fullmatch(r"[|:-]+", line):
                tables[-1].append(cells)
        is_within = line.startswith("|")
    return tables


def _shown(table: Table) -> list[list[str]]:
    """The rows of a table as texts, as every format that people read has them."""
    rows = []
    for row in table.rows:
        cells = [visible(row.name)]
        for column, cell in zip(table.columns, row.cells, strict=True):
            if isinstance(cell, Figure):
                cells.append(cell.interval if column.shows == INTERVAL else cell.text)
        rows.append(cells)
    return rows


def _figures(told: Summary) -> list[tuple[object, ...]]:
    return [
        (t.key, f.subject.variant, f.subject.component, f.quantity, f.value, f.lower, f.upper)
        for t, f in told.figures
    ]


@pytest.mark.parametrize("name", EVERY)
def test_csv_has_each_figure_to_its_last_digit(name: str) -> None:
    told = summary(name)
    header, *rows = csv.reader(io.StringIO(to_csv(told)))
    assert tuple(header) == COLUMNS
    read = [dict(zip(header, row, strict=True)) for row in rows]

    def number(text: str) -> float | None:
        return float(text) if text else None

    names = ("table", "variant", "component", "quantity")
    found = [
        (
            *(r[n].removeprefix("'") for n in names),
            *map(number, (r["value"], r["lower"], r["upper"])),
        )
        for r in read
    ]
    asked = [tuple(visible(x) if isinstance(x, str) else x for x in one) for one in _figures(told)]
    assert found == asked
    assert {r["status"] for r in read} <= {told.status}


@pytest.mark.parametrize("name", EVERY)
def test_json_has_each_figure_and_null_for_what_has_no_number(name: str) -> None:
    told = summary(name)
    document = json.loads(to_summary_json(told), parse_constant=pytest.fail)
    names = ("table", "variant", "component", "quantity", "value", "lower", "upper")
    found = [tuple(one[n] for n in names) for one in document["figures"]]
    endless = float("inf")
    asked = [tuple(None if x == endless else x for x in one) for one in _figures(told)]
    assert found == asked
    assert [one["text"] for one in document["figures"]] == [one.text for _, one in told.figures]
    assert (document["status"], document["simulated"]) == (told.status, told.is_simulated)
    assert [one["text"] for one in document["verdicts"]] == [one.text for one in told.verdicts]


@pytest.mark.parametrize("name", EVERY)
def test_markdown_has_each_figure_in_a_cell(name: str) -> None:
    told = summary(name)
    tables = _markdown_tables(to_summary_markdown(told))
    assert len(tables) == len(told.tables)
    for table, (heading, *rows) in zip(told.tables, tables, strict=True):
        assert len(heading) == 1 + len(table.columns)
        for cells, row in zip(_shown(table), rows, strict=True):
            assert len(row) == len(heading)
            assert row[0].replace("\u200b", "").strip() == cells[0].strip()
            rest = iter(row[1:])
            # In their order, among words and bars.
            assert all(cell in rest for cell in cells[1:]), (cells, row)


@pytest.mark.parametrize("name", EVERY)
def test_html_has_each_figure_in_a_cell(name: str) -> None:
    told = summary(name)
    page = _Page(to_summary_html(told))
    assert len(page.tables) == len(told.tables)
    for table, (heading, *rows) in zip(told.tables, page.tables, strict=True):
        for cells, row in zip(_shown(table), rows, strict=True):
            assert len(row) == len(heading) == 1 + len(table.columns)
            assert row[0] == cells[0]
            rest = iter(row[1:])
            assert all(cell in rest for cell in cells[1:]), (cells, row)


@pytest.mark.parametrize("name", EVERY)
def test_a_wide_terminal_has_each_figure_in_a_row(name: str) -> None:
    told = summary(name)
    lines = printed(render_summary(told), WIDE).splitlines()
    rest = iter(lines)
    for table in told.tables:
        for cells in _shown(table):
            words = " ".join(cells).split()
            assert any(_has_in_order(line, words) for line in rest), cells


def _has_in_order(line: str, words: list[str]) -> bool:
    rest = iter(line.split())
    return all(word in rest for word in words)


@pytest.mark.parametrize(("name", "end"), FILES)
def test_each_output_is_as_it_was(name: str, end: str) -> None:
    assert ENDS[end](summary(name)) == (FOLDER / f"{name}.{end}").read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.{end}" for name, end in FILES}


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", [*SHOWN, "hostile"])
def test_nothing_is_cut_at_any_width(name: str, width: int) -> None:
    text = printed(render_summary(summary(name)), width)
    assert "…" not in text
    for line in text.splitlines():
        assert cell_len(line) <= width, line


def test_colour_says_nothing_that_words_do_not() -> None:
    told = render_summary(summary("missed"))
    bare, coloured = (printed(told, 80, colour=colour) for colour in (False, True))
    assert "\x1b" not in bare
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == bare.split()


def test_a_console_without_blocks_has_ascii_alone() -> None:
    buffer = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    console = Console(file=buffer, width=80)
    console.print(render_summary(summary("missed")))
    buffer.flush()
    text = buffer.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "\\u" not in text
    assert "#####" in text
    assert re.search(r"_+\.", text)


def test_what_must_be_known_is_told_before_any_figure_in_every_format() -> None:
    for name, word in (("simulated", "SIMULATED"), ("invalid", "INVALID")):
        told = summary(name)
        for text in (
            printed(render_summary(told), 80),
            to_summary_markdown(told).partition("\n")[2],
            to_summary_html(told).partition("<main>")[2],
        ):
            first = re.search(r"\d\.\d", text)
            assert first is not None
            assert 0 <= text.find(word) < first.start()
        (marks,) = {json.loads(to_summary_json(told))["marks"][0]["text"].split()[0].strip(":,")}
        assert marks == word


def test_no_hostile_name_is_anything_but_itself() -> None:
    told = summary("hostile")
    terminal, page = printed(render_summary(told), 200), to_summary_html(told)
    comment, data = to_summary_markdown(told), to_csv(told)
    for text in (terminal, page, comment, data, to_summary_json(told)):
        text.encode()
        assert not {*"\x1b\u202e\ud800"} & {*text}
    assert "[bold red]x[/]" in terminal
    assert "名前" in terminal
    assert visible(HOSTILE).replace(" ", "") in re.sub(r"\s", "", terminal)
    tags = [tag for tag, _ in _Page(page).tags]
    assert "script" not in tags
    assert tags.count("table") == len(told.tables)
    assert "<script" not in comment.lower()
    assert comment.splitlines()[0].startswith("<!-- trt-harness report: ")
    rows = list(csv.reader(io.StringIO(data)))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert not [c for row in rows for c in row if re.match(r"[=@\t\r]|[+-](?![\d.])", c)]
    assert "'=1+1" in data


def test_a_page_loads_and_runs_nothing() -> None:
    page = _Page(to_summary_html(summary("h200-pinned")))
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "href"}]
    (policy,) = (a for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_a_page_has_dark_and_light_paper_and_print() -> None:
    text = to_summary_html(summary("h200-pinned"))
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert '<html lang="en">' in text


def test_a_comment_on_a_thousand_components_fits_a_pull_request() -> None:
    told = summarize_record(many())
    text = to_summary_markdown(told)
    assert len(text) <= MOST_CHARACTERS
    assert "rows, those of least, are left out" in text
    assert len(list(csv.reader(io.StringIO(to_csv(told))))) > 5000
    assert len(printed(render_summary(told), 80).splitlines()) < 100
