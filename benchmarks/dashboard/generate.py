"""A long history that nobody measured: as a git repository, as records, and as results of asv.

Everything is drawn with one seed, and every record says ``simulated``. What is to be found in it is
known: a few series have a step or two, some a spike, and one drifts.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.history.asv_results import (
    BENCHMARKS_FILE,
    BENCHMARKS_FORMAT,
    MACHINE_FILE,
    MACHINE_FORMAT,
    RESULTS_FORMAT,
    results_name,
    write_json,
)
from harness.history.asv_rows import Figures, Orders, content_of
from harness.history.context import HistoryContext
from harness.history.places import records_folder
from harness.history.series import COMPONENT_LATENCY, PIPELINE_LATENCY, series_of
from harness.pipeline.pipeline import CANARY, WHOLE_PIPELINE
from harness.states import Block, DeviceState, Finding, GpuState, HostState, Validity
from harness.store.parquet import ParquetStore
from harness.types import (
    GRAPH,
    HOT,
    Budget,
    Case,
    Ceilings,
    ComponentCost,
    Engine,
    GraphCost,
    MacCounts,
    Measurement,
    Record,
    Variant,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

SEED: Final = 20261129
MACHINE: Final = "simulated"
ENVIRONMENT: Final = "shared-py3.11"
PIPELINE: Final = "long"
_FIRST_COMMIT_UNIX_S: Final = 1_700_000_000
_EVERY_S: Final = 6 * 3600
_VARIANTS: Final = (
    Variant("onnxruntime", "fp32"),
    Variant("tensorrt", "fp32", "", GRAPH),
    Variant("tensorrt", "fp16", "", GRAPH),
    Variant("tensorrt", "int8", "qdq", GRAPH),
)
_SPEEDS: Final = (1.0, 0.5, 0.3, 0.25)
_SNR_DB: Final = (120.0, 118.0, 52.0, 24.0)
_LEAST_SAMPLES, _MOST_SAMPLES = 20, 32
_WITHIN, _BETWEEN = 0.012, 0.006
# As many as real records of a history have, whose headers are 70 to 140 KB.
_READINGS: Final = 80
_BLOCK: Final = 4
# Shorter histories have no room for a change.
_FEWEST_TO_CHANGE: Final = 64
_PROBLEM: Final = "the times are made up"
_MACHINE_VALUES: Final = {
    "machine": MACHINE,
    "os": "none",
    "arch": "none",
    "cpu": "none",
    "num_cpu": "0",
    "ram": "0",
}


@dataclass(frozen=True)
class Change:
    """What was put into a series: ``kind`` step, spike or drift, from one commit to another."""

    component: str
    variant: str
    kind: str
    first: int
    last: int
    ratio: float


@dataclass(frozen=True)
class Made:
    """Where everything is, and what is to be found in it."""

    folder: Path
    repository: Path
    results: Path
    commits: tuple[str, ...]
    series: int
    changes: tuple[Change, ...]


def generate(folder: Path, *, commits: int = 1000, series: int = 100, seed: int = SEED) -> Made:
    """Make a history of so many commits and series below ``folder``, which must not be there."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    components = [f"stage {index:02d}" for index in range(1, max(series // len(_VARIANTS), 2))]
    names = _repository(folder / "repository", commits)
    levels, changes = _levels(components, commits, rng)
    results = folder / "results"
    orders = Orders({})
    for place, name in enumerate(names):
        record = _record(place, name, components, levels[:, :, place], rng)
        ParquetStore(records_folder(results, MACHINE)).append(record)
        _asv_results(results, record, orders)
    write_json(results / BENCHMARKS_FILE, orders.entries(), BENCHMARKS_FORMAT, indent=4)
    write_json(results / MACHINE / MACHINE_FILE, _MACHINE_VALUES, MACHINE_FORMAT, indent=4)
    count = (len(components) + 1) * len(_VARIANTS)
    return Made(folder, folder / "repository", results, names, count, changes)


