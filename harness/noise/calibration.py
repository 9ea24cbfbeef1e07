"""What a machine's noise was found to be, kept in its cache for whoever judges figures from it.

One file for each environment (its fingerprint) and pipeline; measuring a series again replaces what
was kept of that series, and of no other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from harness.errors import RecordError
from harness.files import check_folder, written_whole
from harness.pipeline.fingerprint import hash_json
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CALIBRATION_VERSION: Final = 1
_FOLDER: Final = "noise"
_KEY_LENGTH: Final = 24


@dataclass(frozen=True)
class Caught:
    """How often a slowdown of ``size``, as a share, was told as ``slower``."""

    size: float
    share: Share


@dataclass(frozen=True)
class SeriesNoise:
    """The noise of one series, as shares of its latency, and what follows for a gate.

    ``series`` is the label of a :class:`harness.comparison.model.Series`. ``within_sd`` is the
    standard deviation within a process, ``process_sd`` that of the processes' medians, in the
    logarithm. ``margin`` is the change that is none, at which equal commits come out as ``same``.
    ``false_alarms`` counts the trials on equal commits that ended as ``slower``. Of the ``caught``,
    the smallest of those caught 95 % of the time is ``smallest_caught``, None where none was.

    ``created_utc`` is when it was measured, and ``settings`` what that was by: ``processes``,
    ``pairs``, ``trials``, ``margin``, ``threads`` and ``words``, the options of each process.
    ``is_simulated`` says that the times were made up.
    """

    series: str
    within_sd: float
    process_sd: float
    margin: float
    false_alarms: Share
    smallest_caught: float | None
    caught: tuple[Caught, ...] = ()
    created_utc: str = ""
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    is_simulated: bool = False

    @property
    def false_alarm_rate(self) -> float:
        """The share of the trials on equal commits that ended as ``slower``."""
        return self.false_alarms.rate


@dataclass(frozen=True)
class Calibration:
    """The noise of a pipeline in one environment, from ``processes`` fresh ones.

    ``pairs`` is the most pairs that a trial might take, ``trials`` how many were resampled for each
    figure. ``injected`` tells what was measured with a real slowdown, by its size. All that is said
    here of a whole is of what was measured last; rows may be older, and say so.
    """

    fingerprint: str
    pipeline: str
    created_utc: str
    rows: tuple[SeriesNoise, ...]
    processes: int = 0
    pairs: int = 0
    trials: int = 0
    injected: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def is_simulated(self) -> bool:
        """Whether the times of any row were made up."""
        return any(row.is_simulated for row in self.rows)

    def row(self, series: str) -> SeriesNoise | None:
        """The noise of the series with that label; None where it was not measured."""
        return next((row for row in self.rows if row.series == series), None)


def calibration_path(cache: Path, environment: Mapping[str, Any], pipeline: str) -> Path:
    """Where the calibration of ``pipeline`` in ``environment`` is, or would be."""
    return _path(cache, fingerprint(environment), pipeline)


def save(calibration: Calibration, cache: Path) -> Path:
    """Keep ``calibration`` under the folder ``cache``; gives its path.

    What an older one tells of other series stays.

    Raises:
        StorageError: it cannot be written.
    """
    path = _path(cache, calibration.fingerprint, calibration.pipeline)
    check_folder(path.parent)
    whole = _with_older(calibration, path)
    content = {"schema_version": CALIBRATION_VERSION, **asdict(whole)}
    with written_whole(path) as scratch:
        scratch.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")
    return path


def _with_older(calibration: Calibration, path: Path) -> Calibration:
    try:
        older = read_calibration(path)
    except RecordError:
        # There is none, or none that can be read.
        return calibration
    own = {row.series for row in calibration.rows}
    rows = (
        replace(row, created_utc=row.created_utc or older.created_utc)
        for row in older.rows
        if row.series not in own
    )
    injected = (one for one in older.injected if one.get("series") not in own)
    return replace(
        calibration,
        rows=(*calibration.rows, *rows),
        injected=(*calibration.injected, *injected),
    )


def load(cache: Path, environment: Mapping[str, Any], pipeline: str) -> Calibration | None:
    """The calibration of ``pipeline`` in ``environment`` (a record's); None where there is none.

    Raises:
        RecordError: it is damaged, or of another version.
    """
    path = calibration_path(cache, environment, pipeline)
    return read_calibration(path) if path.is_file() else None


def files_in(cache: Path) -> list[Path]:
    """The files of all calibrations under the folder ``cache``."""
    return sorted((cache / _FOLDER).glob("*.json"))


def read_calibration(path: Path) -> Calibration:
    """The calibration in the file at ``path``.

    Raises:
        RecordError: it is none, is damaged, or of another version.
    """
    fix = "measure it again with 'harness noise'"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("schema_version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "is no calibration, or is damaged"
        raise RecordError(what, where=str(path), fix=fix) from error
    if version != CALIBRATION_VERSION:
        what = f"has schema version {version}, this is version {CALIBRATION_VERSION}"
        raise RecordError(what, where=str(path), fix=fix)
    try:
        rows = tuple(_row(row) for row in content.pop("rows"))
        injected = tuple(content.pop("injected"))
        return Calibration(**content, rows=rows, injected=injected)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is damaged: {error}", where=str(path), fix=fix) from error


def _row(row: dict[str, Any]) -> SeriesNoise:
    caught = tuple(Caught(one["size"], Share(**one["share"])) for one in row["caught"])
    return SeriesNoise(**{**row, "false_alarms": Share(**row["false_alarms"]), "caught": caught})


def _path(cache: Path, of: str, pipeline: str) -> Path:
    # A pipeline's name may hold what no file's may.
    key = hash_json([of, pipeline])[:_KEY_LENGTH]
    return cache / _FOLDER / f"{key}.json"
