"""Queries over several runs of one commit: which figures count, and which asv holds no more."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.history.output import print_answer
from harness.history.query import Records, Selection
from harness.states import FAIL, Finding, Validity
from tests.history.records import CONTEXT, measurement, record
from tests.history.test_query import keep

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

# What a table says of rows that do not count as others do.
TELLING = {"superseded", "valid", "invalid", "interrupted"}


def table(folder: Path) -> list[str]:
    with Records([str(folder)]) as records:
        shown = io.StringIO()
        print_answer(records.select(Selection(), ["median"]), "table", shown)
    return shown.getvalue().splitlines()


def answer_of(folder: Path, sql: str) -> dict[str, tuple[Any, ...]]:
    """The rows by their first column."""
    with Records([str(folder)]) as records:
        return {first: tuple(rest) for first, *rest in records.ask(sql).rows()}


def test_runs_of_one_commit_are_told_apart_and_which_asv_holds(tmp_path: Path) -> None:
    def at(name: str, started_s: float, round_: int, **changes: Any) -> Record:
        context = replace(CONTEXT, started_unix_s=started_s, round=round_)
        return record(name, context=replace(context, **changes))

    asvs = [at("a", 1.0, 0), at("b", 2.0, 1), at("c", 3.0, 0), at("d", 4.0, 0), at("e", 5.0, 1)]
    cut_off = replace(at("f", 6.0, 0), is_complete=False)
    alone = [at("g", 0.0, 0, machine="desk"), at("h", 9.0, 0, environment_name="other")]
    imported = at("i", 9.0, 0, imported_from="x.json")
    keep(tmp_path, *reversed(asvs), cut_off, *alone, imported)
    keep(tmp_path / "elsewhere", at("j", 7.0, 0))

    rows = answer_of(tmp_path, "SELECT record_id, run, superseded FROM records")

    assert rows == {
        "a": (0, True),
        "b": (0, True),
        "c": (1, True),
        "d": (2, False),
        "e": (2, False),
        "f": (None, None),
        "g": (0, False),
        "h": (0, False),
        "i": (None, None),
        "j": (0, False),
    }


def test_what_does_not_count_is_seen_in_a_table(tmp_path: Path) -> None:
    invalid = Validity((Finding(FAIL, "too hot", "cool it"),))
    later, last = (
        replace(CONTEXT, started_unix_s=CONTEXT.started_unix_s + more_s) for more_s in (1.0, 2.0)
    )
    keep(
        tmp_path,
        record("old", [measurement()], validity=Validity()),
        record("new", [measurement()], context=later, validity=Validity()),
        record("hot", [measurement()], context=last, validity=invalid),
        record("cut", [measurement()], is_complete=False, validity=Validity()),
    )

    told = [line.split() for line in table(tmp_path) if "01234567" in line]
    marks = sorted([word for word in words if word in TELLING] for words in told)

    # What is invalid takes no other's place.
    assert marks == [["invalid"], ["superseded", "valid"], ["valid"], ["valid", "interrupted"]]
    for name in ("old", "new", "hot"):
        (tmp_path / f"tiny-{name}.parquet").unlink()
    title = table(tmp_path)[0]
    assert "validity valid, interrupted" in title
    assert "superseded" not in title
