"""What the two names of a comparison stand for."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError, RecordError
from harness.history.lookup import find_sides
from harness.states import FAIL, Finding, Validity
from harness.store.parquet import ParquetStore
from harness.types import Replication
from tests.history.records import CONTEXT, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

OLD, NEW = "0a" * 20, "0b" * 20


def of_commit(name: str, commit: str, place: int = 0, **changes: object) -> Record:
    """A round of a run of the history."""
    context = replace(CONTEXT, commit=commit, round=place)
    made = record(name, context=context, created_utc=f"2026-01-01T00:00:{place:02}+00:00")
    return replace(made, **changes)  # type: ignore[arg-type]


def of_experiment(name: str, commit: str, experiment: str, second: int) -> Record:
    """A side of an A/B."""
    environment = {"cpu": "some", "gpu": None, "pipeline_commit": {"commit": commit}}
    return replace(
        record(name, context=None, environment=environment),
        created_utc=f"2026-01-02T00:00:{second:02}+00:00",
        replication=Replication(8, 1, experiment=experiment),
    )


def keep(folder: Path, *records: Record) -> Path:
    store = ParquetStore(folder)
    return [store.append(one) for one in records][-1]


def ids(tmp_path: Path, *names: str) -> list[tuple[str, ...]]:
    base, head = find_sides((names[0], names[1]), [tmp_path], tmp_path)
    return [tuple(one.record_id for one in side.records) for side in (base, head)]


def test_a_file_a_folder_and_an_id_are_records(tmp_path: Path) -> None:
    path = keep(tmp_path / "one", of_commit("a", OLD))
    keep(tmp_path / "many", of_commit("c", NEW, 2), of_commit("b", NEW, 1))

    assert ids(tmp_path, str(path), str(tmp_path / "many")) == [("a",), ("b", "c")]
    assert ids(tmp_path, "c", "a") == [("c",), ("a",)]
    base, head = find_sides((str(path), "b"), [tmp_path], tmp_path)
    assert (base.label, head.label) == (str(path), "b")


def test_a_commit_is_its_newest_run(tmp_path: Path) -> None:
    again = replace(CONTEXT, commit=NEW, started_unix_s=CONTEXT.started_unix_s + 100)
    rerun = replace(of_commit("e", NEW, 5), history=asdict(again))
    keep(tmp_path, of_commit("a", OLD, 0), of_commit("b", OLD, 1))
    keep(tmp_path, of_commit("c", NEW, 0), of_commit("d", NEW, 1), rerun)

    assert ids(tmp_path, OLD, NEW[:7]) == [("a", "b"), ("e",)]
    base, head = find_sides((OLD, NEW[:7]), [tmp_path], tmp_path)
    assert (base.label, head.label) == (OLD[:12], NEW[:12])


def test_what_is_invalid_or_interrupted_does_not_stand_for_a_commit(tmp_path: Path) -> None:
    invalid = Validity((Finding(FAIL, "it was hot", "cool it"),))
    keep(tmp_path, of_commit("a", OLD, 0), of_commit("b", OLD, 1, validity=invalid))
    keep(tmp_path, of_commit("c", NEW, 0, is_complete=False))

    assert ids(tmp_path, OLD, "c") == [("a",), ("c",)]
    expected = "no record of commit 0b0b0b0b0b0b in .* that is complete and valid, of 1; measure"
    with pytest.raises(OptionError, match=expected):
        ids(tmp_path, OLD, NEW)


def test_what_was_slowed_on_purpose_stands_for_nothing_but_its_file(tmp_path: Path) -> None:
    slow = of_experiment("slow", NEW, "x", 9)
    assert slow.replication is not None
    slow = replace(slow, replication=replace(slow.replication, slowed_by=0.1))
    keep(tmp_path, of_experiment("a", OLD, "y", 1), of_experiment("b", NEW, "y", 1))
    path = keep(tmp_path, of_experiment("c", OLD, "x", 9), slow)

    assert ids(tmp_path, OLD, NEW) == [("a",), ("b",)]
    assert ids(tmp_path, "c", NEW) == [("c",), ("b",)]
    assert ids(tmp_path, str(tmp_path), "c")[0] == ("a", "b", "c")
    assert ids(tmp_path, "a", str(path)) == [("a",), ("slow",)]
    with pytest.raises(OptionError, match=r"slow: it was made 10 % slower on purpose; .* name /"):
        ids(tmp_path, "a", "slow")
    alone = tmp_path / "alone"
    keep(alone, slow)
    with pytest.raises(OptionError, match="all records in it were slowed on purpose"):
        ids(tmp_path, "a", str(alone))
    with pytest.raises(OptionError, match="no commit"):
        find_sides(("c" * 40, NEW), [alone], tmp_path)


def test_two_commits_are_their_newest_common_experiment(tmp_path: Path) -> None:
    keep(tmp_path, of_experiment("a1", OLD, "x", 2), of_experiment("b1", NEW, "x", 2))
    keep(tmp_path, of_experiment("a2", OLD, "y", 1), of_experiment("b2", NEW, "y", 1))
    keep(tmp_path, of_experiment("b3", NEW, "z", 3))

    assert ids(tmp_path, OLD, NEW) == [("a1",), ("b1",)]
    assert ids(tmp_path, NEW, OLD) == [("b1",), ("a1",)]
    # By itself a commit is its newest record.
    assert ids(tmp_path, "a2", NEW) == [("a2",), ("b3",)]


def test_two_commits_are_of_an_environment_that_both_have(tmp_path: Path) -> None:
    other = {"cpu": "other", "gpu": None}
    keep(tmp_path, of_commit("a", OLD, 0), of_commit("b", OLD, 3, environment=other))
    keep(tmp_path, of_commit("c", NEW, 1))

    assert ids(tmp_path, OLD, NEW) == [("a",), ("c",)]
    keep(tmp_path, of_commit("d", NEW, 9, environment=other))
    assert ids(tmp_path, OLD, NEW) == [("b",), ("d",)]


def test_a_branch_is_its_last_commit(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    commit = done.stdout.strip()
    keep(tmp_path, of_commit("a", commit), of_commit("b", NEW))

    assert ids(tmp_path, "main", NEW) == [("a",), ("b",)]
    base, _ = find_sides(("main", NEW), [tmp_path], tmp_path)
    assert base.label == f"main ({commit[:12]})"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing", "nothing: it is no record, and no commit: git does not know it"),
        ("a..b", "a..b: a range is many commits"),
        ("0a0a0a0", "0a0a0a0: it begins the hashes of 2 commits; give more of the hash"),
        ("gone.parquet", "gone.parquet: there is no such file"),
        ("empty", "empty: there is no record in it"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    keep(tmp_path / "kept", of_commit("a", OLD), of_commit("b", "0a0a0a0" + "c" * 33))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises((OptionError, RecordError), match=expected):
        ids(tmp_path, name, OLD)


def test_a_damaged_record_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, of_commit("a", OLD), of_commit("b", NEW))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")

    assert ids(tmp_path, OLD, NEW) == [("a",), ("b",)]
    assert "bad.parquet: is no record, or is damaged" in caplog.text
