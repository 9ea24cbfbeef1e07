"""What ``harness gate`` does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.artifacts.cache import default_cache_root
from harness.cli.output import tell
from harness.errors import OptionError
from harness.files import check_writable, is_stdout, write_text
from harness.gate.comparing import compare_with, took_turns
from harness.gate.judge import judge
from harness.gate.limits import Limits
from harness.gate.records import find_baseline, find_partner, label_of, newest_record
from harness.gate.thresholds import find_threshold
from harness.report.gate_annotations import to_annotations
from harness.report.gate_json import to_gate_json
from harness.report.gate_junit import to_junit
from harness.report.gate_markdown import to_markdown
from harness.report.gate_terminal import render_gate

if TYPE_CHECKING:
    from harness.gate.records import Baseline
    from harness.report.gate_model import GateReport
    from harness.types import Record


@dataclass(frozen=True)
class _Outputs:
    """Where each format goes; None where it is not wanted."""

    markdown: Path | None
    junit: Path | None
    json: Path | None

    @property
    def files(self) -> dict[str, Path]:
        """By option, those that are wanted."""
        return {f"--{name}": file for name, file in vars(self).items() if file is not None}

    def check(self) -> None:
        """See that all can be written, and that no two are one.

        Raises:
            OptionError: two are the same file, or both standard output.
            StorageError: one cannot be written.
        """
        seen: dict[str, str] = {}
        for option, file in self.files.items():
            check_writable(file, is_text=True)
            other = seen.setdefault("-" if is_stdout(file) else str(file.resolve()), option)
            if other != option:
                what = f"is the same file as that of {other}: {file}"
                raise OptionError(what, where=option, fix="name another")

    def write(self, report: GateReport) -> None:
        """Write them, each whole or not at all."""
        writers = {"--markdown": to_markdown, "--junit": to_junit, "--json": to_gate_json}
        for option, file in self.files.items():
            write_text(file, writers[option](report))

    @property
    def on_stdout(self) -> Path | None:
        """What takes standard output."""
        return next((file for file in self.files.values() if is_stdout(file)), None)


def gate_command(
    *,
    record: Path,
    pipeline: str | None,
    baseline: str | None,
    places: tuple[Path, ...],
    repository: Path,
    margin: float | None,
    max_energy_rise: float | None,
    max_memory_rise: float | None,
    skipped: tuple[str, ...],
    takes_simulated: bool,
    without_turns: bool,
    markdown_file: Path | None,
    junit_file: Path | None,
    json_file: Path | None,
    annotations: bool,
    source: str | None,
    cache: Path | None,
) -> int:
    """Judge, write, print, and give the exit code."""
    limits = Limits(max_energy_rise, max_memory_rise, takes_simulated, skipped, without_turns)
    outputs = _Outputs(markdown_file, junit_file, json_file)
    outputs.check()
    head, path = newest_record(record, pipeline, repository)
    held = (
        find_partner(head, path)
        if baseline is None
        else find_baseline(baseline, head, places, repository)
    )
    report = _judged(head, held, limits, margin, cache or default_cache_root())
    report = replace(
        report,
        head=replace(report.head, label=label_of(head)),
        source=_source_of(head) if source is None else source,
    )
    outputs.write(report)
    _print(report, outputs.on_stdout, annotations=annotations)
    return report.exit_code


def _judged(
    head: Record, baseline: Baseline | None, limits: Limits, margin: float | None, cache: Path
) -> GateReport:
    if baseline is None:
        return judge(head, limits)
    threshold = find_threshold(head, cache, margin, is_paired=took_turns(baseline, head))
    comparison = compare_with(baseline, head, threshold.margin)
    remarks = (*threshold.remarks, *baseline.remarks)
    return judge(head, limits, comparison, baseline.records, remarks)


def _print(report: GateReport, taken: Path | None, *, annotations: bool) -> None:
    console = Console(stderr=taken is not None)
    with console.capture() as told:
        console.print(render_gate(report))
    text = told.get()
    tell(f"{text}{to_annotations(report) if annotations else ''}".rstrip("\n"), beside=taken)


def _source_of(record: Record) -> str:
    """The declaration of the record's pipeline, where it lies below this folder."""
    named = [Path(word) for word in record.command if "/" in word]
    for folder in (*named, Path("fixtures") / record.pipeline):
        manifest = folder / "pipeline.toml"
        if not manifest.is_absolute() and ".." not in manifest.parts and manifest.is_file():
            return manifest.as_posix()
    return ""
