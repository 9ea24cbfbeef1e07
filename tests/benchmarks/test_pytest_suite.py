"""``pytest benchmarks/pytest`` as a user starts it: what it is given is what was measured."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.stats.fingerprint import fingerprint
from harness.store.parquet import ParquetStore
from harness.types import Case
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.types import Record

SUITE = REPOSITORY / "benchmarks" / "pytest"
SIMULATED = ("--harness-backend", "simulated")


class Suite:
    """Runs the suite on the toy; what it leaves behind is in ``folder``."""

    def __init__(self, folder: Path, toy: Path, cache: Path) -> None:
        self.folder, self.toy, self.cache = folder, toy, cache

    def __call__(
        self, *arguments: object, simulation: dict[str, Any] | None = None
    ) -> tuple[int, str]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(SUITE),
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
        ]
        command += ["--harness-pipeline", str(self.toy), "--harness-out", str(self.folder / "out")]
        command += [f"--benchmark-storage=file://{self.folder / 'saved'}"]
        environment = {
            **os.environ,
            "TRT_HARNESS_CACHE": str(self.cache),
            "TRT_HARNESS_SIMULATION": json.dumps(simulation or {}),
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": "300",
        }
        done = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def record(self) -> Record:
        (record,) = ParquetStore(self.folder / "out").query()
        return record

    def saved(self, name: str) -> list[dict[str, Any]]:
        (file,) = self.folder.rglob(f"*{name}.json")
        document = json.loads(file.read_text())
        assert set(document["machine_info"]["packages"]) >= {"onnxruntime"}
        benchmarks: list[dict[str, Any]] = document["benchmarks"]
        return benchmarks


@pytest.fixture
def suite(onnx_toy: Callable[..., Path], shared_cache: Cache, tmp_path: Path) -> Suite:
    return Suite(tmp_path, onnx_toy(), shared_cache.root)


def test_the_table_and_the_file_hold_exactly_what_was_measured(suite: Suite) -> None:
    code, out = suite("--benchmark-only", "--benchmark-json", suite.folder / "now.json", *SIMULATED)

    assert code == 0, out
    record = suite.record()
    measured = {m.component: m for m in record.measurements}
    found = suite.saved("now")
    assert {one["extra_info"]["component"] for one in found} == set(measured)
    for one in found:
        series, stats, info = measured[one["param"].split("-")[0]], one["stats"], one["extra_info"]
        assert tuple(stats["data"]) == series.latency_s, "bit for bit"
        assert (stats["rounds"], stats["iterations"]) == (len(series.latency_s), 1)
        assert (stats["min"], stats["max"]) == (min(series.latency_s), max(series.latency_s))
        assert stats["median"] == statistics.median(series.latency_s)
        row = re.search(rf"^test_latency\[{re.escape(one['param'])}\] +(.*)$", out, re.MULTILINE)
        assert row is not None
        cells = [cell.split(" (")[0] for cell in re.split(r"  +", row[1])]
        assert cells[0].replace(",", "") == f"{1e6 * stats['min']:.4f}", "in us"
        assert cells[4].replace(",", "") == f"{1e6 * stats['median']:.4f}"
        assert cells[-2:] == [str(len(series.latency_s)), "1"]
        assert one["options"]["timer"].endswith("played_back")
        expected = {
            "precision": "fp32",
            "duration_s": 0.5,
            "clock": "simulated",
            "simulated": True,
            "mode": "hot",
            "verdict": "converged",
            "validity": "unknown",
            "fingerprint": fingerprint(record.environment),
            "record_id": record.record_id,
            "snr_db": None,
            "energy_j": None,
            "power_w": None,
        }
        assert {name: info[name] for name in expected} == expected
        lower, upper = info["median_interval_s"]
        assert lower <= stats["median"] <= upper
        assert info["budget"] == ("within" if info["component"] == "pipeline" else None)
    assert "benchmark 'simulated fp32, 0.5 s, hot': 3 tests" in out
    assert "SIMULATED: these times come from no real clock" in out
    assert "budget, simulated fp32: p99 <= 100 ms: within, simulated, p99 " in out


def test_what_is_saved_is_compared_and_a_step_is_a_failure(suite: Suite) -> None:
    slow = {"overhead_s": 1e-3}
    save = suite(*SIMULATED, "--benchmark-only", "--benchmark-save", "first", simulation=slow)
    limit = "--benchmark-compare-fail=median:2%"
    compare = (*SIMULATED, "--benchmark-only", "--benchmark-compare=0001", limit)
    same = suite(*compare, simulation={**slow, "seed": 1})
    worse = suite(*compare, simulation={"overhead_s": 1.05e-3, "seed": 1})

    assert save[0] == same[0] == 0, save[1] + same[1]
    for _, out in (same, worse):
        for component in ("encoder", "decoder", "pipeline"):
            name = f"test_latency[{component}-simulated-fp32-0.5s]"
            assert f"{name} (0001_first)" in out
            assert f"{name} (NOW)" in out
    assert worse[0] != 0
    assert worse[1].count("Field 'median' has failed PercentageRegressionCheck: 5.") >= 2


def test_what_is_inconclusive_is_marked_and_kept(suite: Suite) -> None:
    arguments = ("--benchmark-only", "--harness-args=--samples 40", "--benchmark-save=open")
    code, out = suite(*SIMULATED, *arguments, simulation={"noise": 0.3})

    assert code == 0
    assert "3 xfailed" in out
    assert "passed" not in out
    assert "inconclusive (samples), n = 40" in out
    for one in suite.saved("open"):
        assert one["extra_info"]["verdict"] == "inconclusive"
        assert one["stats"]["rounds"] == 40


@pytest.mark.parametrize(
    ("limit_s", "verdict", "enforced"),
    [(1e-6, "missed", ()), (51e-6, "inconclusive", ("enforce",))],
)
def test_a_budget_is_told_and_fails_where_it_is_enforced(
    onnx_toy: Callable[..., Path], suite: Suite, limit_s: float, verdict: str, enforced: tuple[str]
) -> None:
    # The median is 40.6 us, and p99 50.9 us.
    onnx_toy(("p99_s = 0.1", f"p99_s = {limit_s}"))
    arguments = ("--benchmark-only", "-k", "pipeline", "--harness-args=--rel-precision 10%")
    options = [f"--harness-{name}" for name in enforced]
    code, out = suite(*SIMULATED, *arguments, *options, simulation={"noise": 0.1})

    assert code == len(enforced), out
    assert f"{limit_s * 1e3:g} ms: {verdict}, simulated" in out
    assert (f"the latency budget is {verdict}" in out) is bool(enforced)


# A machine that was too hot, put into what `harness run` has written.
INVALID = """
import json, subprocess
from pathlib import Path

