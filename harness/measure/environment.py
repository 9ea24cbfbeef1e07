"""What a measurement depends on besides the code: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.children import git_environment
from harness.measure.outputs import is_output
from harness.measure.processor import Processor
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# All that the harness depends on, and what it can run besides.
PACKAGES: Final = (
    "click",
    "filelock",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "pandas",
    "platformdirs",
    "psutil",
    "pyarrow",
    "pycuda",
    "pydantic",
    "rich",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
    "triton",
)
# CUDA's own packages have its major version in their names.
PACKAGE_FAMILIES: Final = ("cuda-", "cuda_", "nvidia-", "nvidia_", "nvtx", "tensorrt")
# What changes how fast CUDA, its libraries, or a pool of threads is; or what they compute.
VARIABLES: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_CACHE_DISABLE",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_DEVICE_ORDER",
    "CUDA_FORCE_PTX_JIT",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_VISIBLE_DEVICES",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "LD_PRELOAD",
    "MALLOC_ARENA_MAX",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "OPENBLAS_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TORCH_CUDNN_V8_API_DISABLED",
)
# What git's status tells such files by.
_UNTRACKED: Final = "?? "


def describe_environment(
    pipeline_root: Path, *, gpu: Mapping[str, Any] | None = None, root: Path = Path("/")
) -> dict[str, Any]:
    """The machine, the packages, and the commits of the harness and of the pipeline.

    Frequencies are in MHz, memory in bytes; what cannot be read is None. ``interpreters`` is empty:
    a run adds those that its backends run in, where that is not this one. What of it all makes two
    environments the same is for :mod:`harness.stats.fingerprint` to say.

    Args:
        pipeline_root: the pipeline's folder.
        gpu: what is known of the GPU: what CUDA tells (``name``, ``compute_capability``, ``uuid``,
            ``driver_cuda``) and NVML (see ``harness.measure.nvml.read_gpu_facts``); None for none.
        root: of the file system that tells of the machine.
    """
    import psutil  # noqa: PLC0415

    processor = Processor(root)
    return {
        "cpu": processor.model(),
        "cores_available": available_cores(),
        "cpu_affinity": ranges_of(os.sched_getaffinity(0)),
        "cores_physical": psutil.cpu_count(logical=False),
        "cpu_quota_cores": processor.quota_cores(),
        "cpu_max_mhz": processor.max_mhz(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average_1min": os.getloadavg()[0],
        "governor": processor.governor(),
        "turbo": processor.turbo(),
        "smt": processor.smt(),
        "microcode": processor.microcode(),
        "is_virtual_machine": processor.is_virtual_machine(),
        "kernel": platform.release(),
        "libc": " ".join(part for part in platform.libc_ver() if part) or None,
        **describe_interpreter(),
        "interpreters": {},
        "variables": relevant_variables(),
        "harness_version": __version__,
        "harness_commit": git_state(Path(__file__).resolve().parent.parent),
        "pipeline_commit": _pipeline_state(pipeline_root),
        "gpu": None if gpu is None else dict(gpu),
    }


def describe_interpreter() -> dict[str, Any]:
    """This Python and its packages: ``python`` (its version) and ``packages``."""
    return {"python": platform.python_version(), "packages": packages()}


def relevant_variables() -> dict[str, str]:
    """The variables of the environment that are set, of those that figures may depend on."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def ranges_of(cores: Collection[int]) -> str:
    """The numbers of ``cores`` as Linux writes them: ``0-3,8``."""
    ordered = sorted(cores)
    starts = [core for core in ordered if core - 1 not in cores]
    ends = [core for core in ordered if core + 1 not in cores]
    pairs = zip(starts, ends, strict=True)
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in pairs)


def packages() -> dict[str, str]:
    """The versions of those packages that are installed, of all that figures may depend on."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    # By the names of folders: reading every package's metadata takes a quarter of a second.
    for entry in (path for path in sys.path if Path(path).is_dir()):
        for folder in Path(entry).glob("*.dist-info"):
            name, _, version = folder.name.removesuffix(".dist-info").partition("-")
            if name.lower().startswith(PACKAGE_FAMILIES):
                found.setdefault(name.lower().replace("_", "-"), version)
    return dict(sorted(found.items()))


def available_cores() -> int:
    """The cores that this process may run on, which a container often limits."""
    return len(os.sched_getaffinity(0))


def git_state(
    folder: Path, part: str = ".", *, untracked: bool = True, outputs: Collection[Path] = ()
) -> dict[str, Any] | None:
    """The commit that ``folder`` is at and whether its files, or those of ``part``, differ from it.

    Files that git does not track count where ``untracked`` is true, but for what the harness itself
    writes: into the folders ``outputs``, and those of :mod:`harness.measure.outputs`.

    None where git does not track the folder: a package in an ignored virtual environment is not at
    the commit of the project around it. ``is_dirty`` is None where git cannot tell.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files", "--", part):
        return None
    options = ["--untracked-files=no", "--ignore-submodules=untracked"]
    if untracked:
        # Folders as a whole, but where one of the outputs may lie inside.
        options = [f"--untracked-files={'all' if outputs else 'normal'}"]
    status = _git(folder, "status", "--porcelain", "-z", *options, "--", part)
    if not status:
        return {"commit": commit, "is_dirty": None if status is None else False}
    top = Path(_git(folder, "rev-parse", "--show-toplevel") or folder)
    entries = filter(None, status.split("\0"))
    given, here = [one.resolve() for one in outputs], folder.resolve()

    def is_change(entry: str) -> bool:
        path = top / entry.removeprefix(_UNTRACKED)
        is_own = is_output(path, here) or any(path.is_relative_to(one) for one in given)
        return not (entry.startswith(_UNTRACKED) and is_own)

    return {"commit": commit, "is_dirty": any(map(is_change, entries))}


def _pipeline_state(root: Path) -> dict[str, Any] | None:
    """The commit of the pipeline in ``root``, and whether anything that it may import differs.

    Its modules may be anywhere in its repository: what git tracks counts all over, and within the
    pipeline's folder what git does not track as well.
    """
    state = git_state(root)
    if state is None or state["is_dirty"] is not False:
        return state
    options = ["--untracked-files=no", "--ignore-submodules=untracked"]
    status = _git(root, "status", "--porcelain", *options)
    return {**state, "is_dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=10,
            env=git_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
