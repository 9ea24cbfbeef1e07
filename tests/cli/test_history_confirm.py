"""``harness history detect --confirm``: what is suspected is measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from harness.comparison.model import Comparison, Series, SeriesComparison, Side
from harness.history.confirming import confirm, exit_code_of
from harness.history.detect import find_candidates
from harness.report.comparisons import to_comparison_json
from harness.stats.pairs import PairStatus, PairVerdict
from harness.types import Case, Variant
from tests.history.test_detect import commit, keep, noisy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def comparison_of(
    found: dict[str, str],
    streams: int = 1,
    how: str = "perf_counter, 2 threads",
    **of_head: Any,
) -> Comparison:
    """What an A/B of so many components found of each."""
    # As of the history that is kept here.
    side = Side("x", "x", (), {"cpu": "some", "gpu": None})
    rows = [
        SeriesComparison(
            Series(component, Variant("onnxruntime", "fp32"), Case(1.0, 1), "hot", streams),
            *(0.01, 0.011),
            PairVerdict(PairStatus(status), 1.1, 1.09, 1.11, 0.98, 0.001, 8),
            how=how,
        )
        for component, status in found.items()
    ]
    head = replace(side, **of_head)
    return Comparison("tiny", side, head, tuple(rows), margin=0.002, is_paired=True)


# Stands for `harness ab`: notes what it was called with, and writes the document that is there.
_AB = """
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
out = next(word for word in sys.argv if word.startswith("--json=")).partition("=")[2]
document = folder / "document.json"
if document.is_file():
    pathlib.Path(out).write_text(document.read_text())
print({said!r}, file=sys.stderr)
sys.exit({code})
"""


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Let ``harness ab`` find this, and end so; gives the file of its calls."""

    def prepare(document: str | None, code: int, said: str = "") -> Path:
        folder = tmp_path / "ab"
        folder.mkdir()
        (folder / "calls").touch()
        if document is not None:
            (folder / "document.json").write_text(document)
        script = _AB.format(folder=str(folder), said=said, code=code)
        monkeypatch.setattr(
            "harness.history.confirming.harness_command", lambda: [sys.executable, "-c", script]
        )
        return folder / "calls"

    return prepare


def _detect(folder: Path, *options: str) -> int:
    return main(["history", "detect", str(folder), "--confirm", *options])


@pytest.mark.parametrize(
    ("status", "code", "word"), [("slower", 1, "confirmed"), ("same", 0, "refuted")], ids=str
)
def test_the_measurement_decides(
    tmp_path: Path,
    capsys: Capture,
    measured: Callable[..., Path],
    status: str,
    code: int,
    word: str,
) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1), "encoder": noisy(2)})
    calls = measured(to_comparison_json(comparison_of({"pipeline": status})), code)
    out = tmp_path / "out.json"

    assert _detect(tmp_path / "records", "--json", str(out), "--out", str(tmp_path / "o")) == code

    (words,) = (json.loads(line) for line in calls.read_text().splitlines())
    assert words[:4] == ["ab", commit(11), commit(12), "--committed"]
    assert f"--out={tmp_path / 'o'}" in words
    said = capsys.readouterr().out
    assert f"{word}: tiny: pipeline, onnxruntime fp32, 1 s, " in said
    assert f"{commit(11)[:8]} against {commit(12)[:8]}: {status}" in said
    document = json.loads(out.read_text())
    (one,) = document["confirmations"]
    assert (document["exit_code"], one["status"], one["head"]) == (code, status, commit(12))
    assert one["simulated"] is False


def test_a_slowdown_that_is_slight_to_the_whole_is_confirmed_all_the_same(
    tmp_path: Path, capsys: Capture, measured: Callable[..., Path]
) -> None:
    """It was asked for: the A/B passes over what is slower with the same graph."""
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1), "encoder": noisy(2)})
    found = comparison_of({"pipeline": "slower"})
    told = replace(found.rows[0], slight="slight: slower, though its graph is the same")
    assert told.status is PairStatus.INCONCLUSIVE
    measured(to_comparison_json(replace(found, rows=(told,))), 0)

    assert _detect(tmp_path / "records", "--out", str(tmp_path / "o")) == 1

    assert "confirmed: tiny: pipeline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("document", "code", "said", "reason"),
    [
        (None, 2, "harness: no such commit", "'harness ab' ended with 2: no such commit"),
        (None, 0, "", "'harness ab' ended with 0: it wrote nothing"),
        ({"vocoder": "slower"}, 1, "", "the repository's plan measures nothing of it"),
    ],
)
def test_what_cannot_be_measured_stays_open(
    tmp_path: Path,
    capsys: Capture,
    measured: Callable[..., Path],
    document: dict[str, str] | None,
    code: int,
    said: str,
    reason: str,
) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1)})
    text = None if document is None else to_comparison_json(comparison_of(document))
    measured(text, code, said)

    assert _detect(tmp_path / "records") == 3

    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("  open: tiny: pipeline")
    assert line.endswith(reason)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            comparison_of({"pipeline": "slower"}, environment={"cpu": "other", "gpu": None}),
            "measured in another environment: fingerprint ",
        ),
        (
            comparison_of({"pipeline": "slower"}, invalid="it was hot"),
            "the machine's state makes the head invalid: it was hot",
        ),
        (
            comparison_of({"pipeline": "slower"}, streams=2),
            "the repository's plan measures nothing of it",
        ),
        (
            comparison_of({"pipeline": "slower"}, how="perf_counter, 1 thread"),
            "timed otherwise: perf_counter, 1 thread, the history's perf_counter, 2 threads",
        ),
    ],
    ids=["elsewhere", "invalid", "streams", "threads"],
)
def test_what_says_nothing_of_the_history_leaves_it_open(
    tmp_path: Path,
    capsys: Capture,
    measured: Callable[..., Path],
    found: Comparison,
    reason: str,
) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1)})
    measured(to_comparison_json(found), 1)

    assert _detect(tmp_path / "records") == 3

    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("  open: tiny: pipeline")
    assert reason in line


def test_what_has_nothing_before_it_stays_open_and_is_not_measured(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(1, 0.1)})
    (candidate,) = find_candidates([str(tmp_path)]).candidates

    (one,) = confirm([replace(candidate, good="")], tmp_path, tmp_path)

    assert (one.status, exit_code_of([one])) == (PairStatus.INCONCLUSIVE, 3)
    assert one.reason == "nothing is known from before it"
    assert f"1 s, (start) against {commit(12)[:8]}: inconclusive: nothing" in str(one)


def test_an_interruption_of_the_measurement_is_one(
    tmp_path: Path, capsys: Capture, measured: Callable[..., Path]
) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, 0.1)})
    measured(None, 130)
    assert _detect(tmp_path / "records") == 130
    capsys.readouterr()


def test_where_nothing_is_slower_nothing_is_measured(
    tmp_path: Path, capsys: Capture, measured: Callable[..., Path]
) -> None:
    keep(tmp_path / "records", {"pipeline": noisy(1, -0.1)})
    calls = measured(None, 2)
    assert _detect(tmp_path / "records") == 0
    assert "there is no open slowdown" in capsys.readouterr().out
    assert calls.read_text() == ""
