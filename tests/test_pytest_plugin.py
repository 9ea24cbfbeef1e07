"""The pytest plugin in sessions of pytest of its own: no doubt ever passes without a word."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import harness.latency_budget
from harness.measuring import Watch
from tests.conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache

pytest_plugins = ["pytester"]

PLUGIN = "harness.pytest_plugin"
WITHIN, MISSED, OPEN = "2 ms", "0.5 ms", "1.0235 ms"


class Noisy:
    """A clock by which a launch takes about 1 ms: p99 is 1.023 ms."""

    name, is_simulated = "a made up host", False

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        for launch in launches:
            launch()
        return tuple((1e-3 * (1 + 0.01 * self.rng.standard_normal(len(launches)))).tolist())


@pytest.fixture(autouse=True)
def made_up_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.latency_budget, "HostClock", Noisy)


@pytest.fixture
def session(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest on a test of this body, under this mark."""

    def run(mark: str, body: str, *arguments: str, ini: str = "") -> pytest.RunResult:
        pytester.makeini(f"[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n{ini}")
        marked = f"@pytest.mark.latency_budget({mark})\n" if mark else ""
        pytester.makepyfile(
            "import pytest\n"
            "def call(*arguments, **options):\n"
            "    return arguments\n"
            f"{marked}def test_it(latency_budget):\n    {body}\n"
        )
        return pytester.runpytest_inprocess("-p", PLUGIN, "-p", "no:cacheprovider", *arguments)

    return run


def quiet(limit: str, more: str = "") -> str:
    return f'"{limit}", telemetry=False{more}'


def test_a_budget_that_is_kept_passes_and_shows_its_evidence(
    session: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    body = "found = latency_budget(call, 1, key=2); assert found.latency_s"
    result = session(quiet(WITHIN), body, "--junitxml=junit.xml")

    result.assert_outcomes(passed=1)
    told = "*::test_it: WITHIN, p99 <= 2 ms: p99 is about 1.02 ms, 95 % interval * ms, n = 373"
    result.stdout.fnmatch_lines(["*= latency budgets =*", told])
    junit = (pytester.path / "junit.xml").read_text()
    assert '<property name="latency_budget" value="WITHIN, p99 &lt;= 2 ms: p99 is about' in junit


def test_a_budget_that_is_missed_fails_with_all_that_helps(
    session: Callable[..., pytest.RunResult],
) -> None:
    result = session(quiet(MISSED), "latency_budget(call)")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "latency budget MISSED, p99 <= 0.5 ms: p99 is about * interval * n = 373",
            "  of: call, median * ms",
            "  it is missed beyond doubt, by a factor of 2 or more",
            "  on: * load *; Python 3.*; clock: a made up host; machine: unknown",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize(
    ("more", "ini", "arguments", "outcome"),
    [
        ("", "", (), "failed"),
        ("", "latency_budget_inconclusive = skip", (), "skipped"),
        ("", "latency_budget_inconclusive = xfail", (), "xfailed"),
        (', inconclusive="xfail"', "latency_budget_inconclusive = skip", (), "xfailed"),
        (', inconclusive="skip"', "", ("--latency-budget-inconclusive=fail",), "failed"),
        ("", "", ("--latency-budget-inconclusive=skip",), "skipped"),
    ],
)
def test_what_cannot_be_told_never_passes(
    session: Callable[..., pytest.RunResult],
    more: str,
    ini: str,
    arguments: tuple[str, ...],
    outcome: str,
) -> None:
    result = session(quiet(OPEN, more), "latency_budget(call)", "-rsxf", *arguments, ini=ini)

    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*INCONCLUSIVE, p99 <= 1.0235 ms: *"])


@pytest.mark.parametrize("limit", [WITHIN, MISSED])
def test_a_machine_that_lets_nothing_count_never_passes(
    session: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    class Changing:
        def __init__(self, *_: object, **__: object) -> None:
            self.drivers = iter(["580.1", "570.2"])

        def __enter__(self) -> Watch:
            return Watch(tuple, "GPU-0", lambda: next(self.drivers))

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(harness.latency_budget, "open_telemetry", Changing)
    result = session(f'"{limit}"', "latency_budget(call)")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*INCONCLUSIVE*", "*the machine's state lets it not count*", "*fail: *driver changed*"]
    )


def test_the_worst_of_several_calls_tells(session: Callable[..., pytest.RunResult]) -> None:
    body = "latency_budget(call); latency_budget(call, 1)"

    result = session(quiet(WITHIN), body)
    result.assert_outcomes(passed=1)
    assert str(result.stdout).count("::test_it: WITHIN") == 2


@pytest.mark.parametrize(
    "body",
    ["pass", "latency_budget", "try:\n        latency_budget(1/0)\n    except Exception: pass"],
)
def test_a_budget_for_which_nothing_was_measured_fails(
    session: Callable[..., pytest.RunResult], body: str
) -> None:
    result = session(quiet(WITHIN), body)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["it has a latency_budget and measured nothing: call the fixture *"]
    )


