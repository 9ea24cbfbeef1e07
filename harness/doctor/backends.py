"""Each backend and library, tried in a process of its own: one that crashes is a finding too."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from harness.api import DEFAULT_BACKEND
from harness.doctor.lines import Line
from harness.doctor.probe import LIBRARIES
from harness.states import FAIL, NOTE, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BACKENDS: Final = (
    "onnxruntime",
    "torch",
    "onnxruntime-cuda",
    "torch-cuda",
    "tensorrt",
    "tensorrt-rtx",
)
_TIMEOUT_S: Final = 180.0
_AT_A_TIME: Final = 2


def run_probe(name: str) -> dict[str, str]:
    """What :mod:`harness.doctor.probe` answers for ``name``, or how its process ended."""
    command = [sys.executable, "-m", "harness.doctor.probe", name]
    try:
        done = subprocess.run(  # noqa: S603  # this Python, with our own arguments
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        what = f"trying it took more than {_TIMEOUT_S:.0f} s"
        return {"told": "", "what": what, "fix": "is a driver hanging? see dmesg"}
    try:
        answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        what = f"trying it ended the process with {done.returncode}: {last[:300]}"
        return {"told": "", "what": what, "fix": f"install {name} again"}
    return answer


def backend_lines(
    named: Sequence[str], ask: Callable[[str], Mapping[str, str]] = run_probe
) -> list[Line]:
    """A line for each backend, or for those that are ``named`` only, and for each library.

    One that cannot be used fails where it is named, and where it is the default.
    """
    backends = tuple(dict.fromkeys(named)) or BACKENDS
    names = (*backends, *LIBRARIES)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        answers = dict(zip(names, pool.map(ask, names), strict=True))
    needed = set(named) or {DEFAULT_BACKEND}
    return [
        _line("libraries" if name in LIBRARIES else "backends", name, answers[name], needed)
        for name in names
    ]


def _line(section: str, name: str, answer: Mapping[str, str], needed: set[str]) -> Line:
    told, what = answer.get("told", ""), answer.get("what", "")
    if not what:
        return Line(section, name, told)
    level = FAIL if name in needed else NOTE
    finding = Finding(level, what, answer.get("fix", ""))
    return Line(section, name, f"{told}; cannot run" if told else "not usable", (finding,))
