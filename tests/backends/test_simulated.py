"""The backend whose times are made up, and that all it gives says so."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import harness
from harness.api import make_backends
from harness.artifacts.cost import component_cost
from harness.artifacts.export import export_pipeline
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import as_built
from harness.backends.simulated import (
    SimulatedBackend,
    SimulationOptions,
    check_simulation,
    read_simulation,
    simulation_from_environment,
)
from harness.errors import FeatureUnavailableError, OptionError
from harness.pipeline.loader import load_pipeline
from harness.store.frame import samples_frame
from harness.store.parquet import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.artifacts.worker import WorkerPool
    from harness.types import Measurement, Record
    from tests.conftest import ToyFactory

QUIET = SimulationOptions(noise=0.0)


@pytest.fixture
def simulate(onnx_toy: Callable[..., Path], shared_cache: Cache) -> Callable[..., Record]:
    def call(options: SimulationOptions = QUIET, **more: Any) -> Record:
        asked: dict[str, Any] = {"max_samples": 40, "threads": 1, "cache": shared_cache.root}
        return harness.benchmark_end_to_end_latency(
            more.pop("root", None) or onnx_toy(),
            backends=["simulated"],
            simulation=options,
            **(asked | more),
        )

    return call


def by_component(record: Record) -> dict[str, Measurement]:
    return {m.component: m for m in record.measurements}


def test_times_are_those_of_the_macs_at_the_rate_and_an_overhead_each(
    simulate: Callable[..., Record],
    onnx_toy: Callable[..., Path],
    shared_cache: Cache,
    shared_pool: WorkerPool,
) -> None:
    options = replace(QUIET, macs_per_s=2e6, overhead_s=1e-4)
    found = by_component(simulate(options, durations_s=[0.5, 1.0]))

    pipeline = load_pipeline(onnx_toy())
    models = export_pipeline(pipeline, shared_cache, shared_pool)
    sizes = pipeline.sizes(duration_s=1.0, batch=1)
    macs = {
        name: component_cost(pipeline.components[name], model.path, sizes).macs
        for name, model in models.items()
    }
    # 16 rows through 4 x 8 and 8 x 6; the decoder has no product.
    assert macs == {"encoder": 16 * (4 * 8 + 8 * 6), "decoder": 0}
    expected = {name: 1e-4 + count / 2e6 for name, count in macs.items()}
    expected["pipeline"] = sum(expected.values())
    for name, seconds in expected.items():
        assert found[name].latency_s == pytest.approx((seconds,) * len(found[name].latency_s))


def test_all_of_a_record_says_that_it_is_simulated_and_nothing_is_of_this_machine(
    simulate: Callable[..., Record], tmp_path: Path
) -> None:
    record = simulate()

    assert set(by_component(record)) == {"encoder", "decoder", "pipeline"}, "no canary"
    for measured in record.measurements:
        assert measured.simulated
        assert (measured.backend, measured.clock) == ("simulated", "simulated")
        assert math.isnan(measured.load_s)
        assert math.isnan(measured.first_s)
        assert measured.energy_j is None
    assert (record.telemetry, record.idle_power_w, record.ceilings) == ((), None, None)
    assert "canary" not in record.environment
    assert record.validity is not None
    assert record.validity.status == "unknown"
    assert [f.what.split(":")[0] for f in record.validity.findings] == ["the times are simulated"]
    for engine in record.engines:
        assert (engine.memory_bytes, engine.nodes, engine.build_s) == (None, None, None)
        assert engine.details["simulation"]["macs_per_s"] == 1e9
    store = ParquetStore(tmp_path)
    store.append(record)
    (kept,) = store.query()
    assert {m.simulated for m in kept.measurements} == {True}
    assert set(samples_frame([record])["simulated"]) == {True}


def test_outputs_are_computed_and_held_against_the_reference(
    simulate: Callable[..., Record], toy: ToyFactory
) -> None:
    for measured in simulate(root=toy(), max_samples=5).measurements:
        assert measured.snr_db is not None
        assert 80.0 < measured.snr_db < 1000.0
        assert measured.accuracy_inputs == 8


def test_the_same_seed_gives_the_same_samples_and_another_does_not(
    simulate: Callable[..., Record],
) -> None:
    options = SimulationOptions(noise=0.02, seed=1)
    first, again, other = (
        [m.latency_s for m in simulate(o).measurements]
        for o in (options, options, options.mixed("commit", 0))
    )

    assert first == again
    assert first != other
    assert len({tuple(series) for series in (*first, *other)}) == 6, "no two series are alike"


def test_what_can_never_be_known_ends_all_the_same(simulate: Callable[..., Record]) -> None:
    options = SimulationOptions(noise=0.5, rho=0.95)
    record = simulate(options, max_samples=None, max_time_s=1e6)

    assert {len(m.latency_s) for m in record.measurements} == {4000}
    assert {(m.verdict, m.verdict_reason) for m in record.measurements} == {
        ("inconclusive", "samples")
    }
    assert record.phases_s["measure"] < 20.0


def test_a_level_is_that_of_all_samples_of_a_seed() -> None:
    options = SimulationOptions(process_noise=0.1)
    levels = np.array([options.mixed("round", index).level for index in range(400)])

    assert options.level == options.level
    assert np.median(levels) == pytest.approx(1.0, abs=0.02)
    assert levels.std() == pytest.approx(0.1, rel=0.15)
    assert SimulationOptions().level == 1.0


def test_a_level_moves_every_series_alike(simulate: Callable[..., Record]) -> None:
    options = replace(QUIET, process_noise=0.1, seed=5)
    plain, moved = (by_component(simulate(o)) for o in (QUIET, options))

    ratios = [moved[name].latency_s[0] / plain[name].latency_s[0] for name in plain]
    assert ratios == pytest.approx([options.level] * 3)
    assert options.level != 1.0


def test_seeds_are_mixed_with_all_keys_and_fit_into_json() -> None:
    options = SimulationOptions(seed=7)
    seeds = {options.mixed(*keys).seed for keys in [("a",), ("b",), ("a", 0), ("a", 1), ("ab",)]}

    assert len(seeds) == 5
    assert seeds.isdisjoint({replace(options, seed=8).mixed("a").seed})
    assert max(seeds) < 2**53
    assert options.mixed("a", 0) == options.mixed("a", "0")


def test_options_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        QUIET.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("macs_per_s", 0.0),
        ("macs_per_s", math.inf),
        ("macs_per_s", math.nan),
        ("overhead_s", -1e-6),
        ("noise", -0.1),
        ("noise", 0.6),
        ("noise", math.nan),
        ("shape", "uniform"),
        ("rho", 1.0),
        ("rho", -0.5),
        ("process_noise", 1.0),
        ("seed", -1),
    ],
)
def test_what_has_no_meaning_is_refused(field: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"simulation: {field}: .* has no meaning; "):
        replace(QUIET, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([1], r"plan.json: \[1\] is no object; give an object with some of: macs_per_s, "),
        ({"macs": 1}, "plan.json: 'macs' is not known; give an object with some of: macs_per_s, "),
        ({"seed": 0.5}, "plan.json: seed cannot be 0.5; give a number"),
        ({"seed": True}, "plan.json: seed cannot be True; give a number"),
        ({"noise": "little"}, "plan.json: noise cannot be 'little'; give a number"),
        ({"shape": 1}, "plan.json: shape cannot be 1; give a word"),
    ],
)
def test_settings_that_are_wrong_are_told_of(settings: object, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        read_simulation(settings, "plan.json")


def test_settings_give_options() -> None:
    given = {"macs_per_s": 10**9, "noise": 0.005, "seed": 3, "shape": "lognormal", "rho": 0.5}

    assert read_simulation(given, "plan.json") == SimulationOptions(
        1e9, noise=0.005, seed=3, shape="lognormal", rho=0.5
    )
    assert read_simulation({}, "plan.json") == SimulationOptions()


def test_the_environment_gives_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulation_from_environment() == SimulationOptions()

    monkeypatch.setenv("TRT_HARNESS_SIMULATION", '{"noise": 0.1}')
    (made,) = make_backends(["simulated"], ["int8"], threads=1)
    assert isinstance(made, SimulatedBackend)
    assert (made.options, made.precision) == (SimulationOptions(noise=0.1), "int8")

    monkeypatch.setenv("TRT_HARNESS_SIMULATION", "{noise")
    with pytest.raises(OptionError, match="TRT_HARNESS_SIMULATION: it is no JSON"):
        make_backends(["simulated"], ["fp32"])


@pytest.mark.parametrize("names", [["simulated", "onnxruntime"], ["torch", "simulated"]])
def test_it_is_alone_in_its_run(names: list[str]) -> None:
    with pytest.raises(OptionError, match=r"simulated times and real ones, of (onnxruntime|torch)"):
        make_backends(names, ["fp32"])


@pytest.mark.parametrize("mode", ["cold", "paced", "concurrent"])
def test_only_the_hot_mode_is_simulated(mode: str) -> None:
    backend = SimulatedBackend(QUIET, threads=1, precision="fp32")

    with pytest.raises(FeatureUnavailableError, match=f"the mode {mode}: that is not simulated"):
        check_simulation([backend], mode)
    check_simulation([backend], "hot")
    check_simulation([OnnxRuntimeBackend(threads=1)], mode)


def test_a_session_has_no_round_trips(
    onnx_toy: Callable[..., Path], shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    pipeline = load_pipeline(onnx_toy())
    models = export_pipeline(pipeline, shared_cache, shared_pool)
    backend = SimulatedBackend(QUIET, threads=1, precision="fp32")
    session = backend.open(pipeline, as_built(models))

    with pytest.raises(FeatureUnavailableError, match="that is not simulated"):
        session.round_trips()


def test_every_report_says_so(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    shared_cache: Cache,
    tmp_path: Path,
) -> None:
    code, out, _ = harness(
        *("run", onnx_toy(), "--backend", "simulated", "--threads", 1),
        *("--precision", "fp32", "--precision", "fp16", "--json", tmp_path / "run.json"),
        *("--cache", shared_cache.root, "--out", tmp_path / "out"),
    )

    told = " ".join(out.split())
    assert code == 0
    assert "simulated, 0.5 s, hot: latency in ms, size in MB" in told
    assert "SIMULATED: these times come from no real clock" in told
    for precision in ("fp32", "fp16"):
        of = f"Budget, simulated {precision}"
        assert f"{of}: p99 <= 100 ms end to end at 0.5 s, SIMULATED: WITHIN. p99 is " in told
    assert "SIMULATED on " in told
    assert "clock: simulated" in told
    assert "Machine: unknown (0 readings of the machine)" in told
    assert "Canary" not in told
    assert "Energy" not in told
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["simulated"] is True
    assert {m["simulated"] for m in document["measurements"]} == {True}
    assert {m["load_s"] for m in document["measurements"]} == {None}
    assert [(b["simulated"], b["verdict"]) for b in document["budget_verdicts"]] == [
        (True, "within")
    ] * 2
    assert document["canaries"] == []


def test_what_would_be_of_no_use_is_refused(
    harness: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path]
) -> None:
    simulated = (onnx_toy(), "--backend", "simulated")
    for arguments, words in (
        (("run", *simulated, "--processes", 2), "simulated processes are all the same"),
        (("run", *simulated, "--mode", "cold"), "the mode cold: that is not simulated"),
        (("run", *simulated, "--interpreter", "simulated=python"), "takes no interpreter"),
        (("telemetry", "overhead", *simulated), "what is simulated costs nothing"),
    ):
        code, out, err = harness(*arguments)
        assert (code, out) == (2, "")
        assert words in err


def test_the_plan_is_that_of_the_simulation(
    harness: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path]
) -> None:
    code, out, _ = harness("run", onnx_toy(), "--backend", "simulated", "--plan")

    assert code == 0
    assert "besides: nothing; without telemetry, energy" in out
