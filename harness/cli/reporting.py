"""What ``harness report`` does."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from harness.artifacts.cache import default_cache_root
from harness.cli.output import tell
from harness.errors import EXIT_PASS, ComparisonError, OptionError
from harness.files import check_writable, is_stdout, write_text
from harness.gate.comparing import compare_with, took_turns
from harness.gate.records import find_baseline, find_partner
from harness.gate.thresholds import find_threshold
from harness.history.newest import newest_readable
from harness.report.escaping import visible
from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.summarize import summarize_record
from harness.report.summary_comparison import Against
from harness.report.summary_html import to_summary_html
from harness.report.summary_markdown import to_summary_markdown
from harness.report.summary_rows import to_csv, to_summary_json
from harness.report.summary_terminal import render_summary
from harness.report.terminal import render
from harness.store.parquet import record_from_json, record_to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import RenderableType

    from harness.gate.records import Baseline
    from harness.report.summary import Summary
    from harness.types import Record

_TERMINAL, _JSON = "terminal", "json"
_WRITERS: Final[dict[str, Callable[[Summary], str]]] = {
    "markdown": to_summary_markdown,
    "html": to_summary_html,
    "csv": to_csv,
    _JSON: to_summary_json,
}


def report_command(
    *,
    record: Path,
    pipeline: str | None,
    kind: str,
    out: Path,
    details: bool,
    baseline: str | None,
    places: tuple[Path, ...],
    repository: Path,
    across: bool,
    margin: float | None,
    cache: Path | None,
) -> int:
    """Find the record, and show it."""
    if details and kind not in {_TERMINAL, _JSON}:
        what = f"a report as {kind} has no details"
        raise OptionError(what, where="--details", fix="give --format terminal or json")
    check_writable(out, is_text=True)
    found, path = newest_readable(record, pipeline, repository)
    if details and kind == _JSON:
        _write(to_json(figures_of(found)) + "\n", out)
        return EXIT_PASS
    held = (
        find_partner(found, path)
        if baseline is None
        else find_baseline(baseline, found, places, repository)
    )
    if held is None:
        _check_unused(margin, across=across)
    against = None
    if held is not None:
        root = cache or default_cache_root()
        # Nobody asked for the base of an A/B: what speaks against it is told, and no error.
        against = _against(held, found, margin, root, across=across, is_asked=baseline is not None)
    summary = summarize_record(found, against)
    if kind != _TERMINAL:
        _write(_WRITERS[kind](summary), out)
        return EXIT_PASS
    parts = [render_summary(summary)]
    parts += ["", render(figures_of(_harmless(found)))] if details else []
    _show(parts, out)
    return EXIT_PASS


def _check_unused(margin: float | None, *, across: bool) -> None:
    """See that nothing is asked for of a comparison, where there is none.

    Raises:
        OptionError: something is.
    """
    for option, is_given in (("--margin", margin is not None), ("--across", across)):
        if is_given:
            what = "it is compared with nothing"
            fix = "name a --baseline, or leave it out"
            raise OptionError(what, where=option, fix=fix)


def _against(
    held: Baseline,
    head: Record,
    margin: float | None,
    cache: Path,
    *,
    across: bool,
    is_asked: bool,
) -> Against:
    threshold = find_threshold(head, cache, margin, is_paired=took_turns(held, head))
    try:
        comparison = compare_with(held, head, threshold.margin, across=across)
    except ComparisonError as error:
        if is_asked:
            raise
        return Against(None, (f"not compared with {held.label}: {error}",))
    return Against(comparison, (*threshold.remarks, *held.remarks))


def _harmless(record: Record) -> Record:
    """``record`` with every text in it made visible, for a renderer that does not."""
    return record_from_json(json.dumps(_visible(json.loads(record_to_json(record)))))


def _visible(value: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible(one) for one in value]
    if isinstance(value, dict):
        return {visible(key): _visible(one) for key, one in value.items()}
    return value


def _show(parts: list[RenderableType], out: Path) -> None:
    """Print it, as wide and coloured as the terminal is; a file has no colours."""
    is_printed = is_stdout(out)
    # A file is no terminal, whatever the environment says of colours.
    # Names are no markup, and no emojis.
    console = Console(
        highlight=False,
        markup=False,
        emoji=False,
        file=None if is_printed else io.StringIO(),
        force_terminal=None if is_printed else False,
    )
    with console.capture() as told:
        for part in parts:
            console.print(part)
    lines = [line.rstrip() for line in told.get().splitlines()]
    text = "\n".join(lines)
    if is_printed:
        tell(_encodable(text))
    else:
        write_text(out, text + "\n")


def _write(text: str, out: Path) -> None:
    write_text(out, _encodable(text) if is_stdout(out) else text)


def _encodable(text: str) -> str:
    """``text`` with what standard output has no character for as its code."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
