"""What is measured, once a session, by ``harness run`` in a process of its own.

The samples are handed to pytest-benchmark by test_latency.py. docs/pytest.md tells of the options.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.types import Case

PIPELINE_VARIABLE: Final = "TRT_HARNESS_PIPELINE"
_WHOLE: Final = "pipeline"
_AUTO, _SIMULATED = "auto", "simulated"
_STDERR_LINES: Final = 5
# Of the packages, those that run inference.
_RUNTIMES: Final = ("cuda-", "nvidia-", "onnxruntime", "tensorrt", "torch")
_FIGURES: Final = pytest.StashKey["Figures"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "what the suite in benchmarks/pytest measures")
    pipeline = os.environ.get(PIPELINE_VARIABLE, "voice_conversion")
    for name, told in (
        ("pipeline", f"a shipped one's name, or a folder [${PIPELINE_VARIABLE} or {pipeline}]"),
        ("args", "more arguments for `harness run`, such as '--opset 17 --max-time 20'"),
        ("out", "folder of the record [reports]"),
    ):
        default = {"pipeline": pipeline, "args": "", "out": "reports"}[name]
        group.addoption(f"--harness-{name}", default=default, help=told)
    for name, kind, told in (
        ("backend", str, "repeat for several [onnxruntime]"),
        ("precision", str, "repeat for several [fp32]"),
        ("duration", float, "seconds of input; repeat for several [the pipeline's]"),
        ("batch", int, "repeat for several [the pipeline's]"),
    ):
        group.addoption(f"--harness-{name}", action="append", type=kind, default=[], help=told)
    enforced = "fail where the budget is missed or that is open"
    group.addoption("--harness-enforce", action="store_true", help=enforced)


@dataclass(frozen=True)
class Wanted:
    """One series, by what is known of it before it is measured."""

    component: str
    backend: str
    precision: str
    case: Case

    def __str__(self) -> str:
        """The test's name, which --benchmark-compare goes by."""
        words = (self.component, self.backend, self.precision, str(self.case))
        return "-".join(words).replace(" ", "")

    def is_of(self, measured: dict[str, Any]) -> bool:
        """Whether it is the series that was ``measured``."""
        backend = measured["backend"]
        is_backend = backend == self.backend or (
            self.backend == _AUTO and backend.startswith("tensorrt")
        )
        return is_backend and all(
            measured[name] == value
            for name, value in (
                ("component", self.component),
                ("precision", self.precision),
                ("duration_s", self.case.duration_s),
                ("batch", self.case.batch),
            )
        )


def _wanted(config: pytest.Config) -> Iterator[Wanted]:
    from harness.api import choose_cases  # noqa: PLC0415
    from harness.backends.peers import runnable_precisions  # noqa: PLC0415
    from harness.pipeline.loader import load_pipeline  # noqa: PLC0415

    pipeline = load_pipeline(config.getoption("harness_pipeline"))
    durations_s, batches = (config.getoption(f"harness_{name}") for name in ("duration", "batch"))
    cases = choose_cases(pipeline, durations_s, batches)
    for backend in config.getoption("harness_backend") or ["onnxruntime"]:
        precisions = config.getoption("harness_precision") or ["fp32"]
        for precision in runnable_precisions(backend, precisions):
            for case in cases:
                for component in (*pipeline.order, _WHOLE):
                    yield Wanted(component, backend, precision, case)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "series" not in metafunc.fixturenames:
        return
    from harness.errors import HarnessError  # noqa: PLC0415

    try:
        wanted = list(dict.fromkeys(_wanted(metafunc.config)))
    except HarnessError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("series", wanted, ids=map(str, wanted), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("timeout"):
        # The first test waits for the whole measurement, and engines may take an hour to build.
        for item in items:
            if "series" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timeout(0))


