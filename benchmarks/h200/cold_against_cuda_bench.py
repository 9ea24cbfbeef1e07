"""Our cold median against cuda-bench's, of the same work on the same GPU, in turn.

For a machine with an NVIDIA GPU, PyTorch, cuda-bench and cuda-bindings of the same CUDA:

    pip install "cuda-bench[cu13]==0.3.0"
    python benchmarks/h200/cold_against_cuda_bench.py out.json

Each trial is a fresh process of each tool, ours first in every other trial. cuda-bench's raw
samples are read from its --jsonbin output: what it prints is their mean. It flushes once the size
of the L2 where we write twice that; nothing else about its measurement is changed.
"""

# ruff: noqa: ANN401  # PyTorch and cuda-bench are not here
from __future__ import annotations

import argparse
import array
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

WORKS = ("product", "graph", "copy")
OURS, THEIRS = "harness", "cuda-bench"
SAMPLES = 960
COPY_BYTES = 64 << 20
# Two-sided 95 % of Student's t, by degrees of freedom; beyond, that of the normal.
T95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)


def make_work(torch: Any, name: str, stream: Any) -> Callable[[], None]:
    """What queues the work on ``stream``, all of its memory taken before."""
    if name == "copy":
        source = torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        return lambda: target.copy_(source)
    side = 4096
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.float16) for _ in range(2))
    out = torch.empty_like(left)

    def product() -> None:
        torch.mm(left, right, out=out)

    if name == "product":
        return product
    for _ in range(3):
        product()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        product()
        product()
    return graph.replay


def measure_ours(torch: Any, name: str) -> list[float]:
    """The samples of QueuedClock, cold; seconds."""
    from harness.backends.torch_cuda_device import CudaDevice  # noqa: PLC0415
    from harness.measure.clock import cold_clock  # noqa: PLC0415
    from harness.measure.device_clock import QueuedClock  # noqa: PLC0415

    device = CudaDevice(torch)
    work = make_work(torch, name, torch.cuda.current_stream())
    clock = cold_clock(QueuedClock(device))
    clock.time_block([work] * 96)
    return list(clock.time_block([work] * SAMPLES))


def measure_theirs(torch: Any, name: str) -> list[float]:
    """The samples of cuda-bench's isolated ("cold") measurement; seconds."""
    from cuda import bench  # noqa: PLC0415

    def run(state: Any) -> None:
        stream = torch.cuda.ExternalStream(state.get_stream().addressof())
        with torch.cuda.stream(stream):
            work = make_work(torch, name, stream)
            stream.synchronize()

        def launch(given: Any) -> None:
            with torch.cuda.stream(torch.cuda.ExternalStream(given.get_stream().addressof())):
                work()

        state.exec(launch, batched=False)

    run.__name__ = name
    bench.register(run).set_min_samples(SAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        out = Path(folder, "found.json")
        bench.run_all_benchmarks(["cuda-bench", "--devices", "0", "--jsonbin", str(out)])
        return read_samples(out)


def read_samples(path: Path) -> list[float]:
    """The raw samples that ``--jsonbin`` leaves: 32-bit floats in a file beside the JSON."""
    (benchmark,) = json.loads(path.read_text())["benchmarks"]
    (state,) = benchmark["states"]
    if state.get("is_skipped"):
        raise SystemExit(f"cuda-bench skipped it: {state.get('skip_reason')}")
    tag = "nv/json/bin:nv/cold/sample_times"
    (summary,) = (one for one in state["summaries"] if one["tag"] == tag)
    facts = {fact["name"]: fact["value"] for fact in summary["data"]}
    named = Path(facts["filename"])
    beside = (named, path.parent / named, path.parent.parent / named)
    file = next(candidate for candidate in beside if candidate.exists())
    values = array.array("f")
    values.frombytes(file.read_bytes())
    if len(values) != int(facts["size"]):
        raise SystemExit(f"{file} holds {len(values)} samples, {facts['size']} were told")
    return list(values)


def measure(tool: str, name: str) -> None:
    """Print the samples of one tool as JSON; in a process of its own."""
    import torch  # noqa: PLC0415

    samples = (measure_ours if tool == OURS else measure_theirs)(torch, name)
    print("SAMPLES " + json.dumps(samples))  # noqa: T201


def in_fresh_process(tool: str, name: str) -> list[float]:
    """The samples of one tool, measured in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--tool", tool, "--work", name, "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    for line in done.stdout.splitlines():
        if line.startswith("SAMPLES "):
            found: list[float] = json.loads(line.removeprefix("SAMPLES "))
            return found
    raise SystemExit(f"{tool} failed at {name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def compare(name: str, trials: int) -> dict[str, Any]:
    """Both medians of each trial, and the ratio of ours to theirs with its 95 % interval."""
    medians: dict[str, list[float]] = {OURS: [], THEIRS: []}
    counts: dict[str, list[int]] = {OURS: [], THEIRS: []}
    for trial in range(trials):
        for tool in (OURS, THEIRS) if trial % 2 == 0 else (THEIRS, OURS):
            samples = in_fresh_process(tool, name)
            medians[tool].append(statistics.median(samples))
            counts[tool].append(len(samples))
    logs = [math.log(a / b) for a, b in zip(medians[OURS], medians[THEIRS], strict=True)]
    mean, half = statistics.fmean(logs), math.inf
    if trials > 1:
        quantile = T95[trials - 2] if trials - 2 < len(T95) else 1.96
        half = quantile * statistics.stdev(logs) / math.sqrt(trials)
    ratio, low, high = (math.exp(x) for x in (mean, mean - half, min(mean + half, 1e2)))
    ours, theirs = (statistics.median(medians[tool]) * 1e3 for tool in (OURS, THEIRS))
    print(  # noqa: T201
        f"{name}: harness {ours:.5f} ms, cuda-bench {theirs:.5f} ms, "
        f"ratio {ratio:.5f} [{low:.5f}, {high:.5f}] of {trials} pairs of processes"
    )
    return {
        "work": name,
        "median_s": medians,
        "samples": counts,
        "ratio": ratio,
        "ratio_95": [low, high if math.isfinite(half) else None],
    }


def main() -> None:
    """Compare all works, or measure one with one tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", help="where the JSON goes")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--work", choices=WORKS, action="append")
    parser.add_argument("--tool", choices=(OURS, THEIRS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tool:
        measure(given.tool, given.work[0])
        return
    import torch  # noqa: PLC0415

    found = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "works": [compare(name, given.trials) for name in given.work or WORKS],
    }
    Path(given.out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
