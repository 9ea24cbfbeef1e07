"""Whether a calibration's rates are of what a record was measured by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.gate.comparing import count_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.noise.calibration import SeriesNoise
    from harness.types import Record

# Of an A/B, --max-time is that of all of it.
_OF_PAIRS: Final = "--process-time"
_OF_RUN: Final = "--max-time"


def differences_of(row: SeriesNoise, record: Record, *, is_paired: bool) -> tuple[str, ...]:
    """In words, by what else the rates of ``row`` were found than ``record`` was measured.

    Pairs, the time of a process, threads, and whether there were turns; what is not known of a
    calibration is told as well. Empty where all is the same.
    """
    return tuple(_differences(row.settings, record, is_paired=is_paired))


def _differences(settings: Mapping[str, Any], record: Record, *, is_paired: bool) -> Iterator[str]:
    if not is_paired:
        yield "there the sides took turns, here they took none"
    if not settings:
        # A calibration of an older version.
        yield "by how many pairs, for how long and on how many threads it was is not known"
        return
    here = _pairs_of(record)
    if is_paired and settings.get("pairs") != here:
        yield f"up to {settings.get('pairs')} pairs there, {here} here"
    yield from _threads(settings, record)
    yield from _times(settings, record)


def _pairs_of(record: Record) -> int:
    """As many as it was to go on to, which early looks may have spared."""
    looks = record.replication.looks if record.replication else ()
    return looks[-1] if looks else count_units(record)


def _threads(settings: Mapping[str, Any], record: Record) -> Iterator[str]:
    there = [int(count) for count in settings.get("threads", ())]
    here = sorted({one.threads for one in record.measurements})
    if sorted(there) != here:
        yield f"threads: {_listed(there)} there, {_listed(here)} here"


def _times(settings: Mapping[str, Any], record: Record) -> Iterator[str]:
    there = _value_of(_OF_RUN, [str(word) for word in settings.get("words", ())])
    is_of_pairs = bool(record.replication and record.replication.experiment)
    here = _value_of(_OF_PAIRS if is_of_pairs else _OF_RUN, record.command)
    if there and not here:
        yield f"{there} s a process there, and here the command does not tell"
    elif _number(there) != _number(here):
        yield f"{there or '?'} s a process there, {here} s here"


def _value_of(option: str, words: Sequence[str]) -> str:
    """The value of ``option`` in a command line, the last that is given; empty where none is."""
    found = ""
    for word, after in zip(words, (*words[1:], ""), strict=False):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else after
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _listed(values: Sequence[int]) -> str:
    return " and ".join(map(str, values)) or "none"
