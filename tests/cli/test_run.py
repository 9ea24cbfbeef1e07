"""``harness run`` from end to end on the toy, in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.measure.clock import HostClock
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from harness.store.parquet import ParquetStore
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from tests.conftest import ToyFactory

# It is the samples that end it, however busy the machine is.
SHORT = ("--samples", 20, "--max-time", 20)


@pytest.fixture
def run(
    harness: Callable[..., tuple[int, str, str]], shared_cache: Cache, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    def call(root: Path, *arguments: object) -> tuple[int, str, str]:
        folders = ("--cache", shared_cache.root, "--out", tmp_path / "out")
        return harness("run", root, *folders, *SHORT, *arguments)

    return call


def test_a_run_prints_a_table_and_keeps_one_record(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    code, out, _ = run(toy(), "--json", tmp_path / "run.json")

    assert code == 0
    assert "onnxruntime fp32, 0.5 s, hot: latency in ms" in out
    assert "encoder" in out
    assert "Budget, onnxruntime fp32: p99 <= 100 ms end to end at 0.5 s: INCONCLUSIVE (n = 20)" in (
        " ".join(out.split())
    )
    (record,) = ParquetStore(tmp_path / "out").query(pipeline="toy")
    assert record.is_complete
    assert record.inputs == {"kind": "synthetic", "seed": 0}
    series = {m.component: m for m in measured(record)}
    assert set(series) == {"encoder", "decoder", "pipeline"}
    for measurement in series.values():
        assert len(measurement.latency_s) == 20
        assert measurement.clock == "host"
        assert measurement.mode == "hot"
        assert not measurement.simulated
        assert measurement.snr_db is not None
        assert measurement.snr_db > 80
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["record_id"] == record.record_id
    assert document["budget_verdicts"][0]["verdict"] == "inconclusive"
    assert document["measurements"][0]["summary"]["count"] == 20


def test_a_cold_run_says_so_everywhere_and_is_not_faster_than_a_hot_one(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    root, medians_s = toy(), {}
    for mode in ("hot", "cold"):
        code, out, _ = run(root, "--mode", mode, "--out", tmp_path / mode)
        assert code == 0
        assert f"onnxruntime fp32, 0.5 s, {mode}: latency in ms" in out
        (record,) = ParquetStore(tmp_path / mode).query()
        assert {m.mode for m in measured(record)} == {mode}
        medians_s[mode] = {m.component: np.median(m.latency_s) for m in measured(record)}

    # A quiet moment may fall on one of the runs: all components together tell.
    assert sum(medians_s["cold"].values()) > sum(medians_s["hot"].values())


def test_a_mode_that_there_is_not_is_bad_input(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory
) -> None:
    code, _, err = run(toy(), "--mode", "tepid")

    assert code == 2
    assert "hot, cold" in err


def test_two_backends_are_measured_in_turn_and_compared(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    code, out, _ = run(toy(), "--backend", "onnxruntime", "--backend", "torch")

    assert code == 0
    assert "median against PyTorch eager in the same run" in " ".join(out.split())
    (record,) = ParquetStore(tmp_path / "out").query()
    assert {m.backend for m in measured(record)} == {"onnxruntime", "torch"}
    torch_series = [m for m in record.measurements if m.backend == "torch"]
    assert all(m.snr_db is not None and m.snr_db > 120 for m in torch_series)


def test_every_duration_and_batch_is_measured(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    code, _, _ = run(toy(), "--duration", 0.25, "--duration", 1, "--batch", 1, "--batch", 2)

    assert code == 0
    (record,) = ParquetStore(tmp_path / "out").query()
    cases = {(m.duration_s, m.batch) for m in record.measurements}
    assert cases == {(0.25, 1), (0.25, 2), (1.0, 1), (1.0, 2)}


class _SlowClock(HostClock):
    """Says that every launch took a second."""

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        return tuple(1.0 for _ in super().time_block(launches))


class _SteadyClock(HostClock):
    """Says that every launch took about a millisecond, as independent of the last as can be."""

    _rng = np.random.default_rng(3)

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        taken = len(super().time_block(launches))
        return tuple(float(s) for s in self._rng.normal(1e-3, 1e-5, taken))


@pytest.mark.parametrize(
    ("clock", "samples", "arguments", "expected", "word"),
    [
        (_SteadyClock, 500, (), 0, "WITHIN"),
        (_SteadyClock, 500, ("--enforce",), 0, "WITHIN"),
        (HostClock, 20, ("--enforce",), 3, "INCONCLUSIVE"),
        (HostClock, 20, ("--enforce", "--duration", 1), 3, "not measured"),
        (_SlowClock, 20, (), 0, "MISSED"),
        (_SlowClock, 20, ("--enforce",), 1, "MISSED"),
    ],
)
def test_the_exit_code_tells_the_verdict_only_when_enforced(
    run: Callable[..., tuple[int, str, str]],
    toy: ToyFactory,
    monkeypatch: pytest.MonkeyPatch,
    clock: type[HostClock],
    samples: int,
    arguments: tuple[Any, ...],
    expected: int,
    word: str,
) -> None:
    monkeypatch.setattr("harness.cli.run.HostClock", clock)
    # A budget far above what the toy takes even on a busy machine.
    root = toy(("p99_s = 0.1", "p99_s = 0.9"))

    code, out, _ = run(root, *arguments, "--samples", samples, "--max-time", 60)

    assert word in out
    assert code == expected
    # An exit code that says no says why.
    assert (f"--enforce: exit {code}, since the budget" in out) == (code != 0)


def test_a_missed_floor_is_told_and_enforced(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory
) -> None:
    root = toy(
        ("[dimensions]", "[min_snr_db]\nfp32 = 500.0\n[dimensions]"), ("p99_s = 0.1", "p99_s = 9.0")
    )

    code, out, _ = run(root, "--enforce", "--samples", 368, "--max-time", 60)

    assert code == 1
    assert "decoder (onnxruntime, fp32) is wrong" in out


def test_an_interruption_keeps_what_is_complete(
    run: Callable[..., tuple[int, str, str]],
    toy: ToyFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(HostClock):
        blocks = 0

        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            # A block of several passes is no warm-up; a canary's has five launches.
            Interrupted.blocks += len(launches) > 5
            if Interrupted.blocks > 2:
                raise KeyboardInterrupt
            return super().time_block(launches)

    monkeypatch.setattr("harness.cli.run.HostClock", Interrupted)

    # Long enough for three blocks, however busy the machine is.
    code, out, _ = run(toy(), "--samples", 1000, "--max-time", 60)

    assert code == 130
    assert "INTERRUPTED" in out
    (record,) = ParquetStore(tmp_path / "out").query()
    assert not record.is_complete
    assert all(m.latency_s for m in record.measurements)


def test_an_interruption_before_any_sample_records_nothing(
    run: Callable[..., tuple[int, str, str]],
    toy: ToyFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.runner.check_components", interrupt)

    code, _, err = run(toy())

    assert code == 130
    assert "interrupted before a block was complete, so that there is no record; what was" in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_plan_does_nothing(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    code, out, _ = harness("run", toy(), *folders, "--plan")

    assert code == 0
    assert "export encoder: about" in out
    assert "in all at most about" in out
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out").exists()


def test_a_plan_knows_what_is_in_the_cache(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory
) -> None:
    run(toy())

    _, out, _ = run(toy(), "--plan")

    assert "export encoder: in the cache" in out


def test_a_damaged_export_is_made_again_with_a_warning(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    arguments = ("--cache", tmp_path / "cache", "--out", tmp_path / "out", *SHORT)
    assert harness("run", toy(), *arguments)[0] == 0
    (graph,) = (tmp_path / "cache").glob("onnx/*/encoder.onnx")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 0xFF
    graph.write_bytes(bytes(content))

    code, _, err = harness("run", toy(), *arguments)

    assert code == 0
    assert "encoder.onnx is corrupt; the entry is not used and will be built again" in err


def test_inputs_of_the_same_seed_are_the_same(toy: ToyFactory) -> None:
    pipeline = load_pipeline(toy())
    first, again, other = (
        synthetic_inputs(pipeline, pipeline.profile("opt"), seed=seed) for seed in (3, 3, 4)
    )

    np.testing.assert_array_equal(first["signal"], again["signal"])
    assert not np.array_equal(first["signal"], other["signal"])


def test_a_case_asked_for_twice_is_measured_once(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    run(toy(), "--duration", 0.25, "--duration", 0.25, "--backend", "torch", "--backend", "torch")

    (record,) = ParquetStore(tmp_path / "out").query()
    assert len(measured(record)) == 3


def test_a_floor_that_cannot_be_checked_is_no_pass(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.ready.why_no_reference", lambda *_: "there is none today")
    root = toy(
        ("[dimensions]", "[min_snr_db]\nfp32 = 60.0\n[dimensions]"), ("p99_s = 0.1", "p99_s = 9.0")
    )

    code, out, _ = run(root, "--enforce", "--samples", 368, "--max-time", 60)

    assert code == 3
    assert "floors are not checked" in out


WITH_A_GAIN = """class Decoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.randn(6))

