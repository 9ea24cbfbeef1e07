"""Which records are meant: a file, the newest of a folder, those of a commit or branch."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import OptionError, RecordError
from harness.gate.records import find_baseline, find_partner, label_of, newest_record
from harness.history.newest import newest_readable
from harness.states import FAIL, Finding, Validity
from harness.store.parquet import ParquetStore
from harness.types import Replication
from tests.history.records import CONTEXT, record
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

INVALID = Validity((Finding(FAIL, "hot", "cool it"),))
HEAD = record("head", created_utc="2026-02-01T00:00:00+00:00")


def keep(folder: Path, *records: Record) -> None:
    for one in records:
        ParquetStore(folder).append(one)


def dated(name: str, day: int, **changes: Any) -> Record:
    return record(name, created_utc=f"2026-01-{day:02}T00:00:00+00:00", **changes)


def of(commit: str, name: str, day: int = 1, round_: int = 0, **changes: Any) -> Record:
    started = CONTEXT.started_unix_s + day * 86400
    context = replace(CONTEXT, commit=commit, round=round_, started_unix_s=started + round_)
    return dated(name, day, context=context, **changes)


def names(found: Any) -> list[str]:
    return [one.record_id for one in found.records]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    for message in ("one", "two", "three"):
        made.commit(message, {"file": message})
    return made


def test_the_newest_record_of_a_folder_whatever_became_of_it(tmp_path: Path) -> None:
    keep(tmp_path, dated("old", 1), dated("new", 2, is_complete=False))
    found, path = newest_record(tmp_path)
    assert (found.record_id, path.name) == ("new", "tiny-new.parquet")
    assert newest_record(tmp_path / "tiny-old.parquet")[0].record_id == "old"


def of_range(folder: Path, commits: dict[str, float], **changes: Any) -> Path:
    """Commits with their dates, measured in this order."""
    for day, (commit, date) in enumerate(commits.items(), 1):
        context = replace(CONTEXT, commit=commit, commit_unix_s=date)
        keep(folder, dated(f"of-{commit[:6]}", day, context=context, **changes))
    return folder


BACKWARDS = {"2" * 40: 1.7e9 + 2, "1" * 40: 1.7e9 + 1, "0" * 40: 1.7e9}


@pytest.mark.parametrize("find", [newest_record, newest_readable])
def test_of_a_history_it_is_the_newest_commits_though_that_is_measured_first(
    tmp_path: Path, find: Any
) -> None:
    of_range(tmp_path, BACKWARDS)
    # Another pipeline's is a history of its own.
    of_range(tmp_path, {"3" * 40: 1.8e9}, pipeline="other")
    assert find(tmp_path, "tiny")[0].record_id == "of-222222"
    assert find(tmp_path / "tiny-of-000000.parquet", "tiny")[0].record_id == "of-000000"


@pytest.mark.parametrize("find", [newest_record, newest_readable])
def test_of_one_commit_it_is_what_was_measured_last(tmp_path: Path, find: Any) -> None:
    of_range(tmp_path, BACKWARDS)
    context = replace(CONTEXT, commit="2" * 40, commit_unix_s=1.7e9 + 2)
    keep(tmp_path, dated("again", 2, context=context))
    assert find(tmp_path)[0].record_id == "again"


@pytest.mark.parametrize("find", [newest_record, newest_readable])
@pytest.mark.parametrize(("day", "newest"), [(1, "of-222222"), (2, "of-222222"), (4, "plain")])
def test_a_record_of_no_history_is_newer_than_one_that_was_all_made_before_it(
    tmp_path: Path, find: Any, day: int, newest: str
) -> None:
    of_range(tmp_path, BACKWARDS)
    keep(tmp_path, dated("plain", day, context=None))
    assert find(tmp_path)[0].record_id == newest


@pytest.mark.parametrize("find", [newest_record, newest_readable])
def test_commits_of_one_second_are_in_gits_order(
    tmp_path: Path, find: Any, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    newest, middle, oldest = (repository.git("rev-parse", f"HEAD~{back}") for back in range(3))
    records = of_range(tmp_path / "records", dict.fromkeys((middle, newest, oldest), 1.7e9))
    assert find(records, None, repository.root)[0].record_id == f"of-{newest[:6]}"
    assert caplog.messages == []
    assert find(records)[0].record_id == f"of-{oldest[:6]}"
    (said,) = caplog.messages
    assert said.startswith(f"{records}: 3 commits are of the same second, and git does not know")
    assert f"; {oldest[:10]} was measured last, and is taken" in said


def test_a_folder_as_the_baseline_is_its_newest_commit_that_counts(tmp_path: Path) -> None:
    of_range(tmp_path, BACKWARDS)
    context = replace(CONTEXT, commit="3" * 40, commit_unix_s=1.7e9 + 3)
    keep(tmp_path, dated("bad", 1, context=context, validity=INVALID))
    found = find_baseline(str(tmp_path), HEAD, [], tmp_path)
    assert names(found) == ["of-222222"]
    assert found.remarks == ("1 newer records of the baseline's folder are incomplete or invalid",)


def test_what_lies_in_the_folder_itself_comes_first(tmp_path: Path) -> None:
    keep(tmp_path / "examples", dated("new", 9), dated("other", 9, pipeline="other"))
    keep(tmp_path, dated("old", 1))
    assert newest_record(tmp_path)[0].record_id == "old"


def test_a_folder_without_records_or_of_two_pipelines_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no record in it"):
        newest_record(tmp_path)
    keep(tmp_path, dated("a", 1), dated("b", 1, pipeline="other"))
    with pytest.raises(OptionError, match="several pipelines: other, tiny"):
        newest_record(tmp_path)
    assert newest_record(tmp_path, "other")[0].record_id == "b"
    with pytest.raises(OptionError, match="no record in it is of third"):
        newest_record(tmp_path, "third")
    with pytest.raises(RecordError, match="of the pipeline tiny, not of other"):
        newest_record(tmp_path / "tiny-a.parquet", "other")
    with pytest.raises(RecordError, match="no such file"):
        newest_record(tmp_path / "none.parquet")


def test_a_file_is_a_baseline_if_it_is_of_the_same_pipeline(tmp_path: Path) -> None:
    keep(tmp_path, dated("a", 1), dated("b", 1, pipeline="other"))
    path = str(tmp_path / "tiny-a.parquet")
    found = find_baseline(path, HEAD, [], tmp_path)
    assert (found.label, names(found)) == ("a of 01234567", ["a"])
    with pytest.raises(RecordError, match="of the pipeline other, not of tiny"):
        find_baseline(str(tmp_path / "other-b.parquet"), HEAD, [], tmp_path)
    with pytest.raises(RecordError, match="no such file"):
        find_baseline(str(tmp_path / "none.parquet"), HEAD, [], tmp_path)


def test_of_a_folder_it_is_the_newest_that_is_complete_and_valid(tmp_path: Path) -> None:
    keep(
        tmp_path / "below",
        dated("a", 1),
        dated("b", 2),
        dated("c", 3, is_complete=False),
        dated("d", 4, validity=INVALID),
        dated("e", 5, pipeline="other"),
        HEAD,
    )
    found = find_baseline(str(tmp_path), HEAD, [], tmp_path)
    assert names(found) == ["b"]
    assert found.remarks == ("2 newer records of the baseline's folder are incomplete or invalid",)


def test_a_folder_with_nothing_else_is_bad_input(tmp_path: Path) -> None:
    keep(tmp_path, HEAD)
    with pytest.raises(OptionError, match="no record of tiny in it is complete and valid"):
        find_baseline(str(tmp_path), HEAD, [], tmp_path)


def test_damaged_records_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, dated("a", 1))
    (tmp_path / "tiny-b.parquet").write_bytes(b"PAR1")
    with caplog.at_level(logging.WARNING, "harness"):
        assert names(find_baseline(str(tmp_path), HEAD, [], tmp_path)) == ["a"]
    assert "tiny-b.parquet" in caplog.text


def test_of_a_commit_it_is_every_round_of_its_newest_run(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD~1")
    keep(
        tmp_path / "records",
        *(of(commit, f"old{i}", 1, i) for i in range(3)),
        *(of(commit, f"new{i}", 2, i) for i in range(2)),
        of(repository.git("rev-parse", "HEAD"), "other", 3),
    )
    found = find_baseline(commit, HEAD, [tmp_path / "records"], repository.root)
    assert (names(found), found.label, found.remarks) == (["new0", "new1"], commit[:12], ())
    assert names(find_baseline(commit[:9], HEAD, [tmp_path], repository.root)) == ["new0", "new1"]


def test_folders_are_of_runs_of_their_own(tmp_path: Path, repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    keep(tmp_path / "a", of(commit, "old", 1, 0))
    keep(tmp_path / "b", of(commit, "new0", 2, 0), of(commit, "new1", 2, 1))
    assert names(find_baseline("HEAD", HEAD, [tmp_path], repository.root)) == ["new0", "new1"]


def test_of_a_commit_those_of_the_heads_environment_come_first(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    keep(tmp_path, of(commit, "own", 1), of(commit, "other", 2, environment={"cpu": "another"}))
    assert names(find_baseline("HEAD", HEAD, [tmp_path], repository.root)) == ["own"]
    elsewhere = replace(HEAD, environment={"cpu": "a third"})
    assert names(find_baseline("HEAD", elsewhere, [tmp_path], repository.root)) == ["other"]


def test_of_a_branch_it_is_the_newest_commit_that_was_measured(
    tmp_path: Path, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD~2")
    keep(tmp_path, of(first, "a"))
    found = find_baseline("main", HEAD, [tmp_path], repository.root)
    assert (names(found), found.label) == (["a"], f"main ({first[:12]})")
    assert found.remarks == (
        "main is 2 commits on from the baseline, its newest that was measured",
    )


def test_a_commit_by_its_hash_is_that_and_no_other(tmp_path: Path, repository: Repository) -> None:
    keep(tmp_path, of(repository.git("rev-parse", "HEAD~1"), "a"))
    head = repository.git("rev-parse", "HEAD")
    with pytest.raises(OptionError, match="no record of it in") as caught:
        find_baseline(head, HEAD, [tmp_path], repository.root)
    assert caught.value.where == head


def test_a_commit_that_git_does_not_know_is_bad_input(
    tmp_path: Path, repository: Repository
) -> None:
    for name in ("no-such-branch", "--help", "$(touch x)"):
        with pytest.raises(OptionError, match="git does not know it"):
            find_baseline(name, HEAD, [tmp_path], repository.root)


def test_a_record_of_no_history_is_of_the_commit_that_it_was_made_on(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    clean = {**HEAD.environment, "pipeline_commit": {"commit": commit, "is_dirty": False}}
    dirty = {**HEAD.environment, "pipeline_commit": {"commit": commit, "is_dirty": True}}
    keep(
        tmp_path,
        dated("a", 1, context=None, environment=clean),
        dated("b", 2, context=None, environment=clean),
        dated("c", 3, context=None, environment=dirty),
    )
    assert names(find_baseline("main", HEAD, [tmp_path], repository.root)) == ["b"]


def test_what_is_incomplete_invalid_or_the_head_itself_is_no_baseline(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    head = replace(HEAD, history=asdict(replace(CONTEXT, commit=commit)))
    keep(
        tmp_path,
        head,
        of(commit, "a", 1, is_complete=False),
        of(commit, "b", 2, validity=INVALID),
        of(commit, "c", 3, pipeline="other"),
    )
    with pytest.raises(OptionError, match="no record of it"):
        find_baseline("main", head, [tmp_path], repository.root)


def slowed(name: str, day: int, **changes: Any) -> Record:
    """As ``harness noise`` leaves one whose work was made slower on purpose."""
    return dated(name, day, replication=Replication(8, 1, experiment="n", slowed_by=0.1), **changes)


def test_what_was_slowed_on_purpose_is_never_the_newest(tmp_path: Path) -> None:
    keep(tmp_path, slowed("z-head", 9))
    with pytest.raises(OptionError, match="no record in it but 1 that were made slower"):
        newest_record(tmp_path)
    keep(tmp_path, dated("a", 1))
    assert newest_record(tmp_path)[0].record_id == "a"
    # Nor does it take the place of the base that it took turns with.
    keep(tmp_path, dated("z-base", 9, replication=Replication(8, 1, experiment="n")))
    assert newest_record(tmp_path)[0].record_id == "z-base"


def test_what_was_slowed_on_purpose_is_refused_by_its_name(tmp_path: Path) -> None:
    keep(tmp_path, slowed("a", 1))
    path = tmp_path / "tiny-a.parquet"
    with pytest.raises(RecordError, match="slower by 10 % on purpose") as caught:
        newest_record(path)
    assert caught.value.where == str(path)
    with pytest.raises(RecordError, match="slower by 10 % on purpose"):
        find_baseline(str(path), HEAD, [], tmp_path)


def test_what_was_slowed_on_purpose_is_nobodys_baseline(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    context = replace(CONTEXT, commit=commit, started_unix_s=CONTEXT.started_unix_s + 9 * 86400)
    records = tmp_path / "records"
    keep(records, slowed("z", 9, context=context))
    for name in (str(records), "main"):
        with pytest.raises(OptionError, match="no record"):
            find_baseline(name, HEAD, [records], repository.root)
    keep(records, of(commit, "a", 1))
    for name in (str(records), "main"):
        found = find_baseline(name, HEAD, [records], repository.root)
        assert (names(found), found.remarks) == (["a"], ())


def test_a_partner_that_was_slowed_on_purpose_is_none(tmp_path: Path) -> None:
    made = dated("x-head", 9, replication=Replication(8, 1, experiment="n"))
    keep(tmp_path, made, slowed("x-base", 9))
    assert find_partner(made, tmp_path / "tiny-x-head.parquet") is None


def test_a_record_is_not_its_own_baseline(tmp_path: Path) -> None:
    keep(tmp_path, HEAD)
    with pytest.raises(OptionError, match="it is head, the record that is to be held") as caught:
        find_baseline(str(tmp_path / "tiny-head.parquet"), HEAD, [], tmp_path)
    assert caught.value.where == str(tmp_path / "tiny-head.parquet")
    # A copy of it is the same record.
    copy = tmp_path / "copy.parquet"
    copy.write_bytes((tmp_path / "tiny-head.parquet").read_bytes())
    with pytest.raises(OptionError, match="the record that is to be held"):
        find_baseline(str(copy), HEAD, [], tmp_path)


def test_a_record_is_called_by_its_id_and_commit() -> None:
    assert label_of(HEAD) == "head of 01234567"
    bare = replace(HEAD, history=None)
    assert label_of(bare) == "head"
    told = {"commit": "ff" * 20, "is_dirty": True}
    changed = replace(bare, environment={"pipeline_commit": told})
    assert label_of(changed) == "head of ffffffff, changed"
