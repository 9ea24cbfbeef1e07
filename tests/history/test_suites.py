"""The suites that asv loads: what they offer, and how they come by their figures."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.history.series import BENCHMARKS
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Stands in for "harness history measure": a round's samples are its number and that plus a half.
_INSTRUMENT = """
import json, sys
words = sys.argv
number, out = int(words[words.index("--round") + 1]), words[words.index("--out") + 1]
with open("measured", "a") as file:
    file.write(f"{number} ")
if number >= 7:
    sys.exit(3)
figures = [
    {"benchmark": "b", "params": ["x"], "samples": [number, number + 0.5]},
    {"benchmark": "b", "params": ["none"], "samples": []},
    {"benchmark": "n", "params": ["x"], "value": number / 4},
]
open(out, "w").write(json.dumps(figures))
"""
_TOLD: dict[str, Any] = {
    "components": ["encoder", "decoder"],
    "variants": ["onnxruntime fp32"],
    "sizes": ["1 s"],
    "canaries": ["cpu-1"],
    "budget": ["1 s"],
    "energy": True,
    "measure": [sys.executable, "-c", _INSTRUMENT],
    "round": 0,
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Load a module of the suites as asv does, told what is given, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, **told: object) -> Any:
        monkeypatch.setenv("TRT_HARNESS_HISTORY", json.dumps({**_TOLD, **told}))
        for module in [m for m in sys.modules if m.partition(".")[0] == "suites"]:
            del sys.modules[module]
        place = REPOSITORY / "benchmarks" / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            "suites", place, submodule_search_locations=[str(place.parent)]
        )
        assert spec is not None
        sys.modules["suites"] = importlib.util.module_from_spec(spec)
        return importlib.import_module(f"suites.{name}")

    yield make
    for module in [m for m in sys.modules if m.partition(".")[0] == "suites"]:
        del sys.modules[module]


def _functions(module: Any) -> dict[str, tuple[Any, Any]]:
    """By asv's name, each function and its class."""
    return {
        f"{module.__name__.removeprefix('suites.')}.{cls.__name__}.{name}": (cls, function)
        for cls in vars(module).values()
        if isinstance(cls, type)
        for name, function in vars(cls).items()
        if name.startswith("track_")
    }


def test_the_suites_are_what_records_are_told_as(load: Callable[..., Any]) -> None:
    found = {}
    for name in ("latency", "build", "accuracy", "energy"):
        found |= _functions(load(name))

    assert set(found) == set(BENCHMARKS)
    for name, (cls, function) in found.items():
        assert tuple(cls.param_names) == BENCHMARKS[name].param_names
        assert getattr(function, "unit", getattr(cls, "unit", None)) == BENCHMARKS[name].unit
        assert len(cls.params) == len(cls.param_names)
        assert (cls.version, cls.less_is_better) == ("1", True)
        assert function.pretty_name


def test_each_figure_is_asked_for_by_its_own_name(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for suite in ("latency", "build", "accuracy", "energy"):
        module = load(suite)
        asked: list[tuple[Any, ...]] = []
        for way in ("samples", "number"):
            monkeypatch.setattr(module.measured, way, lambda *words: asked.append(words))  # noqa: B023
        for name, (cls, function) in _functions(module).items():
            function(cls(), 0, *cls.param_names)
            assert asked.pop() == (0, name, *cls.param_names)


def test_there_is_no_budget_canary_or_energy_where_none_is_told(load: Callable[..., Any]) -> None:
    latency = _functions(load("latency", budget=[], canaries=[]))
    energy = load("energy", energy=False)

    assert not {"latency.Budget.track_p99", "latency.Canary.track_latency"} & set(latency)
    assert _functions(energy) == {}


def test_all_figures_of_a_round_come_from_one_measurement(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    measured = load("measured")

    first = measured.setup_cache()

    assert measured.samples(first, "b", "x") == {"samples": [0, 0.5], "number": 1}
    assert measured.number(first, "n", "x") == 0.0
    assert math.isnan(measured.number(first, "n", "another"))
    assert math.isnan(measured.samples(first, "another", "x"))
    with pytest.raises(ValueError, match=r"b \('none',\) has no samples"):
        measured.samples(first, "b", "none")
    assert (tmp_path / "measured").read_text().split() == ["0"]


def test_every_round_is_measured_in_a_process_of_its_own(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    """asv calls ``setup_cache`` once for "-a rounds=3", and each benchmark three times."""
    measured = load("measured", round=2)
    first = measured.setup_cache()

    found = []
    for _ in range(3):
        samples = measured.samples(first, "b", "x")["samples"]
        found.append((samples[0], measured.number(first, "n", "x")))

    assert found == [(2, 0.5), (3, 0.75), (4, 1.0)]
    assert (tmp_path / "measured").read_text().split() == ["2", "3", "4"]


def test_a_round_that_fails_is_not_tried_for_each_figure(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    measured = load("measured", round=6)
    first = measured.setup_cache()
    measured.samples(first, "b", "x"), measured.number(first, "n", "x")

    for ask in (measured.samples, measured.number):
        with pytest.raises(RuntimeError, match="measuring ended with 3"):
            ask(first, "b" if ask is measured.samples else "n", "x")

    assert (tmp_path / "measured").read_text().split() == ["6", "7"]


def test_measuring_ends_where_asv_was_killed(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = "import signal; signal.pause()"
    measured = load("measured", measure=[sys.executable, "-c", waits])
    parents = iter([10, 10, 10, 1])
    monkeypatch.setattr(measured.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(measured, "_WATCH_S", 0.01)

    with pytest.raises(RuntimeError, match="measuring ended with -15"):
        measured.setup_cache()


def test_without_the_environment_type_the_suites_say_so(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load("measured")
    monkeypatch.delenv("TRT_HARNESS_HISTORY")
    del sys.modules["suites.measured"]

    with pytest.raises(RuntimeError, match="environment type 'shared'"):
        importlib.import_module("suites.measured")
