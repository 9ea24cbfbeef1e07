"""Where output goes, and what happens when its reader leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def full_cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache")
    for digit in "abc":
        cache.get_or_build("onnx", digit * 40, "toy/encoder", lambda _: {})
    return cache


def test_readings_go_to_standard_output_alone(harness: Harness) -> None:
    code, out, err = harness(
        "telemetry", "record", "--out", "-", "--seconds", 0.1, "--interval", 0.02
    )

    assert code == 0
    assert json.loads(out.splitlines()[0])["interval_s"] == 0.02
    assert "readings over" in err


def test_json_of_a_run_goes_to_standard_output_and_its_tables_elsewhere(
    harness: Harness, onnx_toy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    code, out, err = harness(
        *("run", onnx_toy(), *folders, "--samples", 2, "--max-time", 0.1, "--json", "-")
    )

    assert code == 0
    assert json.loads(out)["pipeline"] == "toy"
    assert "latency in ms" in err
    assert not (tmp_path / "-").exists()


def test_a_calibration_set_is_no_text(harness: Harness, tmp_path: Path) -> None:
    code, out, err = harness("calibrate", "tiny", "--out", "-", "--cache", tmp_path)

    assert (code, out) == (2, "")
    assert "no text for standard output; name a file" in err


@pytest.mark.parametrize("arguments", [["cache", "list"], ["--help"], ["schema"]])
def test_a_reader_that_leaves_is_no_missed_budget(full_cache: Cache, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "TRT_HARNESS_CACHE": str(full_cache.root)},
    )

    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("group", "command"), [((), "run"), (("cache",), "prune")])
def test_a_group_alone_prints_its_help_as_it_is_laid_out(
    harness: Harness, group: tuple[str, ...], command: str
) -> None:
    code, out, err = harness(*group)

    assert code == 2
    assert out == ""
    assert any(line.split()[:1] == [command] for line in err.splitlines())


@pytest.mark.parametrize("options", [(), ("--all", "--older-than", 1)])
def test_prune_asks_what_is_to_go(
    harness: Harness, full_cache: Cache, options: tuple[object, ...]
) -> None:
    code, _, err = harness("cache", "prune", "--cache", full_cache.root, *options)

    assert code == 2
    assert "give --older-than DAYS, or --all for everything" in err
    assert len(list(full_cache.entries())) == 3


def test_prune_removes_what_it_is_told_to(harness: Harness, full_cache: Cache) -> None:
    prune = ("cache", "prune", "--cache", full_cache.root)

    assert harness(*prune, "--older-than", 1)[1].startswith("removed 0 entries")
    assert harness(*prune, "--older-than", 0)[1].startswith("removed 3 entries")
    assert harness(*prune, "--all")[1].startswith("removed 0 entries")


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ((), []),
        (("--precision", "fp16"), ["convert encoder to fp16: ", "convert decoder to fp16: "]),
        (
            ("--precision", "int8", "--backend", "onnxruntime"),
            ["calibrate int8: ", "convert encoder to int8: ", "convert decoder to int8: "],
        ),
        (
            ("--precision", "fp16", "--backend", "tensorrt-rtx"),
            [
                *("convert encoder to fp16: ", "convert decoder to fp16: "),
                *(f"build {name} for tensorrt-rtx fp16" for name in ("encoder", "decoder")),
            ],
        ),
    ],
)
def test_a_build_can_be_planned(
    harness: Harness,
    onnx_toy: Callable[..., Path],
    tmp_path: Path,
    options: tuple[str, ...],
    begins: list[str],
) -> None:
    folders = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    code, out, _ = harness("build", onnx_toy(), "--plan", *folders, *options)

    assert code == 0
    expected = ["export encoder: in the cache", "export decoder: in the cache", *begins, "in all "]
    lines = out.splitlines()
    assert len(lines) == len(expected)
    assert all(line.startswith(begin) for line, begin in zip(lines, expected, strict=True))
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out").exists()
