"""What a summary is to look like on a terminal, and in a pull request: as files.

``python -m tests.report.snapshots`` writes them anew; look at what changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.report.summary_markdown import to_summary_markdown
from harness.report.summary_terminal import render_summary
from tests.gate.snapshots import printed
from tests.report.summaries import SHOWN, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.report.summary import Summary

FOLDER = Path(__file__).parent / "snapshots"
ENDS: dict[str, Callable[[Summary], str]] = {
    "80.txt": lambda one: printed(render_summary(one), 80),
    "200.txt": lambda one: printed(render_summary(one), 200),
    "md": to_summary_markdown,
}
# Markdown has the same figures: of two it is looked at.
FILES = tuple(
    (name, end)
    for name in SHOWN
    for end in ENDS
    if end != "md" or name in {"h200-pinned", "baseline"}
)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, end in FILES:
        (FOLDER / f"{name}.{end}").write_text(ENDS[end](summary(name)), encoding="utf-8")
