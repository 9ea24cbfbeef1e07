"""Engines in the cache: found by what they are built from and for, or built in a worker process.

Engine bytes differ from build to build, and so can their speed: an engine is known by its inputs,
never by its own hash. The timing cache, which makes builds alike, is named in what is kept.
"""

from __future__ import annotations

import json
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts.keepsakes import keep, keepsake_path
from harness.backends.gpu import gpu_problem, read_gpu
from harness.backends.protocol import Built
from harness.backends.tensorrt.options import GIVEN
from harness.backends.tensorrt.profiles import declared_profile
from harness.errors import CalibrationError, HarnessError, WorkerError
from harness.files import save_arrays
from harness.pipeline.fingerprint import hash_file, hash_json
from harness.types import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.artifacts.cache import Cache
    from harness.artifacts.calibration import CalibrationSet
    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Workshop
    from harness.backends.tensorrt.library import Library
    from harness.backends.tensorrt.options import Recipe, TensorRTOptions
    from harness.pipeline.pipeline import Pipeline

KIND: Final = "engine"
# Raised whenever the same request would make another engine.
_BUILDER_VERSION: Final = 4
WORKER: Final = "harness.backends.tensorrt.builder:build_engine"
_POLL_S: Final = 0.5


@dataclass(frozen=True)
class EngineFactory:
    """What builds the engines of one recipe with one library."""

    library: Library
    recipe: Recipe
    options: TensorRTOptions

    def build(
        self, pipeline: Pipeline, models: Mapping[str, OnnxModel], workshop: Workshop
    ) -> dict[str, Built]:
        """The engine of each of ``models``, one after the other.

        Two at a time would spoil the timings by which tactics are chosen.

        Raises:
            EngineError, ContractError: one cannot be built; the others stay in the cache.
        """
        found: dict[str, Built] = {}
        failures: list[HarnessError] = []
        for name, model in models.items():
            try:
                found[name] = self._find_or_build(pipeline, model, workshop)
            except WorkerError:
                raise
            except HarnessError as error:
                # Builds take minutes: what can be built is there when this one is mended.
                failures.append(error)
            else:
                workshop.on_done(name, found[name])
        if failures:
            raise failures[0]
        return found

    def _find_or_build(self, pipeline: Pipeline, model: OnnxModel, workshop: Workshop) -> Built:
        device = target_device()
        data_hash = None
        if self.recipe.calibrator:
            if workshop.calibration is None:
                what = f"{self.recipe.precision} by the calibrator needs a calibration set"
                raise CalibrationError(what, where=model.component, fix="give --calibration")
            data_hash = workshop.calibration.component_hash(pipeline, model.component)
        profile = declared_profile(pipeline, model.component)
        key: dict[str, Any] = {
            "builder": _BUILDER_VERSION,
            "graph": model.content_hash,
            "data": data_hash,
            "profile": {name: asdict(shapes) for name, shapes in profile.items()},
            "recipe": asdict(self.recipe),
            "options": self.build_options(model.component),
            "library": [self.library.name, self.library.version],
            "device": device,
        }
        if workshop.index:
            # The first keeps the key that it has where there is no other.
            key["build"] = [workshop.index, workshop.pins_tactics]
            if workshop.series:
                key["build"].append(workshop.series)

        def build(folder: Path) -> Mapping[str, Any]:
            return self._build(pipeline, model, key, workshop, folder)

        variant = Variant(self.library.name, self.recipe.precision, self.recipe.route)
        entry, was_cached = workshop.cache.get_or_build(
            KIND,
            hash_json(key),
            engine_label(pipeline.name, model.component, variant),
            build,
            is_cancelled=lambda: workshop.pool.is_closed,
        )
        facts = entry.info
        return Built(
            path=entry.file(f"{model.component}.engine"),
            size_bytes=facts["size_bytes"],
            build_s=facts["build_s"],
            was_cached=was_cached,
            details={name: facts[name] for name in _RECORDED if facts.get(name) is not None},
        )

    def build_options(self, component: str) -> dict[str, Any]:
        """The options that make another engine of ``component``; how it is run is none of them."""
        values = asdict(self.options)
        for name in ("layer_times", "nvtx"):
            values.pop(name)
        values["fp32_nodes"] = []
        if self.recipe.is_typed_by_builder:
            values["fp32_nodes"] = list(self.options.fp32_patterns(component))
        # A plugin is what is in its file.
        values["plugins"] = [hash_file(Path(plugin)) for plugin in self.options.plugins]
        return values

    def _build(
        self,
        pipeline: Pipeline,
        model: OnnxModel,
        key: Mapping[str, Any],
        workshop: Workshop,
        folder: Path,
    ) -> Mapping[str, Any]:
        name = model.component
        timing = timings_path(workshop.cache, self.library)
        of_scales = [key[part] for part in ("builder", "graph", "data", "profile", "library")]
        calibration = keepsake_path(workshop.cache, "calibration", hash_json(of_scales))
        tactics = tactics_path(workshop.cache, self.library)
        with tempfile.TemporaryDirectory() as scratch:
            progress = Path(scratch) / "progress"
            request = {
                "library": self.library.name,
                "component": name,
                "graph": str(model.path),
                "folder": str(folder),
                "scratch": scratch,
                "recipe": asdict(self.recipe),
                "options": asdict(self.options),
                "profile": {name: list(points.values()) for name, points in key["profile"].items()},
                "pipeline": str(pipeline.root),
                # With the timings of the first build the builder would choose as it did then.
                "timing_cache": str(timing) if _is_pinned(workshop) else "",
                "calibration_cache": str(calibration),
                "tactic_names": str(tactics),
                "progress": str(progress),
            }
            if self.recipe.calibrator and workshop.calibration is not None:
                stacks = Path(scratch) / "calibration.npz"
                _save_stacks(stacks, pipeline, name, workshop.calibration)
                request["calibration"] = str(stacks)
            with _told(progress, lambda done: workshop.on_progress(name, done)):
                facts = dict(workshop.pool.run(WORKER, request, threads=1))
            for file, target in (("timing.cache", timing), ("calibration.cache", calibration)):
                made = Path(scratch) / file
                if made.is_file():
                    keep(target, made.read_bytes())
        facts["device"] = key["device"]
        facts["onnx_hash"] = model.content_hash
        sidecar = folder / f"{name}.json"
        sidecar.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        return facts


