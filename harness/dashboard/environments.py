"""Where figures were measured: what is known of each place, and in what two of them differ."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.dashboard.histories import ENVIRONMENT
from harness.dashboard.model import Difference, Environment
from harness.errors import HarnessError
from harness.stats.fingerprint import differences, facts
from harness.store.headers import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.history.query import Records

# Of more environments than that, each is held against the newest alone.
_ALL_PAIRS: Final = 6
_HASH_CHARACTERS: Final = 8
# What a row says of its environment, and what :func:`key_of` reads.
KEY: Final = ", ".join(f"coalesce({name}, '') AS {name}" for name in ENVIRONMENT)
_NEWEST: Final = f"""
SELECT {KEY}, arg_max(file, created_utc) AS file, max(created_utc) AS created
FROM records GROUP BY ALL ORDER BY ALL
"""  # noqa: S608  # constants
_SIMULATED: Final = "SELECT filename, bool_and(simulated) AS simulated FROM measurements GROUP BY 1"

Key = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class Environments:
    """All environments by their key: machine, asv's environment, its requirements, fingerprint."""

    shown: tuple[Environment, ...]
    ids: Mapping[Key, int]
    differences: tuple[Difference, ...]


def read_environments(records: Records) -> Environments:
    """The environments of all ``records``, as the newest of each says.

    Raises:
        RecordError: no record can be read.
    """
    rows = records.table(_NEWEST, {}).to_pylist()
    with records.among({row["file"] for row in rows}):
        made_up = records.table(_SIMULATED, {}).to_pylist()
    simulated = {row["filename"]: bool(row["simulated"]) for row in made_up}
    told = [_environment_in(row["file"]) for row in rows]
    ids = {key_of(row): place for place, row in enumerate(rows)}
    shown = tuple(
        Environment(
            id=place,
            machine=row["machine"],
            label=label,
            fingerprint=row["fingerprint"],
            facts=facts(environment),
            simulated=simulated.get(row["file"], False),
        )
        for (place, row), environment, label in zip(
            enumerate(rows), told, _labels(rows, told), strict=True
        )
    )
    newest = max(range(len(rows)), key=lambda place: rows[place]["created"])
    return Environments(shown, ids, tuple(_differences(rows, told, newest)))


def key_of(row: Mapping[str, Any]) -> Key:
    """The environment that a row is of, which has the columns of ``KEY``."""
    machine, environment, requirements, fingerprint = (str(row[name]) for name in ENVIRONMENT)
    return machine, environment, requirements, fingerprint


def _environment_in(file: str) -> dict[str, Any]:
    try:
        return dict(read_header(Path(file))["environment"])
    except HarnessError:
        # It was there when the others were read; nothing is known of it now.
        return {}


def _labels(rows: Sequence[Mapping[str, Any]], told: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What each is called: the machine and its device; two of one name by their fingerprints."""
    names = [_name(row, environment) for row, environment in zip(rows, told, strict=True)]
    for name, row in zip(names, rows, strict=True):
        is_alone = names.count(name) == 1
        yield name if is_alone else f"{name}, {row['fingerprint'][:_HASH_CHARACTERS]}"


def _name(row: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    gpu = environment.get("gpu") or {}
    device = str(gpu.get("name") or environment.get("cpu") or "unknown device")
    driver = f"driver {gpu['driver']}" if gpu.get("driver") else ""
    return ", ".join(part for part in (str(row["machine"]), device, driver) if part)


def _differences(
    rows: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]], newest: int
) -> Iterator[Difference]:
    pairs: Iterable[tuple[int, int]] = itertools.combinations(range(len(rows)), 2)
    if len(rows) > _ALL_PAIRS:
        pairs = ((place, newest) for place in range(len(rows)) if place != newest)
    for first, second in pairs:
        for name in ENVIRONMENT[:3]:
            a, b = str(rows[first][name]), str(rows[second][name])
            if a != b:
                yield Difference(first, second, name, a, b)
        for one in differences(told[first], told[second]):
            if one.affects_latency:
                yield Difference(first, second, one.field, _told(one.a), _told(one.b))


def _told(value: Any) -> str:  # noqa: ANN401  # of an environment
    return "" if value is None else str(value)
