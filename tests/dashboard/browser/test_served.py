"""A page that is served loads itself anew, in a real browser."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.page import render_page
from harness.dashboard.refresh import Shown
from harness.dashboard.serve import DashboardServer
from tests.dashboard import made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

SCRIPT = (resources.files("harness.dashboard") / "assets" / "refresh.js").read_text("utf-8")
NOTE = "#refresh-note"
_TICK_MS = 2_000


def page_of(text: str) -> bytes:
    """As little as can be served: an input, and what asks."""
    body = f'<h1>{text}</h1><input type="text"><button>b</button>'
    head = '<head><link rel="icon" href="data:,"></head>'
    return f"<html>{head}<body>{body}<script>{SCRIPT}</script></body></html>".encode()


class Site:
    """A server whose page a test changes."""

    def __init__(self) -> None:
        self.shown = Shown(page_of("one"), "s-1")
        self.server = DashboardServer(0)
        self.server.shown = lambda: self.shown
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.001,))
        self._thread.start()

    def end(self) -> None:
        if self._thread.is_alive():
            self.server.shutdown()
            self._thread.join()
            self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context()
    opened = context.new_page()
    opened.clock.install()
    opened.goto(site.server.url)
    yield opened
    context.close()


def pass_time(page: Page) -> None:
    """Until it has asked once more, and had its answer or none."""
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/version")):
        page.clock.run_for(_TICK_MS)


def test_a_newer_page_is_loaded_and_what_was_chosen_stays(page: Page, site: Site) -> None:
    page.evaluate("location.hash = '#history'")
    pass_time(page)
    assert page.inner_text("h1") == "one"

    site.shown = Shown(page_of("two"), "s-2")
    page.clock.run_for(_TICK_MS)

    page.wait_for_selector("h1:text('two')")
    assert page.url.endswith("/#history")
    assert page.is_hidden(NOTE)


def test_why_it_is_not_the_newest_is_told_as_text(page: Page, site: Site) -> None:
    site.shown = replace(site.shown, problem="<b>gone</b>")
    page.clock.run_for(_TICK_MS)
    page.wait_for_selector(f"{NOTE}:text('These are not the newest figures: <b>gone</b>')")

    site.shown = replace(site.shown, problem="", is_building=True)
    page.clock.run_for(_TICK_MS)
    page.wait_for_selector(f"{NOTE}:text('New figures are being read.')")

    site.shown = replace(site.shown, is_building=False)
    page.clock.run_for(_TICK_MS)
    page.wait_for_selector(NOTE, state="hidden")


def test_what_is_being_typed_is_not_lost(page: Page, site: Site) -> None:
    page.focus("input")
    page.keyboard.type("half a wo")
    site.shown = Shown(page_of("two"), "s-2")
    page.clock.run_for(_TICK_MS)
    page.wait_for_selector(f"{NOTE}:text('There are newer figures')")
    assert page.input_value("input") == "half a wo"

    page.focus("button")
    page.clock.run_for(_TICK_MS)
    page.wait_for_selector("h1:text('two')")


def test_a_server_that_has_ended_is_told(page: Page, site: Site) -> None:
    site.end()
    page.clock.run_for(_TICK_MS)

    page.wait_for_selector(f"{NOTE}:text('The server has ended')")
    assert page.inner_text("h1") == "one"


def test_the_dashboard_itself_asks_and_its_policy_lets_it(page: Page, site: Site) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for count, title in enumerate(("first", "second"), start=2):
        shown = replace(made.empty(), refreshes=True, title=title)
        site.shown = Shown(render_page(shown).encode(), f"s-{count}")
        page.clock.run_for(_TICK_MS)
        page.wait_for_selector(f"h1:has-text('{title}')")

    assert errors == []
