"""The scripts for a GPU machine: each of their command lines is one that the harness takes.

They cannot be run here. What they would run is asked of them (LIST), read by the command line's own
parser, and planned with a fake of TensorRT 8.5 in the place of the library.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt.choice import check_components, read_choice
from harness.cli.app import app
from harness.cli.engines import take_choice
from harness.history.plan import read_plan
from harness.pipeline.loader import load_pipeline
from harness.pipeline.restrict import restrict
from tests.backends.tensorrt.builder_fakes import World, make_builder_library

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[1] / "benchmarks" / "h200"
BOTH = ("build.sh", "measure.sh")
SCRIPTS = (*BOTH, "history.sh")


def _run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=60,
    )


def _list(script: str, *arguments: str, **environment: str) -> dict[str, list[str]]:
    given = {"EXPORTED": "/ex ported", "OUT": "/out", "PYTHON_TORCH": sys.executable}
    done = _run(script, *arguments, LIST="1", **{**given, **environment})
    assert (done.returncode, done.stderr) == (0, "")
    pairs = [line.split("\t") for line in done.stdout.splitlines()]
    assert len({name for name, _ in pairs}) == len(pairs), "each step has its own file"
    return {name: shlex.split(command) for name, command in pairs}


STEPS = {
    f"{script} {name}": command
    for script in SCRIPTS
    for name, command in _list(script, "100").items()
}
HARNESS = {
    name: words[words.index("-m") + 2 :] for name, words in STEPS.items() if "harness" in words
}


def _given(words: list[str]) -> list[str]:
    """The engines that are given to a step: ``NAME=FILE``."""
    return [words[place + 1] for place, word in enumerate(words) if word == "--engine"]


def _without_engines(words: list[str]) -> list[str]:
    """``words`` but for the engines that are given, which are not there."""
    given = set(_given(words))
    return [word for word in words if word != "--engine" and word not in given]


def _parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command and its options, as click reads them; it raises what a user would be told."""
    context: Any = app.make_context("harness", _without_engines(words))
    command: Any = app
    names = []
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        names.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(names), dict(context.params)


@pytest.mark.parametrize("script", [*SCRIPTS, "common.sh"])
def test_bash_can_read_it(script: str) -> None:
    done = subprocess.run(["bash", "-n", str(FOLDER / script)], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_the_steps_are_there() -> None:
    names = {name.partition(" ")[2] for name in STEPS}

    assert {"fp32", "fp16-flag", "qdq-1", "qdq", "fp16-tf32-sums", "fp16-pinned-early"} <= names
    assert {"routes", "enqueue", "fp16", "processes", "cold-bench"} <= names
    assert {"telemetry-graph", "telemetry-enqueue", "speeds"} <= names
    kinds = ("alone", "idle", "second", "enqueued", "peer")
    assert {f"speeds-{n}-{kind}" for n in (1, 2) for kind in kinds} <= names
    assert len(HARNESS) >= len(STEPS) - 3


@pytest.mark.parametrize("name", HARNESS)
def test_the_command_line_takes_it(name: str) -> None:
    command, options = _parse(HARNESS[name])

    if command == "history run":
        assert options["range_spec"] == "ALL"
        return
    if command == "ab":
        assert (options["base"], options["head"]) in {("HEAD~2", "HEAD~1"), ("HEAD~1", "HEAD")}
        return
    assert command in {"run", "build", "noise", "telemetry overhead"}
    loaded = load_pipeline(options["pipeline"])
    components = options.get("components") or ()
    restrict(loaded, components)
    check_components(take_choice(dict(options)), loaded)


def test_the_suite_is_given_a_line_that_the_harness_takes() -> None:
    words = STEPS["history.sh pytest"]
    given = shlex.split(words[words.index("--harness-args") + 1])

    command, options = _parse(["run", "voice_conversion", "--backend", "tensorrt", *given])

    assert (command, options["tactic_sources"]) == ("run", ("CUBLAS", "CUBLAS_LT"))
    assert options["fp16_routes"] == ("flag",)


def test_the_plan_of_the_history_can_be_read(tmp_path: Path) -> None:
    done = _run(
        "history.sh", "1", "history", EXPORTED=str(tmp_path), OUT=str(tmp_path), PYTHON="true"
    )
    assert (done.returncode, done.stderr) == (0, "")

    plan = read_plan(tmp_path / "repository" / "benchmarks" / "plan.json")

    choice = read_choice(plan.tensorrt or {}, "here")
    assert (plan.backends, choice.fp16_routes) == (("tensorrt",), ("flag",))
    git = ["git", "-C", str(tmp_path / "repository"), "log", "--format=%s", "--shortstat"]
    log = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    assert "Nothing that is measured" in log
    assert "five couplings\n\n 1 file changed, 1 insertion(+), 1 deletion(-)" in log


def test_a_line_that_is_wrong_is_found() -> None:
    words = [*HARNESS["measure.sh routes"], "--no-such-option"]

    with pytest.raises(click.UsageError, match="no-such-option"):
        _parse(words)


@pytest.fixture
def planned(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[str]], str]:
    """Plan a run with a fake of TensorRT 8.5, as if there were a GPU."""
    monkeypatch.setattr(libraries, "_loggers", {})
    fake = make_builder_library(World())
    monkeypatch.setitem(sys.modules, "tensorrt", fake.module)
    monkeypatch.setattr("harness.api.has_gpu", lambda: True)
    monkeypatch.setattr("harness.backends.interpreter.RemoteBackend.check_can_run", lambda _: None)

    def call(words: list[str]) -> str:
        # Exports of another interpreter are not there.
        where = words.index("--artifacts")
        rest = _without_engines([*words[:where], *words[where + 2 :]])
        rest[rest.index("--cache") + 1] = str(tmp_path / "cache")
        code, out, err = harness(*rest, "--plan")
        assert code == 0, err
        return out

    return call


