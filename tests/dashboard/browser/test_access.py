"""The page for the keyboard, in the dark, on a phone, on paper, and for who cannot see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.dashboard.page import SECTIONS
from tests.dashboard.browser.conftest import PATIENCE_MS, PHONE

if TYPE_CHECKING:
    from tests.dashboard.browser.conftest import Opener

HISTORY = "history seconds"
# The first rows of a table stand for the others, which are like them.
SEEN = {"exclude": [["tbody tr:nth-child(n+5)"]]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Opener, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    one = opened("full", color_scheme=scheme)
    # In the dark nothing but the colours is another.
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}

    found = []
    for name in SECTIONS:
        one.go(f"#{name}")
        violations = axe.run(
            one.page, context=SEEN, options={"resultTypes": ["violations"], **rules}
        ).response["violations"]
        found += [
            (name, each["id"], node["html"][:200]) for each in violations for node in each["nodes"]
        ]
    assert found == []


def test_the_theme_is_changed_with_its_charts_and_kept(opened: Opener) -> None:
    one = opened("full", "#history", color_scheme="light", locale="en-GB")
    light = one.chart(HISTORY)["paper"]

    one.page.get_by_role("button", name="Use the dark theme").click()
    one.settle()

    dark = one.chart(HISTORY)["paper"]
    assert brightness(light) > 0.8
    assert brightness(dark) < 0.3
    one.page.reload()
    one.page.wait_for_selector("html[data-charts=true]", state="attached")
    assert one.chart(HISTORY)["paper"] == dark


def brightness(colour: str) -> float:
    parts = colour.partition("(")[2].rstrip(")").split(",")[:3]
    return sum(map(float, parts)) / 3 / 255


@pytest.mark.parametrize("name", ["full", "many", "empty"])
def test_on_a_phone_nothing_is_scrolled_sideways(opened: Opener, name: str) -> None:
    one = opened(name, viewport=PHONE, is_mobile=True, has_touch=True)

    for of in SECTIONS:
        one.go(f"#{of}")
        assert one.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], of


def test_charts_are_as_wide_as_their_window(opened: Opener) -> None:
    one = opened("full", "#history", locale="fr-FR")
    one.chart(HISTORY)

    for width in (700, 1200):
        one.page.set_viewport_size({"width": width, "height": 800})
        chart = "document.querySelector('.chart')"
        fits = f"Math.abs({chart}.clientWidth - {chart}._fullLayout.width) <= 3"
        # A function: a mere expression is evaluated as a string, which the page's policy forbids
        # wherever it has to be asked twice.
        is_there = f"() => innerWidth === {width} && {fits}"
        one.page.wait_for_function(is_there, timeout=PATIENCE_MS)


def test_the_keyboard_reaches_all(opened: Opener) -> None:
    one = opened("full", color_scheme="light")
    page = one.page
    page.reload()
    page.wait_for_selector("html[data-ready=true]", state="attached")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.reload()
    page.wait_for_selector("html[data-ready=true]", state="attached")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "History"
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) == "solid"
    page.keyboard.press("Enter")
    one.settle()

    assert page.evaluate("document.activeElement.id") == "heading-history"
    # A choice keeps the focus, so that the next is one key away.
    page.locator("#choice-history-component").focus()
    page.keyboard.press("v")
    one.settle()
    assert "component=vocoder" in page.url
    assert page.evaluate("document.activeElement.id") == "choice-history-component"


def test_on_paper_there_is_no_navigation_and_all_is_light(opened: Opener) -> None:
    one = opened("full", "#history", color_scheme="dark")
    one.chart(HISTORY)

    one.page.emulate_media(media="print")
    one.settle()

    assert not one.page.locator("nav").is_visible()
    assert not one.page.locator(".csv").first.is_visible()
    assert one.page.locator(".chart").first.is_visible()
    assert brightness(one.chart(HISTORY)["paper"]) > 0.8
    chart = "document.querySelector('.chart')"
    room, width = one.page.evaluate(f"[{chart}.clientWidth, {chart}._fullLayout.width]")
    assert room < 800
    assert width == pytest.approx(room, abs=3)
    assert brightness(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.8
    one.page.emulate_media(media="screen")
    one.settle()
    assert brightness(one.chart(HISTORY)["paper"]) < 0.3
