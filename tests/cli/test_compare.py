"""``harness compare`` on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from harness.states import FAIL, Finding, Validity
from harness.stats.pairs import PairRule, judge_pairs
from harness.store.parquet import ParquetStore
from tests.comparison.made import side

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record, Replication

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "reports"


def keep(folder: Path, *records: Record) -> None:
    for one in records:
        ParquetStore(folder).append(one)


def pair(ratio: float, processes: int = 32) -> tuple[Record, Record]:
    ratios = dict.fromkeys(("encoder", "decoder", "pipeline"), ratio)
    return (
        side("a", processes=processes, experiment="x"),
        side("b", ratios, processes=processes, seed=1, experiment="x"),
    )


@pytest.mark.parametrize(
    ("ratio", "processes", "code", "told"),
    [
        (1.02, 32, 1, "3 slower"),
        (0.98, 32, 0, "3 faster"),
        (1.0, 32, 0, "3 same"),
        (1.02, 4, 3, "3 inconclusive"),
    ],
)
def test_the_exit_code_is_the_verdict(
    folder: Path, capsys: Capture, ratio: float, processes: int, code: int, told: str
) -> None:
    keep(folder, *pair(ratio, processes))

    assert main(["compare", "a", "b", "--margin", "0.5%"]) == code
    out = capsys.readouterr().out
    assert f"tiny, head against base: {told}" in out
    assert "processes in pairs, which took turns" in out
    assert "up to 0.5 % is the same" in out


def test_a_component_alone_is_compared(folder: Path, capsys: Capture) -> None:
    keep(folder, *pair(1.02))

    assert main(["compare", "a", "b", "--component", "decoder"]) == 1
    assert "1 slower" in capsys.readouterr().out


def test_json_goes_where_it_is_sent(folder: Path, capsys: Capture) -> None:
    keep(folder, *pair(1.02))

    assert main(["compare", "a", "b", "--json", "-"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "slower"
    assert "3 slower" in err
    assert main(["compare", "a", "b", "--json", "out.json"]) == 1
    assert json.loads((folder.parent / "out.json").read_text())["is_paired"] is True


def test_records_are_looked_for_where_it_is_said(folder: Path, capsys: Capture) -> None:
    base, head = pair(1.0)
    keep(folder.parent / "one", base)
    keep(folder.parent / "two", head)

    assert main(["compare", "a", "b", "--records", "one", "--records", "two"]) in {0, 3}
    assert main(["compare", "a", "b", "--records", "one"]) == 2
    assert "b: it is no record, and no commit" in capsys.readouterr().err


def test_another_machine_is_refused_or_told(folder: Path, capsys: Capture) -> None:
    base, head = pair(1.02)
    keep(folder, base, replace(head, environment={"cpu": "other", "gpu": None}))

    assert main(["compare", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "a and b: not the same environment: cpu some / other" in error
    assert "--across" in error
    assert main(["compare", "a", "b", "--across"]) == 1
    assert "NOT THE SAME ENVIRONMENT: 3 slower" in capsys.readouterr().out


def test_what_is_invalid_is_refused(folder: Path, capsys: Capture) -> None:
    base, head = pair(1.02)
    invalid = Validity((Finding(FAIL, "it was hot", "cool it"),))
    keep(folder, base, replace(head, validity=invalid))

    assert main(["compare", "a", "b"]) == 2
    assert "b: the machine's state makes it invalid: it was hot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--margin", "100%"], "--margin: 1 is no share between 0 and 1; write 0.2% or 0.002"),
        (["--margin", "-1%"], "--margin: -0.01 is no share"),
        (["--margin", "nan"], "--margin: nan is no share"),
        (["--alpha", "0"], "--alpha: 0 is no share"),
        (["--component", "vocoder"], "no series of vocoder is common to both: a has encoder"),
        (["--json", "."], "is a directory"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    folder: Path, capsys: Capture, words: list[str], expected: str
) -> None:
    keep(folder, *pair(1.0, 8))

    assert main(["compare", "a", "b", *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_record_is_no_baseline_of_itself(folder: Path, capsys: Capture) -> None:
    keep(folder, *pair(1.02))

    assert main(["compare", "a", "a"]) == 2
    assert "a: it is of both sides: nothing is slower than itself" in capsys.readouterr().err
    assert main(["compare", "a", "reports"]) == 2


def test_an_ab_is_judged_by_its_own_rule_unless_another_is_given(
    folder: Path, capsys: Capture
) -> None:
    own = {"margin": 0.05, "alpha": 0.01, "looks": (8, 32)}
    base, head = (replace(one, replication=ruled(one, **own)) for one in pair(1.02))
    keep(folder, base, head)

    def judged(*words: str) -> tuple[float, float]:
        main(["compare", "a", "b", "--json", "-", *words])
        document = json.loads(capsys.readouterr().out)
        return document["margin"], document["rows"][0]["time"]["confidence"]

    verdicts = [
        judge_pairs([1.0] * 32, [1.02] * 32, PairRule(0.05, alpha, (8, 32)))
        for alpha in (0.01, 0.1)
    ]
    assert judged() == (0.05, verdicts[0].confidence)
    assert judged("--margin", "1%") == (0.01, verdicts[0].confidence)
    assert judged("--alpha", "10%") == (0.05, verdicts[1].confidence)


def test_sides_of_different_rules_are_judged_by_the_usual_one(
    folder: Path, capsys: Capture
) -> None:
    base, head = pair(1.02)
    keep(
        folder,
        replace(base, replication=ruled(base, margin=0.05, alpha=0.01, looks=(8, 32))),
        replace(head, replication=ruled(head, margin=0.04, alpha=0.01, looks=(8, 32))),
    )

    assert main(["compare", "a", "b", "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["margin"] == 0.002


def ruled(one: Record, **rule: Any) -> Replication:
    assert one.replication is not None
    return replace(one.replication, **rule)


def test_what_vanished_from_the_head_is_open(folder: Path, capsys: Capture) -> None:
    base, head = pair(1.0)
    kept = tuple(m for m in head.measurements if m.component != "encoder")
    keep(folder, base, replace(head, measurements=kept))

    assert main(["compare", "a", "b", "--margin", "0.5%"]) == 3
    out = capsys.readouterr().out
    assert "head against base: 2 same, 1 of the base not judged" in out
    assert "only of the base: onnxruntime fp32, 1 s, hot: encoder" in out
    assert main(["compare", "b", "a", "--margin", "0.5%"]) == 0
    assert main(["compare", "a", "b", "--margin", "0.5%", "--component", "decoder"]) == 0


def test_what_was_slowed_on_purpose_is_taken_by_its_file_alone(
    folder: Path, capsys: Capture
) -> None:
    base, head = pair(1.1)
    keep(folder, base, replace(head, replication=ruled(head, slowed_by=0.1)))
    (path,) = folder.glob("*b*.parquet")

    assert main(["compare", "a", "b"]) == 2
    assert "b: it was made 10 % slower on purpose" in capsys.readouterr().err
    assert main(["compare", "a", str(path)]) == 1
    assert "HEAD SLOWED ON PURPOSE: 3 slower" in capsys.readouterr().out
