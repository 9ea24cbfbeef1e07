"""How a budget is spent: parts that add up to it, at every width, and what is left."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from harness.report.budget_json import to_budget_json
from harness.report.budget_spent import GAPS, HEADROOM, Prospect, Spent, spent_of
from harness.report.budget_terminal import prospect_lines, render_spent
from harness.stats.budget import Verdict
from harness.stats.trend import Fate, Outlook, Slope
from harness.types import Budget
from tests.gate.made import HOSTILE, samples
from tests.gate.snapshots import printed
from tests.history.records import measurement, record
from tests.report.devices import CPU, FP32, PEER32, make_record

BUDGET = Budget(0.01, 1.0, 1, "", "")


def spent(*variants: object, budget: Budget = BUDGET) -> Spent:
    (found,) = spent_of(make_record(*variants), budget)  # type: ignore[arg-type]
    return found


def slices(one: Spent) -> dict[str, float]:
    return {part.name: pytest.approx(1e3 * part.time_s) for part in one.slices}


def test_parts_add_up_to_the_budget() -> None:
    found = spent(FP32)
    assert slices(found) == {
        "encoder": 2.0,
        "decoder": 4.0,
        "gaps": 0.4,
        "p99 above the median": 0.0,
        "headroom": 3.6,
    }
    assert sum(part.time_s for part in found.slices) == pytest.approx(found.limit_s)
    assert found.headroom is not None
    assert found.headroom.value_s == pytest.approx(3.6e-3)


def test_copies_and_the_hosts_time_are_beside_it_on_a_device() -> None:
    found = {part.kind: 1e3 * part.time_s for part in spent(FP32).beside}
    assert found == {"copy": 0.5, "host": 0.125}
    text = printed(render_spent([spent(FP32)], "voice"), 200)
    assert "copies to the device .250 ms, copies from the device .500 ms" in text
    assert "the host hands it over .125 ms" in text
    assert spent(CPU, budget=replace(BUDGET, p99_s=1.0)).beside == ()


def test_a_budget_that_is_missed_has_less_than_no_headroom() -> None:
    found = spent(FP32, budget=replace(BUDGET, p99_s=0.005))
    assert found.headroom is not None
    assert found.headroom.value_s == pytest.approx(-1.4e-3)
    assert found.figure.verdict is not None
    assert found.figure.verdict.verdict is Verdict.MISSED
    text = printed(render_spent([found], "voice"), 80)
    assert "MISSED: headroom -1.40 ms, -28.0 % of the budget" in text


def test_what_ships_is_shown_and_the_peer_is_not() -> None:
    found = spent_of(make_record(FP32, PEER32), BUDGET)
    assert [one.figure.variant for one in found] == [FP32]


def test_where_no_component_was_measured_the_whole_is_one_part() -> None:
    one = measurement(mode="paced", period_s=0.1, missed_deadlines=0, latency_s=samples(ms=20.0))
    (found,) = spent_of(record("a", [one]), replace(BUDGET, p99_s=0.1))
    assert found.slices[0].name == "the whole pipeline"
    (buffering,) = found.beside
    assert (buffering.kind, buffering.time_s) == ("buffering", 0.1)
    assert "buffering" in printed(render_spent([found], "tiny"), 80)


def test_of_several_streams_it_is_the_most_that_is_judged() -> None:
    many = [
        measurement(mode="concurrent", streams=n, latency_s=samples(ms=ms))
        for n, ms in ((1, 10.0), (4, 20.0))
    ]
    (found,) = spent_of(record("a", many), replace(BUDGET, p99_s=0.1))
    assert found.median_s == pytest.approx(0.02, rel=1e-2)


def test_what_is_taken_back_is_not_spent_again() -> None:
    """Gaps below 0: they fill nothing, and the tail begins where they end."""
    parts = [measurement(name, latency_s=samples(ms=30.0)) for name in ("a", "b")]
    tail = (*samples(380, 50.0), *samples(20, 90.0))
    pipeline = measurement(latency_s=tail)
    (found,) = spent_of(record("a", [*parts, pipeline]), replace(BUDGET, p99_s=0.1))
    lines = printed(render_spent([found], "tiny"), 140).splitlines()
    begins = {line.split()[0]: line.index("█") for line in lines if "█" in line}
    ends = {line.split()[0]: line.rindex("█") for line in lines if "█" in line}
    assert {*begins} == {"a", "b", "p99"}
    # 10 of the 60 ms that end with b.
    whole = ends["b"] + 1 - begins["a"]
    assert ends["b"] + 1 - begins["p99"] == pytest.approx(whole / 6.0, abs=1)


def test_each_size_is_shown_where_the_budgets_own_was_not_measured() -> None:
    two = [measurement(duration_s=2.0), measurement(duration_s=3.0)]
    found = spent_of(record("a", two), BUDGET)
    assert [one.figure.case.duration_s for one in found] == [2.0, 3.0]
    both = [measurement(duration_s=1.0), *two]
    assert len(spent_of(record("a", both), BUDGET)) == 1


def test_what_is_not_judged_says_why() -> None:
    (found,) = spent_of(record("a", [measurement(mode="cold")]), BUDGET)
    assert (found.slices, found.headroom) == ((), None)
    assert "this run is cold" in printed(render_spent([found], "tiny"), 80)


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("limit_s", [0.005, 0.01, 1.0])
def test_bars_fit_and_no_digit_is_cut(width: int, limit_s: float) -> None:
    made = spent(FP32, budget=replace(BUDGET, p99_s=limit_s))
    bare = printed(render_spent([made], "voice"), width)
    assert max(map(len, bare.splitlines())) <= width
    assert "…" not in bare
    for figure in ("2.00", "4.00", ".400"):
        assert figure in bare
    coloured = printed(render_spent([made], "voice"), width, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == bare.split()


def test_a_bar_begins_where_the_one_before_has_ended() -> None:
    lines = printed(render_spent([spent(FP32)], "voice"), 147).splitlines()
    bars = {
        line.split()[0]: (line.index(mark), line.rindex(mark))
        for line in lines
        for mark in "█░"
        if mark in line
    }
    # 100 or so cells for 10 ms.
    assert bars["decoder"][0] == bars["encoder"][1] + 1
    assert bars["gaps"][0] == bars["decoder"][1] + 1
    width = bars["headroom"][1] - bars["encoder"][0] + 1
    assert bars["decoder"][1] - bars["decoder"][0] + 1 == pytest.approx(0.4 * width, abs=1)


def test_a_budget_that_is_hardly_touched_is_drawn_on_the_scale_of_the_p99() -> None:
    text = printed(render_spent([spent(FP32, budget=replace(BUDGET, p99_s=1.0))], "voice"), 80)
    assert "bars: of the p99, not of the budget" in text
    assert "░" not in text
    assert text.count("█") > 20


def test_what_is_made_up_is_marked() -> None:
    made = make_record(FP32)
    made = replace(made, measurements=tuple(replace(m, simulated=True) for m in made.measurements))
    found = spent_of(made, BUDGET)
    assert "SIMULATED" in printed(render_spent(found, "voice"), 80)
    assert json.loads(to_budget_json(found, "voice", "id"))["variants"][0]["simulated"] is True


def test_names_are_shown_as_they_are() -> None:
    one = measurement(HOSTILE, latency_s=samples())
    (found,) = spent_of(record("a", [one, measurement(latency_s=samples())]), BUDGET)
    text = printed(render_spent([found], HOSTILE), 80)
    assert "\x1b" not in text
    assert "[x](y)" in text


def slope(value_us: float, lower_us: float, upper_us: float) -> Slope:
    return Slope(value_us * 1e-6, lower_us * 1e-6, upper_us * 1e-6, 0.06, 20, 0.95, 0.0)


def test_the_trend_is_told_in_commits_and_days() -> None:
    lines = prospect_lines(
        Prospect(
            20,
            slope(50, 40, 100),
            slope(500, 400, 1000),
            Outlook(Fate.RUNS_OUT, 800.0, 400.0, 1234.0),
            Outlook(Fate.RUNS_OUT, 80.0, 40.0, 100.0),
        )
    )
    first, last = lines
    assert first == (
        "trend of the p99: +50 us a commit (95 %: +40 to +100) (over 20 commits), +500 us a day "
        "(95 %: +400 to +1000)"
    )
    assert last == (
        "at that slope: it will be spent in 800 commits (95 %: 400 to 1230) or 80 days (95 %: 40 "
        "to 100)"
    )


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (Outlook(Fate.NEVER, math.inf, math.inf, math.inf), "never: the p99 falls"),
        (Outlook(Fate.SPENT, 0.0, 0.0, 0.0), "it is spent"),
        (
            Outlook(Fate.UNKNOWN, None, 12.4),
            "cannot tell, the slope may be none, but not within 12 commits or 12 days",
        ),
        (Outlook(Fate.UNKNOWN), "cannot tell, the slope may be none"),
    ],
)
def test_what_becomes_of_it(look: Outlook, text: str) -> None:
    lines = prospect_lines(Prospect(20, slope(1, -1, 2), None, look, look))
    assert lines[-1] == f"at that slope: {text}"


def test_too_few_commits_cannot_tell() -> None:
    unknown = Outlook(Fate.UNKNOWN)
    (line,) = prospect_lines(Prospect(3, None, None, unknown, unknown))
    assert line == (
        "trend: cannot tell: 3 commits were measured in this environment, and 8 are the least"
    )


def test_json_has_every_part_with_its_share() -> None:
    told = json.loads(to_budget_json([spent(FP32)], "voice", "id"))
    (variant,) = told["variants"]
    assert (told["format"], variant["verdict"], variant["trend"]) == (1, "within", None)
    shares = {part["kind"]: part["share"] for part in variant["slices"]}
    assert shares[GAPS] == pytest.approx(0.04)
    assert shares[HEADROOM] == pytest.approx(0.36)
    endless = measurement(latency_s=(0.01,))
    told = json.loads(to_budget_json(spent_of(record("a", [endless]), BUDGET), "tiny", "a"))
    assert told["variants"][0]["headroom"]["lower_s"] is None
