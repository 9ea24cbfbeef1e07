"""``make demo-history``: 30 commits of the tiny pipeline, exported for real, timed by no machine.

Each commit is exported, converted and checked as any other; its times are those of the backend
``simulated``, made up from the graphs' multiply-accumulates with seeded noise. So the truth is
known, and every record, series and page says ``simulated``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from repository import PIPELINE, make_repository

TINY: Final = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
# About 11 ms for the whole pipeline; between processes, and between samples of one.
SIMULATION: Final = {"macs_per_s": 2.5e8, "noise": 0.004, "process_noise": 0.002, "seed": 0}


def main() -> int:
    """Make the repository, measure its commits and publish; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the repository; made if it is not there")
    parser.add_argument("--range", default="ALL", help="of commits, as asv takes it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-publish", dest="publish", action="store_false")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if not folder.exists():
        make_repository(folder, TINY)
    if not (folder / "asv.conf.json").exists():
        _run(["history", "init", str(folder), "--pipeline", PIPELINE], folder)
        _simulate(folder / "benchmarks" / "plan.json")
    config = ["--config", "asv.conf.json", "--machine", "simulated"]
    rounds = ["--rounds", str(options.rounds)]
    code = _run(["history", "run", options.range, *config, *rounds], folder)
    if options.publish:
        subprocess.run([sys.executable, "-m", "asv", "publish"], cwd=folder, check=True)
    # 2: one commit cannot be built, as is meant.
    return 0 if code in {0, 2} else code


def _simulate(path: Path) -> None:
    plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plan |= {"backends": ["simulated"], "simulation": SIMULATION}
    path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")


def _run(arguments: list[str], folder: Path) -> int:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
