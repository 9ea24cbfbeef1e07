"""What one process has made ready for others to measure, as files; and what they answer.

All lie in one folder, a scratch of the run. A process is told what to do by an :class:`Order`, and
answers with a record or with its error.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.backends.protocol import Built
from harness.checks import Check
from harness.errors import HarnessError
from harness.files import load_arrays, save_arrays
from harness.ready import Ready
from harness.stats.accuracy import Accuracy
from harness.store.parquet import record_from_json, record_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.pipeline.pipeline import Pipeline
    from harness.types import Case, Record, Variant


@dataclass(frozen=True)
class Order:
    """What a process has to do: measure as number ``process``; or, without a number, prepare.

    ``build`` says of which build of the engines, or which is the first to prepare; ``builds`` how
    many to prepare, and ``series`` what tells them apart from builds of other orders.
    """

    process: int | None
    build: int = 0
    builds: int = 1
    pins_tactics: bool = False
    series: str = ""

    @property
    def name(self) -> str:
        """What its files are called."""
        if self.process is None:
            return f"prepare-{self.build}" if self.build else "prepare"
        return f"process-{self.process}"

    def write(self, folder: Path) -> Path:
        """Write it into ``folder``; gives the file, which :func:`read_order` reads."""
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path


def read_order(path: Path) -> Order:
    """The order in the file at ``path``."""
    return Order(**json.loads(path.read_text(encoding="utf-8")))


def write_answer(folder: Path, order: Order, record: Record) -> None:
    """Keep ``record`` for the process that gave the order."""
    _record_path(folder, order).write_text(record_to_json(record), encoding="utf-8")


def read_answer(folder: Path, order: Order) -> Record:
    """The record that an order has made."""
    return record_from_json(_record_path(folder, order).read_text(encoding="utf-8"))


def _record_path(folder: Path, order: Order) -> Path:
    return folder / f"{order.name}.record"


def write_error(folder: Path, order: Order, error: HarnessError) -> None:
    """Keep ``error`` for the process that gave the order."""
    told = {"type": type(error).__name__, "what": error.what, "where": error.where}
    content = json.dumps({**told, "fix": error.fix})
    (folder / f"{order.name}.error").write_text(content, encoding="utf-8")


def read_error(folder: Path, order: Order) -> HarnessError | None:
    """The very error that ended an order; None where it left none."""
    path = folder / f"{order.name}.error"
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    kind = getattr(errors, told["type"], HarnessError)
    made = kind(told["what"], where=told["where"], fix=told["fix"])
    return made if isinstance(made, HarnessError) else HarnessError(told["what"])


def save_ready(ready: Ready, folder: Path) -> None:
    """Write what measuring takes of ``ready`` into ``folder``: no references, the timed inputs."""
    folder.mkdir()
    content = {
        "built": [
            {name: [str(b.path.resolve()), b.size_bytes] for name, b in its.items()}
            for its in ready.built.values()
        ],
        "checks": [
            [{name: asdict(check) for name, check in checks.items()} for checks in of.values()]
            for of in ready.checks.values()
        ],
    }
    (folder / "ready.json").write_text(json.dumps(content), encoding="utf-8")
    for index, feeds in enumerate(ready.feeds.values()):
        save_arrays(folder / f"feed-{index}.npz", feeds[0])


def load_ready(
    folder: Path, pipeline: Pipeline, cases: Sequence[Case], variants: Sequence[Variant]
) -> Ready:
    """What :func:`save_ready` wrote, of the components that ``pipeline`` holds.

    ``cases`` and ``variants`` are those of the run, in its order.
    """
    content = json.loads((folder / "ready.json").read_text(encoding="utf-8"))
    return Ready(
        pipeline=pipeline,
        feeds={case: [load_arrays(folder / f"feed-{i}.npz")] for i, case in enumerate(cases)},
        references={},
        built={
            variant: {name: Built(Path(path), size) for name, (path, size) in its.items()}
            for variant, its in zip(variants, content["built"], strict=True)
        },
        checks={
            case: {
                variant: {name: _check(check) for name, check in checks.items()}
                for variant, checks in zip(variants, of, strict=True)
            }
            # Without a reference nothing was checked.
            for case, of in zip(cases, content["checks"], strict=False)
        },
    )


def _check(told: Mapping[str, Any]) -> Check:
    accuracy = told["accuracy"]
    return Check(**{**told, "accuracy": None if accuracy is None else Accuracy(**accuracy)})