run = subprocess.run

def tampered(arguments, **options):
    done = run(arguments, **options)
    if "--json" in arguments:
        file = Path(arguments[arguments.index("--json") + 1])
        document = json.loads(file.read_text())
        finding = {"level": "fail", "what": "the GPU held its clock back", "fix": "let it cool"}
        document["validity"] = {"status": "invalid", "findings": [finding]}
        file.write_text(json.dumps(document))
    return done

subprocess.run = tampered
"""


def test_what_does_not_count_fails_is_shown_and_is_not_saved(suite: Suite) -> None:
    (suite.folder / "tamper.py").write_text(INVALID)
    code, out = suite(*SIMULATED, "-p", "tamper", "--benchmark-only", "--benchmark-save", "bad")

    assert code == 1
    assert "3 failed" in out
    assert out.count("invalid, it does not count: the GPU held its clock back") >= 3
    assert "machine: invalid" in out
    assert "test_latency[pipeline-simulated-fp32-0.5s] " in out
    assert suite.saved("bad") == []


@pytest.fixture(scope="module")
def adapter() -> Any:
    """The suite's conftest.py as a module."""
    spec = importlib.util.spec_from_file_location("suite_conftest", SUITE / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["suite_conftest"] = module
    spec.loader.exec_module(module)
    return module


MEASURED = {
    "component": "pipeline",
    "backend": "tensorrt",
    "precision": "fp16",
    "label": "fp16",
    "route": "flag",
    "launch": "graph",
    "duration_s": 1.0,
    "batch": 1,
    "mode": "hot",
    "verdict": "converged",
    "misses_floor": True,
    "snr_db": 39.1,
    "min_snr_db": 40.0,
    "simulated": False,
    "latency_s": [1e-3],
}


def document(**fields: Any) -> dict[str, Any]:
    return {"measurements": [MEASURED], "budget_verdicts": [], "validity": None, **fields}


@pytest.mark.parametrize("is_enforced", [False, True])
def test_what_is_wrong_is_marked_and_fails_where_it_is_enforced(
    adapter: Any, is_enforced: bool
) -> None:
    series = adapter.Series(adapter.Figures(document(), "Record: x"), MEASURED, is_enforced)

    told = "wrong: 39.1 dB against PyTorch fp32, the floor is 40 dB"
    assert (series.failure, series.doubt) == (told if is_enforced else "", told)
    assert series.group == "tensorrt fp16, 1 s, hot"


@pytest.mark.parametrize(("backend", "is_found"), [("tensorrt", 1), ("auto", 1), ("torch", 0)])
def test_a_series_is_found_by_what_was_asked_for(
    adapter: Any, backend: str, is_found: bool
) -> None:
    wanted = adapter.Wanted("pipeline", backend, "fp16", Case(1.0, 1))

    assert wanted.is_of(MEASURED) == is_found
    assert str(wanted) == f"pipeline-{backend}-fp16-1s"


def test_two_ways_of_launching_are_no_one_series(adapter: Any) -> None:
    both = [MEASURED, {**MEASURED, "launch": "enqueue"}]
    figures = adapter.Figures(document(measurements=both), "Record: x")

    with pytest.raises(pytest.fail.Exception, match="was measured in 2 ways: look at --harness"):
        figures.find(adapter.Wanted("pipeline", "tensorrt", "fp16", Case(1.0, 1)))


def test_power_is_that_of_the_variant_while_it_was_measured(adapter: Any) -> None:
    def block(series: str, started_s: float, rejected: str = "") -> dict[str, Any]:
        span = {"started_s": started_s, "ended_s": started_s + 1.0}
        return {"series": series, "rejected": rejected, **span}

    own = "tensorrt fp16 by flag, graph, 1 s"
    blocks = [block(own, 0.0), block("another", 2.0), block(own, 4.0), block(own, 6.0, "hot")]
    read_w = {0.5: 300.0, 1.5: 0.0, 2.5: 100.0, 4.5: 500.0, 6.5: 900.0}
    telemetry: list[dict[str, Any]] = [
        {"monotonic_s": at, "gpu": {"power_w": w}} for at, w in read_w.items()
    ]
    telemetry += [{"monotonic_s": 0.6, "gpu": None}, {"monotonic_s": 4.4, "gpu": {"power_w": None}}]
    figures = adapter.Figures(document(blocks=blocks, telemetry=telemetry), "Record: x")

    assert figures.power_w(MEASURED) == 400.0
    assert adapter.Figures(document(blocks=blocks, telemetry=[]), "").power_w(MEASURED) is None


def test_real_times_are_told_with_their_clock_and_not_as_simulated(suite: Suite) -> None:
    arguments = "--samples 5 --max-time 0.2 --no-canary --no-energy --threads 1"
    code, out = suite(
        "--benchmark-only",
        f"--harness-args={arguments}",
        "--benchmark-save-data",
        "--benchmark-save=real",
    )

    assert code == 0, out
    assert "simulated" not in out.lower()
    measured = {m.component: m for m in suite.record().measurements}
    for one in suite.saved("real"):
        info = one["extra_info"]
        assert tuple(one["stats"]["data"]) == measured[info["component"]].latency_s
        assert (info["clock"], info["simulated"], info["mode"]) == ("host", False, "hot")


def test_what_cannot_be_measured_fails_with_the_reason(suite: Suite) -> None:
    code, out = suite(*SIMULATED, "--benchmark-only", "--harness-args=--threads 1000")

    assert code == 1
    assert "3 errors" in out
    assert out.count("harness: --threads: 1000 threads, and ") >= 3
    assert "Traceback" not in out


def test_bad_options_are_told_before_anything_is_measured(suite: Suite) -> None:
    code, out = suite("--harness-backend", "torch", "--harness-precision", "int8")

    assert code == 2
    assert "--precision: torch runs fp32 only, and int8 is asked for; add --precision fp32" in out
    assert "Traceback" not in out
    assert "raise " not in out
    assert not (suite.folder / "out").exists()


def test_what_another_option_takes_away_is_not_passed_over(suite: Suite) -> None:
    code, out = suite(*SIMULATED, "--benchmark-only", "--harness-args=--component encoder")

    assert code == 1
    assert "1 passed, 2 errors" in out
    assert "decoder-simulated-fp32-0.5s was not measured: look at --harness-args" in out


def test_everything_is_measured_once(suite: Suite) -> None:
    arguments = ("--harness-duration", 0.25, "--harness-duration", 0.5, "--harness-precision")
    code, out = suite(*SIMULATED, *arguments, "fp32", "--harness-precision", "fp16")

    assert code == 0, out
    assert "12 passed" in out
    assert len(suite.record().measurements) == 12
