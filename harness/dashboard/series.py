"""The histories as they are shown: sorted, with holes, levels and changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.dashboard.changes import changes_of
from harness.dashboard.histories import ENVIRONMENT, LABELS
from harness.dashboard.model import ChangePoint, Series
from harness.history.points import Environment as PointsEnvironment
from harness.history.points import Points, canary_for, name_of, uses_gpu
from harness.pipeline.pipeline import CANARY
from harness.sharing import one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.dashboard.changes import FoundChanges
    from harness.dashboard.environments import Environments, Key
    from harness.dashboard.histories import Histories
    from harness.dashboard.timeline import Timeline
    from harness.history.detect import ChangeCandidate
    from harness.sharing import Each

    Places = NDArray[np.intp]
    Doubles = NDArray[np.float64]

RECORDS: Final = "records"
SECONDS: Final = "seconds"
_CANARY_NOTE: Final = "frozen work: it tells of the machine, and is not looked through for changes"
_SINGLE_NOTE: Final = "of single runs: they are no history, and not looked through for changes"
_SHOWN: Final = (
    *("pipeline", "component", "variant", "backend", "precision", "route", "launch", "size"),
    *("mode", "streams", "threads", "clock"),
)


@dataclass(frozen=True, eq=False)
class _Told:
    """One series: its labels by name, the rows of it by place, and those of its environment.

    ``all_places`` are of all histories of the environment, or of all its single runs.
    """

    label: dict[str, Any]
    rows: Places
    places: Places
    all_places: Places

    @property
    def key(self) -> Key:
        machine, environment, requirements, fingerprint = (self.label[n] for n in ENVIRONMENT)
        return machine, environment, requirements, fingerprint

    def spread(self, values: Doubles) -> Doubles:
        """``values`` of the rows, at all commits from the first to the last that it has."""
        shape = (self.shown.size, *values.shape[1:])
        found = np.full(shape, np.nan)
        found[np.searchsorted(self.shown, self.places)] = values[self.rows]
        return found

    @property
    def shown(self) -> Places:
        """The commits of its environment from its first to its last."""
        all_places = self.all_places
        its = (all_places >= self.places[0]) & (all_places <= self.places[-1])
        return np.asarray(all_places[its])


def series_of_records(
    histories: Histories, timeline: Timeline, environments: Environments, each: Each = one_by_one
) -> tuple[Series, ...]:
    """All series of ``histories``, in the order of their labels; ``each`` looks for changes."""
    told = _told(histories, timeline)
    canaries: dict[Key, dict[tuple[str, bool], list[_Told]]] = {}
    for one in told:
        if one.label["component"] == CANARY and not one.label["is_single"]:
            kind = (one.label["route"], bool(one.label["simulated"]))
            canaries.setdefault(one.key, {}).setdefault(kind, []).append(one)
    times = {
        (key, kind): _canary_s(its, histories)
        for key, kinds in canaries.items()
        for kind, its in kinds.items()
    }
    series = [
        _series(place, one, histories, environments.ids[one.key]) for place, one in enumerate(told)
    ]
    looked = [place for place, one in enumerate(told) if _is_looked_through(one)]
    points = [
        _points(told[place], histories, timeline, canaries.get(told[place].key, {}), times)
        for place in looked
    ]
    found = each(partial(changes_of, known=timeline.known), points)
    for place, changes in zip(looked, found, strict=True):
        series[place] = _with_changes(series[place], told[place], changes)
    return tuple(series)


def _is_looked_through(one: _Told) -> bool:
    return not one.label["is_single"] and one.label["component"] != CANARY


def _told(histories: Histories, timeline: Timeline) -> list[_Told]:
    places = np.array([timeline.places[name] for name in histories.commits], dtype=np.intp)
    where = places[histories.commit] if histories.commit.size else histories.commit
    order = np.lexsort((where, histories.series))
    stops = np.searchsorted(histories.series[order], np.arange(len(histories.labels) + 1))
    labels = [dict(zip(LABELS, label, strict=True)) for label in histories.labels]
    # Histories and single runs of one environment have commits of their own.
    keys = [tuple(label[name] for name in (*ENVIRONMENT, "is_single")) for label in labels]
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    of_row = np.array([codes[key] for key in keys], dtype=np.intp)[histories.series]
    all_places = {key: np.unique(where[of_row == code]) for key, code in codes.items()}
    found = []
    for place, (label, key) in enumerate(zip(labels, keys, strict=True)):
        rows = order[stops[place] : stops[place + 1]]
        found.append(_Told(label, rows, where[rows], all_places[key]))
    return found


def _canary_s(its: Sequence[_Told], histories: Histories) -> tuple[float | None, ...]:
    """The times of a canary at all commits of its environment: that of all sizes is one."""
    all_places = its[0].all_places
    found = np.full((len(its), all_places.size), np.nan)
    for row, one in zip(found, its, strict=True):
        row[np.searchsorted(all_places, one.places)] = histories.median_s[one.rows]
    known = np.isfinite(found).any(axis=0)
    middle = np.full(all_places.size, np.nan)
    middle[known] = np.nanmedian(found[:, known], axis=0)
    return _optional(middle)


def _optional(values: Doubles) -> tuple[float | None, ...]:
    return tuple(value if value == value else None for value in values.tolist())  # noqa: PLR0124


def _series(place: int, one: _Told, histories: Histories, environment: int) -> Series:
    shown, label = one.shown, one.label

    def of(values: Doubles) -> NDArray[np.float32]:
        return one.spread(values).astype(np.float32)

    series = Series(
        id=place,
        environment=environment,
        **{name: label[name] for name in _SHOWN},
        options=name_of(label).options,
        simulated=bool(label["simulated"]),
        source=RECORDS,
        unit=SECONDS,
        commits=shown.astype(np.int32),
        counts=np.nan_to_num(of(histories.counts)),
        quantiles=of(histories.quantiles),
        median_s=of(histories.median_s),
        lower_s=of(histories.lower_s),
        upper_s=of(histories.upper_s),
        levels_s=np.full(shown.size, np.nan, dtype=np.float32),
        energy_j=of(histories.energy_j),
        snr_db=of(histories.snr_db),
        of_history=not label["is_single"],
    )
    if label["is_single"]:
        return replace(series, canary_note=_SINGLE_NOTE)
    if label["component"] == CANARY:
        return replace(series, canary_note=_CANARY_NOTE)
    return series


def _points(
    one: _Told,
    histories: Histories,
    timeline: Timeline,
    canaries: Mapping[tuple[str, bool], object],
    times: Mapping[tuple[Key, tuple[str, bool]], tuple[float | None, ...]],
) -> Points:
    """The history as ``harness history detect`` looks at it."""
    found = np.full(one.all_places.size, np.nan)
    found[np.searchsorted(one.all_places, one.places)] = histories.median_s[one.rows]
    is_simulated = bool(one.label["simulated"])
    on_gpu = uses_gpu(one.label["backend"])
    canary = canary_for(canaries, is_simulated=is_simulated, on_gpu=on_gpu)
    commits = tuple(timeline.commits[place].hash for place in one.all_places)
    return Points(
        environment=PointsEnvironment(*one.key),
        name=name_of(one.label),
        is_simulated=is_simulated,
        commits=commits,
        times_s=_optional(found),
        canary=canary,
        canary_s=times[one.key, (canary, is_simulated)] if canary else (),
        is_by_date=not timeline.known.keys() >= set(commits),
    )


def _with_changes(series: Series, one: _Told, found: FoundChanges) -> Series:
    first = int(np.searchsorted(one.all_places, one.shown[0]))
    levels_s = found.levels_s[first : first + one.shown.size]
    return replace(
        series,
        levels_s=levels_s.astype(np.float32),
        changes=tuple(change_points(found.candidates, lambda place: place - first)),
        canary_note=found.canary_note,
        too_few=found.too_few,
    )


def change_points(
    candidates: Sequence[ChangeCandidate], place_of: Callable[[int], int]
) -> Iterator[ChangePoint]:
    """``candidates`` as they are shown; ``place_of`` gives the series' place of the history's."""
    for candidate in candidates:
        change = candidate.change
        yield ChangePoint(
            kind=change.kind.value,
            direction=change.direction.value,
            at=place_of(change.index),
            first=place_of(change.first),
            last=place_of(change.last),
            ratio=change.ratio,
            lower=change.lower,
            upper=change.upper,
            confidence=change.confidence,
            recovered=change.recovered,
            is_open=change.is_open_slowdown,
            good=candidate.good,
            bad=candidate.bad,
            note=change.note,
        )