def timings_path(cache: Cache, library: Library) -> Path:
    """Where the timing cache of ``library`` on this machine's GPU lies; it need not exist."""
    return keepsake_path(cache, "timing", _machine(library))


def tactics_path(cache: Cache, library: Library) -> Path:
    """Where the names of ``library``'s tactics on this machine's GPU lie; it need not exist."""
    return keepsake_path(cache, "tactics", _machine(library))


def _machine(library: Library) -> str:
    return hash_json([[library.name, library.version], target_device()])


def _is_pinned(workshop: Workshop) -> bool:
    return workshop.index == 0 or workshop.pins_tactics


_RECORDED: Final = (
    "library",
    "version",
    "device",
    "recipe",
    "options",
    "timing_cache_hash",
    "calibration_batches",
    "inlined",
    "layers",
    "selection",
)


def engine_label(pipeline: str, component: str, variant: Variant) -> str:
    """What the cache calls an engine: the same whatever others were given beside it."""
    own = replace(variant, route=variant.route.removesuffix(GIVEN).rstrip("+"))
    return f"{pipeline}/{component} {own}"


def target_device() -> dict[str, str]:
    """What an engine is built for: the GPU here, or none where it is built without one."""
    if gpu_problem():
        return {"gpu": "none", "compute_capability": "none"}
    gpu = read_gpu()
    return {"gpu": gpu.name, "compute_capability": gpu.compute_capability}


def _save_stacks(
    path: Path, pipeline: Pipeline, component: str, calibration: CalibrationSet
) -> None:
    feeds = [
        calibration.component_inputs(pipeline, component, index)
        for index in range(len(calibration))
    ]
    save_arrays(path, {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]})


@contextmanager
def _told(file: Path, tell: Callable[[float], None]) -> Iterator[None]:
    """Tell of the fraction that ``file`` holds, again and again, while the block runs."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            with suppress(OSError, ValueError):
                tell(float(file.read_text(encoding="utf-8")))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
