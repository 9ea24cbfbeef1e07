"""``harness build``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from harness.api import choose_cases, make_backends
from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.contract import graph_files
from harness.artifacts.precision import FP32, check_precisions
from harness.artifacts.worker import WorkerPool
from harness.backends.tensorrt.choice import check_components
from harness.cases import accuracy_count
from harness.cli.graphs import build_options
from harness.cli.output import tell
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS, OptionError
from harness.files import check_folder, check_writable, written_whole
from harness.measure.environment import available_cores
from harness.pipeline.feeds import accuracy_inputs, check_seed
from harness.pipeline.loader import load_pipeline
from harness.pipeline.restrict import restrict
from harness.plan import plan_build
from harness.prepare import build_engines, prepare_models
from harness.reference import find_or_make_reference, why_no_reference
from harness.report.words import held_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Built
    from harness.backends.tensorrt.options import TensorRTChoice
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Case, Variant


def build_command(
    *,
    pipeline: str,
    out: Path | None,
    plan: bool,
    backend: str | None,
    tensorrt: TensorRTChoice,
    precisions: tuple[str, ...],
    calibration_file: Path | None,
    calibration_method: str | None,
    percentile: float | None,
    references: bool,
    durations_s: tuple[float, ...],
    batches: tuple[int, ...],
    seed: int | None,
    artifacts: Path | None,
    cache: Path | None,
    opset: int,
    components: tuple[str, ...],
) -> int:
    """Export and convert, say where each graph is, and give the exit code."""
    wanted = tuple(dict.fromkeys(precisions)) or (FP32,)
    check_precisions(wanted)
    sizes = {"--duration": durations_s, "--batch": batches, "--seed": seed}
    _check_references(sizes, artifacts, references=references)
    options = build_options(
        precisions, calibration_file, calibration_method, percentile, opset, artifacts
    )
    loaded = load_pipeline(pipeline)
    check_components(tensorrt, loaded)
    restrict(loaded, components)
    cases = choose_cases(loaded, durations_s, batches) if references else ()
    check_seed(seed or 0)
    backends = [] if backend is None else make_backends([backend], wanted, tensorrt=tensorrt)
    own = Cache(cache or default_cache_root())
    if plan:
        tell("\n".join(plan_build(loaded, backends, wanted, own, options)))
        return EXIT_PASS
    if out is not None:
        check_folder(out)
    with ProgressObserver() as observer, WorkerPool() as pool:
        if cases:
            _make_references(loaded, cases, seed or 0, own, pool, observer)
        if any(made.builds_engines for made in backends):
            engines = build_engines(
                loaded, backends, options, own, pool, observer, components=components
            )
            _tell_engines(engines, out)
            return EXIT_PASS
        prepared = prepare_models(loaded, wanted, options, own, pool, observer)
    for precision, models in prepared.models.items():
        for model in models.values():
            if components and model.component not in components:
                continue
            path = model.path if out is None else _copy(model, _folder(out, precision, wanted))
            tell(f"{_label(model, wanted)}: {path}")
    return EXIT_PASS


def _check_references(
    given: Mapping[str, object], artifacts: Path | None, *, references: bool
) -> None:
    """Refuse what would change nothing, or has been made elsewhere.

    Raises:
        OptionError: naming the option.
    """
    if references and artifacts is not None:
        what = "references are made by the interpreter that exports"
        raise OptionError(what, where="--references", fix="leave out --artifacts")
    for option, value in given.items():
        if value not in {(), None} and not references:
            what = "nothing is computed without --references"
            raise OptionError(what, where=option, fix="add --references, or leave it out")


def _make_references(
    pipeline: Pipeline,
    cases: Sequence[Case],
    seed: int,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
) -> None:
    """Keep PyTorch's outputs for the inputs that a run of these cases would compare on."""
    problem = why_no_reference(pipeline)
    if problem:
        click.echo(f"harness: no references: {problem}", err=True)
        return
    observer.phase("Reference (PyTorch fp32)", len(cases))
    for case in cases:
        sizes = pipeline.sizes(duration_s=case.duration_s, batch=case.batch)
        feeds = accuracy_inputs(pipeline, sizes, seed=seed, count=accuracy_count(case))
        find_or_make_reference(pipeline, sizes, feeds, cache, pool, threads=available_cores())
        observer.step(str(case))


def _tell_engines(made: Mapping[Variant, Mapping[str, Built]], out: Path | None) -> None:
    for variant, engines in made.items():
        folder = out
        if out is not None and len(made) > 1:
            folder = out / "-".join(filter(None, (variant.precision, variant.route)))
        for name, built in engines.items():
            path = built.path if folder is None else _copy_engine(built.path, folder)
            spent = "cached, " if built.was_cached else ""
            size = f"{(built.size_bytes or 0) / 1e6:.2f} MB"
            tell(f"{name} {variant} ({size}, {spent}built in {built.build_s or 0.0:.1f} s): {path}")


def _copy_engine(path: Path, folder: Path) -> Path:
    """Copy an engine and the sidecar that tells what it is."""
    for source in (path.with_suffix(".json"), path):
        _copy_file(source, folder / source.name)
    return folder / path.name


def _copy_file(source: Path, target: Path) -> None:
    check_writable(target)
    with written_whole(target) as scratch:
        shutil.copyfile(source, scratch)


def _folder(out: Path, precision: str, wanted: tuple[str, ...]) -> Path:
    """A folder for each precision, where there are several: the files have the same names."""
    return out if wanted == (FP32,) else out / precision


def _label(model: OnnxModel, wanted: tuple[str, ...]) -> str:
    if wanted == (FP32,):
        return model.component
    held = "" if model.nodes is None else f" ({held_sentence(model.precision, model.nodes)})"
    return f"{model.component} {model.precision}{held}"


def _copy(model: OnnxModel, folder: Path) -> Path:
    """Copy a graph as ``COMPONENT.onnx``, and external data under the names that it uses."""
    target = folder / f"{model.component}.onnx"
    for source in reversed(graph_files(model.path)):
        copy = target if source == model.path else folder / source.relative_to(model.path.parent)
        _copy_file(source, copy)
    return target
