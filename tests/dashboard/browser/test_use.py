"""What somebody does with the page in a real browser whose network is cut off."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard.page import SECTIONS
from tests.dashboard import made

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.dashboard.browser.conftest import Opened, Opener

HISTORY = "history seconds"


def section(page: Page) -> str:
    return page.evaluate("document.querySelector('section:not([hidden])').id")


def medians_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for trace in chart["traces"] if "series" in (trace["meta"] or {})]


@pytest.mark.parametrize("name", ["full", "empty", "one_commit", "holes"])
def test_every_section_opens_without_an_error_or_a_request(opened: Opener, name: str) -> None:
    one = opened(name)

    for of in SECTIONS:
        one.go(f"#{of}")
        assert section(one.page) == f"section-{of}"
        assert one.page.inner_text(f"#section-{of} .content").strip()


def test_the_overview_tells_the_verdict_what_changed_and_since_when(opened: Opener) -> None:
    page = opened("full").page

    cards = page.locator(".card")
    assert "MISSED" in cards.nth(0).inner_text()
    assert "p99 2.480 ms of 2.4 ms" in cards.nth(0).inner_text()
    assert "SIMULATED" in cards.nth(0).inner_text()
    told = cards.nth(0).inner_text()
    assert "Slower since 8a8042be00 (2026-03-10): pipeline +6.00 %, vocoder +6.00 %" in told
    assert "NOT MEASURED" in cards.nth(1).inner_text()
    assert "WITHIN" in cards.nth(2).inner_text()
    assert "SIMULATED" not in cards.nth(2).inner_text()
    regression = page.locator("table").nth(0).inner_text()
    assert "+6.00 %" in regression
    assert "2026-03-10" in regression
    assert made.SCRIPT in regression


def test_an_empty_history_says_what_to_run(opened: Opener) -> None:
    assert "harness history run" in opened("empty").page.inner_text("main")


def test_a_filter_shows_its_series_and_is_in_the_address(opened: Opener) -> None:
    one = opened("full", "#history")

    one.page.locator("#choice-history-component").select_option("vocoder")
    one.settle()

    (median,) = medians_of(one.chart(HISTORY))
    assert median["name"].startswith("vocoder")
    assert "component=vocoder" in one.page.url
    assert one.page.inner_text("#found").startswith("1 series found")


def test_series_of_two_environments_are_two_lines(opened: Opener) -> None:
    chart = opened("full", "#history?series=0,20").chart(HISTORY)

    medians = medians_of(chart)
    assert [trace["name"].rpartition(" on ")[2] for trace in medians] == [
        "H200 (simulated)",
        "two cores",
    ]
    assert medians[1]["x"] == [*range(0, 60, 3)]
    assert max(medians[0]["y"]) < 3 < min(medians[1]["y"])


def test_series_of_another_unit_have_a_chart_of_their_own(opened: Opener) -> None:
    one = opened("full", "#history?series=0,22")

    assert len(one.chart(HISTORY)["traces"]) > 1
    assert one.chart("history bytes")["y"]["range"][0] > 1e6


def test_a_hole_is_a_gap_in_the_line(opened: Opener) -> None:
    (line,) = medians_of(opened("holes", "#history?series=1").chart(HISTORY))

    # Neither what is not there (5 to 7) nor what is NaN (13) is bridged.
    assert line["x"] == [*range(5), None, *range(8, 13), None, *range(14, 20)]
    assert line["y"][5] is None


def test_percentiles_are_shown_when_they_are_asked_for(opened: Opener) -> None:
    one = opened("full", "#history?show=interval")

    assert not [trace for trace in one.chart(HISTORY)["traces"] if trace["name"].endswith(": p90")]
    one.page.get_by_label("p90").check()
    one.settle()

    assert [trace for trace in one.chart(HISTORY)["traces"] if trace["name"].endswith(": p90")]


def test_a_box_zooms_and_reset_shows_all_again(opened: Opener) -> None:
    one = opened("full", "#history?series=0")
    before = one.chart(HISTORY)
    box = one.page.locator(".chart .nsewdrag").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2

    one.page.mouse.move(box["x"] + 0.4 * box["width"], middle - 60)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 0.6 * box["width"], middle + 60, steps=4)
    one.page.mouse.up()
    one.page.wait_for_url("**zoom=*")
    one.settle()
    zoomed = one.chart(HISTORY)
    one.page.get_by_role("button", name="Reset zoom").click()
    one.settle()

    assert width_of(zoomed) < 0.3 * width_of(before)
    # What commits are called is told for what is seen.
    assert zoomed["ticks"] != before["ticks"]
    assert width_of(one.chart(HISTORY)) == pytest.approx(width_of(before), abs=0.1)


def width_of(chart: dict[str, dict[str, list[float]]]) -> float:
    first, last = chart["x"]["range"]
    return last - first


def test_the_scale_may_be_logarithmic(opened: Opener) -> None:
    one = opened("full", "#history")
    assert one.chart(HISTORY)["y"]["type"] == "linear"

    one.page.get_by_label("Scale").select_option("log")
    one.settle()

    assert one.chart(HISTORY)["y"]["type"] == "log"


def test_commits_may_lie_where_their_dates_are(opened: Opener) -> None:
    one = opened("full", "#history")

    one.page.get_by_label("Across").select_option("date")
    one.settle()

    chart = one.chart(HISTORY)
    assert chart["x"]["type"] == "date"
    assert medians_of(chart)[0]["x"][0] == made.full().commits[0].date_utc


def test_a_commit_is_opened_and_its_message_is_text(opened: Opener) -> None:
    one = opened("full", "#history")
    hash_of = made.full().commits[made.SLOWER_AT].hash

    one.page.locator("#section-history table a", has_text=hash_of[:10]).click()
    one.settle()

    assert f"#commit={hash_of}" in one.page.url
    assert one.page.inner_text(".facts .subject") == made.HOSTILE[0]
    assert "raw samples" in one.page.inner_text("#section-commit")
    assert one.chart("ecdf")["traces"][0]["y"][-1] == 1
    assert one.chart("histogram")["traces"]
    link = one.page.get_by_role("link", name="The commit itself")
    assert link.get_attribute("href") == "https://example.org/commit/30"


def test_without_raw_samples_the_charts_say_that_they_are_of_a_sketch(opened: Opener) -> None:
    one = opened("full", f"#commit={made.full().commits[40].hash}")

    assert "from a sketch of 11 quantiles" in one.page.inner_text("#section-commit")
    assert len(one.chart("ecdf")["traces"][0]["x"]) == 11


def test_samples_are_shown_beside_the_state_of_the_machine(opened: Opener) -> None:
    one = opened("full", f"#commit={made.full().commits[59].hash}")

    names = [trace["name"] for trace in one.chart(f"run {made.full().runs[0].record_id}")["traces"]]
    assert names[:3] == ["pipeline", "vocoder", "flow_decoder"]
    assert {"SM clock, MHz", "power, W", "temperature, °C"} <= set(names)


def test_a_change_is_followed_from_the_overview_to_its_commit(opened: Opener) -> None:
    one = opened("full")
    hash_of = made.full().commits[made.SLOWER_AT].hash

    one.page.locator("table").first.get_by_role("link", name="vocoder").click()
    one.settle()
    first, last = one.chart(HISTORY)["x"]["range"]
    assert first < made.SLOWER_AT < last
    assert section(one.page) == "section-history"
    one.page.locator(".changes a").first.press("Enter")
    one.settle()

    assert f"#commit={hash_of}" in one.page.url
    assert "3 changes here" in one.page.inner_text(".facts")


def test_the_mark_of_a_change_is_clicked(opened: Opener) -> None:
    one = opened("full", "#history")
    one.chart(HISTORY)
    place = one.page.evaluate(
        """() => {
          const chart = document.querySelector('.chart');
          const place = chart.data.findIndex(trace => trace.name === 'change');
          const { xaxis, yaxis } = chart._fullLayout;
          const { x, y } = chart.data[place];
          const box = chart.getBoundingClientRect();
          return [box.x + xaxis._offset + xaxis.d2p(x[0]), box.y + yaxis._offset + yaxis.d2p(y[0])];
        }"""
    )

    one.page.mouse.move(*place)
    hover = one.page.locator(".hovertext").first
    hover.wait_for()
    told = hover.text_content() or ""
    one.page.mouse.click(*place)
    one.page.wait_for_url("**#commit=*")

    assert made.SCRIPT in told
    assert made.full().commits[made.SLOWER_AT].hash in one.page.url


def test_two_commits_are_compared_without_a_verdict(opened: Opener) -> None:
    one = opened("full", "#compare")

    one.page.get_by_label("Base", exact=True).select_option("29")
    one.page.get_by_label("Head", exact=True).select_option("30")
    one.settle()

    assert "it is no verdict" in one.page.inner_text("#section-compare")
    assert "base=" in one.page.url
    rows = one.page.locator("#section-compare table").nth(1).inner_text()
    assert "pipeline, tensorrt fp16 by flag, graph, 1 s" in rows
    assert one.chart("ecdf")["traces"][1]["name"].startswith("head ")


def test_the_pairs_of_an_ab_show_their_order(opened: Opener) -> None:
    chart = opened("full", "#compare").chart("pairs")

    by_name = {trace["name"]: trace["x"] for trace in chart["traces"]}
    assert by_name["base first"] == [1, 3, 5, 7]
    assert by_name["head first"] == [2, 4, 6, 8]


def test_precision_and_the_roofline_are_shown(opened: Opener) -> None:
    one = opened("full", "#precision")

    assert [trace["name"] for trace in one.chart("trades")["traces"]] == ["fp32", "fp16", "int8"]
    assert one.chart("roofline")["x"]["type"] == "log"
    assert "under the floor" in one.page.inner_text("#section-precision")


def test_what_is_simulated_says_so_in_each_chart(opened: Opener) -> None:
    one = opened("full")

    for address in ("history", "commit", "compare", "precision", "machine"):
        one.go(f"#{address}")
        charts = one.page.locator(f"#section-{address} .chart:visible")
        assert charts.count() > 0
        for place in range(charts.count()):
            assert "SIMULATED" in (charts.nth(place).text_content() or ""), address
    one.go("#history?series=20")
    assert "SIMULATED" not in one.page.locator(".chart:visible").first.inner_text()
    assert one.chart(HISTORY)["texts"] == []


def test_a_table_is_exported_whole(opened: Opener, tmp_path: Path) -> None:
    one = opened("full", "#history")

    rows = exported(one, one.page.locator("#section-history .csv"), tmp_path)

    assert len(rows) == 60
    assert {row["data"] for row in rows} == {"SIMULATED"}
    first = made.full().series[0]
    newest = rows[0]
    assert newest["commit"] == made.full().commits[59].hash
    assert float(newest["median s"]) == pytest.approx(float(first.median_s[59]), rel=1e-6)
    assert float(newest["p99 s"]) == pytest.approx(float(first.quantiles[59, 9]), rel=2e-5)
    subjects = {row["subject"] for row in rows}
    assert made.HOSTILE[2] in subjects
    # What a spreadsheet would run is a text there.
    assert "'" + made.HOSTILE[4] in subjects


def exported(one: Opened, button: object, folder: Path) -> list[dict[str, str]]:
    with one.page.expect_download() as download:
        button.click()  # type: ignore[attr-defined]
    assert download.value.suggested_filename.endswith("-SIMULATED.csv")
    path = folder / "saved.csv"
    download.value.save_as(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_chart_is_saved_as_a_picture(opened: Opener) -> None:
    one = opened("full", "#history")
    one.chart(HISTORY)

    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Download plot as a PNG").first.click()

    assert download.value.suggested_filename == "trt-harness.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_column_sorts_a_table(opened: Opener) -> None:
    page = opened("full", "#precision").page
    table = page.locator("#section-precision table").first

    table.get_by_role("button", name="median ms").click()

    assert table.locator("th[aria-sort=ascending]").count() == 1
    assert "tensorrt fp16" in table.locator("tbody tr").first.inner_text()


def test_back_shows_what_was_shown_before(opened: Opener) -> None:
    one = opened("full", "#history?component=vocoder&scale=log")
    one.chart(HISTORY)

    one.go("#commit")
    one.page.go_back()
    one.settle()

    assert section(one.page) == "section-history"
    assert one.page.locator("#choice-history-component").input_value() == "vocoder"
    assert one.chart(HISTORY)["y"]["type"] == "log"


@pytest.mark.parametrize(
    "address",
    [
        "#commit=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E",
        "#commit=%",
        "#history?series=99,x&at=no&scale=what&component=<b>",
        "#compare?base=zz&head=&environment=9&ab=<img>&row=77",
        "#nothing",
        "#precision?t-size=nope&r-size=nope",
    ],
)
def test_an_address_may_say_anything(opened: Opener, address: str) -> None:
    one = opened("full", address)

    assert one.page.locator("section:visible").count() == 1


def test_hostile_names_of_a_thousand_benchmarks_are_text(opened: Opener) -> None:
    one = opened("many", "#history?series=0,1,2,3,4,5,6")

    names = one.page.locator(".legendtext").all_text_contents()
    assert any("<script>window.hacked=1</script>" in name for name in names)
    assert any("\\u202e" in name for name in names)
    assert "and 793 more" in one.page.inner_text(".picker")
    one.page.get_by_label("Find series").fill("benchmark 987 ")
    one.page.wait_for_url("**find=*")
    one.settle()
    assert one.page.inner_text("#found").startswith("1 series found")
    assert "benchmark 987" in medians_of(one.chart(HISTORY))[0]["name"]


def test_only_what_is_seen_is_drawn(opened: Opener) -> None:
    one = opened("full", "#history", locale="en-US")

    assert one.page.locator("section:not([hidden]) .main-svg").count() > 0
    assert one.page.locator("section[hidden] .chart").count() == 0


def test_a_long_history_has_marks_where_one_looks_closer(opened: Opener) -> None:
    one = opened("long", "#history?series=1")
    (line,) = medians_of(one.chart(HISTORY))
    alone = [trace["x"] for trace in one.chart(HISTORY)["traces"] if trace["mode"] == "markers"]

    # The commit 101 stands between two that were not measured.
    assert (line["mode"], alone[0]) == ("lines", [101])
    one.page.evaluate("Plotly.relayout(document.querySelector('.chart'), {'xaxis.range': [5, 90]})")
    one.settle()
    assert medians_of(one.chart(HISTORY))[0]["mode"] == "lines+markers"
