"""``harness run --processes`` and ``--component``, with processes of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.cli.replicate import replicate
from harness.pipeline.pipeline import CANARY
from harness.report.figures import figures_of
from harness.runner import RunResult
from harness.store.parquet import ParquetStore
from harness.types import Budget, MissingProcess, Replication
from tests.records import measured
from tests.report.devices import CPU, make_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.handover import Order
    from harness.types import Record

SHORT = ("--samples", 20, "--max-time", 0.5)


@pytest.fixture
def run(
    harness: Callable[..., tuple[int, str, str]], shared_cache: Cache, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    def call(root: Path | str, *arguments: object) -> tuple[int, str, str]:
        folders = ("--cache", shared_cache.root, "--out", tmp_path / "out")
        return harness("run", root, *folders, *SHORT, *arguments)

    return call


def test_two_processes_measure_one_component(
    run: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    code, out, _ = run(onnx_toy(), "--processes", 2, "--component", "decoder")

    assert code == 0
    assert "Replication: onnxruntime fp32, 0.5 s: 2 processes" in out
    (record,) = ParquetStore(tmp_path / "out").query()
    assert record.is_complete
    assert [(m.component, m.process) for m in measured(record)] == [
        ("decoder", 0),
        ("decoder", 1),
    ]
    for measurement in measured(record):
        assert len(measurement.latency_s) == 20
        assert measurement.load_s > 0
        assert measurement.first_s > 0
    # Each process times the canary as well.
    assert [m.process for m in record.measurements if m.component == CANARY] == [0, 1]
    assert [engine.component for engine in record.engines] == ["decoder"]
    assert [artifact.component for artifact in record.artifacts] == ["decoder"]
    assert record.environment["cpu"]
    (canary,) = figures_of(record).canaries
    assert canary.content_hash == record.environment["canary"][canary.name]
    assert record.replication is not None


@pytest.mark.slow
def test_every_process_has_the_accuracy_that_was_looked_at_once(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, _ = run("tiny", "--processes", 2, "--component", "vocoder")

    assert code == 0
    (record,) = ParquetStore(tmp_path / "out").query()
    first, second = measured(record)
    assert first.snr_db is not None
    assert first.snr_db > 80
    assert first.snr_db == second.snr_db
    assert first.accuracy_inputs == second.accuracy_inputs == 4


def test_a_component_alone_is_fed_what_the_others_would_make(
    run: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    code, out, _ = run(onnx_toy(), "--component", "decoder")

    assert code == 0
    assert "not judged: it is one of the whole pipeline" in " ".join(out.split())
    (record,) = ParquetStore(tmp_path / "out").query()
    assert [m.component for m in measured(record)] == ["decoder"]
    assert record.replication is None


def test_an_error_of_what_prepares_is_that_of_the_run(
    run: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path]
) -> None:
    root = onnx_toy()
    (root / "decoder.onnx").write_bytes(b"no graph")
    code, _, err = run(root, "--processes", 2)

    assert code == 2
    assert "decoder.onnx" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--processes", 0), "--processes: 0 processes"),
        (("--builds", 2), "--builds: no backend builds engines"),
        (("--pin-tactics",), "--pin-tactics: nothing is built again"),
        (("--component", "nothing"), "--component: toy has no component 'nothing'"),
        (
            ("--component", "decoder", "--interpreter", "onnxruntime=python3"),
            "--component: a backend in another Python opens every component",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    run: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    arguments: tuple[object, ...],
    message: str,
) -> None:
    code, _, err = run(onnx_toy(), *arguments)

    assert code == 2
    assert message in err


def test_a_plan_tells_of_processes_and_components(
    run: Callable[..., tuple[int, str, str]], onnx_toy: Callable[..., Path]
) -> None:
    code, out, _ = run(onnx_toy(), "--plan", "--processes", 3, "--component", "decoder")

    assert code == 0
    assert "in 3 processes for each of 1 builds" in out
    assert "measure 1 series" in out


@pytest.mark.parametrize(
    ("p99_s", "arguments", "expected"),
    [(1e-3, ("--enforce",), 1), (1e-3, (), 3), (9.0, ("--enforce",), 3)],
)
def test_a_missed_budget_outranks_a_missing_process(
    run: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    p99_s: float,
    arguments: tuple[str, ...],
    expected: int,
) -> None:
    replication = Replication(3, 1, missing=(MissingProcess(2, 0, "killed"),))
    base = make_record(CPU, budget=Budget(p99_s, 1.0, 1, "", ""), replication=replication)
    both = tuple(replace(m, process=process) for process in (0, 1) for m in base.measurements)
    result = RunResult(replace(base, measurements=both), "", None)
    monkeypatch.setattr("harness.cli.run.replicate", lambda *_: result)

    code, out, _ = run(onnx_toy(), "--processes", 3, *arguments)

    assert code == expected
    assert "process 2 of build 0 is missing: killed" in out


def test_what_processes_warned_of_is_passed_on_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Launcher:
        def __init__(self, _: tuple[str, ...], folder: Path) -> None:
            self.said = {"warning: slow disk": "process-0"}
            (folder / "notes.json").write_text(json.dumps({"no_reference": ""}), encoding="utf-8")

        def __call__(self, order: Order) -> Record:
            return make_record(CPU)

    monkeypatch.setattr("harness.cli.replicate.CommandLauncher", Launcher)

    replicate(Replication(2, 1), ())

    assert capsys.readouterr().err.count("process-0: warning: slow disk") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            (),
            ["series at 0.5 s by onnxruntime fp32, hot: at most", "each median is known to 0.5 %"],
        ),
        (("--samples", 7), ["or 7 samples each"]),
        (
            ("--mode", "paced", "--period", 1),
            [
                "measure 2 series at 0.5 s by onnxruntime fp32, paced, a chunk every 1 s, and",
                "back to back: at most about 168 s for 60 chunks each or more",
                "besides: telemetry; without energy, canary",
            ],
        ),
        (
            ("--mode", "paced", "--period", 1, "--max-time", 9),
            ["back to back: at most about 9 s or 4000 samples each"],
        ),
        (
            ("--mode", "concurrent", "--streams", 3),
            ["measure 2 series at 0.5 s by onnxruntime fp32, in 1 and 3 streams at once: at most"],
        ),
        (("--no-canary", "--no-energy"), ["besides: telemetry; without energy, canary"]),
    ],
)
def test_a_plan_tells_what_is_measured_how_and_for_how_long(
    harness: Callable[..., tuple[int, str, str]],
    onnx_toy: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    expected: list[str],
) -> None:
    monkeypatch.setattr("harness.measure.sampler.DEFAULT_MAX_TIME_S", 30.0)
    code, out, _ = harness("run", onnx_toy(), "--duration", 0.5, "--plan", *arguments)

    assert code == 0
    assert "None" not in out
    for text in expected:
        assert text in out
