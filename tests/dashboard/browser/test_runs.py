"""What is of which run, what failed, and what is not known, on the page."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from tests.dashboard import made_runs
from tests.dashboard.browser.test_told import exported

if TYPE_CHECKING:
    from tests.dashboard.browser.conftest import Opener


def test_times_of_two_runs_are_not_compared(opened: Opener) -> None:
    one = opened("runs", "#precision")
    assert "Times of two runs are not to be compared" in one.page.inner_text("#section-precision")
    table = one.page.locator("#section-precision table").first
    with one.page.expect_download() as saved:
        one.page.locator("#section-precision").get_by_role("button", name="CSV").first.click()
    rows = list(csv.DictReader(Path(saved.value.path()).read_text("utf-8-sig").splitlines()))
    ratios = {row["variant"]: (row["record"], row["of the fastest"]) for row in rows}
    assert ratios["tensorrt fp16 by flag, graph"] == ("one", "1")
    assert float(ratios["torch fp32"][1]) > 3.0
    # It was measured alone in its run.
    assert ratios["torch fp16"] == ("two", "")
    assert "2026-11-28 12:00 UTC" in table.inner_text()


def test_of_one_run_nothing_is_said_of_others(opened: Opener) -> None:
    one = opened("full", "#precision")
    assert "not to be compared" not in one.page.inner_text("#section-precision")


def test_a_commit_that_failed_is_shown_with_why(opened: Opener) -> None:
    one = opened("runs", f"#commit={made_runs.FAILED}")
    told = one.page.inner_text("#section-commit")
    assert "Not measured." in told
    assert "Could not be measured on bench, env-py3 (2026-11-29 01:00)" in told
    assert f"it failed to measure: {made_runs.REASON}" in told
    assert "Nothing was measured here." in told
    one.go("#overview")
    assert "1 commit could not be measured" in one.page.inner_text(".headline")


def test_an_interrupted_record_says_so(opened: Opener, tmp_path: Path) -> None:
    one = opened("runs")
    saved = exported(one, "Records", tmp_path)
    assert [row["run"] for row in saved] == ["complete", "interrupted"]
    table = one.page.locator("#section-overview .table", has_text="Records, the newest first")
    ended = [row.split("\t")[4] for row in table.locator("tbody tr").all_inner_texts()]
    assert ended == ["complete", "interrupted"]

    listed = made_runs.full().commits
    told = {}
    for place in (made_runs.INTERRUPTED, 59):
        one.go(f"#commit={listed[place].hash}")
        told[place] = one.page.inner_text("#section-commit .run")
    assert "INTERRUPTED: only what was complete is shown" in told[made_runs.INTERRUPTED]
    assert "INTERRUPTED" not in told[59]


def test_parts_of_a_budget_are_told_apart_however_many_there_are(opened: Opener) -> None:
    one = opened("runs")
    card = one.page.locator(".card", has_text="many parts")
    looks = """pieces => pieces.map(piece => {
      const { backgroundColor, backgroundImage, backgroundSize } = getComputedStyle(piece);
      return [backgroundColor, backgroundImage, backgroundSize].join();
    })"""
    in_bar = card.locator(".bar .part").evaluate_all(looks)
    assert len(set(in_bar)) == len(in_bar) == len(made_runs.MANY_PARTS) + 2
    # In the list each looks the same as in the bar, and without any colour it has a number.
    assert sorted(card.locator(".parts .key").evaluate_all(looks)) == sorted(in_bar)
    numbered = card.locator(".parts li", has=one.page.locator(".which"))
    told = [text.split() for text in numbered.all_text_contents()]
    assert {words[0] for words in told} == {f"{at}stage" for at in range(1, 21)}
    assert all(words[0].removesuffix("stage") == words[1] for words in told)
    # What is wide enough has its number in the bar, where it does not reach beyond its part.
    fits = card.locator(".bar .which").evaluate_all(
        """all => all.map(one => {
          const [own, part] = [one, one.parentElement].map(each => each.getBoundingClientRect());
          return [one.textContent, own.left >= part.left && own.right <= part.right];
        })"""
    )
    assert fits == [[str(at), True] for at in range(1, 10)]


def test_what_asv_kept_of_samples_is_told(opened: Opener) -> None:
    commit = made_runs.full().commits[made_runs.full().series[0].commits[-1]].hash
    one = opened("runs", f"#commit={commit}?series={made_runs.OWN_STATISTICS}")
    told = one.page.inner_text("#section-commit")
    assert "asv kept no samples; of n = 10 it kept the median and the quartiles" in told
    one.go(f"#commit={commit}?series={made_runs.FIGURE_ALONE}")
    told = one.page.inner_text("#section-commit")
    assert "asv kept no samples; of n = 1 it kept the figure alone" in told
    # Of which there is nothing to draw.
    assert one.page.locator('#section-commit [data-chart="ecdf"]').count() == 0


def test_series_of_too_few_commits_are_counted_and_named(opened: Opener) -> None:
    one = opened("runs")
    assert "3 series with too few commits to tell" in one.page.inner_text(".headline")
    one.go(f"#history?series={made_runs.FEW}")
    assert "too few commits to tell" in one.page.inner_text("#section-history")
