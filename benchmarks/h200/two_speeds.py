"""The medians of fp16 by flag in runs of several compositions, beside one another.

    python benchmarks/h200/two_speeds.py OUT

Reads the figures that measure.sh wrote, ``speeds-ROUND-COMPOSITION.json``, and prints for each run
the p50 in milliseconds of what is launched as a CUDA graph, and what it is over that of the run
alone in the same round.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SHOWN = ("pipeline", "flow_decoder", "content_encoder", "vocoder")


def medians(figures: dict[str, Any]) -> dict[str, float]:
    """The p50 in ms of fp16 by flag as a CUDA graph, by component."""
    return {
        row["component"]: row["summary"]["median"]["value"] * 1e3
        for row in figures["measurements"]
        if (row["precision"], row["route"], row["launch"]) == ("fp16", "flag", "graph")
    }


def lines(found: dict[tuple[str, str], dict[str, float]]) -> list[str]:
    """A table of the runs; by round and composition."""
    rows = [f"{'run':22}" + "".join(f"{name:>24}" for name in SHOWN)]
    for (number, composition), row in sorted(found.items()):
        alone = found.get((number, "alone"), {})
        cells = []
        for name in SHOWN:
            text = "-"
            if name in row:
                ratio = f" ({row[name] / alone[name]:.3f})" if name in alone else ""
                text = f"{row[name]:.4f}{ratio}"
            cells.append(f"{text:>24}")
        rows.append(f"{f'{number} {composition}':22}" + "".join(cells))
    return rows


def main(folder: Path) -> int:
    """Print the table; 1 where there is nothing to print."""
    found = {}
    for path in folder.glob("speeds-*-*.json"):
        _, number, composition = path.stem.split("-")
        figures = json.loads(path.read_text(encoding="utf-8"))
        found[number, composition] = medians(figures)
    print("\n".join(lines(found)))  # noqa: T201
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
