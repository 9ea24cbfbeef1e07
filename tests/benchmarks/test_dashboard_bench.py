"""The table that the benchmark of the dashboard leaves, of figures that are made up here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.test_demo_history import ROOT, load

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ROOT / "benchmarks" / "dashboard"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    sys.path.insert(0, str(FOLDER))
    yield load(FOLDER / "bench.py", "dashboard_bench")
    sys.path.remove(str(FOLDER))


def taken(name: str, wall_s: float, most_bytes: int) -> dict[str, Any]:
    return {"name": name, "wall_s": wall_s, "cpu_s": 2 * wall_s, "most_bytes": most_bytes,
            "out_bytes": 5_000_000}  # fmt: skip


def document(**more: Any) -> dict[str, Any]:
    return {
        "commits": 1000,
        "series": 100,
        "cores": 2,
        "load_average_1min": 0.4,
        "python": "3.11.7",
        "processor": "",
        "versions": {"asv": "1"},
        "created_utc": "2026-11-29T01:02:03+00:00",
        "taken": [
            *(taken("dashboard", s, int(s * 1e8)) for s in (8.0, 3.0, 4.0)),
            taken("asv publish", 5.0, 200_000_000),
        ],
        **more,
    }


def test_each_build_has_its_median_and_its_largest(bench: Any) -> None:
    text = bench.to_table(document())

    assert text.startswith("1,000 commits of 100 series: a SIMULATED history")
    assert "On 2 cores, load 0.4 after the builds, Python 3.11.7, asv 1; 2026-11-29." in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| dashboard, n = 3 | 4.0 | 8.0 | 8.0 | 800 | 5.0 |",
        "| asv publish, n = 1 | 5.0 | 5.0 | 10.0 | 200 | 5.0 |",
    ]


def test_both_times_of_the_page_are_told_with_its_size(bench: Any) -> None:
    loads = {"chromium": "150", "page_bytes": 12_300_000, "ready_s": [0.5, 0.3, 0.4]}
    loads["first_chart_s"] = [1.5, 1.9, 1.4]

    text = bench.to_table(document(loads=loads))

    assert "The page (12.3 MB) in headless Chromium 150" in text
    assert text.splitlines()[-2:] == [
        "| it can be read, and its sections chosen | 0.40 | 0.50 |",
        "| History (`#history`) has drawn its first chart | 1.50 | 1.90 |",
    ]
