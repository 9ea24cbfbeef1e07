"""Where the history keeps what, beside asv's own results, and what its files are called.

``RESULTS/MACHINE/records`` holds a record for each measured round and a note for each failure. Both
say in their names of which commit and environment they are, so that what is there is known without
opening any of them.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final

from harness.files import check_folder, written_whole

if TYPE_CHECKING:
    from pathlib import Path

RECORDS: Final = "records"
BUILD, MEASURE = "build", "measure"
FAILURE_SUFFIX: Final = ".failed"
_HASH_LENGTH: Final = 8
_RECORD: Final = re.compile(r"-(\d{8}T\d{6}Z)-\w+-(\w+)-(\w+)-r(\d+)\.parquet$")
_FAILURE: Final = re.compile(r"^(\d{8}T\d{6}Z)-(\w+)-(\w+)-\w+\.failed$")


@dataclass(frozen=True)
class Failure:
    """A commit that could not be built or measured, at which ``stage``, and why."""

    commit: str
    environment_name: str
    stage: str
    reason: str
    unix_s: float


def records_folder(results_dir: Path, machine: str) -> Path:
    """Where the records of ``machine`` lie."""
    return results_dir / machine / RECORDS


def short(commit: str) -> str:
    """As much of a commit's hash as asv shows."""
    return commit[:_HASH_LENGTH]


def record_label(
    commit: str, environment_name: str, round_: int, *, is_invalid: bool = False
) -> str:
    """What a record's id ends with; one that is invalid is no round that was measured."""
    end = "-invalid" if is_invalid else ""
    return f"{short(commit)}-{_hashed(environment_name)}-r{round_}{end}"


def _hashed(environment_name: str) -> str:
    return f"{zlib.crc32(environment_name.encode()):08x}"


def write_failure(folder: Path, failure: Failure) -> Path:
    """Note ``failure`` in ``folder``.

    Raises:
        StorageError: it cannot be written.
    """
    check_folder(folder)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(failure.unix_s))
    of = f"{short(failure.commit)}-{_hashed(failure.environment_name)}"
    path = folder / f"{stamp}-{of}-{time.time_ns():x}{FAILURE_SUFFIX}"
    with written_whole(path) as scratch:
        scratch.write_text(f"{json.dumps(asdict(failure), indent=1)}\n", encoding="utf-8")
    return path


def read_failures(folder: Path) -> tuple[Failure, ...]:
    """The failures noted in ``folder``, oldest first; a damaged note is left out."""
    found = []
    for path in folder.glob(f"*{FAILURE_SUFFIX}"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            found.append(Failure(**{one.name: told[one.name] for one in fields(Failure)}))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return tuple(sorted(found, key=lambda failure: failure.unix_s))


@dataclass(frozen=True)
class Progress:
    """What is there of a commit: rounds of its latest run, and whether it failed after them.

    ``rounds`` is the number of the round to come, and ``recorded`` that of the records there are:
    asv's own rounds have gaps where one has failed. ``recorded_s`` is when the last record was
    written, by the file system's clock, and ``newest`` is that record.
    """

    rounds: int = 0
    has_failed: bool = False
    recorded_s: float = field(default=0.0, compare=False)
    recorded: int = field(default=0, compare=False)
    newest: Path | None = field(default=None, compare=False)


def read_progress(folder: Path, environment_name: str) -> dict[str, Progress]:
    """By the commit as :func:`short` gives it, what is there of one environment."""
    of = _hashed(environment_name)
    events: list[tuple[str, int, str, Path]] = []
    for path in folder.glob("*.parquet"):
        match = _RECORD.search(path.name)
        if match and match[3] == of:
            events.append((match[1], int(match[4]), match[2], path))
    for path in folder.glob(f"*{FAILURE_SUFFIX}"):
        match = _FAILURE.match(path.name)
        if match and match[3] == of:
            events.append((match[1], -1, match[2], path))
    found: dict[str, Progress] = {}
    for _, round_, commit, path in sorted(events):
        before = found.get(commit, Progress())
        if round_ < 0:
            found[commit] = replace(before, has_failed=True)
            continue
        recorded = before.recorded + 1 if round_ >= before.rounds else 1
        found[commit] = Progress(
            round_ + 1, recorded_s=path.stat().st_mtime, recorded=recorded, newest=path
        )
    return found
