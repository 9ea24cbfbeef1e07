"""What git tells of commits, whatever somebody wrote into them."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from harness.history.commits import KnownCommit, in_order, know_commits
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

FORGED = "abcd" * 10
# What ends a line, or parts fields, somewhere.
BREAKS = ("\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\r", "\t")


def raw_commit(repository: Repository, parent: str, subject: str, seconds: str) -> str:
    """A commit that is written by hand, as git itself would not."""
    tree = repository.git("rev-parse", f"{parent}^{{tree}}")
    text = f"tree {tree}\nparent {parent}\nauthor Eve <a@b> {seconds} +0000\n"
    text += f"committer Eve <a@b> {seconds} +0000\n\n{subject}\n"
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "--literally", "-w", "--stdin"],
        cwd=repository.root,
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize("character", BREAKS)
def test_a_subject_forges_nothing_of_other_commits(tmp_path: Path, character: str) -> None:
    repository = Repository(tmp_path / "repository")
    parent = repository.commit("honest")
    forged = character.join((parent, "1", "Eve", "forged"))
    subject = f"oops {character}{forged}{character}{parent}\x1fabc\x1fEve\x1fforged"
    child = raw_commit(repository, parent, subject, "1700000000")

    known = know_commits({parent, child, FORGED}, repository.root)

    assert known.keys() == {parent, child}
    assert (known[parent].position, known[parent].subject) == (0, "honest")
    assert (known[child].position, known[child].author) == (1, "Eve")
    assert known[child].date_utc == "2023-11-14T22:13:20+00:00"
    assert known[child].subject == subject


@pytest.mark.parametrize("seconds", ["9" * 15, "9" * 30, "-99999999999999", "abc", ""])
def test_a_date_that_is_none_does_no_harm(tmp_path: Path, seconds: str) -> None:
    repository = Repository(tmp_path / "repository")
    parent = repository.commit("honest")
    child = raw_commit(repository, parent, "odd", seconds)

    known = know_commits({parent, child}, repository.root)

    assert (known[child].position, known[child].subject) == (1, "odd")
    assert known[child].date_utc == "" or datetime.fromisoformat(known[child].date_utc)


def test_what_cannot_be_told_apart_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
    for said in (f"{name}\x001\x00a\x00b\x00more\x00", "no hash\x001\x00a\x00b\x00"):
        done = subprocess.CompletedProcess([], 0, said.encode(), b"")
        monkeypatch.setattr(subprocess, "run", lambda *_, told=done, **__: told)
        assert know_commits({name}, tmp_path) == {}


def test_git_gives_the_order_and_dates_place_what_it_does_not_know() -> None:
    known = {
        "a": KnownCommit(0, "", "", "2026-01-01T00:00:00+00:00"),
        "b": KnownCommit(1, "", "", "2026-01-05T00:00:00+00:00"),
        # Dated before its parent, and not at all.
        "c": KnownCommit(2, "", "", "2026-01-03T00:00:00+00:00"),
        "d": KnownCommit(3, ""),
        "e": KnownCommit(4, "", "", "2026-01-09T00:00:00+00:00"),
    }
    dates = {
        **dict.fromkeys(known, "2030-01-01T00:00:00+00:00"),
        "x": "2026-01-04T00:00:00+00:00",
        "y": "2026-01-06T00:00:00+00:00",
        "z": "2027-01-01T00:00:00+00:00",
    }

    assert in_order(dates, known) == ("a", "x", "b", "c", "d", "y", "e", "z")
    assert in_order(dates, {}) == ("x", "y", "z", "a", "b", "c", "d", "e")
    # Whichever of them are asked for, their order among themselves is the same.
    some = {name: dates[name] for name in ("x", "c", "d", "y")}
    assert in_order(some, known) == ("x", "c", "d", "y")
