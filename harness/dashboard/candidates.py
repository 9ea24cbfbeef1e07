"""Which records tell what is so now: the newest of those that count, and then those that do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.dashboard.environments import KEY, key_of
from harness.dashboard.histories import COMMIT, ENVIRONMENT, LOCAL
from harness.errors import HarnessError
from harness.pipeline.pipeline import CANARY, WHOLE_PIPELINE
from harness.states import FAIL
from harness.store.headers import read_header
from harness.types import HOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from harness.dashboard.environments import Key
    from harness.dashboard.timeline import Timeline
    from harness.history.query import Records

# Of one environment and pipeline so many of the newest records are looked at, and of these no more
# than so many are read in full.
LOOKED_AT: Final = 64
MOST_RECORDS: Final = 16
# Why a record does not count; a tree that was changed does where nothing cleaner was measured.
INTERRUPTED, INVALID, SUPERSEDED, SIDE = "interrupted", "invalid", "superseded", "side"
DIRTY: Final = "dirty"
_DOUBT: Final = f"""CASE WHEN experiment IS NOT NULL THEN '{SIDE}'
    WHEN NOT is_complete THEN '{INTERRUPTED}'
    WHEN validity = 'invalid' THEN '{INVALID}'
    WHEN superseded IS TRUE THEN '{SUPERSEDED}'
    WHEN is_dirty IS TRUE THEN '{DIRTY}'
    ELSE '' END"""
_RANKS: Final = {"": 0, DIRTY: 1}
_LAST_RANK: Final = 2
_RANK: Final = f"CASE doubt WHEN '' THEN 0 WHEN '{DIRTY}' THEN 1 ELSE {_LAST_RANK} END"
# By commits first: asv measures the newest one first of all.
_NEWEST: Final = f"""
SELECT file, record_id, {KEY}, pipeline, {COMMIT} AS commit, created_utc, {_DOUBT} AS doubt
FROM records WHERE slowed_by IS NULL AND {LOCAL}
QUALIFY row_number() OVER (
    PARTITION BY {", ".join(f"records.{name}" for name in ENVIRONMENT)}, records.pipeline, {_RANK}
    ORDER BY coalesce(commit_utc, created_utc) DESC, created_utc DESC, file
) <= $most
"""  # noqa: S608  # constants
_KINDS: Final = f"""
SELECT file, list(DISTINCT concat_ws('|', component, variant, size, mode, streams)) AS kinds
FROM series WHERE component != '{CANARY}' GROUP BY file
"""  # noqa: S608  # constants
# What is wrong with one that is newer.
_WORDS: Final = {
    INTERRUPTED: "was interrupted",
    INVALID: "is invalid",
    SUPERSEDED: "was measured anew later",
    SIDE: "is a side of an A/B, which is judged by its other side alone",
    DIRTY: "is of a tree with changes that no commit has",
}


@dataclass(frozen=True)
class Candidate:
    """A record that may tell what is so now.

    ``place`` is that of its commit on the page, the larger the newer; ``doubt`` why it does not
    count, empty where it does; ``kinds`` what it measured, as :func:`kind_of` names it.
    """

    file: str
    record_id: str
    key: Key
    pipeline: str
    commit: str
    place: int
    created_utc: datetime
    doubt: str
    kinds: frozenset[str]

    @property
    def rank(self) -> int:
        """0 is the best: it counts; 1 if nothing better does; and 2 never."""
        return _RANKS.get(self.doubt, _LAST_RANK)

    @property
    def counts(self) -> bool:
        """Whether its figures count, if only for want of better ones."""
        return self.rank < _LAST_RANK

    @property
    def age(self) -> tuple[int, datetime]:
        """The larger, the newer."""
        return self.place, self.created_utc


def kind_of(component: str, variant: str, size: str, mode: str, streams: int) -> str:
    """The name of a series among the ``kinds`` of a candidate."""
    return "|".join((component, variant, size, mode, str(streams)))


def read_candidates(records: Records, timeline: Timeline) -> list[Candidate]:
    """The newest records of each environment and pipeline: those that count first.

    Raises:
        RecordError: no record can be read.
    """
    rows: list[dict[str, Any]] = records.table(_NEWEST, {"most": LOOKED_AT}).to_pylist()
    if not rows:
        return []
    with records.among({row["file"] for row in rows}):
        kinds = records.table(_KINDS, {}).to_pylist()
    held = {row["file"]: frozenset(row["kinds"]) for row in kinds}
    found = [_candidate(row, held[row["file"]], timeline) for row in rows if row["file"] in held]
    found.sort(key=lambda one: one.file)
    found.sort(key=lambda one: one.age, reverse=True)
    return sorted(found, key=lambda one: one.rank)


def _candidate(row: Mapping[str, Any], kinds: frozenset[str], timeline: Timeline) -> Candidate:
    return Candidate(
        file=row["file"],
        record_id=row["record_id"],
        key=key_of(row),
        pipeline=row["pipeline"],
        commit=row["commit"],
        place=timeline.places[row["commit"]],
        created_utc=row["created_utc"],
        doubt=row["doubt"],
        kinds=kinds,
    )


def chosen(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Those that have something that none before them has."""
    covered: dict[tuple[Any, ...], set[str]] = {}
    counts: dict[tuple[Any, ...], int] = {}
    for one in candidates:
        its = covered.setdefault((one.key, one.pipeline), set())
        group = (one.key, one.pipeline, one.rank)
        if counts.get(group, 0) < MOST_RECORDS and not its >= one.kinds:
            its.update(one.kinds)
            counts[group] = counts.get(group, 0) + 1
            yield one


def fullest(candidates: Iterable[Candidate]) -> dict[tuple[Key, str, str], Candidate]:
    """By environment, pipeline and size: of the best rank the one with the most variants of it.

    Of several that have as many it is the first. Whole pipelines count, when hot. What one record
    holds was measured in one run, and may be compared.
    """
    found: dict[tuple[Key, str, str], tuple[int, int, Candidate]] = {}
    for one in candidates:
        for size, variants in Counter(_sizes(one.kinds)).items():
            where = (one.key, one.pipeline, size)
            if where not in found or (-one.rank, variants) > found[where][:2]:
                found[where] = (-one.rank, variants, one)
    return {where: one for where, (_, _, one) in found.items() if one.counts}


def _sizes(kinds: Iterable[str]) -> Iterator[str]:
    """The size of each variant of a whole pipeline."""
    for kind in kinds:
        component, _, rest = kind.partition("|")
        _, size, mode, _ = rest.rsplit("|", 3)
        if (component, mode) == (WHOLE_PIPELINE, HOT):
            yield size


def newer_sentence(own: Candidate, candidates: Sequence[Candidate], kind: str) -> str:
    """What is wrong with the newest record of ``kind``, where ``own`` is older and better."""
    newer = [
        one
        for one in candidates
        if (one.key, one.pipeline) == (own.key, own.pipeline)
        and one.age > own.age
        and one.rank > own.rank
        and kind in one.kinds
    ]
    if not newer:
        return ""
    one = max(newer, key=lambda one: one.age)
    reasons = "; ".join(_failures(one.file)) if one.doubt == INVALID else ""
    told = f"a newer run of {one.created_utc:%Y-%m-%d %H:%M} UTC {_WORDS[one.doubt]}"
    return f"{told}: {reasons}" if reasons else told


def _failures(file: str) -> list[str]:
    """Why a record is invalid; nothing where it cannot be read any more."""
    try:
        findings = (read_header(Path(file)).get("validity") or {}).get("findings", ())
    except HarnessError:
        return []
    return [str(one["what"]) for one in findings if one["level"] == FAIL]
