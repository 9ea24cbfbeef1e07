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
    "cpu_affinity": "0-7",
    "governor": "performance",
    "turbo": False,
    "memory_bytes": 1 << 34,
    "load_average_1min": 0.5,
    "packages": {"onnxruntime": "1.23", "rich": "14.0", "torch": "2.11"},
    "interpreters": {
        "torch-cuda": {
            "python": "3.12.3",
            "packages": {"torch": "2.11", "nvidia-cudnn-cu13": "9.1", "rich": "14.0"},
        }
    },
    "variables": {},
    "canary": {"cpu-1": "c" * 40, "cuda-1": "d" * 40},
    "harness_version": "0.1.0",
    "harness_commit": {"commit": "a" * 40, "is_dirty": False},
    "gpu": {"name": "NVIDIA H200", "uuid": "GPU-1", "driver": "580.1", "power_limit_w": 700.0},
}
BASE["gpu"]["application_sm_clock_mhz"] = 1980.0


def interpreter(python: str = "3.12.3", **packages: str | None) -> dict[str, Any]:
    """With these packages, in that Python, in place of what the other interpreter has."""
    known = {**BASE["interpreters"]["torch-cuda"]["packages"], **packages}
    return {"interpreters": {"torch-cuda": {"python": python, "packages": known}}}


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
        (
            {"gpu": {**BASE["gpu"], "application_sm_clock_mhz": 1500.0}},
            "gpu application sm clock mhz 1980 / 1500",
        ),
        ({"turbo": True}, "turbo no / yes"),
        ({"cpu_affinity": "0-3,8-11"}, "cpu affinity 0-7 / 0-3,8-11"),
        (interpreter(python="3.11.2"), "torch-cuda's python 3.12.3 / 3.11.2"),
        (interpreter(torch="2.12"), "torch-cuda's torch 2.11 / 2.12"),
        (interpreter(**{"cuda-bindings": "13"}), "torch-cuda's cuda-bindings none / 13"),
        (interpreter(**{"nvidia-cudnn-cu13": None}), "torch-cuda's nvidia-cudnn-cu13 9.1 / none"),
        ({"interpreters": {}}, "torch-cuda's interpreter Python 3.12.3 / none"),
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
        (
            {"plan_commit": {"commit": "e" * 40, "is_dirty": False}},
            "plan commit unknown / eeeeeeeeeeee, plan commit is dirty unknown / no",
        ),
        ({"harness_version": "0.2.0"}, "harness version 0.1.0 / 0.2.0"),
        ({"packages": {**BASE["packages"], "rich": "15"}}, "rich 14.0 / 15"),
        ({"variables": {"CUDA_VISIBLE_DEVICES": "0"}}, "CUDA_VISIBLE_DEVICES none / 0"),
        (interpreter(rich="15"), "torch-cuda's rich 14.0 / 15"),
        (
            {"canary": None},
            f"canary cpu cpu-1 {'c' * 12} / none, canary cuda cuda-1 {'d' * 12} / none",
        ),
        ({"canary": {"cpu-1": "c" * 40}}, f"canary cuda cuda-1 {'d' * 12} / none"),
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


def test_all_that_affects_latency_is_named_and_a_long_list_of_the_rest_is_cut() -> None:
    label = comparison_label(with_(gpu={f"f{i}": 1 for i in range(9)}), with_(gpu={}))
    assert label.endswith("gpu f7 1 / unknown, gpu f8 1 / unknown")

    label = comparison_label(with_(packages={f"p{i}": "1" for i in range(9)}), with_(packages={}))
    assert label.endswith("p5 1 / none and 3 more")


