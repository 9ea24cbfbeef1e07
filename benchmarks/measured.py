"""Each commit, environment and round is measured once; the suites pick their figures out of that.

What measures is the *instrument*: the interpreter that runs asv, with its harness. The environment
type `shared` tells in a variable how it is started, and what there is to pick.
"""

import json
import math
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

if "TRT_HARNESS_HISTORY" not in os.environ:
    _message = "these suites need asv.conf.json's environment type 'shared'"
    raise RuntimeError(_message)
TOLD = json.loads(os.environ["TRT_HARNESS_HISTORY"])
COMPONENTS, VARIANTS, SIZES = TOLD["components"], TOLD["variants"], TOLD["sizes"]
# Samples as asv takes them, a plain number, or NaN.
Figure = Any
# Measuring ends by the plan's own limits.
TIMEOUT_S = 6 * 3600.0
_WATCH_S = 0.2


def setup_cache() -> int:
    """Measure the first round, in a process of its own; asv keeps the folder for the benchmarks."""
    _measure(TOLD["round"], Path("round-0.json"))
    return TOLD["round"]


setup_cache.timeout = TIMEOUT_S


def samples(first: int, benchmark: str, *params: str) -> Figure:
    """The raw samples of a series, for asv's statistics."""
    found = _find(first, benchmark, params)
    if found is None:
        return math.nan
    if not found["samples"]:
        message = f"{benchmark} {params} has no samples"
        raise ValueError(message)
    return {"samples": found["samples"], "number": 1}


def number(first: int, benchmark: str, *params: str) -> Figure:
    """A plain figure; NaN, which asv takes for "not applicable", where there is none."""
    found = _find(first, benchmark, params)
    return math.nan if found is None else found["value"]


def _find(first: int, benchmark: str, params: tuple[str, ...]) -> dict[str, Any] | None:
    turn = _turn(benchmark, params)
    file = Path(f"round-{turn}.json")
    if not file.is_file():
        # With "-a rounds=N" asv calls setup_cache once and each benchmark N times.
        _measure(first + turn, file)
    for figure in json.loads(file.read_text()):
        if figure["benchmark"] == benchmark and figure["params"] == list(params):
            return figure
    return None


def _turn(benchmark: str, params: tuple[str, ...]) -> int:
    """How often this very figure has been asked for before."""
    key = zlib.crc32(json.dumps([benchmark, params]).encode())
    file = Path(f"turn-{key:08x}")
    turn = int(file.read_text()) if file.is_file() else 0
    file.write_text(str(turn + 1))
    return turn


def _measure(number_of_round: int, file: Path) -> None:
    failed = file.with_suffix(".failed")
    if failed.is_file():
        raise RuntimeError(failed.read_text())
    command = [*TOLD["measure"], "--round", str(number_of_round), "--out", str(file.absolute())]
    # The instrument's packages are its own, and not what asv puts before them for the commit.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)  # noqa: S603
    parent = os.getppid()
    try:
        while process.poll() is None:
            try:
                process.wait(_WATCH_S)
            except subprocess.TimeoutExpired:
                if os.getppid() != parent:
                    # asv was killed: nobody wants the figure, and the next run must be alone.
                    break
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        message = f"measuring ended with {process.returncode}"
        failed.write_text(message)
        raise RuntimeError(message)