"""
UNSEEDED = ("            torch.manual_seed(0)\n", "            pass\n")


def test_a_factory_that_seeds_nothing_is_the_same_in_every_process(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory, tmp_path: Path
) -> None:
    toy()
    # The second component draws its weights after the first one, where both are made together.
    toy(UNSEEDED, file="models.py")
    root = toy(
        ("class Decoder(torch.nn.Module):\n", WITH_A_GAIN),
        ("features.sum(2)", "(features * self.gain).sum(2)"),
        file="models.py",
    )

    code, _, _ = run(root)

    assert code == 0
    (record,) = ParquetStore(tmp_path / "out").query()
    assert all(m.snr_db is not None and m.snr_db > 80 for m in measured(record))


def test_a_factory_of_other_weights_each_time_is_refused(
    run: Callable[..., tuple[int, str, str]], toy: ToyFactory
) -> None:
    toy()
    root = toy(("torch.manual_seed(0)", "torch.seed()"), file="models.py")

    code, _, err = run(root)

    assert code == 2
    assert "components.encoder.factory: the factory makes different weights each time" in err


def test_a_closed_standard_output_loses_no_file(
    toy: ToyFactory, shared_cache: Cache, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "harness", "run", str(toy()), "--samples", "2"]
    folders = ["--cache", str(shared_cache.root), "--out", str(tmp_path / "out")]
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [*command, *folders, "--json", str(tmp_path / "run.json")],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.returncode != 1, "1 means that a budget is missed"
    assert (tmp_path / "run.json").is_file()
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_exporting_leaves_a_sound_cache(
    toy: ToyFactory, tmp_path: Path, number: signal.Signals
) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "harness", "run", str(toy()), "--cache", str(cache)]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(600):
            if list(cache.glob("tmp/*")):
                break
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list((cache / "tmp").iterdir()) == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_of_a_run_leaves_it_to_the_other_to_tell_of_an_interruption(
    harness: Callable[..., tuple[int, str, str]], toy: ToyFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.run.load_pipeline", interrupt)

    code, _, err = harness("run", toy(), "--replica", "order.json")
    assert (code, err.strip()) == (130, "")
    code, _, err = harness("run", toy())
    assert (code, err.strip()) == (
        130,
        "harness: interrupted; what was already in the cache stays there",
    )
