"""Scratch repositories with a pipeline, for runs of asv over their commits."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from harness.history.start import init_history

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Nothing of the machine's git is wanted: neither its hooks nor its signatures.
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "voice"
version = "1.0"
[tool.hatch.build.targets.wheel]
only-include = ["voice"]
"""


class Repository:
    """A folder under git."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.git("init", "--quiet", "-b", "main")

    def git(self, *arguments: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | _GIT
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Write ``files``, commit everything, and give the hash."""
        for name, text in (files or {}).items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def with_history(root: Path, pipeline: str, **plan: object) -> Repository:
    """A repository with the suites and a plan of very short measuring; nothing is committed."""
    repository = Repository(root)
    init_history(root, pipeline)
    (root / ".gitignore").write_text(".asv/\n/reports/\n__pycache__/\n")
    path = root / "benchmarks" / "plan.json"
    short = {"max_time_s": 20.0, "max_samples": 12, "energy": False, "threads": 1}
    path.write_text(json.dumps({**json.loads(path.read_text()), **short, **plan}))
    return repository
