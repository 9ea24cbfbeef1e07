"""``harness history init``: what a repository of one's own needs to have a history."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import OptionError, StorageError
from harness.files import check_folder, written_whole
from harness.history.ignoring import to_ignore, write_ignored
from harness.history.plan import PLAN_NAME

if TYPE_CHECKING:
    from harness.history.ignoring import Ignored

_PACKAGE: Final = Path(__file__).resolve().parents[1]
# In a wheel the suites lie inside the package; in a checkout they lie beside it.
_FOLDERS: Final = (_PACKAGE / "_benchmarks", _PACKAGE.parent / "benchmarks")
SUITES: Final = ("__init__", "measured", "latency", "build", "accuracy", "energy")
_CONFIG: Final = "asv.conf.json"
_MANIFEST: Final = "pipeline.toml"


@dataclass(frozen=True)
class Begun:
    """What was written: whole files, and what was added to those that git ignores."""

    written: tuple[Path, ...]
    ignored: Ignored


def init_history(folder: Path, pipeline: str | None) -> Begun:
    """Write asv's configuration, the suites and a plan into ``folder``.

    Its ``.gitignore`` gets those lines that it lacks, so that what the harness writes is no change
    of the working tree.

    Raises:
        OptionError: there is no such pipeline, or it is not told which of several.
        StorageError: one of the files is there already, or cannot be written; then none is.
    """
    if not folder.is_dir():
        raise OptionError("there is no such folder", where=str(folder), fix="name a repository")
    plan = {"pipeline": _find_pipeline(folder, pipeline), **_PLAN}
    contents = {
        folder / _CONFIG: _dump({"project": folder.resolve().name, **_configuration(folder)})
    }
    suites = next(path for path in _FOLDERS if (path / "measured.py").is_file())
    for name in SUITES:
        text = (suites / f"{name}.py").read_text(encoding="utf-8")
        contents[folder / "benchmarks" / f"{name}.py"] = text
    contents[folder / "benchmarks" / PLAN_NAME] = _dump(plan)
    for path in contents:
        if path.exists():
            fix = "nothing was written; remove it, or edit it as docs/history.md tells"
            raise StorageError("it is there already", where=str(path), fix=fix)
    ignored = to_ignore(folder)
    for path, text in contents.items():
        check_folder(path.parent)
        with written_whole(path, overwrite=False) as scratch:
            scratch.write_text(text, encoding="utf-8")
    write_ignored(ignored)
    return Begun(tuple(contents), ignored)


_PLAN: Final[dict[str, Any]] = {
    "backends": ["onnxruntime"],
    "precisions": ["fp32"],
    "max_time_s": 20,
    "rel_precision": 0.005,
    "seed": 0,
    "opset": 20,
}


def _configuration(folder: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "repo": ".",
        "branches": [_branch(folder)],
        "dvcs": "git",
        "environment_type": "shared",
        "plugins": [".harness.history.asv_environment", ".harness.dashboard.asv_publisher"],
        "benchmark_dir": "benchmarks",
        "env_dir": ".asv/env",
        "results_dir": "reports/asv/results",
        "html_dir": "reports/asv/html",
        "build_cache_size": 50,
        "launch_method": "forkserver",
        "regressions_thresholds": {
            r"latency\..*": 0.02,
            r"build\..*": 0.05,
            r"accuracy\..*": 0.1,
            r"energy\..*": 0.03,
        },
    }


def _branch(folder: Path) -> str:
    """The branch that is checked out; ``main`` where there is none yet."""
    command = ["git", "-C", str(folder), "symbolic-ref", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "main"


def _find_pipeline(folder: Path, pipeline: str | None) -> str:
    if pipeline is not None:
        if not (folder / pipeline / _MANIFEST).is_file():
            what = f"{pipeline} holds no {_MANIFEST}"
            fix = f"give its path from {folder}"
            raise OptionError(what, where="--pipeline", fix=fix)
        return Path(pipeline).as_posix()
    hidden = set(folder.glob(".*"))
    found = [
        path.parent.relative_to(folder).as_posix()
        for path in sorted(folder.rglob(_MANIFEST))
        if not any(path.is_relative_to(one) for one in hidden)
    ]
    if len(found) != 1:
        what = f"there are {len(found)} pipelines: {', '.join(found)}" if found else "no pipeline"
        raise OptionError(what, where=str(folder), fix="name it with --pipeline FOLDER")
    return found[0]


def _dump(content: dict[str, Any]) -> str:
    return f"{json.dumps(content, indent=2)}\n"
