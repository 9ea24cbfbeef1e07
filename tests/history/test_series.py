"""What asv is told of a record."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from statistics import median

import pytest

from harness.errors import RecordError
from harness.history.context import context_of
from harness.history.series import BENCHMARKS, AsvValue, series_of
from harness.types import Engine, Record
from tests.history.records import CONTEXT, measurement, record


def values(of: Record) -> dict[tuple[str, ...], AsvValue]:
    found = series_of(of)
    named = {(one.benchmark, *one.params): one for one in found}
    assert len(named) == len(found), "a series is told twice"
    return named


def test_every_series_is_named_with_its_parameters_and_unit() -> None:
    canary = measurement("canary", backend="canary", route="cpu-1")
    found = values(record(measurements=(measurement("encoder"), measurement(), canary)))

    assert {key: (one.samples is not None, one.value) for key, one in found.items()} == {
        ("latency.Components.track_latency", "encoder", "onnxruntime fp32", "1 s"): (True, None),
        ("latency.Pipeline.track_latency", "onnxruntime fp32", "1 s"): (True, None),
        ("latency.Pipeline.track_process_median", "onnxruntime fp32", "1 s"): (True, None),
        ("latency.Pipeline.track_p99", "onnxruntime fp32", "1 s"): (False, pytest.approx(0.010891)),
        ("latency.Budget.track_p99", "1 s"): (False, 0.05),
        ("latency.Canary.track_latency", "cpu-1"): (True, None),
        ("build.Components.track_bytes", "encoder", "onnxruntime fp32"): (False, 1000.0),
        ("build.Components.track_memory", "encoder", "onnxruntime fp32"): (False, 5000.0),
        ("accuracy.Components.track_relative_error", "encoder", "onnxruntime fp32", "1 s"): (
            *(False, 1e-6),
        ),
        ("accuracy.Pipeline.track_relative_error", "onnxruntime fp32", "1 s"): (False, 1e-6),
        ("energy.Pipeline.track_energy", "onnxruntime fp32", "1 s"): (False, 0.5),
    }
    for one in found.values():
        known = BENCHMARKS[one.benchmark]
        assert (one.unit, len(one.params)) == (known.unit, len(known.param_names))


def test_samples_are_those_of_the_record_in_their_order() -> None:
    samples = (0.3, 0.1, 0.2)
    found = values(record(measurements=(measurement(latency_s=samples),)))
    assert found["latency.Pipeline.track_latency", "onnxruntime fp32", "1 s"].samples == samples


def test_each_process_gives_one_median() -> None:
    parts = [
        measurement(process=i, latency_s=(0.1 * i + 0.1, 0.5, 0.1 * i + 0.2)) for i in range(3)
    ]
    found = values(record(measurements=parts))
    key = ("onnxruntime fp32", "1 s")
    assert found[("latency.Pipeline.track_process_median", *key)].samples == tuple(
        median(part.latency_s) for part in parts
    )
    joined = tuple(value for part in parts for value in part.latency_s)
    assert found[("latency.Pipeline.track_latency", *key)].samples == joined


def test_samples_of_a_canary_beside_several_sizes_are_one_series() -> None:
    parts = [
        measurement("canary", backend="canary", route="cpu-1", duration_s=size, latency_s=(size,))
        for size in (1.0, 4.0)
    ]
    found = values(record(measurements=(*parts, measurement())))
    assert found["latency.Canary.track_latency", "cpu-1"].samples == (1.0, 4.0)


def test_an_engine_gives_its_own_figures() -> None:
    engine = Engine("encoder", "tensorrt", "fp16", 7000, None, 1.0, 1, "flag", 2000, 12.5)
    other = replace(engine, route="graph", build_s=99.0)
    shown = measurement(
        "encoder", backend="tensorrt", precision="fp16", route="flag", launch="graph"
    )
    found = values(record(measurements=(shown,), engines=(other, engine)))
    built = {
        name: found[f"build.Components.track_{name}", "encoder", "tensorrt fp16 by flag, graph"]
        for name in ("seconds", "bytes", "memory")
    }
    assert {name: one.value for name, one in built.items()} == {
        "seconds": 12.5,
        "bytes": 2000.0,
        "memory": 7000.0,
    }


def test_only_work_back_to_back_on_the_device_is_told() -> None:
    others = [measurement(mode="cold"), measurement(mode="paced"), measurement("host_enqueue")]
    with_others = record(measurements=(measurement(), *others))
    assert series_of(with_others) == series_of(record(measurements=(measurement(),)))


def test_nothing_is_made_up_of_what_is_not_known() -> None:
    bare = measurement(relative_l2=None, energy_j=None)
    found = series_of(record(measurements=(bare,), budget=None, engines=(), artifacts=()))
    assert {one.benchmark for one in found} == {
        "latency.Pipeline.track_latency",
        "latency.Pipeline.track_process_median",
        "latency.Pipeline.track_p99",
    }


@pytest.mark.parametrize("backend", ["simulated", "onnxruntime"])
def test_a_clock_that_is_none_is_told_in_the_name(backend: str) -> None:
    shown = measurement(backend=backend, simulated=True)
    found = series_of(record(measurements=(shown,), budget=None))
    assert all("simulated" in one.params[0] for one in found)
    assert {one.params[0].count("simulated") for one in found} == {1}


@pytest.mark.parametrize(
    ("samples", "what"),
    [((), "has no samples"), ((0.1, math.nan), "has nan among"), ((math.inf,), "has inf among")],
)
def test_samples_that_are_none_are_refused_by_name(samples: tuple[float, ...], what: str) -> None:
    broken = measurement("encoder", latency_s=samples)
    with pytest.raises(RecordError, match=f"encoder at 1 s by onnxruntime fp32 {what}") as caught:
        series_of(record("odd-one", measurements=(broken,)))
    assert caught.value.where == "odd-one"


def test_context_comes_back_from_a_record() -> None:
    assert context_of(record()) == CONTEXT
    assert context_of(record(context=None)) is None


def test_a_history_of_another_kind_is_refused_by_name() -> None:
    other = record("odd-one", history={**asdict(CONTEXT), "branch": "main"})
    with pytest.raises(RecordError, match="its history is of another kind") as caught:
        context_of(other)
    assert caught.value.where == "odd-one"
