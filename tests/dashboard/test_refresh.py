"""What keeps a page fresh: changes are seen, and a page that cannot be made spoils none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.refresh import FreshPage, Refreshing, Shown, keep_fresh, look_at
from harness.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Source:
    """Something that can be changed, read, and broken."""

    def __init__(self) -> None:
        self.content = 0
        self.built = 0
        self.problem = ""
        self.meanwhile: Callable[[], None] = lambda: None

    def look(self) -> int:
        return self.content

    def build(self) -> bytes:
        self.built += 1
        text = b"page %d" % self.content
        self.meanwhile()
        if self.problem:
            raise RecordError(self.problem)
        return text


def test_a_page_is_made_again_only_where_something_has_changed() -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    first = page.shown
    assert (first.page, first.problem, first.is_building) == (b"page 0", "", False)

    assert not page.refresh()
    assert page.shown is first

    source.content = 1
    assert page.refresh()
    assert page.shown.page == b"page 1"
    assert page.shown.version != first.version
    assert not page.refresh()
    assert source.built == 2


def test_what_is_written_while_it_is_made_is_not_missed() -> None:
    source = Source()

    def write() -> None:
        source.content = 1
        source.meanwhile = lambda: None

    source.meanwhile = write
    page = FreshPage(source.build, source.look)
    assert page.shown.page == b"page 0"

    assert page.refresh()
    assert page.shown.page == b"page 1"


def test_the_last_good_page_stays_and_says_why_it_is_not_the_newest() -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    first = page.shown
    source.content, source.problem = 1, "the sources have gone"
    during: list[Shown] = []
    source.meanwhile = lambda: during.append(page.shown)

    assert page.refresh()

    assert (during[0].is_building, during[0].page) == (True, b"page 0")
    shown = page.shown
    assert (shown.page, shown.version) == (first.page, first.version)
    assert (shown.problem, shown.is_building) == ("the sources have gone", False)
    # The same again would give the same.
    assert not page.refresh()

    source.content, source.problem = 2, ""
    assert page.refresh()
    assert (page.shown.page, page.shown.problem) == (b"page 2", "")


def test_a_page_that_cannot_be_made_at_all_is_an_error() -> None:
    source = Source()
    source.problem = "there is nothing to show"

    with pytest.raises(RecordError, match="there is nothing to show"):
        FreshPage(source.build, source.look)


def test_versions_of_two_servers_are_never_the_same() -> None:
    first, second = (FreshPage(Source().build, Source().look) for _ in range(2))

    assert first.shown.version != second.shown.version


def test_after_a_long_build_there_is_a_long_rest() -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    now_s = 0.0
    pauses: list[float] = []
    told: list[bytes] = []

    def work() -> None:
        nonlocal now_s
        now_s += 10.0

    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        source.content += len(pauses) in {2, 4}
        return len(pauses) == 5

    source.meanwhile = work
    keep_fresh(page, wait, lambda shown: told.append(shown.page), lambda: now_s)

    assert pauses == [1.0, 1.0, 40.0, 1.0, 40.0]
    assert told == [b"page 1", b"page 2"]


def test_the_thread_ends_with_the_block_and_so_does_what_is_being_built() -> None:
    source, begun, ended = Source(), threading.Event(), threading.Event()
    page = FreshPage(source.build, source.look)

    def work() -> None:
        begun.set()
        assert ended.wait(60.0)

    source.content, source.meanwhile = 1, work
    told: list[Shown] = []
    with Refreshing(page, told.append, ended.set, first_s=0.0) as refreshing:
        assert begun.wait(60.0)

    assert not refreshing.is_alive
    assert page.shown.page == b"page 1"
    assert told == []


def test_new_changed_and_removed_files_are_seen(tmp_path: Path) -> None:
    record = tmp_path / "reports" / "here" / "a.parquet"
    sources = [str(tmp_path / "reports"), str(tmp_path / "*.parquet"), "s3://bucket/a.parquet"]
    nothing = look_at(sources)
    assert nothing == look_at(sources) == frozenset()

    record.parent.mkdir(parents=True)
    record.write_bytes(b"1")
    new = look_at(sources)
    assert new != nothing
    record.write_bytes(b"22")
    changed = look_at(sources)
    assert changed != new
    (record.parent / "b.json").touch()
    (tmp_path / "c.parquet").touch()
    assert len(look_at(sources)) == 3
    assert len(look_at([*sources, str(tmp_path / "c.parquet")])) == 3
    # What is no source: the page itself, scratch files, notes.
    (record.parent / "index.html").touch()
    (record.parent / ".a.parquet.1234").touch()
    assert len(look_at(sources)) == 3
    record.unlink()
    assert len(look_at(sources)) == 2
