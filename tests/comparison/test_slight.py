"""What is open and cannot matter: it waits for nothing, and is told as what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison.model import Comparison, Series, SeriesComparison, Side
from harness.comparison.slight import MOST_SHARE, may_be_known, weigh
from harness.pipeline.pipeline import DEVICE_TO_HOST, HOST_ENQUEUE, HOST_TO_DEVICE
from harness.stats.pairs import PairRule, PairStatus, PairVerdict
from harness.types import GRAPH, Case, Variant

FLAG = Variant("tensorrt", "fp16", "flag", GRAPH)
MARGIN = 0.002
WHOLE_S = 1.6e-3
OPEN, SAME = PairStatus.INCONCLUSIVE, PairStatus.SAME


def row(
    component: str,
    base_s: float,
    interval: tuple[float, float],
    status: PairStatus = OPEN,
    **changes: Any,
) -> SeriesComparison:
    lower, upper = interval
    time = PairVerdict(status, 1.0, lower, upper, 0.99, 0.5, 12, reason="more pairs may tell")
    series = Series(component, FLAG, Case(1.0, 1), "hot")
    return SeriesComparison(replace(series, **changes), base_s, base_s, time)


WHOLE = row("pipeline", WHOLE_S, (0.999, 1.001), SAME)


def weighed(*rows: SeriesComparison) -> tuple[SeriesComparison, ...]:
    return weigh(rows, MARGIN)


def overall(*rows: SeriesComparison) -> PairStatus:
    side = Side("a", "", ("r",), {})
    return Comparison("voice", side, side, rows, MARGIN, is_paired=True).status


def test_what_cannot_move_the_whole_by_the_margin_is_slight() -> None:
    # 1.45 % of 11 us are 0.16 us, of the whole 0.01 %.
    conditioner = row("conditioner", 11e-6, (0.99, 1.0145))

    found, whole = weighed(conditioner, WHOLE)

    assert found.reason == "slight: a change of at most 0.01 % of the pipeline's time"
    assert found.status is OPEN, "nobody knows more of it than before"
    assert (whole.slight, whole.reason) == ("", "more pairs may tell")
    assert overall(found, whole) is SAME
    assert overall(conditioner, WHOLE) is OPEN


def test_what_may_move_the_whole_counts() -> None:
    # 0.4 % of 0.9 ms are 0.225 % of the whole.
    vocoder = row("vocoder", 0.9e-3, (0.999, 1.004))

    found, whole = weighed(vocoder, WHOLE)

    assert found.slight == ""
    assert found.reason == "more pairs may tell"
    assert overall(found, whole) is OPEN


def test_getting_faster_counts_as_much() -> None:
    (found, _) = weighed(row("vocoder", 0.9e-3, (0.996, 1.001)), WHOLE)

    assert found.slight == ""


@pytest.mark.parametrize("status", [PairStatus.SLOWER, PairStatus.FASTER, SAME])
def test_what_is_known_is_not_slight_however_small(status: PairStatus) -> None:
    found, _ = weighed(row("conditioner", 11e-6, (1.01, 1.02), status), WHOLE)

    assert (found.slight, found.status) == ("", status)
    assert overall(found, WHOLE) is status


def test_what_is_slower_by_itself_waits_until_it_stands_among_all() -> None:
    row_ = replace(row("conditioner", 11e-6, (1.01, 1.02), PairStatus.SLOWER), is_discovery=False)
    assert row_.status is OPEN

    found, _ = weighed(row_, WHOLE)

    assert found.slight == ""
    assert overall(found, WHOLE) is OPEN


def test_without_an_interval_nothing_is_slight() -> None:
    found, _ = weighed(row("conditioner", 11e-6, (0.0, float("inf"))), WHOLE)

    assert found.slight == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"case": Case(3.0, 1)},
        {"mode": "cold"},
        {"streams": 2},
        {"variant": replace(FLAG, route="")},
    ],
)
def test_only_the_whole_of_the_same_setting_is_looked_at(changes: dict[str, Any]) -> None:
    found, _ = weighed(row("conditioner", 11e-6, (0.99, 1.01), **changes), WHOLE)

    assert found.slight == ""


def test_without_the_whole_nothing_is_slight() -> None:
    (found,) = weighed(row("conditioner", 11e-6, (0.99, 1.01)))

    assert found.slight == ""


def test_the_whole_itself_is_never_slight() -> None:
    (found,) = weighed(row("pipeline", WHOLE_S, (0.9999, 1.0021)))

    assert found.slight == ""


def test_the_hosts_time_is_hidden_where_it_is_a_small_part_of_the_devices() -> None:
    # -36 to +83 % of 14 us: 26 us, while the device takes 1.6 ms.
    host, _ = weighed(row(HOST_ENQUEUE, 14e-6, (0.64, 1.83)), WHOLE)
    longer, _ = weighed(row(HOST_ENQUEUE, 60e-6, (0.9, 1.4)), WHOLE)
    copy, _ = weighed(row(DEVICE_TO_HOST, 14e-6, (0.64, 1.83)), WHOLE)

    assert host.slight == "hidden: at most 1.6 % of the time that the device takes for it"
    assert longer.slight == ""
    assert copy.slight == "", "nothing hides a copy"


def test_the_hosts_time_is_not_hidden_where_the_device_got_much_faster() -> None:
    host = row(HOST_ENQUEUE, 60e-6, (0.95, 1.2))
    faster = replace(WHOLE, head_s=WHOLE_S / 10.0)

    assert weigh((host, WHOLE), MARGIN)[0].word == "hidden"
    assert weigh((host, faster), MARGIN)[0].word == "inconclusive"


def test_copies_are_slight_only_together() -> None:
    """They are beside the whole, whose verdict does not have them."""
    there = row(HOST_TO_DEVICE, 32e-6, (0.99, 1.06))  # 0.12 % of the whole
    back = row(DEVICE_TO_HOST, 8e-6, (0.83, 1.17))  # 0.085 %

    assert (
        weighed(there, WHOLE)[0].slight
        == "slight: a change of at most 0.12 % of the pipeline's time"
    )
    assert [one.slight for one in weighed(there, back, WHOLE)] == ["", "", ""]
    known = row(HOST_TO_DEVICE, 32e-6, (1.05, 1.06), PairStatus.SLOWER)
    assert weighed(known, back, WHOLE)[1].slight == ""


def test_what_was_asked_for_by_name_is_never_slight() -> None:
    conditioner = row("conditioner", 11e-6, (0.99, 1.0145))

    found, whole = weigh((conditioner, WHOLE), MARGIN, asked=("conditioner", "pipeline"))

    assert found.slight == ""
    assert overall(found, whole) is OPEN


def test_what_changed_with_the_same_graph_is_slight_within_the_margin_of_the_whole() -> None:
    """As a small component after one that got larger, and emptied the caches."""
    slower = row("latent_to_mel", 9e-6, (1.08, 1.1), PairStatus.SLOWER)

    same, whole = weigh((slower, WHOLE), MARGIN, same=("latent_to_mel",))
    changed, _ = weigh((slower, WHOLE), MARGIN)

    assert (same.status, same.word) == (OPEN, "slight")
    assert same.reason == (
        "slight: slower, though its graph is the same: what runs around it changed; at most "
        "0.056 % of the pipeline's time"
    )
    assert overall(same, whole) is SAME
    assert (changed.word, overall(changed, whole)) == ("slower", PairStatus.SLOWER)
    large = row("vocoder", 0.6e-3, (1.08, 1.1), PairStatus.SLOWER)
    assert weigh((large, WHOLE), MARGIN, same=("vocoder",))[0].word == "slower"
    asked = weigh((slower, WHOLE), MARGIN, asked=("latent_to_mel",), same=("latent_to_mel",))
    assert asked[0].word == "slower"


def test_a_wide_margin_makes_no_large_component_slight() -> None:
    # 8 % of a third, 2.7 % of the whole, with the margin of a noisy machine.
    encoder = row("encoder", WHOLE_S / 3, (0.98, 1.08))

    assert weigh((encoder, WHOLE), 0.1)[0].slight == ""
    assert weigh((row("small", WHOLE_S / 30, (0.98, 1.08)), WHOLE), 0.1)[0].slight
    assert MOST_SHARE == 0.005


@pytest.mark.parametrize(
    ("interval", "pairs", "known"),
    [
        # +-1 % at 8 pairs will be +-0.5 % at 32, more than twice the margin; +-0.7 % is less.
        ((0.99, 1.01), 8, False),
        ((0.993, 1.007), 8, True),
        ((0.993, 1.007), 32, False),
        # Off the middle it can be told as well: it is how wide it is that counts.
        ((1.001, 1.007), 8, True),
        ((0.0, float("inf")), 8, True),
    ],
)
def test_more_pairs_may_tell_where_the_interval_could_get_narrower_than_the_margin(
    interval: tuple[float, float], pairs: int, known: bool
) -> None:
    one = row("conditioner", 11e-6, interval)
    one = replace(one, time=replace(one.time, pairs=pairs))

    assert may_be_known(one, PairRule(margin=MARGIN)) is known


@given(st.floats(1e-7, 2e-3), st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_no_slight_component_moves_the_whole_by_more_than_the_margin(
    base_s: float, lower: float, upper: float
) -> None:
    found, _ = weighed(row("any", base_s, (lower, upper)), WHOLE)

    largest_s = base_s * max(1.0 - lower, upper - 1.0)
    assert bool(found.slight) == (largest_s / WHOLE_S <= MARGIN)
