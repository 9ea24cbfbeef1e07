"""``harness doctor``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.api import BACKENDS
from harness.artifacts.cache import default_cache_root
from harness.cli.output import tell
from harness.doctor.examine import examine
from harness.errors import EXIT_INCONCLUSIVE, EXIT_PASS, OptionError
from harness.files import check_writable, is_stdout, write_text
from harness.stats.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.doctor.examine import Examination
    from harness.doctor.lines import Line
    from harness.states import Finding

_STYLES: Final = {"ok": "green", "note": "cyan", "flag": "yellow", "fail": "bold red"}
_NAME_WIDTH: Final = 16


def doctor_command(*, backends: tuple[str, ...], json_file: Path | None, cache: Path | None) -> int:
    """Examine, print, and give the exit code: 3 where something fails."""
    for name in backends:
        if name not in BACKENDS:
            fix = f"choose one of: {', '.join(BACKENDS)}"
            raise OptionError(f"there is no backend {name!r}", where="--backend", fix=fix)
    if json_file is not None:
        check_writable(json_file, is_text=True)
    found = examine(backends, cache or default_cache_root())
    # As a run reports: whole words and no colours where it is piped.
    console = Console(highlight=False, stderr=json_file is not None and is_stdout(json_file))
    with console.capture() as told:
        for section, lines in groupby(found.lines, key=lambda line: line.section):
            console.print(_table(section, lines))
        console.print(_summary(found))
    code = EXIT_INCONCLUSIVE if found.status == "invalid" else EXIT_PASS
    if json_file is not None:
        write_text(json_file, _json(found, code) + "\n")
    tell(told.get().rstrip("\n"), beside=json_file)
    return code


def _table(section: str, lines: Iterable[Line]) -> Table:
    table = Table(title=section, title_justify="left", box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(Text(line.level, style=_STYLES[line.level]), line.name, Text(line.told))
        for finding in line.findings:
            table.add_row("", "", _sentence(finding))
    return table


def _sentence(finding: Finding) -> Text:
    text = Text(f"{finding.what}.", style=_STYLES[finding.level])
    return text.append(f" To do: {finding.fix}", style="default") if finding.fix else text


def _summary(found: Examination) -> Text:
    counts = Counter(finding.level for finding in found.findings)
    told = ", ".join(f"{counts[level]} {level}" for level in ("fail", "flag", "note"))
    end = {
        "valid": "nothing stands against figures from here",
        "flagged": "figures from here count, with what is flagged",
        "invalid": "figures from here would not count, or cannot be had",
    }[found.status]
    return Text(f"\n{told}: {end}. Nothing was changed.", style="bold")


def _json(found: Examination, code: int) -> str:
    answer = {
        "status": found.status,
        "exit_code": code,
        "lines": [{**asdict(line), "level": line.level} for line in found.lines],
        "environment": found.environment,
        "fingerprint": fingerprint(found.environment),
    }
    return json.dumps(answer, indent=1)
