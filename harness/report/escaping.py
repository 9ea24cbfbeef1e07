"""Names that others chose, made harmless for the format that they are shown in."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# Controls, what turns the direction of text, and what is no character at all.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# An underscore within a word is one, and nothing else. What GitHub would make a link, a picture or
# a call of is taken apart; between dollars would be a formula.
_MARKDOWN: Final = re.compile(
    r"""
    (?P<inward>(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))
    | (?P<apart>@(?=\S) | \#(?=\w) | GH-(?=\d) | :(?=//) | www(?=\.))
    | :(?=(?P<emoji>[\w+-]{1,64}):)
    | (?P<dollar>\$)
    | [\\`*_{}\[\]|~&<>]
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Numbers that are names of pictures; others between colons are times.
_NUMBERED: Final = frozenset({"100", "1234"})
# What at the beginning of a line would make a list, a heading or code of the rest.
_BEGIN: Final = re.compile(r" (?= {3})|[-+](?=[\s-]|$)|#(?=[\s#]|$)|\d{1,9}[.)](?=\s|$)")
# Of no width: nobody is called, and it reads the same.
_APART: Final = "&#8203;"
_FORMULAS: Final = ("=", "+", "-", "@")
_NOT_IN_MARKER: Final = re.compile(r"[^A-Za-z0-9.]+")
_ANNOTATION: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY: Final = {**_ANNOTATION, ":": "%3A", ",": "%2C"}


def visible(text: str) -> str:
    r"""``text`` with what does not show, or moves the cursor, as ``\x1b``: it is on one line."""
    return "".join(_shown(one) if unicodedata.category(one) in _HIDDEN else one for one in text)


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004


def markdown(text: str) -> str:
    """``text`` as Markdown that shows it as it is at GitHub, in a cell of a table as well."""
    shown = visible(text)
    begin = _BEGIN.match(shown)
    if begin is None:
        return _MARKDOWN.sub(_harmless, shown)
    at = begin.end() - 1
    return f"{shown[:at]}&#{ord(shown[at])};{_MARKDOWN.sub(_harmless, shown[begin.end() :])}"


def _harmless(found: re.Match[str]) -> str:
    words = found[0]
    if found["inward"]:
        return words
    if found["apart"]:
        return f"{words}{_APART}"
    name = found["emoji"]
    if name:
        return words if name.isdigit() and name not in _NUMBERED else f"{words}{_APART}"
    escaped = html.escape(words)
    code = f"&#{ord(words)};" if escaped == words else escaped
    # As GitHub has it: a dollar by itself in an element begins no formula.
    return f"<span>{code}</span>" if found["dollar"] else code


def marker(text: str) -> str:
    """``text`` as a word that may stand in a comment of HTML."""
    return _NOT_IN_MARKER.sub("-", text).strip("-") or "unnamed"


def spreadsheet(text: str) -> str:
    """``text`` as a cell of CSV, on one line, that a spreadsheet takes for no formula.

    What begins as one, in any width and after blanks as well, has an apostrophe before it.
    """
    shown = visible(text)
    begin = unicodedata.normalize("NFKC", shown.lstrip()[:1])
    return f"'{shown}" if begin.startswith(_FORMULAS) else shown


def attribute(text: str) -> str:
    """``text`` for XML and HTML: in which controls may not occur, however they are escaped."""
    return html.escape(visible(text))


def annotation(text: str) -> str:
    """``text`` as the message of a workflow command of GitHub, whose lines may go on."""
    return _replaced(text, _ANNOTATION)


def annotation_property(text: str) -> str:
    """``text`` as a property of a workflow command, such as the name of a file."""
    return _replaced(text, _PROPERTY)


def _replaced(text: str, codes: dict[str, str]) -> str:
    # Of a file's name that is no UTF-8 something must be printed.
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(codes.get(character, character) for character in text)