@pytest.mark.parametrize(
    ("canary", "label"),
    [
        ({"cpu-1": "e" * 40}, f"canary cpu cpu-1 {'c' * 12} / cpu-1 {'e' * 12}"),
        ({"cpu-2": "c" * 40}, f"canary cpu cpu-1 {'c' * 12} / cpu-2 {'c' * 12}"),
        ({"cuda-1": "e" * 40}, f"canary cuda cuda-1 {'d' * 12} / cuda-1 {'e' * 12}"),
    ],
)
def test_two_canaries_that_differ_are_two_environments(canary: dict[str, str], label: str) -> None:
    other = with_(canary={**BASE["canary"], **canary} if "cpu-2" not in canary else canary)

    assert comparison_label(BASE, other).startswith(f"not the same environment: {label}")
    assert differences(BASE, other)[0].affects_latency
    # What a hash of one environment cannot tell.
    assert fingerprint(other) == fingerprint(BASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"packages": {**BASE["packages"], "onnxruntime": "1.24"}},
        {"gpu": {**BASE["gpu"], "driver": "570.2"}},
    ],
)
def test_what_makes_machine_code_of_a_canary_is_part_of_the_environment(
    changes: dict[str, Any],
) -> None:
    assert fingerprint(with_(**changes)) != fingerprint(BASE)


def test_an_older_record_lacks_fields_and_differs_by_them() -> None:
    older = {name: value for name, value in BASE.items() if name not in {"turbo", "gpu"}}

    assert "turbo unknown / no" in comparison_label(older, BASE)
    assert "driver unknown / 580.1" in comparison_label(older, BASE)


def test_of_an_older_record_no_interpreter_is_known() -> None:
    older = {name: value for name, value in BASE.items() if name != "interpreters"}

    label = comparison_label(BASE, older)

    assert label.endswith("torch-cuda's interpreter Python 3.12.3 / unknown")
    assert comparison_label(older, with_(interpreters={})) == ""


def test_order_and_tuples_change_nothing() -> None:
    turned = dict(reversed(BASE.items()))

    assert fingerprint(turned) == fingerprint(BASE)
    assert comparison_label({"cores": (1, 2)}, {"cores": [1, 2]}) == ""


values = st.none() | st.booleans() | st.integers() | st.text("ab", max_size=3)
interpreters = st.dictionaries(
    st.sampled_from(["torch", "torch-cuda"]),
    st.builds(
        lambda python, packages: {"python": python, "packages": packages},
        st.sampled_from(["3.11", "3.12"]),
        st.dictionaries(st.sampled_from(["torch", "rich"]), st.sampled_from("12")),
    ),
)
canaries = st.dictionaries(st.sampled_from(["cpu-1", "cuda-1"]), st.sampled_from("ab"))
environments = st.builds(
    lambda known, more: {**known, **more},
    st.dictionaries(
        st.sampled_from([*sorted(set(BASE) - {"interpreters", "canary"}), "more"]),
        values | st.dictionaries(st.text("ab", min_size=1, max_size=3), values, max_size=3),
        max_size=6,
    ),
    st.fixed_dictionaries({}, optional={"interpreters": interpreters, "canary": canaries}),
)


@given(environments, environments)
def test_a_fingerprint_is_the_same_where_no_difference_affects_latency(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    found = differences(a, b)
    turned = differences(b, a)

    graves = [d for d in found if d.affects_latency]
    # Whether two canaries are the same is told by pairs alone.
    of_canaries = [d for d in graves if d.field.startswith("canary.")]
    assert (fingerprint(a) == fingerprint(b)) == (graves == of_canaries)
    assert bool(of_canaries) == any(
        a.get("canary", {}).get(name, told) != told for name, told in b.get("canary", {}).items()
    )
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


def test_variables_of_a_gpu_are_none_where_no_gpu_is_used() -> None:
    variables = {"CUDA_LAUNCH_BLOCKING": "1", "NVIDIA_TF32_OVERRIDE": "1", "OMP_NUM_THREADS": "2"}

    (found,) = variable_findings(variables, uses_gpu=False)

    assert found.what.startswith("OMP_NUM_THREADS=2")
