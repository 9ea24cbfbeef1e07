"""``harness run``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil
from rich.console import Console

from harness.api import DEFAULT_BACKEND, choose_cases, make_backends
from harness.arrivals import Arrival
from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.precision import FP32
from harness.audio import read_recording, write_wav
from harness.backends.protocol import variant_of
from harness.backends.tensorrt.choice import check_components
from harness.cli.graphs import build_options
from harness.cli.interpreters import parse_interpreters
from harness.cli.output import tell
from harness.cli.progress import ProgressObserver
from harness.cli.replicate import answer, read_replication, replicate, without_order
from harness.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_MISSED,
    EXIT_PASS,
    OptionError,
)
from harness.files import check_writable, is_stdout
from harness.measure.clock import HostClock
from harness.measure.sampler import SamplingPlan
from harness.measure.slowdown import NO_SLOWDOWN, read_slowdown
from harness.options import RunOptions
from harness.pipeline.loader import load_pipeline
from harness.pipeline.restrict import restrict
from harness.plan import plan_run
from harness.report.figures import figures_of
from harness.report.gate import missed_reasons, open_reasons
from harness.report.json import write_json
from harness.report.terminal import render
from harness.runner import Run, RunResult
from harness.store.parquet import ParquetStore
from harness.types import GRAPH, Case

if TYPE_CHECKING:
    from pathlib import Path

    from harness.audio import Recording
    from harness.backends.tensorrt.options import TensorRTChoice
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.ready import Ready
    from harness.report.figures import Figures

_REASONS = {EXIT_MISSED: missed_reasons, EXIT_INCONCLUSIVE: open_reasons}


def run_command(
    *,
    pipeline: str,
    backends: tuple[str, ...],
    precisions: tuple[str, ...],
    durations_s: tuple[float, ...],
    batches: tuple[int, ...],
    samples: int | None,
    max_time_s: float | None,
    rel_precision: float,
    tail: bool | None,
    mode: str,
    period_s: float | None,
    streams: int | None,
    telemetry: bool,
    energy: bool | None,
    canary: bool | None,
    threads: int | None,
    seed: int,
    audio: Path | None,
    converted: Path | None,
    out: Path,
    json_file: Path | None,
    enforce: bool,
    calibration_file: Path | None,
    calibration_method: str | None,
    percentile: float | None,
    plan: bool,
    launches: tuple[str, ...],
    interpreters: tuple[str, ...],
    tensorrt: TensorRTChoice,
    artifacts: Path | None,
    cache: Path | None,
    opset: int,
    components: tuple[str, ...],
    processes: int | None,
    builds: int,
    pins_tactics: bool,
    replica: Path | None,
    slowdown: Path | None,
    arguments: tuple[str, ...],
) -> int:
    """Run, report, and give the exit code."""
    _check_distinct(
        {
            "--audio": audio,
            "--json": json_file,
            "--converted": converted,
            "--calibration": calibration_file,
        }
    )
    loaded = load_pipeline(pipeline)
    check_components(tensorrt, loaded)
    chosen = make_backends(
        backends or (DEFAULT_BACKEND,),
        precisions or (FP32,),
        threads=threads,
        launches=launches or (GRAPH,),
        interpreters=parse_interpreters(interpreters),
        tensorrt=tensorrt,
    )
    replication = read_replication(processes, builds, pins_tactics=pins_tactics, backends=chosen)
    _check_components(loaded, components, interpreters, converted)
    recording = _recording(loaded, audio, converted, durations_s, batches)
    cases = _cases(loaded, recording, durations_s, batches)
    arrival = Arrival(mode, period_s, streams)
    # A budget is of the p99, which has no upper bound before a few hundred samples.
    waits = loaded.declaration.budget is not None and not components and not arrival.is_whole
    options = RunOptions(
        cases=cases,
        sampling=SamplingPlan(
            rel_precision=rel_precision,
            # Where nothing would wait it is left open: only what was given is refused.
            tail=(waits or None) if tail is None else tail,
            max_samples=samples,
            max_time_s=max_time_s,
        ),
        seed=seed,
        build=build_options(
            precisions, calibration_file, calibration_method, percentile, opset, artifacts
        ),
        recording=recording,
        command=("harness", *without_order(sys.argv[1:])),
        components=components,
        arrival=arrival,
        canary=canary,
        telemetry=telemetry,
        energy=energy,
        slowdown=NO_SLOWDOWN if slowdown is None else read_slowdown(slowdown),
    )
    own = Cache(cache or default_cache_root())

    def make_run(observer: Observer, ready: Ready | None = None) -> Run:
        return Run(loaded, chosen, own, options, HostClock(), observer, ready)

    if replica is not None:
        variants = [variant_of(backend) for backend in chosen]
        return answer(replica, make_run, loaded, variants, options)
    if plan:
        tell("\n".join(plan_run(loaded, chosen, own, options, replication)))
        return EXIT_PASS
    store = ParquetStore(out)
    store.check()
    if json_file is not None:
        check_writable(json_file, is_text=True)
    if converted is not None:
        check_writable(converted)
    if replication is not None:
        result = replicate(replication, arguments)
    else:
        with ProgressObserver() as observer:
            result = make_run(observer).execute()
    return _report(result, store, json_file, converted, options, enforce=enforce)


def _check_components(
    pipeline: Pipeline,
    components: tuple[str, ...],
    interpreters: tuple[str, ...],
    converted: Path | None,
) -> None:
    restrict(pipeline, components)
    if not components:
        return
    if interpreters:
        what = "a backend in another Python opens every component"
        raise OptionError(what, where="--component", fix="leave out --interpreter, or this")
    if converted is not None:
        what = "a part of the pipeline converts nothing"
        raise OptionError(what, where="--converted", fix="leave it out, or --component")


def _recording(
    pipeline: Pipeline,
    audio: Path | None,
    converted: Path | None,
    durations_s: tuple[float, ...],
    batches: tuple[int, ...],
) -> Recording | None:
    if audio is None:
        if converted is not None:
            fix = "name the recording with --audio"
            raise OptionError("there is no recording to convert", where="--converted", fix=fix)
        return None
    if durations_s or batches:
        what = "a recording has its own duration, and is one row"
        raise OptionError(what, where="--audio", fix="leave out --duration and --batch")
    return read_recording(pipeline, audio)


def _cases(
    pipeline: Pipeline,
    recording: Recording | None,
    durations_s: tuple[float, ...],
    batches: tuple[int, ...],
) -> tuple[Case, ...]:
    if recording is not None:
        return (Case(recording.duration_s, 1),)
    return choose_cases(pipeline, durations_s, batches)


def _check_distinct(files: dict[str, Path | None]) -> None:
    seen: dict[Path, str] = {}
    for option, file in files.items():
        if file is not None:
            other = seen.setdefault(file.resolve(), option)
            if other != option:
                what = f"is the same file as that of {other}: {file}"
                raise OptionError(what, where=option, fix="name another")


def _report(
    result: RunResult,
    store: ParquetStore,
    json_file: Path | None,
    converted: Path | None,
    options: RunOptions,
    *,
    enforce: bool,
) -> int:
    figures = figures_of(result.record)
    # All files first: standard output may be closed, or full.
    written = [f"Record: {store.append(result.record)}"]
    if json_file is not None:
        write_json(figures, json_file)
        written.append(f"JSON: {'standard output' if is_stdout(json_file) else json_file}")
    if result.audio is not None and options.recording is not None:
        recording = options.recording
        target = converted or store.folder / f"{recording.path.stem}-converted.wav"
        write_wav(target, result.audio[: recording.trimmed_count], recording.sample_rate_hz)
        written.append(f"Converted audio: {target}")
    lines = [f"No accuracy: {result.no_reference}."] if result.no_reference else []
    measured_s = result.record.phases_s.get("measure", 0.0)
    process_s = time.time() - psutil.Process().create_time()
    lines.append(f"Measured for {measured_s:.1f} s, all else {process_s - measured_s:.1f} s.")
    code = _exit_code(figures, enforce=enforce)
    if enforce and code in _REASONS:
        lines.append(f"--enforce: exit {code}, since {'; '.join(_REASONS[code](figures))}.")
    console = Console(stderr=json_file is not None and is_stdout(json_file))
    with console.capture() as table:
        console.print(render(figures))
    told = "\n".join(f"  {line}" for line in (*lines, *written))
    tell(table.get() + told, beside=json_file)
    return code


def _exit_code(figures: Figures, *, enforce: bool) -> int:
    if not figures.record.is_complete:
        return EXIT_INTERRUPTED
    # What is missed beyond doubt stays so, whatever a process that is missing would have measured.
    if enforce and figures.is_missed:
        return EXIT_MISSED
    replication = figures.record.replication
    if replication is not None and replication.missing:
        return EXIT_INCONCLUSIVE
    if enforce and figures.is_inconclusive:
        return EXIT_INCONCLUSIVE
    return EXIT_PASS
