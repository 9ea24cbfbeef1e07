"""A browser without a network, which keeps what a page asks for and what goes wrong in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from harness.dashboard.page import render_page
from tests.browser import find_chromium, skip_or_fail
from tests.dashboard import made, made_cases, made_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

    from harness.dashboard.model import Dashboard

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
# A chart is drawn in about a second; the machine may be busy.
PATIENCE_MS = 20_000


@dataclass
class Opened:
    """A page in a browser, and what it did that it must not do."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def go(self, address: str) -> None:
        """To a section, as a link does, and until its charts are drawn."""
        self.page.evaluate("address => { location.hash = address; }", address)
        self.settle()

    def settle(self) -> None:
        """Until a change of the address has been followed, and drawn."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def chart(self, name: str) -> Any:
        """What plotly draws in a chart: its traces and its layout."""
        selector = f'section:not([hidden]) .chart[data-chart="{name}"]'
        self.page.wait_for_selector(f"{selector} .main-svg", timeout=PATIENCE_MS)
        return self.page.evaluate(
            """selector => {
              const { data, _fullLayout: full } = document.querySelector(selector);
              const axis = ({ type, range }) => ({ type, range: [...range] });
              const traces = data.map(({ name, x, y, mode, meta }) => ({ name, x, y, mode, meta }));
              return {
                traces, x: axis(full.xaxis), y: axis(full.yaxis), paper: full.paper_bgcolor,
                ticks: full.xaxis.ticktext, texts: full.annotations.map(({ text }) => text),
              };
            }""",
            selector,
        )

    def is_hacked(self) -> bool:
        """Whether any of the hostile names became code or markup."""
        return bool(
            self.page.evaluate(
                """window.hacked !== undefined
                || document.querySelectorAll('script:not([id])').length > 2
                || document.querySelector('main img, main b, main svg a') !== null"""
            )
        )


def dashboard_of(name: str) -> Dashboard:
    """That of made.py or of made_cases.py which is called so."""
    if name == "runs":
        return made_runs.runs()
    return made_cases.cases() if name == "cases" else getattr(made, name)()


class Opener(Protocol):
    def __call__(self, dashboard: str, address: str = ..., **options: Any) -> Opened: ...


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        skip_or_fail("no chromium here: install Debian's, or name another in CHROMIUM")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The address of the page of a made dashboard, by its name."""
    folder, pages = tmp_path_factory.mktemp("pages"), {}

    def address_of(name: str) -> str:
        if name not in pages:
            pages[name] = folder / f"{name}.html"
            pages[name].write_text(render_page(dashboard_of(name)), encoding="utf-8")
        return pages[name].as_uri()

    return address_of


@pytest.fixture(scope="package")
def pages() -> dict[str, Opened]:
    """The pages that are open: reading plotly takes a second, so tests share them."""
    return {}


@pytest.fixture
def opened(browser: Browser, written: Any, pages: dict[str, Opened]) -> Iterator[Opener]:
    """Opens a page at an address; none may ask for anything, or err, while it is used."""
    used = []

    def open_page(dashboard: str, address: str = "#overview", **options: Any) -> Opened:
        key = f"{dashboard} {sorted(options.items())}"
        if key not in pages:
            pages[key] = open_anew(written(dashboard) + address, options)
        used.append(pages[key])
        pages[key].go(address)
        return pages[key]

    def open_anew(url: str, options: dict[str, Any]) -> Opened:
        context = browser.new_context(**{"viewport": DESK, "offline": True, **options})
        one = Opened(context.new_page())

        def refuse(route: Route) -> None:
            one.requests.append(route.request.url)
            route.abort()

        def hear(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                one.errors.append(message.text)

        context.route(re.compile("^(https?|wss?):"), refuse)
        one.page.on("console", hear)
        one.page.on("pageerror", lambda error: one.errors.append(str(error)))
        one.page.goto(url, wait_until="commit")
        for mark in ("ready", "charts"):
            selector = f"html[data-{mark}=true]"
            one.page.wait_for_selector(selector, state="attached", timeout=PATIENCE_MS)
        return one

    yield open_page
    for one in used:
        assert (one.requests, one.errors, one.is_hacked()) == ([], [], False)