def test_a_verdict_that_the_test_catches_fails_all_the_same(
    session: Callable[..., pytest.RunResult],
) -> None:
    body = "try:\n        latency_budget(call)\n    except BaseException: pass"
    result = session(quiet(MISSED), body)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["latency budget MISSED, *"])


def test_a_mark_without_the_fixture_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "pytestmark = pytest.mark.latency_budget('1 s')\n"
        "def test_forgotten(): pass\n"
        "def test_failing(): assert 0\n"
        "@pytest.mark.skip\n"
        "def test_skipped(): pass\n"
    )
    result = pytester.runpytest_inprocess("-p", PLUGIN)

    result.assert_outcomes(failed=2, skipped=1)
    # The summary at the end repeats it where CI is set: it is not shortened there.
    told = [line for line in result.outlines if "measured nothing" in line and "FAILED" not in line]
    assert len(told) == 1, "what has failed need not tell more"


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ('"fast"', "latency_budget: the limit cannot be 'fast'; give something like \"100 ms\"*"),
        ('"1 ms", "2 ms"', "latency_budget takes one limit, and all else by name"),
        ('"1 ms", quantile=99', "latency_budget: quantile cannot be 99; give a share such as 0.99"),
        ('"1 ms", colour=1', "the mark latency_budget got an unexpected keyword argument 'colour'"),
        ('"1 ms", max_time_s=0', "latency_budget: max_time_s cannot be 0; give *"),
        (
            '"1 ms", inconclusive="pass"',
            "latency_budget: inconclusive cannot be 'pass'; choose of*",
        ),
        ("", "latency_budget: there is no budget; mark the test: @pytest.mark.latency_budget*"),
    ],
)
def test_a_mark_that_is_wrong_is_an_error_and_nothing_is_measured(
    session: Callable[..., pytest.RunResult], mark: str, words: str
) -> None:
    result = session(mark, "latency_budget(call)")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])
    result.stdout.no_fnmatch_line("*latency budgets*")


def test_what_the_call_raises_fails_the_test(session: Callable[..., pytest.RunResult]) -> None:
    result = session(quiet(WITHIN), "latency_budget(lambda: 1 / 0)")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ZeroDivisionError: division by zero"])


def test_a_pipeline_is_held_against_its_own_budget_or_the_marks(
    session: Callable[..., pytest.RunResult], onnx_toy: Callable[..., Path], shared_cache: Cache
) -> None:
    root, cache = str(onnx_toy()), str(shared_cache.root)
    measure = f'latency_budget.pipeline({root!r}, backends=["simulated"], cache={cache!r}'
    own = session("quantile=0.99, simulated=True", f"{measure})")
    strict = session('"1 us", simulated=True', f"{measure})")
    unasked = session("quantile=0.99", f"{measure})")
    wrong = session('"1 us"', f"{measure}, durations_s=[99])")

    own.assert_outcomes(passed=1)
    own.stdout.fnmatch_lines(["*::test_it: WITHIN, SIMULATED, p99 <= 100 ms: *"])
    strict.assert_outcomes(failed=1)
    strict.stdout.fnmatch_lines(
        ["latency budget MISSED, SIMULATED, *", "  of: toy, simulated fp32, 0.5 s, hot, median *"]
    )
    unasked.assert_outcomes(failed=1)
    unasked.stdout.fnmatch_lines(["latency budget INCONCLUSIVE, SIMULATED, *simulated=True"])
    wrong.assert_outcomes(failed=1)
    wrong.stdout.fnmatch_lines(["--duration: 99 s lies outside the profile of toy; choose *"])


def test_the_entry_point_is_the_module_by_its_name() -> None:
    """So that it is the same, once, for who names it with -p as well."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


@pytest.mark.parametrize("arguments", [(), ("-p", PLUGIN), ("-p", f"no:{PLUGIN}")])
def test_as_it_is_installed_it_is_loaded_once_and_loads_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    site = pytester.mkdir("site")
    folder = site / "trt_harness-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: trt-harness\nVersion: 0\n")
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    (folder / "RECORD").write_text("harness/__init__.py,,\nharness/pytest_plugin.py,,\n")
    pytester.makepyfile(
        "import sys\n"
        "def test_others(request):\n"
        "    names = sorted(name for name in sys.modules if name.split('.')[0] == 'harness')\n"
        "    print('loaded', names)\n"
        "    print('registered', request.config.pluginmanager.hasplugin('harness.pytest_plugin'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-s", *arguments],
        cwd=pytester.path,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed in" in done.stdout
    assert "warning" not in done.stdout
    is_off = "no:" in "".join(arguments)
    modules = [] if is_off else ["harness", "harness.pytest_plugin", "harness.version"]
    assert f"loaded {modules}" in done.stdout
    assert f"registered {not is_off}" in done.stdout
    assert "latency budgets" not in done.stdout


def test_loading_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import harness.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert eval(done.stdout) == ["harness", "harness.pytest_plugin", "harness.version"]  # noqa: S307


def test_what_is_installed_now_names_no_other_module() -> None:
    found = importlib.metadata.entry_points(group="pytest11")
    ours = {(e.name, e.value) for e in found if e.value.startswith("harness")}

    assert ours <= {(PLUGIN, PLUGIN)}
