"""Raw samples, of the newest commits and around changes: of all others a sketch is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.dashboard.histories import read_samples
from harness.dashboard.model import (
    AROUND_A_CHANGE,
    MOST_SAMPLES,
    NEWEST_WITH_SAMPLES,
    Samples,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.dashboard.model import Commit, Series
    from harness.history.query import Records


def newest_commits(series: Iterable[Series]) -> dict[tuple[int, bool], set[int]]:
    """The newest places with figures of each environment, of its histories and its single runs."""
    held: dict[tuple[int, bool], set[int]] = {}
    for one in series:
        its = held.setdefault((one.environment, one.of_history), set())
        its.update(one.commits[one.counts > 0].tolist())
    return {key: set(sorted(its)[-NEWEST_WITH_SAMPLES:]) for key, its in held.items()}


def around_changes(one: Series) -> set[int]:
    """The places of the commits about the changes of a series."""
    found: set[int] = set()
    known = np.flatnonzero(one.counts > 0)
    for change in one.changes:
        begin, end = np.searchsorted(known, [change.at, change.at + 1])
        near = known[max(begin - AROUND_A_CHANGE, 0) : end + AROUND_A_CHANGE]
        found.update(one.commits[near].tolist())
    return found


def with_samples(
    series: Sequence[Series],
    labels: Sequence[tuple[Any, ...]],
    records: Records,
    commits: Sequence[Commit],
) -> tuple[Series, ...]:
    """``series``, whose labels are ``labels``, with the raw samples that are to be kept.

    Raises:
        RecordError: no record can be read.
    """
    newest = newest_commits(series)
    wanted = [around_changes(one) | newest[one.environment, one.of_history] for one in series]
    names = {commits[place].hash for places in wanted for place in places}
    held = read_samples(records, sorted(names))
    return tuple(
        replace(one, samples=_samples(one, label, places, held, commits))
        for one, label, places in zip(series, labels, wanted, strict=True)
    )


def _samples(
    one: Series,
    label: tuple[Any, ...],
    places: set[int],
    held: Mapping[tuple[tuple[Any, ...], str], list[NDArray[np.float64]]],
    commits: Sequence[Commit],
) -> tuple[Samples, ...]:
    found = []
    for at, place in enumerate(one.commits.tolist()):
        parts = held.get((label, commits[place].hash)) if place in places else None
        if parts:
            found.append(thinned(at, parts))
    return tuple(found)


def thinned(at: int, parts: Sequence[NDArray[np.float64]]) -> Samples:
    """The samples of all processes; every n-th, where there are too many."""
    values = np.concatenate(parts)
    step = max(-(-values.size // MOST_SAMPLES), 1)
    process = None
    if len(parts) > 1:
        numbers = np.repeat(np.arange(len(parts)), [part.size for part in parts])
        process = numbers[::step].astype(np.int32)
    return Samples(at, int(values.size), values[::step].astype(np.float32), process)
