"""A commit's exports, made by the commit's own code in its own interpreter."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import WorkerError
from harness.history.exports import limit_entries
from harness.history.instrument import own_reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline

# What would lead the commit's interpreter to modules of this one.
_OURS: Final = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"})
_LAST_LINES: Final = 3
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True)
class Exporter:
    """What exports a commit: its interpreter, which looks into ``packages`` first.

    ``name`` is what messages call the commit, and ``exports`` the cache that it exports into.
    """

    name: str
    python: Path
    exports: Path
    packages: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ExportSizes:
    """What is exported, and for which inputs references are made; none are the pipeline's own."""

    durations_s: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    seed: int = 0
    opset: int = 20


def export_with(
    exporter: Exporter, sizes: ExportSizes, pipeline: Pipeline, observer: Observer
) -> Path | None:
    """Have the commit's interpreter export the pipeline; gives its cache, None if that is empty.

    Raises:
        WorkerError: it could not; the message holds its own.
    """
    if all(component.onnx is not None for component in pipeline.components.values()):
        return None
    observer.phase(f"Exporting {exporter.name}", 1)
    limit_entries(exporter.exports)
    options = [f"--duration={duration_s}" for duration_s in sizes.durations_s]
    options += [f"--batch={batch}" for batch in sizes.batches]
    build = ["build", str(pipeline.root), f"--cache={exporter.exports}", f"--opset={sizes.opset}"]
    code, said = _run(exporter, [*build, "--references", f"--seed={sizes.seed}", *options])
    if code != 0 and "No such option" in said and "--references" in said:
        # A harness of before there was a history: its figures have no accuracy.
        code, said = _run(exporter, build)
    if code != 0:
        raise _export_error(code, said, exporter)
    observer.step("")
    return exporter.exports


def _run(exporter: Exporter, arguments: list[str]) -> tuple[int, str]:
    """Run ``harness`` in the commit's interpreter; its exit code and what it wrote."""
    environment = {name: v for name, v in os.environ.items() if name not in _OURS}
    if exporter.packages:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, exporter.packages))
    with tempfile.TemporaryDirectory(prefix="harness-export-") as elsewhere:
        process = subprocess.Popen(  # noqa: S603  # the interpreter that was made for the commit
            [str(exporter.python), "-m", "harness", *arguments],
            # "-m" looks for modules in the working directory first.
            cwd=elsewhere,
            env=_without(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            said, _ = process.communicate()
        except BaseException:
            # In order: it has workers of its own, which it then ends.
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_PATIENCE_S)
            raise
        finally:
            process.kill()
            process.wait()
    return process.returncode, said


def _without(environment: Mapping[str, str]) -> dict[str, str]:
    """Without asv's own variables: the commit need not know what measures it."""
    return {n: v for n, v in environment.items() if not n.startswith(("ASV", "TRT_HARNESS_HIST"))}


def _export_error(code: int, said: str, exporter: Exporter) -> WorkerError:
    lines = [line for line in said.splitlines() if line.strip()]
    reason = own_reason(said) or " | ".join(lines[-_LAST_LINES:]) or "it wrote nothing"
    what = f"its 'harness build' ended with {code}: {reason}"
    where = f"commit {exporter.name}"
    return WorkerError(what, where=where, fix="nothing is measured of this commit")
