"""The history of series: what is drawn of it, and what of that is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboard import made_cases
from tests.dashboard.browser.conftest import PHONE

if TYPE_CHECKING:
    from tests.dashboard.browser.conftest import Opened, Opener

HISTORY = "history seconds"
FAR = f"#history?series={made_cases.FAR_BUDGET}"
LIMIT_MS = 100.0


def test_a_budget_far_above_is_told_in_the_plot_and_shown_when_it_is_asked_for(
    opened: Opener,
) -> None:
    one = opened("cases", FAR)
    chart = one.chart(HISTORY)
    assert "budget 100 ms, above" in chart["texts"]
    assert chart["y"]["range"][1] < LIMIT_MS / 10

    one.page.get_by_role("button", name="Show budget").click()
    one.settle()

    chart = one.chart(HISTORY)
    assert [trace["y"] for trace in chart["traces"] if trace["name"] == "budget 100 ms"] == [
        [LIMIT_MS, LIMIT_MS]
    ]
    assert chart["y"]["range"][1] > LIMIT_MS
    assert "budget 100 ms, above" not in chart["texts"]
    assert one.page.get_by_role("button", name="Show the data alone").is_visible()


def test_on_a_logarithmic_scale_the_budget_is_always_drawn(opened: Opener) -> None:
    chart = opened("cases", f"{FAR}&scale=log").chart(HISTORY)

    assert "budget 100 ms" in [trace["name"] for trace in chart["traces"]]
    assert chart["y"]["range"][1] > 2


def test_what_was_zoomed_to_is_there_after_a_reload(opened: Opener) -> None:
    one = opened("cases", FAR)
    one.chart(HISTORY)
    ranges = "{'xaxis.range': [10, 20], 'yaxis.range': [1.6, 1.8]}"
    one.page.evaluate(f"Plotly.relayout(document.querySelector('.chart'), {ranges})")
    one.page.wait_for_url("**zoom=10_20_1.6_1.8*")

    one.page.reload()
    chart = one.chart(HISTORY)
    assert (chart["x"]["range"], chart["y"]["range"]) == ([10, 20], [1.6, 1.8])

    one.page.get_by_role("button", name="Reset zoom").click()
    one.settle()
    assert "zoom" not in one.page.url
    assert one.chart(HISTORY)["x"]["range"][1] > 59


def test_a_zoom_by_dates_is_kept_too_and_nonsense_is_none(opened: Opener) -> None:
    one = opened("cases", f"{FAR}&across=date&zoom=2026-03-02_2026-03-05")
    assert [end[:10] for end in one.chart(HISTORY)["x"]["range"]] == ["2026-03-02", "2026-03-05"]

    for nonsense in ("x_y", "5", "9_3", "1_2_3", "<b>_4"):
        one.go(f"{FAR}&zoom={nonsense}")
        assert one.chart(HISTORY)["y"]["range"][0] > 1


def test_other_series_are_not_seen_through_the_zoom_of_the_last(opened: Opener) -> None:
    one = opened("cases", f"{FAR}&zoom=10_20_1.6_1.8")
    one.chart(HISTORY)

    one.page.locator(f"#series-{made_cases.HOLED}").check()
    one.settle()

    assert "zoom" not in one.page.url
    assert one.chart(HISTORY)["x"]["range"][1] > 59


def test_a_title_of_two_lines_is_inside_its_chart(opened: Opener) -> None:
    one = opened("full", "#history", viewport=PHONE, is_mobile=True, has_touch=True)
    one.chart(HISTORY)

    lines, chart, title, plot = one.page.evaluate(
        """() => {
          const chart = document.querySelector('.chart');
          const [title, plot] = ['.gtitle', '.nsewdrag'].map(name => chart.querySelector(name));
          return [title.querySelectorAll('tspan.line').length, chart.getBoundingClientRect().top,
            title.getBoundingClientRect(), plot.getBoundingClientRect().top];
        }"""
    )
    assert lines == 2
    assert title["top"] >= chart + 4
    assert title["bottom"] < plot


def test_on_a_phone_the_chart_is_seen_at_once(opened: Opener) -> None:
    one = opened("full", "#history", viewport=PHONE, is_mobile=True, has_touch=True)
    one.chart(HISTORY)

    top = one.page.evaluate("document.querySelector('.chart').getBoundingClientRect().top")
    assert top + one.page.evaluate("scrollY") < PHONE["height"] / 2
    one.page.get_by_text("Choose series").click()
    assert one.page.get_by_label("Find series").is_visible()


def test_while_somebody_types_nothing_is_drawn(opened: Opener) -> None:
    one = opened("many", "#history")
    one.chart(HISTORY)
    one.page.evaluate(
        """() => {
          window.drawings = 0;
          const count = () => { window.drawings += 1; };
          new MutationObserver(count).observe(
            document.querySelector('.picker'), { childList: true });
        }"""
    )

    one.page.get_by_label("Find series").press_sequentially("benchmark 98")
    one.page.wait_for_url("**find=benchmark*98")
    one.settle()

    # One for the whole word; two where the machine is too busy to type in time.
    assert 1 <= one.page.evaluate("window.drawings") < len("benchmark 98") / 2
    assert one.page.evaluate("document.activeElement.id") == "find-series"


@pytest.mark.parametrize("address", ["#history?series=3", "#history?series=3&find=benchmark"])
def test_what_stays_chosen_is_not_drawn_anew(opened: Opener, address: str) -> None:
    one = opened("many", address)
    one.chart(HISTORY)
    one.page.evaluate("document.querySelector('#section-history table').dataset.mark = 'kept'")

    one.go("#history?series=3&find=12")

    mark = "document.querySelector('#section-history table').dataset.mark"
    assert one.page.evaluate(mark) == "kept"


def test_ticked_series_that_filters_hide_are_named_and_shown_again(opened: Opener) -> None:
    one = opened("full", "#history?series=0,6,20")
    page, note = one.page, one.page.locator("#section-history .note")
    assert note.count() == 0

    page.locator("#choice-history-component").select_option("vocoder")
    one.settle()
    assert drawn_series(one) == {6}
    assert note.locator("p").inner_text() == "2 ticked series are hidden by the filters:"
    first, second = note.locator("li").all_inner_texts()
    assert first.startswith("pipeline, tensorrt")
    assert second.startswith("pipeline, onnxruntime")

    # Neither another filter nor a search forgets what was ticked.
    page.locator("#choice-history-component").select_option("conditioner")
    one.settle()
    page.get_by_label("Find series").fill("flag")
    page.wait_for_url("**find=flag*")
    one.settle()
    assert drawn_series(one) == {3}
    assert note.locator("p").inner_text() == "3 ticked series are hidden by the filters:"

    note.get_by_role("button", name="Show them").press("Enter")
    one.settle()
    assert drawn_series(one) == {0, 6, 20}
    assert note.count() == 0
    assert page.get_by_label("Find series").input_value() == ""
    assert page.locator("#choice-history-component").input_value() == ""
    assert page.evaluate("document.activeElement.id") == "heading-history"


def test_what_is_ticked_while_others_are_hidden_is_shown_with_them(opened: Opener) -> None:
    one = opened("full", "#history?series=20")
    choice = one.page.locator("#choice-history-component")
    choice.select_option("vocoder")
    one.settle()
    one.page.locator("#series-6").uncheck()
    one.settle()
    # Of none that is ticked the first that fits is shown, and is no tick of anybody's.
    assert drawn_series(one) == {6}

    choice.select_option("conditioner")
    one.settle()
    assert one.page.locator("#section-history .note li").count() == 1
    choice.select_option("")
    one.settle()
    assert drawn_series(one) == {20}
    assert one.page.locator("#section-history .note").count() == 0


def drawn_series(one: Opened) -> set[int]:
    metas = [trace["meta"] for trace in one.chart(HISTORY)["traces"]]
    return {meta["series"] for meta in metas if "series" in (meta or {})}
