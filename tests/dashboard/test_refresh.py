"""What keeps a page fresh: changes are seen, and a page that cannot be made spoils none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.refresh import FreshPage, Refreshing, Shown, keep_fresh
from harness.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable


class Source:
    """Something that can be changed, read, and broken."""

    def __init__(self) -> None:
        self.content = 0
        self.built = 0
        self.problem = ""
        self.meanwhile: Callable[[], None] = lambda: None
        self.looking: Callable[[], None] = lambda: None

    def look(self) -> int:
        self.looking()
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


def test_where_there_is_nothing_yet_something_else_is_shown_until_there_is() -> None:
    source = Source()
    source.problem = "there is nothing to show"
    page = FreshPage(source.build, source.look, waiting=b"wait")
    assert (page.shown.page, page.shown.problem) == (b"wait", "there is nothing to show")
    assert not page.refresh()

    source.content, source.problem = 1, ""
    assert page.refresh()
    assert (page.shown.page, page.shown.problem) == (b"page 1", "")


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


def fails(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(116, "Stale file handle"), "OSError: [Errno 116] Stale file handle"),
        (PermissionError(13, "Permission denied", "/x"), "PermissionError: [Errno 13] "),
        (ValueError("what nobody thought of"), "ValueError: what nobody thought of"),
        (MemoryError(), "MemoryError"),
        (RecordError("it is damaged"), "it is damaged"),
    ],
)
def test_whatever_goes_wrong_is_told_and_the_next_change_is_seen(
    error: Exception, said: str
) -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    source.content, source.meanwhile = 1, fails(error)
    assert page.refresh()
    assert page.shown.problem.startswith(said)
    assert (page.shown.page, page.shown.is_building) == (b"page 0", False)

    source.content, source.meanwhile = 2, lambda: None
    assert page.refresh()
    assert (page.shown.page, page.shown.problem) == (b"page 2", "")

    source.looking = fails(error)
    assert page.refresh()
    assert page.shown.problem.startswith(f"the sources cannot be looked at: {said}")
    assert page.shown.page == b"page 2"
    # No news: it is told once.
    assert not page.refresh()

    # What was written meanwhile is seen; and where nothing was, it is the newest page again.
    source.looking = lambda: None
    assert page.refresh()
    assert (page.shown.page, page.shown.problem) == (b"page 2", "")
    assert source.built == 3
    source.content, source.looking = 3, lambda: None
    assert page.refresh()
    assert page.shown.page == b"page 3"


def test_a_page_that_cannot_be_made_stays_so_told_while_sources_come_and_go() -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    source.content, source.problem = 1, "it is damaged"
    assert page.refresh()
    source.looking = fails(OSError("gone"))
    assert page.refresh()
    assert "gone" in page.shown.problem

    source.looking = lambda: None
    assert page.refresh()
    assert page.shown.problem == "it is damaged"


def test_sources_that_cannot_be_looked_at_first_are_built_from_and_watched_later() -> None:
    source = Source()
    source.looking = fails(OSError("gone"))
    page = FreshPage(source.build, source.look)
    assert page.shown.page == b"page 0"
    assert "gone" in page.shown.problem
    assert not page.refresh()

    source.looking = lambda: None
    assert page.refresh()
    assert (page.shown.problem, source.built) == ("", 2)


def test_the_thread_outlives_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.dashboard.refresh.POLL_S", 0.0)
    source, told = Source(), threading.Event()
    page = FreshPage(source.build, source.look)
    source.looking = fails(OSError(116, "Stale file handle"))

    def tell(shown: Shown) -> None:
        if not shown.problem:
            told.set()
            return
        source.content, source.looking = 1, lambda: None
        # The terminal has gone as well.
        raise BrokenPipeError

    with Refreshing(page, tell, lambda: None, first_s=0.0) as refreshing:
        assert told.wait(60.0)
        assert refreshing.is_alive

    assert page.shown.page == b"page 1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_is_to_end_the_program_does(error: BaseException) -> None:
    source = Source()
    page = FreshPage(source.build, source.look)
    source.looking = fails(error)
    with pytest.raises(type(error)):
        page.refresh()
    source.looking, source.content, source.meanwhile = lambda: None, 1, fails(error)
    with pytest.raises(type(error)):
        page.refresh()
