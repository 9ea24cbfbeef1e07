"""What installing a commit takes: our asv environment type against asv's own, on this repository.

    python benchmarks/asv_install/compare.py --commits 5 [--types shared,virtualenv,uv] [--json F]

Each commit is installed in each environment before the next commit is, in one run. asv's own types
fail here as they are (their build command fetches all dependencies too, and asv then finds several
wheels), so that they get a build command with --no-deps. "no deps" also installs so, in an
environment that has the dependencies from its first commit: the best that they can be told to do.
Packages come from pip's and uv's caches where these have them: run it twice, and take the second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from asv import util
from asv.config import Config
from asv.environment import get_environment_class_by_name
from asv.plugin_manager import plugin_manager
from asv.repo import get_repo

from harness.history.asv_environment import find_uv

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["python -m pip wheel --no-deps -w {build_cache_dir} {build_dir}"]
NO_DEPS = ["in-dir={env_dir} python -m pip install {wheel_file} --no-deps --force-reinstall"]
KEEP = ["return-code=any python -c pass"]


def environments(folder: Path, types: list[str]) -> dict[str, tuple[Any, Any]]:
    """By its label, each environment and its configuration."""
    found = {}
    for kind in types:
        settings: dict[str, dict[str, Any]] = {kind: {}}
        if kind != "shared":
            own = {"build_command": BUILD}
            settings = {kind: own, f"{kind}, no deps": {**own, "install_command": NO_DEPS}}
        for number, (label, more) in enumerate(settings.items()):
            given = {"project": "trt-harness", "repo": ".", "environment_type": kind, **more}
            given["env_dir"] = str(folder / f"{kind}-{number}")
            given["results_dir"] = str(folder / f"results-{kind}-{number}")
            conf = Config.from_json(given)
            made = get_environment_class_by_name(kind)(conf, conf.pythons[0], {}, {})
            found[label] = (made, conf)
    return found


def measure(commits: list[str], made: dict[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    """Seconds to create each environment, and to install each commit in it."""
    told: dict[str, dict[str, Any]] = {}
    for label, (environment, _) in made.items():
        started = time.perf_counter()
        environment.create()
        told[label] = {"create_s": time.perf_counter() - started, "install_s": []}
    for commit in commits:
        for label, (environment, conf) in made.items():
            if label.endswith("no deps") and not told[label]["install_s"]:
                # Its first commit brings the dependencies.
                environment._install_command = None  # noqa: SLF001
            started = time.perf_counter()
            try:
                environment.install_project(conf, get_repo(conf), commit)
            except util.ProcessError as error:
                told[label]["problem"] = str(error)
                continue
            spent_s = time.perf_counter() - started
            told[label]["install_s"].append(spent_s)
            print(f"{commit[:8]} {label}: {spent_s:.2f} s", flush=True)  # noqa: T201
            if label.endswith("no deps"):
                environment._install_command = NO_DEPS  # noqa: SLF001
                environment._uninstall_command = KEEP  # noqa: SLF001
    for label, (environment, _) in made.items():
        told[label]["size_bytes"] = size_bytes(Path(environment._path))  # noqa: SLF001
    return told


def size_bytes(folder: Path) -> int:
    """What an environment takes on disk, without the checkout and the cache of builds."""
    total = 0
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in {"project", "asv-build-cache"}]
        total += sum(Path(root, name).lstat().st_size for name in files)
    return total


def main() -> None:
    """Clone, install, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=5)
    parser.add_argument("--types", default="shared,virtualenv,uv")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    json_file = given.json.absolute() if given.json else None
    os.environ["PATH"] = os.pathsep.join((str(Path(find_uv()).parent), os.environ["PATH"]))
    for plugin in (".harness.history.asv_environment", "virtualenv", "uv"):
        plugin_manager.import_plugin(plugin)
    with tempfile.TemporaryDirectory(prefix="asv-install-") as name:
        clone = Path(name, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)  # noqa: S603, S607
        os.chdir(clone)
        log = ["git", "log", "--first-parent", f"-{given.commits}", "--format=%H"]
        done = subprocess.run(log, capture_output=True, text=True, check=True)  # noqa: S603
        made = environments(Path(name), given.types.split(","))
        told = measure(done.stdout.split(), made)
    print(f"\n{'type':20} create s  first s  median of the others s  worst  MB")  # noqa: T201
    for label, one in told.items():
        first, *others = one["install_s"] or [float("nan")]
        others = others or [float("nan")]
        figures = (one["create_s"], first, statistics.median(others), max(others))
        text = "  ".join(f"{figure:8.2f}" for figure in figures)
        print(f"{label:20} {text}  {one['size_bytes'] / 1e6:8.1f}  {one.get('problem', '')}")  # noqa: T201
    if json_file is not None:
        facts = {"python": sys.version.split()[0], "cores": os.cpu_count(), "types": told}
        json_file.write_text(f"{json.dumps(facts, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