def _levels(
    components: Sequence[str], commits: int, rng: np.random.Generator
) -> tuple[Values, tuple[Change, ...]]:
    """The level of each component and variant at each commit, and what changes in them."""
    base = rng.uniform(2e-4, 2e-3, len(components))
    levels = base[:, None, None] * np.array(_SPEEDS)[:, None] * np.ones(commits)
    changes = []
    for index, component in enumerate(components):
        kind = ("step", "", "spike", "step", "", "")[index % 6] if index else "drift"
        if not kind or commits < _FEWEST_TO_CHANGE:
            continue
        at = int(rng.integers(1, len(_VARIANTS)))
        first = int(rng.integers(commits - min(commits // 2, 350), commits - 20))
        last = {"step": commits, "spike": first + 1, "drift": min(first + 60, commits)}[kind]
        ratio = float(1.0 + rng.choice([-1.0, 1.0]) * rng.uniform(0.04, 0.15))
        grown = np.clip((np.arange(commits) - first + 1.0) / (last - first), 0.0, 1.0)
        share = grown if kind == "drift" else (np.arange(commits) >= first).astype(float)
        share = np.where(np.arange(commits) >= last, 0.0, share) if kind == "spike" else share
        levels[index, at] *= 1.0 + (ratio - 1.0) * share
        changes.append(Change(component, str(_VARIANTS[at]), kind, first, last, ratio))
    return levels, tuple(changes)


def _record(
    place: int, commit: str, components: Sequence[str], levels: Values, rng: np.random.Generator
) -> Record:
    started = _FIRST_COMMIT_UNIX_S + place * _EVERY_S
    created = datetime.fromtimestamp(started + 600, timezone.utc)
    context = HistoryContext(
        commit=commit,
        commit_unix_s=float(started),
        machine=MACHINE,
        environment_name=ENVIRONMENT,
        requirements={},
        python="3.11",
        round=0,
        started_unix_s=started + 600.0,
        machine_values=dict(_MACHINE_VALUES),
    )
    measured = list(_measurements(components, levels, rng))
    return Record(
        record_id=f"{created:%Y%m%dT%H%M%SZ}-{commit[:8]}",
        created_utc=created.isoformat(),
        harness_version="0.1.0",
        pipeline=PIPELINE,
        command=("harness", "history", "measure"),
        inputs={"kind": "synthetic", "seed": 0},
        budget=Budget(0.02, 1.0, 1, "all of it", "nothing"),
        environment={
            "cpu": "none",
            "gpu": {"name": "simulated", "driver": "1.0", "clocks": {"sm_mhz": 1500}},
            "python": "3.11",
            "pipeline_commit": {"commit": commit, "is_dirty": False},
        },
        artifacts=(),
        engines=tuple(_engines(components)),
        calibration=None,
        measurements=tuple(measured),
        costs=tuple(_costs(components)),
        ceilings=Ceilings({"fp32": 2e12, "fp16": 8e12, "int8": 1.6e13}, 2e12, "simulated", ""),
        telemetry=tuple(_telemetry(rng)),
        blocks=tuple(_blocks(measured)),
        validity=Validity((Finding("flag", _PROBLEM, "measure it on a machine"),)),
        history=asdict(context),
    )


def _measurements(
    components: Sequence[str], levels: Values, rng: np.random.Generator
) -> Iterator[Measurement]:
    for at, variant in enumerate(_VARIANTS):
        passes = _passes(rng)
        times = [*levels[:, at], levels[:, at].sum()]
        for name, level in zip((*components, WHOLE_PIPELINE), times, strict=True):
            is_whole = name == WHOLE_PIPELINE
            yield _measurement(
                name,
                variant,
                level,
                passes,
                rng,
                snr_db=_SNR_DB[at] + rng.normal(0.0, 0.1),
                energy_j=100.0 * level if is_whole else None,
                min_snr_db=20.0 if is_whole else None,
            )
    canary = Variant("canary", "fp32", "cuda-1", GRAPH)
    yield _measurement(CANARY, canary, 1e-3, _passes(rng), rng)


def _passes(rng: np.random.Generator) -> tuple[int, ...]:
    """The lengths of the blocks of one variant, whose components are measured in turns."""
    count = int(rng.integers(_LEAST_SAMPLES, _MOST_SAMPLES + 1))
    whole, rest = divmod(count, _BLOCK)
    return (*(_BLOCK,) * (whole - 1), _BLOCK + rest)


def _blocks(measured: Sequence[Measurement]) -> Iterator[Block]:
    """Those of all variants, one of each in turn."""
    held = {one.variant: one.block_passes for one in measured}
    started_s = 0.0
    for turn in range(max(map(len, held.values()))):
        for variant, passes in held.items():
            if turn < len(passes):
                name = f"{variant}, {Case(1.0, 1)}"
                yield Block(name, started_s, started_s + 0.05, passes[turn])
                started_s += 0.06


def _engines(components: Sequence[str]) -> Iterator[Engine]:
    for variant in _VARIANTS[1:]:
        options = {"optimization_level": 3, "timing_cache": True}
        for component in components:
            kind = (component, variant.backend, variant.precision)
            details = {"library": "simulated", "options": options}
            yield Engine(*kind, 10_000_000, None, 1.0, 1, variant.route, 2_000_000, 20.0, details)


def _measurement(
    component: str,
    variant: Variant,
    level: float,
    passes: tuple[int, ...],
    rng: np.random.Generator,
    **more: float | None,
) -> Measurement:
    count = sum(passes)
    moved = level * (1.0 + rng.normal(0.0, _BETWEEN))
    samples = moved * (1.0 + np.abs(rng.normal(0.0, _WITHIN, count)))
    return Measurement(
        component=component,
        backend=variant.backend,
        precision=variant.precision,
        mode=HOT,
        clock="simulated",
        duration_s=1.0,
        batch=1,
        threads=1,
        load_s=float("nan"),
        first_s=float("nan"),
        latency_s=tuple(samples.tolist()),
        simulated=True,
        route=variant.route,
        launch=variant.launch,
        verdict="converged",
        block_passes=passes,
        **more,
    )


def _costs(components: Sequence[str]) -> Iterator[ComponentCost]:
    for index, component in enumerate(components):
        for precision in ("fp32", "fp16", "int8"):
            macs = MacCounts(**{precision: 10_000_000 * (index + 1)})
            size = {"fp32": 4, "fp16": 2, "int8": 1}[precision]
            cost = GraphCost(macs, 1_000_000 * size, 40_000 * size, 40_000 * size)
            yield ComponentCost(component, precision, 1.0, 1, cost)


def _telemetry(rng: np.random.Generator) -> Iterator[DeviceState]:
    for at in range(_READINGS):
        host = HostState(0.5, 0.5, 0.0, 0.01, 2500.0, 50.0)
        clock, power = 1500.0 - rng.integers(0, 3) * 15.0, 300.0 + rng.normal(0.0, 5.0)
        yield DeviceState(0.5 * at, host, GpuState("GPU-0", power, 300.0 * at, clock, 1200.0, 45.0))


def _asv_results(results: Path, record: Record, orders: Orders) -> None:
    """What asv is told of it, of the latencies alone: a graph a series, as the records have."""
    figures = Figures()
    names = {COMPONENT_LATENCY.name, PIPELINE_LATENCY.name}
    figures.add(value for value in series_of(record) if value.benchmark in names)
    context = HistoryContext(**(record.history or {}))
    rows = figures.rows(orders, context.started_unix_s)
    orders.learn(rows)
    path = results / MACHINE / results_name(context.commit, context.environment_name)
    content = content_of(context, _MACHINE_VALUES, rows, {})
    write_json(path, content, RESULTS_FORMAT)


def _repository(folder: Path, commits: int) -> tuple[str, ...]:
    """A repository of so many commits of one file, made at once; gives their names."""
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    stream = []
    for place in range(commits):
        date = f"{_FIRST_COMMIT_UNIX_S + place * _EVERY_S} +0000"
        subject = f"Simulated change {place}"
        stream += ["commit refs/heads/main"]
        stream += [f"author Nobody <nobody@example.org> {date}"]
        stream += [f"committer Nobody <nobody@example.org> {date}"]
        stream += [f"data {len(subject)}", subject]
        text = str(place)
        stream += ["M 100644 inline counted", f"data {len(text)}", text]
    _git(folder, "fast-import", "--quiet", given="\n".join([*stream, "done", ""]))
    return tuple(_git(folder, "rev-list", "--reverse", "main").split())


def _git(folder: Path, *arguments: str, given: str | None = None) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


def main() -> int:
    """Make one; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--series", type=int, default=100)
    options = parser.parse_args()
    made = generate(options.out, commits=options.commits, series=options.series)
    print(f"{len(made.commits)} commits of {made.series} series, SIMULATED, in {made.folder}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
