"""A dashboard of a long history, beside what ``asv publish`` takes of the same: time, memory, size.

Run as ``python benchmarks/dashboard/bench.py OUT``: makes the history (about a minute), and then
takes turns. Each build is a process of its own, so that what it takes is its own; with
``--chromium`` the page is loaded in a browser, until it can be read and until its first chart is
drawn. The history is made up, and everything says so; how long it takes to show it is real.
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
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from generate import MACHINE, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

PAGE: Final = "index.html"
# What is noted while a page loads: when it is there to be read, and when its first chart is drawn,
# before which nothing can be hovered over, filtered or zoomed.
_NOTED: Final = """
window.noted = {};
new MutationObserver(() => {
  const told = document.documentElement?.dataset ?? {};
  if (told.ready === "true") window.noted.ready_s ??= performance.now() / 1000;
  if (told.charts === "true" && document.querySelector(".js-plotly-plot .main-svg"))
    window.noted.first_chart_s ??= performance.now() / 1000;
}).observe(document, { attributes: true, childList: true, subtree: true });
"""
# Where each is waited for: the page as it is opened, and the section that begins with a chart, for
# which plotly is read at once.
_SECTIONS: Final = {
    "ready_s": ("", "html[data-ready=true]"),
    "first_chart_s": ("#history", "html[data-charts=true] .js-plotly-plot .main-svg"),
}
_LOADS: Final = 5
_CHROMIUM: Final = "/usr/bin/chromium"
_KILOBYTE: Final = 1024
_MEGABYTE: Final = 1e6
_PACKAGES: Final = ("asv", "duckdb", "numpy", "plotly")
_UNTIL: Final = {
    "ready_s": "it can be read, and its sections chosen",
    "first_chart_s": "History (`#history`) has drawn its first chart",
}


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
    parser.add_argument("--markdown", type=Path, help="write the table there as well")
    parser.add_argument("--chromium", action="store_true", help="time the page in a browser, too")
    parser.add_argument("--loads", type=int, default=_LOADS, help="of the page in the browser")
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
        document["loads"] = _load_often(options.out / "dashboard" / PAGE, options.loads)
    table = to_table(document)
    if options.json:
        options.json.write_text(f"{json.dumps(document, indent=1)}\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(f"{table}\n", encoding="utf-8")
    print(table)  # noqa: T201
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
    """Build the page, as ``harness dashboard`` does."""
    from harness.dashboard.write import DashboardOrder, write_dashboard  # noqa: PLC0415

    history = out / "history"
    order = DashboardOrder((str(history / "results"),), repository=history / "repository")
    write_dashboard(order, out / "dashboard")
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


def _load_often(page: Path, loads: int) -> dict[str, Any]:
    """What :func:`load` found, each time in a browser that has not seen the page before."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    found: dict[str, list[float]] = {name: [] for name in _SECTIONS}
    with sync_playwright() as playwright:
        for name in [name for _ in range(loads) for name in _SECTIONS]:
            browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
            try:
                version = browser.version
                found[name].append(load(browser.new_page(), page.resolve().as_uri(), name))
            finally:
                browser.close()
    return {"chromium": version, "page_bytes": page.stat().st_size, **found}


def load(opened: Page, address: str, name: str) -> float:
    """Seconds from the beginning of loading a page until ``name`` of ``_SECTIONS`` is there."""
    section, there = _SECTIONS[name]
    opened.add_init_script(_NOTED)
    opened.goto(f"{address}{section}")
    # No function to wait for: the page's policy lets no text be evaluated.
    opened.wait_for_selector(there, state="attached", timeout=120_000)
    return float(opened.evaluate(f"window.noted.{name}"))


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
        "processor": _processor(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "taken": [asdict(one) for one in taken],
    }


def _processor() -> str:
    """Its name, as the kernel has it; empty where it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def to_table(document: dict[str, Any]) -> str:
    """The figures as Markdown, with how they were come by."""
    on = ", ".join(
        filter(
            None,
            (
                document["processor"],
                f"{document['cores']} cores",
                f"load {document['load_average_1min']:.1f} after the builds",
                f"Python {document['python']}",
                *(f"{name} {version}" for name, version in document["versions"].items()),
            ),
        )
    )
    return "\n".join(
        [
            (
                f"{document['commits']:,} commits of {document['series']} series: a SIMULATED "
                f"history, whose pages are built in real time, in turns, each by a process of its "
                f"own. On {on}; {document['created_utc'][:10]}."
            ),
            "",
            *_built(document["taken"]),
            *(_loaded(document["loads"]) if "loads" in document else ()),
        ]
    )


def _built(taken: list[dict[str, Any]]) -> Iterator[str]:
    yield "| | median s | largest s | CPU s | most memory MB | written MB |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in dict.fromkeys(one["name"] for one in taken):
        its = [one for one in taken if one["name"] == name]
        walls = [one["wall_s"] for one in its]
        cpu_s = median(one["cpu_s"] for one in its)
        memory = max(one["most_bytes"] for one in its) / _MEGABYTE
        size = its[-1]["out_bytes"] / _MEGABYTE
        times = f"{median(walls):.1f} | {max(walls):.1f} | {cpu_s:.1f}"
        yield f"| {name}, n = {len(its)} | {times} | {memory:.0f} | {size:.1f} |"


def _loaded(loads: dict[str, Any]) -> Iterator[str]:
    yield ""
    count = len(loads["ready_s"])
    size = loads["page_bytes"] / _MEGABYTE
    yield (
        f"The page ({size:.1f} MB) in headless Chromium {loads['chromium']}, from a disk, "
        f"n = {count} of each row, each in a new browser:"
    )
    yield ""
    yield "| from the beginning of loading until | median s | largest s |"
    yield "|---|--:|--:|"
    for name, words in _UNTIL.items():
        yield f"| {words} | {median(loads[name]):.2f} | {max(loads[name]):.2f} |"


if __name__ == "__main__":
    raise SystemExit(main())
