"""What a measurement depends on besides the code: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("onnxruntime", "torch", "onnx", "onnxscript", "numpy", "tensorrt", "pycuda")


def describe_environment(pipeline_root: Path) -> dict[str, Any]:
    """The machine, the packages, and the commits of the harness and of the pipeline.

    Frequencies are in MHz, memory in bytes; what cannot be read is None.
    """
    import psutil  # noqa: PLC0415

    return {
        "cpu": _cpu_model(),
        "cores_available": available_cores(),
        "cores_physical": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average_1min": os.getloadavg()[0],
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "is_virtual_machine": _is_virtual_machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "harness_commit": git_state(Path(__file__).resolve().parent),
        "pipeline_commit": git_state(pipeline_root),
    }


def available_cores() -> int:
    """The cores that this process may run on, which a container often limits."""
    return len(os.sched_getaffinity(0))


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that ``folder`` is at and whether its files differ from it.

    None where git does not track the folder: a package in an ignored virtual environment is not at
    the commit of the project around it. ``is_dirty`` is None where git cannot tell.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files", "--", "."):
        return None
    status = _git(folder, "status", "--porcelain", "--", ".")
    return {"commit": commit, "is_dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
            # In a git hook these would point git at the hook's own repository.
            env={name: value for name, value in os.environ.items() if name[:4] != "GIT_"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _is_virtual_machine() -> bool:
    return " hypervisor" in (_read(Path("/proc/cpuinfo")) or "")


def _first_line(path: Path) -> str | None:
    text = _read(path)
    return text.splitlines()[0] if text else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
