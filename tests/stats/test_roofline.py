"""The least time that a graph takes on a device."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.roofline import Roofline, roofline
from harness.types import GraphCost, MacCounts

SETTINGS = settings(deadline=None, derandomize=True, max_examples=200)

PRECISIONS = ("int8", "fp16", "fp32")

counts = st.integers(0, 10**13)
costs = st.builds(
    GraphCost,
    macs_by_precision=st.builds(MacCounts, int8=counts, fp16=counts, fp32=counts),
    weight_bytes=counts,
    input_bytes=counts,
    output_bytes=counts,
)
positive = st.floats(1e6, 1e16)
rates = st.fixed_dictionaries(dict.fromkeys(PRECISIONS, positive))


def cost_of(macs: MacCounts, size_bytes: int) -> GraphCost:
    return GraphCost(macs, weight_bytes=size_bytes, input_bytes=0, output_bytes=0)


def test_a_cost_adds_up() -> None:
    cost = GraphCost(MacCounts(int8=1, fp16=20, fp32=300), 4000, 50000, 600000)

    assert cost.macs == 321
    assert cost.bytes == 654000


def test_products_of_several_precisions_take_turns() -> None:
    cost = cost_of(MacCounts(int8=400, fp16=200, fp32=100), 10)
    device = {"int8": 400.0, "fp16": 100.0, "fp32": 25.0}

    assert roofline(cost, device, 10.0) == Roofline(compute_s=7.0, memory_s=1.0)
    assert roofline(cost, device, 10.0).bound == "compute"
    assert roofline(cost, device, 10.0).time_s == 7.0


def test_traffic_bounds_what_computes_little() -> None:
    made = roofline(cost_of(MacCounts(fp16=10), 300), {"fp16": 10.0}, 100.0)

    assert (made.time_s, made.bound) == (3.0, "memory")


def test_the_two_meet_at_the_ridge() -> None:
    assert roofline(cost_of(MacCounts(fp16=10), 10), {"fp16": 1.0}, 1.0).bound == "memory"


def test_a_graph_without_products_needs_no_rate_of_them() -> None:
    assert roofline(cost_of(MacCounts(), 10), {}, 5.0) == Roofline(compute_s=0.0, memory_s=2.0)


def test_rates_must_be_there_and_positive() -> None:
    cost = cost_of(MacCounts(int8=1), 1)

    with pytest.raises(ValueError, match="'int8'"):
        roofline(cost, {"fp16": 1.0}, 1.0)
    with pytest.raises(ValueError, match="'int8'"):
        roofline(cost, {"int8": float("nan")}, 1.0)
    with pytest.raises(ValueError, match="copy_bytes_per_s"):
        roofline(cost, {"int8": 1.0}, 0.0)


@SETTINGS
@given(cost=costs, device=rates, bandwidth=positive)
def test_no_time_is_under_either_bound(
    cost: GraphCost, device: dict[str, float], bandwidth: float
) -> None:
    made = roofline(cost, device, bandwidth)

    macs = cost.macs_by_precision
    assert made.time_s >= cost.bytes / bandwidth
    for precision in PRECISIONS:
        assert made.time_s >= getattr(macs, precision) / device[precision]
    assert made.time_s == (made.compute_s if made.bound == "compute" else made.memory_s)


@SETTINGS
@given(
    cost=costs,
    device=rates,
    bandwidth=positive,
    faster=st.floats(1.0, 100.0),
    what=st.sampled_from((*PRECISIONS, "copy")),
)
def test_a_faster_device_is_never_slower(
    cost: GraphCost, device: dict[str, float], bandwidth: float, faster: float, what: str
) -> None:
    before = roofline(cost, device, bandwidth).time_s
    if what == "copy":
        after = roofline(cost, device, bandwidth * faster).time_s
    else:
        after = roofline(cost, device | {what: device[what] * faster}, bandwidth).time_s

    assert after <= before
