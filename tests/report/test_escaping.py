"""Names in Markdown at GitHub, and in a spreadsheet: as they are, and nothing else."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.report.escaping import markdown, spreadsheet, visible

APART = "\u200b"


def as_text(escaped: str) -> str:
    """What is read of it where it is shown."""
    return html.unescape(re.sub("</?span>", "", escaped)).replace(APART, "")


# What GitHub makes something of in a text, whatever is escaped as Markdown: by the text itself.
SYNTAX = re.compile(
    r"""
    \$[^$]*\$ | :(?:[a-z_-]+|100|\+1): | (?:https?|ftp):// | www\.
    | @\w | \#\d | GH-\d | [\w.]@[\w.-]
    """,
    re.VERBOSE | re.IGNORECASE,
)


@pytest.mark.parametrize(
    "text",
    [
        *("$x$", "costs $1 or $2", "$$x$$", "a$b$c", "$`x`$"),
        *(":smile:", "a:smile:b", ":+1:", ":100:", ":a:b:", ":tada::tada:", ":E-mail:"),
        *("http://e/x.png", "https://evil.com", "ftp://e", "HTTP://E", "see:http://e"),
        *("www.evil.com", "WWW.evil.com", "a www.e.c b"),
        *("@org/team", "a@b.c", "mailto:a@b.c", "a@-b.c", "a.b@c"),
        *("#123", "org/repo#1", "GH-12", "gh-12", "org@abcdef0"),
    ],
)
def test_github_makes_nothing_of_a_name(text: str) -> None:
    escaped = markdown(text)

    assert SYNTAX.search(text)
    # A dollar alone in an element is the way that GitHub documents.
    read = html.unescape(re.sub("<span>&#36;</span>", "", escaped))
    assert not SYNTAX.search(read)
    # Neither in the source, which is looked at before its entities are.
    assert not SYNTAX.search(re.sub(r"&#?\w+;", "\0", escaped))
    assert as_text(escaped) == text


@pytest.mark.parametrize(
    "text",
    [
        "22:43:12 UTC",
        *("clocks: a, b", "-0.04 ms", "+5.40 %", "1.58 of 100", "a_b: c"),
        *("2026-01-01", "5 # 6", "v1.2. x"),
    ],
)
def test_what_is_nothing_stays_as_it_is(text: str) -> None:
    assert markdown(text) == text


BLOCKS = (
    *("- a", "+ a", "-", "- - -", "---", "* a", "*", "1. a", "1) a", "123456789. a"),
    *("# a", "#", "## a", "    a", "     code", "> a", "```", "~~~", "<!-- a", "<div>"),
    *("[a]: b", "[^1]: b", "| a | b |", "![a](b)", "[a](b)", "[ ] a", "***", "___", "\\"),
    *("a  ", "&amp;", "&#36;", "`a`", "~~a~~", "**a**", "_a_", "__a__", "<b>", "<a@b.c>"),
)
SHOWN = {"inline", "text", "text_special", "html_inline"}


def kinds(source: str) -> tuple[set[str], str]:
    """What a parser of CommonMark finds in it, but for paragraphs, and the text that is left."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    text = "".join(t.content for t in flat if t.type in {"text", "text_special"})
    return {token.type for token in flat if "paragraph" not in token.type}, text


@pytest.mark.parametrize("text", BLOCKS)
def test_a_name_begins_no_block_and_no_markup(text: str) -> None:
    found, shown = kinds(markdown(text))
    assert found <= SHOWN
    assert shown.replace(APART, "").strip() == text.strip()
    # In a list, as notes are.
    found, shown = kinds(f"- {markdown(text)}")
    assert found - {"bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close"}
    assert not {one for one in found if "list" in one} - {
        *("bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close")
    }
    assert {one for one in found if "list" not in one} <= SHOWN
    assert shown.replace(APART, "").strip() == text.strip()


@given(st.text(st.sampled_from("-+#=*_`~$:@./>|<[]()!&\\1a \t\n") | st.characters()))
def test_no_text_is_anything_but_text(text: str) -> None:
    found, shown = kinds(markdown(text))
    assert found <= SHOWN
    assert shown.replace(APART, "").split() == visible(text).split()


def test_a_long_text_takes_no_time_for_its_length_squared() -> None:
    text = ":" * 50_000 + "a" * 50_000
    assert as_text(markdown(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\uff1d1",
            "\uff0b1",
            "\uff0d1",
            "\uff20a",
            "\ufe661",
            "\ufe621",
        ),
        *(" =1", "   @a", "\u00a0=1", "\u3000=1", "\u2003\uff1d1"),
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    assert spreadsheet(text) == f"'{text}"


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1", "\u200b=1", "\ufeff=1", "\x00=1"])
def test_what_does_not_show_before_a_formula_is_written_as_its_code(text: str) -> None:
    assert spreadsheet(text) == visible(text)
    assert spreadsheet(text)[0] == "\\"


@pytest.mark.parametrize("text", ["", " ", "a=1", "1-2", "(=1)", "名前", "\u22125 %"])
def test_other_texts_are_cells_as_they_are(text: str) -> None:
    assert spreadsheet(text) == text