@dataclass(frozen=True)
class Figures:
    """What ``harness run`` wrote as JSON, and the line that names the record."""

    document: dict[str, Any]
    record: str

    def find(self, wanted: Wanted) -> dict[str, Any]:
        """The one series that is ``wanted``."""
        found = [one for one in self.document["measurements"] if wanted.is_of(one)]
        if len(found) != 1:
            how = "was not measured" if not found else f"was measured in {len(found)} ways"
            pytest.fail(f"{wanted} {how}: look at --harness-args; {self.record}", pytrace=False)
        return found[0]

    def budget_of(self, measured: dict[str, Any]) -> str | None:
        """The verdict on the budget, where ``measured`` is what it is of."""
        if measured["component"] != _WHOLE:
            return None
        labels = ("backend", "precision", "route", "launch", "duration_s", "batch")
        for verdict in self.document["budget_verdicts"]:
            if all(verdict[label] == measured[label] for label in labels):
                return str(verdict["verdict"])
        return None

    def power_w(self, measured: dict[str, Any]) -> float | None:
        """The GPU's mean power while the variant was measured; None where it was not read."""
        from harness.types import Case, Variant  # noqa: PLC0415

        labels = ("backend", "precision", "route", "launch")
        variant = Variant(*(measured[label] for label in labels))
        series = f"{variant}, {Case(measured['duration_s'], measured['batch'])}"
        spans = [
            (block["started_s"], block["ended_s"])
            for block in self.document["blocks"]
            if block["series"] == series and not block["rejected"]
        ]
        read_w = [
            state["gpu"]["power_w"]
            for state in self.document["telemetry"]
            if state["gpu"] and state["gpu"]["power_w"] is not None
            if any(start <= state["monotonic_s"] <= end for start, end in spans)
        ]
        return statistics.fmean(read_w) if read_w else None


