"""A smoke run of ``make simulate``: few trials, so that a broken rule shows, a rate does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "simulations"
COMMITTED = FOLDER.parents[1] / "reports" / "examples" / "simulations"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulations")
    command = [sys.executable, str(FOLDER / "simulate.py"), str(out)]
    done = subprocess.run(
        [*command, "--trials", "6", "--processes", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    # Six trials cannot meet the bars' lower bounds.
    assert done.returncode == 1, done.stderr
    assert "missed: gaussian" in done.stdout
    return out


def test_each_shape_ends_as_it_should(written: Path) -> None:
    document = json.loads((written / "coverage.json").read_text())
    assert document["simulated"] is True
    for row in document["rows"]:
        if row["group"] == "near even":
            assert row["bimodal"] >= 4, row
        elif "0.45" not in row["shape"]:
            assert row["converged"] == 6, row
            assert row["covered"] >= 5, row
            assert row["bimodal"] == 0, row


def test_samples_are_a_fifth_of_those_of_nvbench(written: Path) -> None:
    rows = json.loads((written / "samples.json").read_text())["rows"]
    assert len(rows) == 20
    for row in rows:
        # At least 0.5 s of measured time.
        assert row["samples_nvbench"] >= 500 / row["kernel_ms"] * 0.99, row
        if row["noise"] <= 0.01:
            assert row["ratio"] <= 0.2, row


def test_what_depends_on_what_came_before_is_told_by_both_rules(written: Path) -> None:
    document = json.loads((written / "dependence.json").read_text())
    assert document["simulated"] is True
    assert len(document["tails"]) == 16
    assert len(document["misses"]) == 30
    for row in document["tails"]:
        assert row["covered"] >= row["neighbours"], row
    for row in document["misses"]:
        assert row["held"] >= row["as_independent"], row


def test_committed_tails_and_bounds_hold_where_enough_was_seen() -> None:
    document = json.loads((COMMITTED / "dependence.json").read_text())
    assert document["trials"] >= 1000
    for row in document["tails"]:
        assert row["covered"] / row["trials"] >= 0.935, row
        if row["level"] == 0.0:
            assert row["bounded"] / row["trials"] >= 0.98, row
    for row in document["misses"]:
        if row["rate"] >= 0.05:
            assert row["held"] / row["trials"] >= 0.91, row
            if row["length"] > 1.0:
                assert row["held"] > row["as_independent"], row


def test_tables_say_that_they_are_simulated(written: Path) -> None:
    for name in ("coverage.md", "samples.md", "dependence.md"):
        assert "**Simulated**" in (written / name).read_text()


def test_committed_figures_meet_the_bars() -> None:
    for row in json.loads((COMMITTED / "coverage.json").read_text())["rows"]:
        if row["group"] == "promised":
            # The bars are held against the rates' bounds, which know of the count.
            assert row["trials"] >= 1000
            assert row["coverage_bounds"][0] >= 0.97, row
    for row in json.loads((COMMITTED / "samples.json").read_text())["rows"]:
        assert row["noise"] > 0.01 or row["ratio"] <= 0.2, row


def test_nvbench_rule_agrees_with_a_loop_over_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from nvbench import stdrel_samples  # noqa: PLC0415  # a script, found by path

    for noise, kernel_s in [(0.002, 1e-3), (0.03, 1e-3), (0.03, 4e-3), (0.3, 1e-3)]:
        rng = np.random.default_rng(1)
        latency_s = kernel_s * (1.0 + noise * rng.standard_normal(4000))
        assert stdrel_samples(latency_s) == _loop(latency_s)


def _loop(latency_s: np.ndarray) -> int | None:
    """``stdrel_criterion.cxx`` line by line."""
    tracker: list[float] = []
    for count in range(1, latency_s.size + 1):
        so_far = latency_s[:count]
        if count >= 5:
            tracker.append(float(so_far.std(ddof=1) / so_far.mean()))
        if count < 10 or so_far.sum() <= 0.5:
            continue
        if tracker[-1] < 0.005:
            return count
        window = np.array(tracker[-512:])
        if window.size > 64 and count % 16 == 0 and window.var() < (0.05 * window.mean()) ** 2:
            return count
    return None
