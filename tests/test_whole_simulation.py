"""A smoke run of the simulated A/Bs of a whole pipeline; and the bars of the committed figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks" / "simulations"
COMMITTED = FOLDER.parents[1] / "reports" / "examples" / "simulations"


def _check(document: dict, trials: int) -> dict:
    rows = {(row["case"], row["waits"]): row for row in document["rows"]}
    assert len(rows) == len(document["rows"]) == 16
    for row in rows.values():
        ends = (row[end]["count"] for end in ("slower", "faster", "same", "inconclusive"))
        assert sum(ends) == row["trials"] == trials
    for (name, waits), row in rows.items():
        if name in {"equal", "every component 0.1 % slower"}:
            assert row["slower"]["count"] + row["faster"]["count"] <= 0.01 * trials, row
        else:
            # A regression is found as surely, whatever the A/B waits for.
            assert row["slower"]["count"] >= rows[name, True]["slower"]["count"] - 0.02 * trials
        if not waits:
            assert row["mean_pairs"] <= rows[name, True]["mean_pairs"], row
    return rows


def test_nothing_waits_for_what_cannot_matter_and_nothing_slower_is_missed(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "whole.py"), str(tmp_path), "--trials", "6"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    # Of six without a false alarm, nobody knows that there is none in a hundred.
    assert done.returncode == 1, done.stderr
    assert done.stdout == "missed: equal commits come out slower in at most 46 %\n"
    rows = _check(json.loads((tmp_path / "whole.json").read_text()), 6)
    assert rows["equal", False]["same"]["count"] >= 5
    assert rows["equal", True]["inconclusive"]["count"] == 6
    assert "SIMULATED" in (tmp_path / "whole.md").read_text()


def test_committed_figures_meet_the_bars() -> None:
    document = json.loads((COMMITTED / "whole.json").read_text())

    assert document["simulated"] is True
    assert document["trials"] >= 2000
    rows = _check(document, document["trials"])
    for waits in (True, False):
        assert rows["equal", waits]["slower"]["upper"] <= 0.01
    assert rows["equal", False]["same"]["lower"] >= 0.95
    for name in (
        "vocoder 0.5 % slower",
        "content encoder 0.5 % slower",
        "pitch encoder 5 % slower",
    ):
        assert rows[name, False]["slower"]["lower"] >= 0.95
        assert rows[name, False]["named"]["lower"] >= 0.95
