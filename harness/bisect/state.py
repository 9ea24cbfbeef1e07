"""What a bisection has measured, kept so that it goes on where it was ended, however that was."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from harness.bisect.search import Step, key_of
from harness.errors import RecordError, StorageError
from harness.files import check_folder, written_whole
from harness.pipeline.fingerprint import hash_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_VERSION: Final = 2
_FOLDER: Final = "bisect"
_KEY_LENGTH: Final = 24


class State:
    """The steps of one bisection, in a file of the cache that is replaced whole at each."""

    def __init__(self, cache: Path, question: Mapping[str, Any]) -> None:
        """Of the bisection that ``question`` asks for: another one has a file of its own."""
        self.path = cache / _FOLDER / f"{hash_json(dict(question))[:_KEY_LENGTH]}.json"
        self._question = dict(question)
        self.steps: dict[tuple[str, str, str], Step] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody else work on it in the block; the kernel lets go when the process ends.

        Raises:
            StorageError: another process does, or it cannot be written.
        """
        check_folder(self.path.parent)
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            what = "this very bisection is being measured by another process"
            fix = "wait until that has ended, or end it"
            raise StorageError(what, where=str(self.path), fix=fix) from error
        try:
            yield
        finally:
            lock.release()

    def load(self) -> int:
        """Read what is there and final; gives the number of steps.

        What was left open by the time, say, is measured again.

        Raises:
            RecordError: it is damaged.
        """
        if not self.path.is_file():
            return 0
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            steps = [_step(row) for row in content["steps"]]
            version = content["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            what, fix = f"is damaged: {error}", "begin anew with --restart"
            raise RecordError(what, where=str(self.path), fix=fix) from error
        if version != _VERSION:
            what, fix = f"is of version {version}", "begin anew with --restart"
            raise RecordError(what, where=str(self.path), fix=fix)
        self.steps = {key_of(step): step for step in steps if step.is_final}
        return len(self.steps)

    def add(self, step: Step) -> None:
        """Keep ``step``; once this returns, no kill loses it.

        Raises:
            StorageError: it cannot be written.
        """
        self.steps[key_of(step)] = step
        rows = [asdict(one) for one in self.steps.values()]
        for row in rows:
            row["upper"] = row["upper"] if math.isfinite(row["upper"]) else None
        check_folder(self.path.parent)
        content = {"version": _VERSION, "question": self._question, "steps": rows}
        with written_whole(self.path) as scratch:
            scratch.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")

    def forget(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self.steps.clear()


def _step(row: dict[str, Any]) -> Step:
    upper = math.inf if row["upper"] is None else row["upper"]
    tuples = {name: tuple(row[name]) for name in ("record_ids", "remarks")}
    return Step(**{**row, "upper": upper, **tuples})
