"""What each output is to look like: as files, written by running this module.

``python -m tests.gate.snapshots`` writes them anew; look at what changes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.report.gate_annotations import to_annotations
from harness.report.gate_json import to_gate_json
from harness.report.gate_junit import to_junit
from harness.report.gate_markdown import to_markdown
from harness.report.gate_terminal import render_gate
from tests.gate.made import hostile_open_report, hostile_report, moved_report

if TYPE_CHECKING:
    from rich.console import RenderableType

    from harness.report.gate_model import GateReport

FOLDER = Path(__file__).parent / "snapshots"
REPORTS = {"moved": moved_report, "hostile": hostile_report, "open": hostile_open_report}


def printed(part: RenderableType, width: int, *, colour: bool = False) -> str:
    """As on a terminal of this width."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(part)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def texts(report: GateReport) -> dict[str, str]:
    """Every output, by the end of its file's name."""
    return {
        "80.txt": printed(render_gate(report), 80),
        "200.txt": printed(render_gate(report), 200),
        "md": to_markdown(report),
        "xml": to_junit(report),
        "annotations.txt": to_annotations(report),
        "json": to_gate_json(report),
    }


def snapshots() -> dict[str, str]:
    """What is to be in the folder, by the file's name."""
    return {
        f"{name}.{end}": text
        for name, make in REPORTS.items()
        for end, text in texts(make()).items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in snapshots().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
