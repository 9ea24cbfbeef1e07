"""That the page tells no more than is known, and nothing twice or under another's name."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from tests.dashboard import made_cases

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.dashboard.browser.conftest import Opened, Opener

HISTORY = "history seconds"


def exported(one: Opened, caption: str, folder: Path) -> list[dict[str, str]]:
    section = "section:not([hidden])"
    with one.page.expect_download() as download:
        one.page.locator(f"{section} .csv[aria-label^='CSV of: {caption}']").click()
    path = folder / "saved.csv"
    download.value.save_as(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cards_of(one: Opened, words: str) -> Locator:
    return one.page.locator(".card", has_text=words)


def test_what_is_measured_and_what_is_made_up_are_counted_apart(opened: Opener) -> None:
    told = opened("cases").page.locator(".headline li").all_inner_texts()

    assert told[:5] == [
        "0 of 2 budgets missed",
        "1 under the floor of accuracy",
        "1 open regression",
        "1 of 2 budgets missed SIMULATED",
        "2 open regressions SIMULATED",
    ]


def test_components_that_are_slower_since_the_same_commits_have_one_cause(opened: Opener) -> None:
    page = opened("full").page

    assert "1 open regression, of 2 series" in page.inner_text(".headline")
    row = page.locator("table").first.locator("tbody tr")
    assert row.count() == 1
    assert "pipeline +6.00 %; vocoder +6.00 %" in row.inner_text()


def test_a_card_tells_nothing_of_another_mode(opened: Opener) -> None:
    one = opened("cases")

    assert "Slower since" not in cards_of(one, "paced, by chunk").inner_text()
    told = cards_of(one, "MISSED").first.inner_text()
    assert "(2026-03-10): pipeline +6.00 %" in told
    assert "(2026-03-13): vocoder +6.00 %" in told


def test_what_is_too_inaccurate_is_not_just_within(opened: Opener) -> None:
    card = cards_of(opened("cases"), made_cases.FLOOR)

    assert "WITHIN, ACCURACY UNDER ITS FLOOR" in card.inner_text()
    assert card.locator("p.bad").inner_text() == made_cases.FLOOR


def test_parts_that_overlap_are_no_wider_than_they_are(opened: Opener) -> None:
    card = cards_of(opened("cases"), "9.500 ms of 10 ms")

    assert "gaps \u22121.00 ms, \u221210 %" in card.inner_text()
    parts: list[list[float]] = card.locator(".bar").evaluate(
        """bar => [...bar.querySelectorAll('.part')].map(part => {
          const [own, all] = [part.getBoundingClientRect(), bar.getBoundingClientRect()];
          return [own.left, own.right].map(end => 100 * (end - all.left) / all.width);
        })"""
    )
    wanted = [(0, 60), (60, 100), (90, 95), (95, 100)]
    assert [pytest.approx(one, abs=0.5) for one in wanted] == parts


def test_series_of_two_clocks_have_two_names_everywhere(opened: Opener, tmp_path: Path) -> None:
    one = opened("cases", f"#history?series={made_cases.WHOLE},{made_cases.OTHER_CLOCK}")
    labels = one.page.locator(".picker label").all_inner_texts()[:2]
    traces = [trace["name"] for trace in one.chart(HISTORY)["traces"]]
    rows = exported(one, "What is shown", tmp_path)

    for name in ("timed by cuda", "timed by host"):
        assert [name in label for label in labels].count(True) == 1
        assert any(name in trace for trace in traces)
    assert len({row["series"] for row in rows}) == 2
    assert {(row["clock"], row["threads"]) for row in rows} == {("cuda", "1"), ("host", "4")}
    one.page.get_by_label("Threads").select_option("4")
    one.settle()
    assert one.page.inner_text("#found").startswith("1 series found")


def test_a_run_of_no_commit_is_called_so(opened: Opener) -> None:
    one = opened("cases", f"#history?series={made_cases.SINGLE}&zoom=60.5_61.5")

    assert one.chart(HISTORY)["ticks"][-1].startswith("no commit<br>")
    links = one.page.locator("#section-history tbody .hash").all_inner_texts()
    assert links[0] == "no commit, 2026-03-20 10:11:12"


def test_of_a_short_history_nothing_is_told_of_regressions(opened: Opener) -> None:
    one = opened("one_commit")

    assert "? regressions: too few commits to tell" in one.page.inner_text(".headline")
    assert "Not known yet: too few commits" in one.page.inner_text("#section-overview")
    one.go("#history")
    assert "too few commits to tell" in one.page.inner_text("#section-history")


def test_single_runs_are_points_and_say_so(opened: Opener) -> None:
    one = opened("cases", f"#history?series={made_cases.FAR_BUDGET},{made_cases.SINGLE}")
    traces = one.chart(HISTORY)["traces"]

    own = [trace for trace in traces if "single runs" in trace["name"]]
    assert {trace["mode"] for trace in own} == {"markers"}
    assert own[-1]["x"] == [7, 61]
    assert "single runs" in one.page.locator(".picker label").all_inner_texts()[1]
    # Zooming turns marks on and off, of lines alone.
    one.page.evaluate("Plotly.relayout(document.querySelector('.chart'), {'xaxis.range': [2, 70]})")
    one.page.wait_for_url("**zoom=2_70*")
    own = [each for each in one.chart(HISTORY)["traces"] if "single runs" in each["name"]]
    assert {trace["mode"] for trace in own} == {"markers"}


def test_a_hole_is_not_measured_and_what_follows_has_the_figure_before_it(opened: Opener) -> None:
    listed = made_cases.cases().commits
    filters = "?component=encoder"
    one = opened("cases", f"#commit={listed[made_cases.HOLE].hash}{filters}")
    assert "Not measured." in one.page.inner_text(".facts")

    one.go(f"#commit={listed[made_cases.HOLE + 1].hash}{filters}")

    row = one.page.locator("#section-commit tbody tr").first.inner_text()
    assert listed[made_cases.HOLE - 1].hash[:10] in row
    assert "%" in row
    names = [trace["name"] for trace in one.chart("ecdf")["traces"]]
    assert names[1] == f"{listed[made_cases.HOLE - 1].hash[:10]}, before"


def test_sections_begin_with_what_there_is(opened: Opener) -> None:
    one = opened("cases", "#commit")
    assert made_cases.cases().commits[59].hash in one.page.inner_text("#section-commit .facts")

    one.go("#compare")

    environment = one.page.locator("#choice-compare-two-environment")
    assert "H200" in environment.evaluate("select => select.selectedOptions[0].textContent")
    assert one.page.locator("#choice-compare-base").input_value() == "58"
    assert "pipeline" in (
        one.page.locator("#section-compare .chart .gtitle").first.text_content() or ""
    )


def test_of_too_few_pairs_no_bound_is_told(opened: Opener, tmp_path: Path) -> None:
    one = opened("cases", "#compare")

    row = one.page.locator("#section-compare tbody tr").nth(1)
    assert "no bound\tno bound" in row.inner_text()
    names = [trace["name"] for trace in one.chart("pairs")["traces"]]
    assert "inconclusive: +6.00 %, without an interval" in names
    saved = exported(one, "Verdicts of", tmp_path)[1]
    assert (saved["ratio"], saved["ratio lower"], saved["ratio upper"]) == ("1.06", "", "")


def test_samples_stand_where_they_were_measured(opened: Opener) -> None:
    hash_of = made_cases.cases().commits[59].hash
    one = opened("cases", f"#commit={hash_of}?series={made_cases.HOLED}")
    (trace,) = one.chart("order")["traces"]

    # 400 of 3,596 are kept: every ninth.
    assert trace["x"][:2] == [1, 10]
    assert trace["x"][-1] == 1 + 9 * 399
    label = one.page.locator("[data-chart=order]").get_attribute("aria-label") or ""
    assert label.startswith("Samples of")
    one.go(f"#commit={hash_of}?series={made_cases.WHOLE}")
    one.chart("order")
    label = one.page.locator("[data-chart=order]").get_attribute("aria-label") or ""
    assert label.startswith("SIMULATED: ")


def test_what_is_exported_are_figures_with_the_digits_that_they_have(
    opened: Opener, tmp_path: Path
) -> None:
    one = opened("cases")
    change = exported(one, "All changes", tmp_path)[0]
    wanted = {"ratio": 1.06, "ratio lower": 1.054, "ratio upper": 1.066, "interval level": 0.999}
    assert {name: float(change[name]) for name in wanted} == wanted

    one.go(f"#history?series={made_cases.WHOLE}")
    rows = exported(one, "pipeline", tmp_path)
    figures = rows[0]
    subjects = [row["subject"] for row in rows[-1:-4:-1]]
    assert subjects == ["' =1+1", "'\uff1d1+1", "a\\u0009b"]
    median = next(each for each in made_cases.cases().series if each.id == 0).median_s[59]
    assert figures["median s"] == str(median)
    assert len(figures["p99 s"]) <= len("0.00") + 9

    one.go("#precision")
    rows = exported(one, "What each variant", tmp_path)
    assert {row["accuracy"] for row in rows} <= {"", "kept", "under the floor"}


def test_the_machines_facts_are_marked_in_their_files_too(opened: Opener, tmp_path: Path) -> None:
    one = opened("full", "#machine")

    for caption in ("What a latency", "In what two"):
        rows = exported(one, caption, tmp_path)
        assert {row["data"] for row in rows} == {"SIMULATED"}
        assert "H200 (simulated) (SIMULATED)" in rows[0]
    rows = exported(one, "What the gate", tmp_path)
    assert (rows[0]["false alarms"], rows[0]["of trials"]) == ("0", "100")
    assert one.page.title().endswith("with SIMULATED times")
