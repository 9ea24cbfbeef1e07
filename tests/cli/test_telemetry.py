"""``harness telemetry`` from end to end, in this process and in one of its own."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from harness import overhead
from harness.cli.telemetry import _lines
from harness.measure.telemetry import read_recorded
from harness.overhead import OverheadResult
from harness.states import FLAG, Finding
from harness.stats.overhead import Effect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache


def test_record_writes_readings_that_can_be_played_back(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "readings.jsonl"

    code, out, _ = harness(
        "telemetry", "record", "--out", path, "--seconds", 0.5, "--interval", 0.02
    )

    assert code == 0
    recorded = read_recorded(path)
    assert len(recorded.states) >= 2
    assert not recorded.is_simulated
    assert recorded.interval_s == 0.02
    assert out.startswith(f"{path}: {len(recorded.states)} readings over ")


def test_an_interrupted_record_keeps_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    command = ("telemetry", "record", "--out", path, "--seconds", "600", "--interval", "0.02")
    with subprocess.Popen(
        [sys.executable, "-c", "from harness.cli import main; raise SystemExit(main())", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # It says nothing while it reads; its child writes to its standard output, a file.
        limit = time.monotonic() + 60
        while not _has_read(process.pid) and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert len(read_recorded(path).states) >= 1
    assert "readings over" in out


def _has_read(pid: int) -> bool:
    sizes = [
        os.stat(f"/proc/{child.pid}/fd/1").st_size  # noqa: PTH116  # a deleted file's
        for child in psutil.Process(pid).children()
    ]
    return max(sizes, default=0) > 2000


@pytest.mark.parametrize("arguments", [("--seconds", 0), ("--seconds", 1, "--interval", 0)])
def test_times_of_nothing_are_refused(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    path = tmp_path / "readings.jsonl"

    code, _, error = harness("telemetry", "record", "--out", path, *arguments)

    assert code == 2
    assert str(arguments[-2]) in error
    assert not path.exists()


@pytest.fixture
def measure(
    harness: Callable[..., tuple[int, str, str]],
    shared_cache: Cache,
    onnx_toy: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr(overhead, "_WARMUP_S", 0.0)

    def call(*arguments: object) -> tuple[int, str, str]:
        short = ("--time", 0.5, "--block", 0.1, "--cache", shared_cache.root)
        return harness("telemetry", "overhead", onnx_toy(), *short, *arguments)

    return call


def test_overhead_prints_both_effects_and_how_they_were_found(
    measure: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "overhead.json"

    code, out, _ = measure("--component", "decoder", "--threads", 1, "--json", path)

    assert code == 0
    # What the readings tell of a busy machine comes after the methods.
    first, median, tail, shape, *methods = out.splitlines()
    assert first == (
        "Telemetry of processor every 0.1 s, against none: "
        "toy, decoder, onnxruntime fp32, call, 0.5 s"
    )
    assert median.startswith("  median ")
    assert tail.startswith("  p99 ")
    needed = r"no interval: it takes 6 groups, and there are [1-5]; --time ([1-9]\d*) should do"
    for line in (median, tail):
        assert re.search(needed, line)
    assert "off on on off, on off off on" in shape
    assert "signed-rank" in methods[0]
    assert "bootstrap of whole groups" in methods[1]
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["component"] == "decoder"
    assert written["effects"][0]["lower"] is None
    assert written["effects"][0]["off"] > 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--backend", "onnxruntime", "--backend", "torch"), "name one of each"),
        (("--precision", "fp32", "--precision", "fp16"), "name one of each"),
        (("--launch", "graph"), "no backend is launched on a GPU in more ways than one"),
        (("--fp16", "flag"), "no backend is a TensorRT"),
        (("--component", "vocoder"), "toy has no component 'vocoder'"),
        (("--time", 0.1), "--time: 0.1 s, and four blocks take 0.4 s"),
    ],
)
def test_what_cannot_be_measured_is_told(
    measure: Callable[..., tuple[int, str, str]], arguments: tuple[object, ...], problem: str
) -> None:
    code, out, error = measure(*arguments)

    assert (code, out) == (2, "")
    assert problem in error


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (5, "no interval: it takes 6 groups, and there are 5; --time 27 should do"),
        (6, "no interval: more time can tell"),
    ],
)
def test_how_long_it_takes_and_what_the_machine_was_at_is_told(groups: int, told: str) -> None:
    effect = Effect("p99", 1e-3, 2e-3, 1.0, -math.inf, math.inf, 0.95, "a bootstrap")
    result = OverheadResult(
        pipeline="toy",
        component="decoder",
        variant="onnxruntime fp32",
        case="1 s",
        clock="host",
        gpu_uuid=None,
        interval_s=0.1,
        block_passes=9,
        groups=groups,
        readings=7,
        effects=(effect,),
        group_s=4.0,
        findings=(Finding(FLAG, "other processes took 48% of all cores' time", "end them"),),
    )

    lines = _lines(result)

    assert lines[1] == f"  p99    +100.000%, {told} (off 1.00 ms, on 2.00)"
    assert "  flag: other processes took 48% of all cores' time; end them" in lines