@dataclass(frozen=True)
class Series:
    """A measured series, with all that labels it."""

    figures: Figures
    measured: dict[str, Any]
    is_enforced: bool

    @property
    def latency_s(self) -> list[float]:
        """Its samples in seconds, in the order measured, by the clock of the backend's device."""
        return [float(sample) for sample in self.measured["latency_s"]]

    @property
    def group(self) -> str:
        """What is shown in one table."""
        from harness.types import Case  # noqa: PLC0415

        measured = self.measured
        case = Case(measured["duration_s"], measured["batch"])
        title = f"{measured['backend']} {measured['label']}, {case}, {measured['mode']}"
        is_told = _SIMULATED in title
        return f"{title}, {_SIMULATED}" if measured[_SIMULATED] and not is_told else title

    @property
    def extra_info(self) -> dict[str, Any]:
        """What stands beside the samples in pytest-benchmark's JSON."""
        from harness.stats.fingerprint import fingerprint  # noqa: PLC0415

        labels = (
            *("component", "backend", "precision", "label", "route", "launch", "mode", "clock"),
            *("duration_s", "batch", "threads", "simulated", "verdict", "verdict_reason"),
            *("snr_db", "min_snr_db", "relative_l2", "accuracy_inputs", "energy_j"),
        )
        median, p99 = (self.measured["summary"][name] for name in ("median", "p99"))
        document = self.figures.document
        return {
            **{label: self.measured[label] for label in labels},
            "power_w": self.figures.power_w(self.measured),
            "median_interval_s": [median["lower"], median["upper"]],
            "p99_s": p99["value"],
            "p99_interval_s": [p99["lower"], p99["upper"]],
            "budget": self.figures.budget_of(self.measured),
            "validity": (document["validity"] or {}).get("status"),
            "fingerprint": fingerprint(document["environment"]),
            "record_id": document["record_id"],
            "harness_version": document["harness_version"],
        }

    @property
    def failure(self) -> str:
        """Why the samples do not count, or what is enforced and missed; empty for neither."""
        validity = self.figures.document["validity"] or {}
        if validity.get("status") == "invalid":
            why = [f["what"] for f in validity["findings"] if f["level"] == "fail"]
            return f"invalid, it does not count: {'; '.join(why)}"
        budget = self.figures.budget_of(self.measured)
        if self.is_enforced and budget not in {None, "within"}:
            return f"the latency budget is {budget}"
        return self._wrong if self.is_enforced else ""

    @property
    def doubt(self) -> str:
        """Why it is not known as well as was asked, or is no figure of a right result."""
        measured = self.measured
        if measured["verdict"] != "inconclusive":
            return self._wrong
        return f"inconclusive ({measured['verdict_reason']}), n = {len(measured['latency_s'])}"

    @property
    def _wrong(self) -> str:
        measured = self.measured
        if not measured["misses_floor"]:
            return ""
        floor = f"the floor is {measured['min_snr_db']:g} dB"
        return f"wrong: {measured['snr_db']:.1f} dB against PyTorch fp32, {floor}"


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """All that was measured, in one run for the whole session."""
    config = request.config
    out = Path(config.getoption("harness_out"))
    arguments = [sys.executable, "-m", "harness", "run", config.getoption("harness_pipeline")]
    for name in ("backend", "precision", "duration", "batch"):
        for value in config.getoption(f"harness_{name}"):
            arguments += [f"--{name}", str(value)]
    arguments += shlex.split(config.getoption("harness_args"))
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        file = Path(folder) / "figures.json"
        arguments += ["--out", str(out), "--json", str(file)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode or not file.is_file():
            said = "\n".join(done.stderr.strip().splitlines()[-_STDERR_LINES:])
            what = f"{shlex.join(arguments[2:])} exited with {done.returncode}:\n{said}"
            pytest.fail(what, pytrace=False)
        document = json.loads(file.read_text(encoding="utf-8"))
    lines = [line.strip() for line in done.stdout.splitlines()]
    record = next((line for line in lines if line.startswith("Record: ")), "no record")
    config.stash[_FIGURES] = Figures(document, record)
    return config.stash[_FIGURES]


@pytest.fixture
def series(figures: Figures, request: pytest.FixtureRequest) -> Series:
    """The series that the test is of."""
    measured = figures.find(request.param)
    return Series(figures, measured, request.config.getoption("harness_enforce"))


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Tell what else makes two machines differ: --benchmark-compare then warns."""
    from harness.measure.environment import packages  # noqa: PLC0415
    from harness.watching import describe_gpu  # noqa: PLC0415

    gpu = describe_gpu() or {}
    machine_info["gpu"] = {name: gpu.get(name) for name in ("name", "driver")}
    installed = packages().items()
    machine_info["packages"] = {n: v for n, v in installed if n.startswith(_RUNTIMES)}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = config.stash.get(_FIGURES, None)
    if found is None:
        return
    terminalreporter.section("harness")
    if found.document["simulated"]:
        terminalreporter.line("SIMULATED: these times come from no real clock")
    for verdict in found.document["budget_verdicts"]:
        p99 = verdict["p99"] or {}
        value_s = p99.get("value")
        told = "" if value_s is None else f", p99 {value_s * 1e3:.3g} ms{_interval(p99)}"
        terminalreporter.line(
            f"budget, {verdict['backend']} {verdict['label']}: p99 <= {verdict['limit_s'] * 1e3:g} "
            f"ms: {verdict['verdict']}{', simulated' if verdict['simulated'] else ''}{told}"
        )
    validity = found.document["validity"] or {"status": "unknown", "findings": []}
    terminalreporter.line(f"machine: {validity['status']}")
    for finding in validity["findings"]:
        terminalreporter.line(f"{finding['level']}: {finding['what']}; {finding['fix']}")
    terminalreporter.line(found.record)


def _interval(p99: dict[str, Any]) -> str:
    bounds = [math.nan if p99[name] is None else p99[name] * 1e3 for name in ("lower", "upper")]
    return "" if any(map(math.isnan, bounds)) else f" ({bounds[0]:.3g} to {bounds[1]:.3g})"
