"""When two environments are the same, and what is said where they are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.fingerprint import (
    comparison_label,
    differences,
    fingerprint,
    variable_findings,
)

BASE: dict[str, Any] = {
    "cpu": "Xeon",
    "cores_available": 8,
    "governor": "performance",
    "turbo": False,
    "memory_bytes": 1 << 34,
    "load_average_1min": 0.5,
    "packages": {"onnxruntime": "1.23", "rich": "14.0", "torch": "2.11"},
    "variables": {},
    "harness_version": "0.1.0",
    "harness_commit": {"commit": "a" * 40, "is_dirty": False},
    "gpu": {"name": "NVIDIA H200", "uuid": "GPU-1", "driver": "580.1", "power_limit_w": 700.0},
}


def with_(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}


def test_the_same_environment_needs_no_label() -> None:
    assert comparison_label(BASE, with_()) == ""
    assert differences(BASE, with_()) == ()


@pytest.mark.parametrize("value", [0.0, 12.5])
def test_load_is_of_the_moment(value: float) -> None:
    assert fingerprint(with_(load_average_1min=value)) == fingerprint(BASE)
    assert comparison_label(BASE, with_(load_average_1min=value, momentary={"steal": 0.1})) == ""


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"gpu": {**BASE["gpu"], "driver": "570.2"}}, "driver 580.1 / 570.2"),
        ({"gpu": {**BASE["gpu"], "power_limit_w": 350.0}}, "gpu power limit w 700 / 350"),
        ({"gpu": None}, "gpu name NVIDIA H200 / none"),
        ({"turbo": True}, "turbo no / yes"),
        ({"governor": None}, "governor performance / unknown"),
        ({"packages": {**BASE["packages"], "torch": "2.12"}}, "torch 2.11 / 2.12"),
        ({"packages": {"onnxruntime": "1.23", "rich": "14.0"}}, "torch 2.11 / none"),
        ({"variables": {"NVIDIA_TF32_OVERRIDE": "1"}}, "NVIDIA_TF32_OVERRIDE none / 1"),
    ],
)
def test_what_latency_depends_on_is_named(changes: dict[str, Any], label: str) -> None:
    other = with_(**changes)

    assert comparison_label(BASE, other) == f"not the same environment: {label}"
    assert fingerprint(other) != fingerprint(BASE)
    assert [difference.affects_latency for difference in differences(BASE, other)] == [True]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        (
            {"harness_commit": {"commit": "b" * 40, "is_dirty": True}},
            "harness commit aaaaaaaaaaaa / bbbbbbbbbbbb, harness commit is dirty no / yes",
        ),
        ({"harness_version": "0.2.0"}, "harness version 0.1.0 / 0.2.0"),
        ({"packages": {**BASE["packages"], "rich": "15"}}, "rich 14.0 / 15"),
        ({"variables": {"CUDA_VISIBLE_DEVICES": "0"}}, "CUDA_VISIBLE_DEVICES none / 0"),
    ],
)
def test_provenance_is_told_and_joins_all_the_same(changes: dict[str, Any], label: str) -> None:
    other = with_(**changes)

    assert comparison_label(BASE, other) == f"the same environment, but for {label}"
    assert fingerprint(other) == fingerprint(BASE)
    assert not any(difference.affects_latency for difference in differences(BASE, other))


def test_what_affects_latency_comes_first() -> None:
    label = comparison_label(BASE, with_(harness_version="2", turbo=True))

    assert label == ("not the same environment: turbo no / yes; also harness version 0.1.0 / 2")


def test_a_long_list_is_cut() -> None:
    label = comparison_label(with_(gpu={f"f{i}": 1 for i in range(9)}), with_(gpu={}))

    assert label.endswith("gpu f5 1 / unknown and 3 more")


def test_an_older_record_lacks_fields_and_differs_by_them() -> None:
    older = {name: value for name, value in BASE.items() if name not in {"turbo", "gpu"}}

    assert "turbo unknown / no" in comparison_label(older, BASE)
    assert "driver unknown / 580.1" in comparison_label(older, BASE)


def test_order_and_tuples_change_nothing() -> None:
    turned = dict(reversed(BASE.items()))

    assert fingerprint(turned) == fingerprint(BASE)
    assert comparison_label({"cores": (1, 2)}, {"cores": [1, 2]}) == ""


values = st.none() | st.booleans() | st.integers() | st.text("ab", max_size=3)
environments = st.dictionaries(
    st.sampled_from([*BASE, "more"]),
    values | st.dictionaries(st.text("ab", min_size=1, max_size=3), values, max_size=3),
    max_size=6,
)


@given(environments, environments)
def test_a_fingerprint_is_the_same_where_no_difference_affects_latency(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    found = differences(a, b)
    turned = differences(b, a)

    assert (fingerprint(a) == fingerprint(b)) == (not any(d.affects_latency for d in found))
    assert (comparison_label(a, b) == "") == (not found)
    assert [(d.field, d.a, d.b) for d in found] == [(d.field, d.b, d.a) for d in turned]


def test_tf32_by_the_environment_is_a_finding_where_fp32_is_measured() -> None:
    variables = {"NVIDIA_TF32_OVERRIDE": "1"}

    (found,) = variable_findings(variables, ("fp16", "fp32"))
    assert found.level == "flag"
    assert found.what == "NVIDIA_TF32_OVERRIDE=1: fp32 products on a GPU are not fp32 but TF32"
    assert "unset" in found.fix
    assert variable_findings(variables, ("fp16",)) == ()
    assert variable_findings({"NVIDIA_TF32_OVERRIDE": "0"}) == ()
    assert variable_findings({}) == ()


def test_blocking_launches_and_thread_limits_are_findings() -> None:
    found = variable_findings({"CUDA_LAUNCH_BLOCKING": "1", "OMP_NUM_THREADS": "2"})

    assert [f.level for f in found] == ["flag", "note"]
    assert variable_findings({"CUDA_LAUNCH_BLOCKING": "0"}) == ()
