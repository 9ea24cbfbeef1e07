"""The tables and the bars of the simulated histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changes_series import CORRELATED, GAUSSIAN, NOISES, OUTLIERS, STEPS
from tables import clopper_pearson, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

# The bars, by noise: at most so many flat series of 100 with an alarm, at least so many steps.
MOST_ALARMS = {GAUSSIAN: 0.001, OUTLIERS: 0.005, CORRELATED: 0.02}
LEAST_FOUND = {
    (0.03, 25): {GAUSSIAN: 0.98, OUTLIERS: 0.96, CORRELATED: 0.88},
    (0.10, 48): {GAUSSIAN: 0.98, OUTLIERS: 0.80, CORRELATED: 0.95},
}
HEAD = (
    "**Simulated**: pseudo-random numbers, no device and no clock. Made by `make simulate-changes`."
)
_SHOWN = STEPS[:3]
_ABOUT = """\
the first of them. A step is found where one is told within two commits of it. An alarm is a
step, a drift, or a spike of which a commit is no outlier. In brackets the 95 % Clopper-Pearson
interval. Ours is `harness history detect` at its defaults; the others are asv 0.6.6
(`detect_steps` and `detect_regressions`, which never tell of a faster level), Apache Otava 0.8.0
(window 50, p < 0.001, least magnitude 0 or 2 %) and ruptures 1.1.10 (PELT, cost l1 of times over
their noise, penalty 3 ln n, steps below 1 % left out)."""
_HELD = """\
Of the steps that were found: how often the range of commits and the interval of the size (both of
95 %) hold the truth, how many commits the range has in the mean; and how many of all series have
another alarm."""


def changes_text(document: Mapping[str, Any]) -> str:
    """All tables as Markdown; those of which ``document`` has nothing are left out."""
    lines = ["# Changes found in histories", "", HEAD, "", *_about(document)]
    rows = [*document.get("ours", []), *document.get("peers", [])]
    for noise in NOISES:
        lines += ["", f"## Noise of 1 %: {noise}", "", *_method_lines(rows, noise)]
    lines += _more_lines(document)
    return "\n".join(lines) + "\n"


def _about(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"Histories of 50 commits, seed {document['seed']}; every method sees the same ones, or"
    yield from _ABOUT.splitlines()


def _method_lines(rows: Sequence[Row], noise: str) -> Iterator[str]:
    titles = [f"{100 * size:g} % step at {begin}" for size, begin in _SHOWN]
    yield f"| method | flat series with an alarm | {' | '.join(titles)} | series |"
    yield "|---|---|---|---|---|---|"
    for method in dict.fromkeys(row["method"] for row in rows):
        its = {(row["size"], row["begin"]): row for row in rows if _is_of(row, method, noise)}
        flat = its[0.0, 0]
        cells = [_share(flat, "any"), *(_share(its[step], "found") for step in _SHOWN)]
        counts = f"{flat['trials']} flat, {its[_SHOWN[0]]['trials']} of each step"
        yield f"| {method} | {' | '.join(cells)} | {counts} |"


def _is_of(row: Row, method: str, noise: str) -> bool:
    return bool(row["method"] == method and row["noise"] == noise)


def _more_lines(document: Mapping[str, Any]) -> Iterator[str]:
    steps = [row for row in document.get("ours", []) if row["size"]]
    if not steps:
        return
    yield from ("", "## Where ours say that it is, and how large", "")
    yield from (*_HELD.splitlines(), "")
    yield "| noise | step | found | range holds it | commits | interval holds it | another alarm |"
    yield "|---|---|---|---|---|---|---|"
    for row in steps:
        label = f"{row['noise']} | {100 * row['size']:g} % at {row['begin']}"
        found = max(row["found"], 1)
        held = [_share({**row, "trials": found}, name) for name in ("in_range", "in_interval")]
        cells = f"{held[0]} | {row['range'] / found:.1f} | {held[1]} | {_share(row, 'other')}"
        yield f"| {label} | {_share(row, 'found')} | {cells} |"
    yield from ("", "## What is no step, and what is told of it", "")
    yield "| shape | noise | told as that, and nothing else | what else was told most |"
    yield "|---|---|---|---|"
    for row in document["shapes"]:
        others = [(what, n) for what, n in row["told"].items() if n != row["right"]][:2]
        told = ", ".join(f"{what} {100 * n / row['trials']:.1f} %" for what, n in others) or "-"
        yield f"| {row['shape']} | {row['noise']} | {_share(row, 'right')} | {told} |"
    yield from ("", "## False alarms by the length of the history", "")
    yield f"| commits | {' | '.join(NOISES)} | series of each |"
    yield "|---|---|---|---|---|"
    lengths = document["lengths"]
    for count in dict.fromkeys(row["count"] for row in lengths):
        its = [row for row in lengths if row["count"] == count]
        yield f"| {count} | {' | '.join(_share(row, 'any') for row in its)} | {its[0]['trials']} |"


def _share(row: Row, name: str) -> str:
    return rate(row[name] / row["trials"], clopper_pearson(row[name], row["trials"]))


def missed_bars(rows: Sequence[Row]) -> list[str]:
    """What falls short: both rates are held against the far end of their bounds."""
    missed = []
    for row in rows:
        label = f"{row['noise']}, {100 * row['size']:g} % at {row['begin']}"
        if not row["size"]:
            if clopper_pearson(row["any"], row["trials"])[1] > MOST_ALARMS[row["noise"]]:
                missed.append(f"{label}: {row['any']} alarms of {row['trials']}")
        elif (least := LEAST_FOUND.get((row["size"], row["begin"]), {}).get(row["noise"])) and (
            clopper_pearson(row["found"], row["trials"])[0] < least
        ):
            missed.append(f"{label}: {row['found']} found of {row['trials']}")
    return missed
