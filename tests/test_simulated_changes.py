"""A smoke run of ``make simulate-changes``, and the bars held against the committed rates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np

FOLDER = Path(__file__).parents[1] / "benchmarks" / "simulations"
COMMITTED = FOLDER.parents[1] / "reports" / "examples" / "simulations" / "changes.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("changes")
    command = [sys.executable, str(FOLDER / "changes.py"), str(out)]
    done = subprocess.run(
        [*command, "--flat", "40", "--trials", "20"], capture_output=True, text=True, check=False
    )
    # So few trials cannot meet the bars' bounds.
    assert done.returncode == 1, done.stderr
    assert "missed: gaussian" in done.stdout
    return out


def rows_of(path: Path, key: str = "ours") -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))[key])


def test_steps_are_found_and_flat_series_are_left_alone(written: Path) -> None:
    for row in rows_of(written / "changes.json"):
        if row["size"]:
            assert row["found"] >= 15, row
            assert row["in_range"] >= row["found"] - 3, row
        else:
            assert row["any"] <= 3, row


def test_the_page_says_that_it_is_simulated_and_has_every_noise(written: Path) -> None:
    text = (written / "changes.md").read_text(encoding="utf-8")
    assert "**Simulated**" in text
    assert text.count("| ours |") == 3


def test_peers_keep_what_is_there_and_add_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import changes  # noqa: PLC0415  # a script, found by path

    def late(times: np.ndarray) -> list[int]:
        return [26] if times[-1] > 1.02 else []

    monkeypatch.setattr(changes, "peers", lambda: {"late": late, "other": late})
    (tmp_path / "changes.json").write_text(
        json.dumps({"peers": [{"method": "late"}, {"method": "kept"}]}), encoding="utf-8"
    )
    monkeypatch.setattr(changes, "changes_text", lambda document: "")
    ask = [str(tmp_path), "--peers", "--peer", "late", "--flat", "5", "--trials", "5"]
    assert changes.main(ask) == 0
    rows = rows_of(tmp_path / "changes.json", "peers")
    assert {row["method"] for row in rows} == {"kept", "late"}
    assert [row["found"] for row in rows if row.get("begin") == 25 and row["size"] == 0.1] == [
        5
    ] * 3


def test_committed_rates_meet_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from changes_text import LEAST_FOUND, MOST_ALARMS, missed_bars  # noqa: PLC0415

    rows = rows_of(COMMITTED)
    assert missed_bars(rows) == []
    for noise in MOST_ALARMS:
        flat = [row for row in rows if row["noise"] == noise and not row["size"]]
        assert [row["trials"] >= 10_000 for row in flat] == [True]
        steps = {(row["size"], row["begin"]): row for row in rows if row["noise"] == noise}
        for step in LEAST_FOUND:
            assert steps[step]["trials"] >= 2000


def test_committed_rates_of_other_tools_are_beside_them() -> None:
    methods = {row["method"].partition(",")[0] for row in rows_of(COMMITTED, "peers")}
    assert {"asv", "asv at 1 %", "Apache Otava", "ruptures PELT l1"} <= methods


def test_committed_rates_are_of_the_rule_as_it_is() -> None:
    from harness.stats.changes import ChangeRule  # noqa: PLC0415

    assert json.loads(COMMITTED.read_text(encoding="utf-8"))["rule"] == vars(ChangeRule())
