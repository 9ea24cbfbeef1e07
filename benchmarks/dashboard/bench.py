"""A dashboard of a long history, beside what ``asv publish`` takes of the same: time, memory, size.

Run as ``python benchmarks/dashboard/bench.py OUT``: makes the history (about a minute), and then
takes turns. Each build is a process of its own, so that what it takes is its own. The history is
made up, and everything says so; how long it takes to show it is real.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from generate import MACHINE, generate

PAGE: Final = "index.html"
_READY: Final = """
new MutationObserver(() => {
  if (document.documentElement.dataset.ready === "true" && !window.readyAfter)
    window.readyAfter = performance.now();
}).observe(document, { attributes: true, subtree: true });
"""
_CHROMIUM: Final = "/usr/bin/chromium"
_KILOBYTE: Final = 1024
_MEGABYTE: Final = 1e6


@dataclass(frozen=True)
class Taken:
    """What a process took: seconds by the clock and of all cores, and its most memory."""

    name: str
    wall_s: float
    cpu_s: float
    most_bytes: int
    out_bytes: int


def main() -> int:
    """Make the history if it is not there, and measure; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the history, and of what is built")
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3, help="builds of each kind")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--chromium", action="store_true", help="time the page in a browser, too")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        return _build(options.out)
    history = options.out / "history"
    if not history.exists():
        generate(history, commits=options.commits, series=options.series)
    taken = [one for _ in range(options.turns) for one in _turn(options.out, history)]
    document = _document(taken, options)
    if options.chromium:
        page = options.out / "dashboard" / PAGE
        document["interactive_s"] = [_interactive_s(page) for _ in range(options.turns)]
    text = json.dumps(document, indent=1)
    if options.json:
        options.json.write_text(f"{text}\n", encoding="utf-8")
    print(_table(document))  # noqa: T201
    return 0


def _turn(out: Path, history: Path) -> list[Taken]:
    """One build of each, the dashboard first."""
    config = _asv_config(out, history)
    page, html = out / "dashboard" / PAGE, out / "html"
    page.parent.mkdir(exist_ok=True)
    build = [sys.executable, str(Path(__file__).resolve()), str(out), "--build"]
    publish = [sys.executable, "-m", "asv", "publish", "--config", str(config)]
    return [
        _taken("dashboard", build, page.parent),
        _taken("asv publish", publish, html),
    ]


def _build(out: Path) -> int:
    """Build the page; where the page itself is not there yet, what it is made of."""
    from harness.dashboard.gather import gather  # noqa: PLC0415

    dashboard = gather(
        [str(out / "history" / "results")], repository=out / "history" / "repository"
    )
    try:
        from harness.dashboard.page import render_page  # noqa: PLC0415
    except ImportError:
        from harness.dashboard.encode import to_page_json as render_page  # noqa: PLC0415
    (out / "dashboard" / PAGE).write_text(render_page(dashboard), encoding="utf-8")
    return 0


def _asv_config(out: Path, history: Path) -> Path:
    path = out / "asv.conf.json"
    content = {
        "version": 1,
        "project": MACHINE,
        "repo": str((history / "repository").resolve()),
        "branches": ["main"],
        "environment_type": "existing",
        "benchmark_dir": str(out.resolve()),
        "results_dir": str((history / "results").resolve()),
        "html_dir": str((out / "html").resolve()),
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _taken(name: str, command: list[str], folder: Path) -> Taken:
    """Run ``command``, which writes to ``folder``; fails where it does."""
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": path}
    began_s = time.perf_counter()
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}")
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    cpu_s = used.ru_utime + used.ru_stime
    return Taken(name, wall_s, cpu_s, used.ru_maxrss * _KILOBYTE, size)


def _interactive_s(page: Path) -> float:
    """Seconds from the beginning of loading ``page`` until it says that it can be used."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        try:
            opened = browser.new_page()
            opened.add_init_script(_READY)
            opened.goto(page.resolve().as_uri())
            # No function to wait for: the page's policy lets no text be evaluated.
            ready = "html[data-ready=true]"
            opened.wait_for_selector(ready, state="attached", timeout=60_000)
            return float(opened.evaluate("window.readyAfter")) / 1000.0
        finally:
            browser.close()


def _document(taken: list[Taken], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "simulated_history": True,
        "commits": options.commits,
        "series": options.series,
        "turns": options.turns,
        "cores": os.cpu_count(),
        "load_average_1min": os.getloadavg()[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("asv", "duckdb", "numpy")},
        "taken": [asdict(one) for one in taken],
    }


def _table(document: dict[str, Any]) -> str:
    lines = [
        (
            f"{document['commits']} commits of {document['series']} series (SIMULATED history), "
            f"{document['cores']} cores, load {document['load_average_1min']:.1f}"
        ),
        "| | wall s, median (each) | CPU s | most memory MB | written MB |",
        "|---|---|---|---|---|",
    ]
    names = dict.fromkeys(one["name"] for one in document["taken"])
    for name in names:
        its = [one for one in document["taken"] if one["name"] == name]
        walls = [one["wall_s"] for one in its]
        told = ", ".join(f"{wall_s:.1f}" for wall_s in walls)
        cpu_s = median(one["cpu_s"] for one in its)
        memory = max(one["most_bytes"] for one in its) / _MEGABYTE
        size = its[-1]["out_bytes"] / _MEGABYTE
        cells = (name, f"{median(walls):.1f} ({told})", f"{cpu_s:.1f}", f"{memory:.0f}")
        lines.append(f"| {' | '.join((*cells, f'{size:.1f}'))} |")
    if "interactive_s" in document:
        told = ", ".join(f"{seconds:.2f}" for seconds in document["interactive_s"])
        lines.append(f"interactive in Chromium after {told} s")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