RUNS = {name: words for name, words in HARNESS.items() if words[0] == "run"}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_can_be_planned(planned: Callable[[list[str]], str], name: str) -> None:
    out = planned(RUNS[name])

    assert "tensorrt fp" in out or "tensorrt int8" in out
    assert "measure " in out


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        ((), {"EXPORTED": "e", "OUT": "o"}, "usage: "),
        (("0",), {"EXPORTED": "e", "OUT": "o"}, "usage: "),
        (("soon",), {"EXPORTED": "e", "OUT": "o"}, "usage: "),
        (("10",), {"OUT": "o"}, "EXPORTED"),
        (("10",), {"EXPORTED": "e"}, "OUT"),
    ],
)
def test_what_is_missing_is_told(
    script: str, arguments: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    done = _run(script, *arguments, **environment)

    assert done.returncode != 0
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_step_can_be_chosen(script: str) -> None:
    name = next(iter(_list(script, "10")))

    assert list(_list(script, "10", name)) == [name]


@pytest.mark.parametrize("script", BOTH)
def test_own_nodes_can_be_pinned(script: str) -> None:
    pins = "vocoder:* content_encoder:/a[01]*"

    (words,) = _list(script, "10", "fp16-pinned-own", PINS=pins).values()

    given = [words[i + 1] for i, word in enumerate(words) if word == "--fp32-node"]
    assert given == pins.split()
    assert _list(script, "10", "fp16-pinned-own") == {}


def _pins(script: str) -> dict[str, list[str]]:
    return {
        name: [word for word in words if ":" in word and not word.startswith("/")]
        for name, words in _list(script, "10").items()
        if "pinned" in name
    }


def test_what_is_measured_is_what_was_built() -> None:
    """Another option makes another engine, which would be built within a measurement."""
    assert _pins("build.sh") == _pins("measure.sh")
    assert set(_pins("build.sh")) == {f"fp16-pinned-{n}" for n in ("early", "vocoder", "most")}


def test_an_engine_that_is_given_was_built_by_a_step_for_that_component() -> None:
    given = dict(text.split("=") for text in _given(STEPS["measure.sh qdq"]))

    assert set(given) == {"pitch_encoder", "flow_decoder"}
    step = STEPS["build.sh qdq-rest"]
    assert [step[i + 1] for i, word in enumerate(step) if word == "--component"] == list(given)
    folder = step[step.index("--out") + 1]
    assert given == {name: f"{folder}/{name}.engine" for name in given}
    rest = STEPS["build.sh qdq"]
    built = {rest[i + 1] for i, word in enumerate(rest) if word == "--component"}
    assert built | set(given) == set(load_pipeline("voice_conversion").components)


def test_without_pytorch_the_rest_is_measured() -> None:
    found = _list("measure.sh", "10", PYTHON_TORCH="")

    assert "enqueue" in found
    assert not {
        "fp16",
        "routes",
        "int8-routes",
        "cold-bench",
        "speeds-1-idle",
        "speeds-1-peer",
    } & set(found)


def _fake_python(folder: Path) -> Path:
    """Stands for a Python: fails at fp32, waits at INT8, and writes what it was called with."""
    path = folder / "python"
    path.write_text(
        '#!/bin/sh\necho "$@" >>"$(dirname "$0")/calls"\n'
        'case "$*" in *"precision fp32"*) echo broken; exit 7;; '
        '*"int8 calibrator"*) exec sleep 60;; esac\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script", BOTH)
def test_what_fails_or_takes_too_long_is_told_and_the_others_go_on(
    script: str, tmp_path: Path
) -> None:
    python, out = _fake_python(tmp_path), tmp_path / "out"
    steps = {
        "build.sh": ("fp32", "int8-calibrator", "fp16-graph"),
        "measure.sh": ("routes", "mixed-calibrator", "enqueue"),
    }[script]
    given = {"EXPORTED": str(tmp_path), "OUT": str(out), "PYTHON": str(python)}

    done = _run(script, "1", *steps, PYTHON_TORCH=str(python), **given)

    assert done.returncode == 1
    failing, slow, sound = steps
    assert f"{failing}: FAILED (7)" in done.stdout
    assert "broken" in done.stdout
    assert f"{slow}: FAILED (124)" in done.stdout
    assert f"{sound}: done in" in done.stdout
    (last,) = (line for line in done.stdout.splitlines() if line.startswith("FAILED: "))
    assert sorted(last.removeprefix("FAILED: ").replace(") ", ")\n").splitlines()) == sorted(
        [f"{failing} (7)", f"{slow} (124)"]
    )
    assert (out / f"{failing}.txt").read_text() == "broken\n"


def test_a_verdict_is_no_failure(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *" ab "*) exit 3;; esac\nexit 1\n')
    python.chmod(0o755)
    given = {"EXPORTED": str(tmp_path), "OUT": str(tmp_path / "out"), "PYTHON": str(python)}

    done = _run("history.sh", "5", "ab-equal", "pytest", **given)

    assert "ab-equal: done in" in done.stdout
    assert "pytest: FAILED (1)" in done.stdout


def test_no_step_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    python = _fake_python(tmp_path)
    given = {"EXPORTED": str(tmp_path), "OUT": str(tmp_path / "out"), "PYTHON": str(python)}

    done = _run("measure.sh", "1", "enqueue", TOTAL_S="0", **given)

    assert done.returncode == 1
    assert "enqueue: not begun, 0 s are over" in done.stdout
    assert not (tmp_path / "calls").exists()


def test_a_timing_cache_is_put_and_got_with_names_of_tactics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import timing_cache  # noqa: PLC0415  # a script, found by path

    monkeypatch.setattr(libraries, "_loggers", {})
    fake = make_builder_library(World())
    monkeypatch.setattr(timing_cache, "find_library", lambda *_, **__: fake)
    given, cache, left = (tmp_path / name for name in ("timing", "cache", "left"))
    given.write_bytes(b"timings")

    def call(direction: str, file: Path) -> None:
        monkeypatch.setattr(sys, "argv", ["timing_cache.py", direction, str(cache), str(file)])
        timing_cache.main()

    call("get", left)
    assert not left.exists(), "nothing was built yet"
    call("put", given)
    (path,) = (cache / "keep").iterdir()
    path.write_bytes(b"more")
    call("put", given)
    assert path.read_bytes() == b"more", "what builds have found is not replaced"
    (cache / "keep" / path.name.replace("timing-", "tactics-")).write_bytes(b"names")
    call("get", left)

    assert left.read_bytes() == b"more"
    assert (tmp_path / "left.tactics").read_bytes() == b"names"


def test_compositions_are_put_beside_one_another(tmp_path: Path) -> None:
    def row(component: str, route: str, launch: str, median_s: float) -> dict[str, Any]:
        estimate = {"median": {"value": median_s}}
        kind = {"precision": "fp16", "route": route, "launch": launch}
        return {"component": component, **kind, "summary": estimate}

    for number, name, factor in (("1", "alone", 1.0), ("1", "idle", 0.9), ("2", "idle", 0.8)):
        rows = [
            row("pipeline", "flag", "graph", 0.001 * factor),
            row("pipeline", "flag", "enqueue", 0.002),
            row("vocoder", "graph", "graph", 0.003),
        ]
        path = tmp_path / f"speeds-{number}-{name}.json"
        path.write_text(json.dumps({"measurements": rows}))

    done = subprocess.run(
        [sys.executable, str(FOLDER / "two_speeds.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[1][:5] == ["1", "alone", "1.0000", "(1.000)", "-"]
    assert lines[2][:4] == ["1", "idle", "0.9000", "(0.900)"]
    assert lines[3][:3] == ["2", "idle", "0.8000"]
