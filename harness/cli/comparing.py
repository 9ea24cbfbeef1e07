"""What ``harness compare`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from harness.cli.output import tell
from harness.comparison.compare import check_distinct, check_valid, compare_records
from harness.errors import EXIT_INCONCLUSIVE, EXIT_MISSED, EXIT_PASS, OptionError
from harness.files import check_writable, is_stdout
from harness.history.lookup import find_sides
from harness.report.comparisons import render_comparison, write_comparison_json
from harness.stats.pairs import PairRule, PairStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Record, Replication

_DEFAULT_RECORDS: Final = Path("reports")
EXITS: Final = {
    PairStatus.SLOWER: EXIT_MISSED,
    PairStatus.FASTER: EXIT_PASS,
    PairStatus.SAME: EXIT_PASS,
    PairStatus.INCONCLUSIVE: EXIT_INCONCLUSIVE,
}


def compare_command(
    *,
    base: str,
    head: str,
    places: tuple[Path, ...],
    repository: Path,
    margin: float | None,
    alpha: float | None,
    across: bool,
    components: tuple[str, ...],
    json_file: Path | None,
) -> int:
    """Find both sides, judge them, print, and give the exit code."""
    _check_shares(margin, alpha)
    if json_file is not None:
        check_writable(json_file, is_text=True)
    sides = find_sides((base, head), places or (_DEFAULT_RECORDS,), repository)
    check_distinct(sides[0].records, sides[1].records)
    check_valid([record for side in sides for record in side.records])
    comparison = compare_records(
        sides[0].records,
        sides[1].records,
        _rule(margin, alpha, [record for side in sides for record in side.records]),
        across=across,
        labels=(sides[0].label, sides[1].label),
        components=components,
    )
    console = Console(highlight=False, stderr=json_file is not None and is_stdout(json_file))
    with console.capture() as told:
        console.print(render_comparison(comparison))
    if json_file is not None:
        write_comparison_json(comparison, json_file)
    tell(told.get().rstrip("\n"), beside=json_file)
    return EXITS[comparison.status]


def _check_shares(margin: float | None, alpha: float | None) -> None:
    # What is checked here for an option, the rule checks for all.
    for option, value in (("--margin", margin), ("--alpha", alpha)):
        if value is not None and not (0.0 <= value < 1.0 and (value or option == "--margin")):
            what = f"{value:g} is no share between 0 and 1"
            raise OptionError(what, where=option, fix="write 0.2% or 0.002")


def _rule(margin: float | None, alpha: float | None, records: Sequence[Record]) -> PairRule:
    """What was asked for, else what the records of an A/B were judged by, else the usual."""
    rule = PairRule()
    own = {_own_rule(one.replication) for one in records}
    (its, *others) = own
    if its is not None and not others:
        rule = PairRule(*its)
    return PairRule(
        margin=rule.margin if margin is None else margin,
        alpha=rule.alpha if alpha is None else alpha,
        looks=rule.looks,
    )


def _own_rule(found: Replication | None) -> tuple[float, float, tuple[int, ...]] | None:
    """The margin, alpha and looks of a side of an experiment; None where it does not tell."""
    if found is None or not found.experiment or not found.looks:
        return None
    if found.margin is None or found.alpha is None:
        return None
    return found.margin, found.alpha, tuple(found.looks)
