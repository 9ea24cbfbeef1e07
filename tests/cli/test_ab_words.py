"""What each process of an A/B is told: the command line's options, and for the rest the plan's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.backends.simulated import SimulationOptions
from harness.cli import ab_words
from harness.cli.ab import ab
from harness.cli.ab_words import read_measuring
from harness.errors import OptionError
from harness.history.plan import HistoryPlan

if TYPE_CHECKING:
    from harness.cli.ab_words import Measuring

PLAN = HistoryPlan(
    pipeline="voice",
    backends=("onnxruntime", "torch"),
    precisions=("fp32", "fp16"),
    durations_s=(0.5, 1.0),
    batches=(2,),
    seed=3,
    opset=18,
    threads=1,
    energy=False,
    max_time_s=99.0,
    rel_precision=0.5,
)


def measuring(*words: str, plan: HistoryPlan | None = PLAN) -> Measuring:
    return read_measuring(ab.make_context("ab", ["one", "two", *words]), plan)


def test_a_plan_says_what_is_measured_and_not_how_long() -> None:
    found = measuring()
    assert set(found.words) == {
        *("--backend=onnxruntime", "--backend=torch", "--precision=fp32", "--precision=fp16"),
        *("--duration=0.5", "--duration=1.0", "--batch=2", "--seed=3", "--opset=18"),
        *("--threads=1", "--no-energy"),
        *("--rel-precision=0.001", "--max-time=5.0", "--no-tail"),
    }
    assert found.options["durations_s"] == (0.5, 1.0)
    assert found.options["seed"] == 3
    assert not found.builds_engines


def test_the_command_line_comes_first() -> None:
    found = measuring("--duration", "2", "--seed", "4", "--process-time", "1", "--no-telemetry")
    assert "--duration=2.0" in found.words
    assert not {"--duration=0.5", "--seed=3"} & set(found.words)
    assert {"--seed=4", "--max-time=1.0", "--no-telemetry"} <= set(found.words)


def test_with_a_backend_named_nothing_of_the_plans_backends_counts() -> None:
    found = measuring("--backend", "onnxruntime")
    assert found.names == ("onnxruntime",)
    assert "--precision=fp16" not in found.words
    assert "--duration=0.5" in found.words


def test_without_a_plan_it_is_as_for_a_run() -> None:
    found = measuring(plan=None)
    assert found.names == ("onnxruntime",)
    assert found.words == ("--rel-precision=0.001", "--no-tail", "--max-time=5.0")


def test_made_up_times_are_those_of_the_plan() -> None:
    plan = HistoryPlan("voice", backends=("simulated",), simulation={"noise": 0.25, "seed": 5})
    assert measuring(plan=plan).simulation == SimulationOptions(noise=0.25, seed=5)
    assert measuring("--backend", "onnxruntime", plan=plan).simulation is None


def test_a_plans_engines_are_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorrt = {
        "fp16": ["flag", "graph"],
        "workspace_mib": 64,
        "tf32": True,
        "tactic_sources": ["CUBLAS"],
        "preview_features": [],
        "precision_constraints": "prefer",
    }
    plan = HistoryPlan("voice", backends=("tensorrt",), precisions=("fp16",), tensorrt=tensorrt)
    words = [word for its in ab_words._planned(plan, of_backends=True).values() for word in its]
    assert {
        *("--fp16=flag", "--fp16=graph", "--workspace=64", "--tf32", "--tactic-source=CUBLAS"),
        *("--preview-feature=none", "--precision-constraints=prefer", "--backend=tensorrt"),
    } <= set(words)
    # Each is an option of a run.
    from harness.cli.app import run  # noqa: PLC0415

    options = run.make_context("run", ["voice", *words]).params
    assert options["fp16_routes"] == ("flag", "graph")
    assert options["workspace_mib"] == 64


def test_what_a_plan_cannot_say_of_engines_is_refused() -> None:
    plan = HistoryPlan("voice", backends=("tensorrt",), tensorrt={"fast": True})
    with pytest.raises(OptionError, match=r'plan.json: tensorrt: "fast" is not known'):
        measuring(plan=plan)
