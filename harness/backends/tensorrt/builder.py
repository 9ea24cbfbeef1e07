"""Build one engine; called in a worker process by ``harness.backends.tensorrt.engines``.

A build cannot be interrupted from Python: in a process of its own it can be killed, and whatever
it had reserved on the device goes with it.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.adapt import adapt_graph
from harness.artifacts.keepsakes import keep
from harness.backends.cuda import CudaDevice
from harness.backends.gpu import has_gpu
from harness.backends.tensorrt.buffers import cast_numbers
from harness.backends.tensorrt.calibrator import Feeder, check_stacks, make_calibrator
from harness.backends.tensorrt.inspector import describe_layers, read_layers
from harness.backends.tensorrt.library import Library, find_library
from harness.backends.tensorrt.network import ParsedNetwork
from harness.backends.tensorrt.options import ANY_SUMS, Recipe, TensorRTOptions
from harness.backends.tensorrt.pins import nodes_to_pin
from harness.backends.tensorrt.profiles import (
    NetworkTensor,
    ShapeRange,
    check_declared,
    check_profile,
    check_shortest,
)
from harness.backends.tensorrt.progress import make_monitor
from harness.backends.tensorrt.selector import Selection, make_selector
from harness.backends.tensorrt.tactics import fp16_sums
from harness.errors import (
    CalibrationError,
    EngineError,
    FeatureUnavailableError,
    HarnessError,
    storage_errors,
)
from harness.files import load_arrays
from harness.pipeline.fingerprint import hash_bytes
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What every version that has them is asked for: 8.5 runs dynamic shapes much slower without.
_PREVIEWS: Final = ("FASTER_DYNAMIC_SHAPES_0805",)
# A build that bars kernels is done again while it has chosen what turned out to be one of them:
# names are learnt when tactics are timed, which may be after they are chosen among.
_MOST_ROUNDS: Final = 3
_CONSTRAINT_FLAGS: Final = {
    "obey": "OBEY_PRECISION_CONSTRAINTS",
    "prefer": "PREFER_PRECISION_CONSTRAINTS",
}


def build_engine(request: dict[str, Any]) -> Mapping[str, Any]:
    """Build the engine of ``request`` into its folder; gives what the sidecar says of it.

    ``request`` holds: library, component, graph, folder, recipe, options, profile (lists by input),
    and, where there are: pipeline (its folder), calibration (an .npz of stacked inputs),
    calibration_cache, timing_cache, tactic_names and progress (files).
    """
    library = find_library(request["library"], has_gpu=has_gpu())
    options = TensorRTOptions(**_tuples(request["options"]))
    library.open_plugins(options.plugins)
    profile = {
        name: ShapeRange(*(tuple(shape) for shape in shapes))
        for name, shapes in request["profile"].items()
    }
    build = _Build(library, Recipe(**request["recipe"]), options, profile, request)
    return build.run()


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


class _Build:
    def __init__(
        self,
        library: Library,
        recipe: Recipe,
        options: TensorRTOptions,
        profile: Mapping[str, ShapeRange],
        request: Mapping[str, Any],
    ) -> None:
        self._library = library
        self._recipe = recipe
        self._options = options
        self._profile = profile
        self._request = request
        self._component: str = request["component"]
        self._folder = Path(request["folder"])
        self._inlined: tuple[str, ...] = ()
        self._feeder: Feeder | None = None
        self._batch_count = 0
        self._selection: Selection | None = None
        self._config: Any = None
        self._device: CudaDevice | None = None
        self._keep: list[Any] = []

    def run(self) -> dict[str, Any]:
        started = time.monotonic()
        self._learn_names()
        parsed = ParsedNetwork(self._library, strong=self._recipe.strong)
        graph = self._readable_graph(parsed)
        parsed.parse(graph)
        self._check(parsed)
        path = self._folder / f"{self._component}.engine"
        cache, layers, rounds = self._build(parsed, path), self._describe(path), 1
        while rounds < _MOST_ROUNDS and self._selection is not None and self._selection.missed():
            parsed = parsed.again()
            parsed.parse(graph)
            cache, layers, rounds = self._build(parsed, path), self._describe(path), rounds + 1
        facts = {
            "library": self._library.name,
            "version": self._library.version,
            "inputs": {t.name: [t.dtype, list(t.shape)] for t in parsed.inputs()},
            "outputs": {t.name: [t.dtype, list(t.shape)] for t in parsed.outputs()},
            "profile": {name: asdict(shapes) for name, shapes in self._profile.items()},
            "recipe": asdict(self._recipe),
            "options": asdict(self._options),
            "size_bytes": path.stat().st_size,
            "timing_cache_hash": self._keep_timing(cache),
            "inlined": list(self._inlined),
            "calibration_batches": self._batch_count if self._feeder else None,
            "layers": layers,
            "fp16_sums": fp16_sums(read_layers(self._folder)),
            "selection": self._selected(rounds),
        }
        return {**facts, "build_s": time.monotonic() - started}

    def _build(self, parsed: ParsedNetwork, path: Path) -> Any:  # noqa: ANN401
        """Build the engine into ``path``; gives the timing cache that was used."""
        config, cache = self._configure(parsed)
        self._config = config
        plan = parsed.builder.build_serialized_network(parsed.network, config)
        # Also of a build that failed, or that is cut off in its next round.
        self._keep_names()
        self._check_built(plan)
        if self._feeder is not None:
            self._batch_count += self._feeder.count
        with storage_errors(path):
            path.write_bytes(plan)
        return cache

    def _describe(self, path: Path) -> dict[str, Any]:
        described = describe_layers(self._library, path, self._folder)
        self._library.tactics.read_layers(read_layers(self._folder))
        self._keep_names()
        return described

    def _selected(self, rounds: int) -> dict[str, Any] | None:
        """What the selector was asked, where there was one; layers by name."""
        if self._selection is None:
            return None
        return {
            "rounds": rounds,
            "layers_asked": self._selection.layer_count,
            "known_tactics": len(self._library.tactics),
            "without_choice": self._selection.without_choice(),
            "missed": self._selection.missed(),
        }

    def _learn_names(self) -> None:
        file = self._request.get("tactic_names")
        if file and Path(file).is_file():
            self._library.tactics.merge(Path(file).read_text(encoding="utf-8"))

    def _keep_names(self) -> None:
        file = self._request.get("tactic_names")
        if file and len(self._library.tactics):
            # Another build may have gone on beside this one: what it learnt is kept as well.
            self._learn_names()
            keep(Path(file), self._library.tactics.dump().encode())

    def _readable_graph(self, parsed: ParsedNetwork) -> Path:
        """The graph, with what this version's parser does not know written out."""
        source = Path(self._request["graph"])
        unknown = parsed.unsupported_operators(source)
        target = Path(self._request["scratch"]) / source.name
        self._inlined = adapt_graph(source, target, unsupported=unknown)
        return target

    def _check(self, parsed: ParsedNetwork) -> None:
        if self._request.get("pipeline"):
            pipeline = load_pipeline(Path(self._request["pipeline"]))
            check_declared(pipeline, self._component, parsed.inputs(), parsed.outputs())
        check_profile(parsed.inputs(), self._profile, self._component)
        if parsed.path is not None:
            check_shortest(parsed.path, self._profile)

    def _configure(self, parsed: ParsedNetwork) -> tuple[Any, Any]:
        library, options = self._library, self._options
        trt, config = library.module, parsed.builder.create_builder_config()
        profile = parsed.builder.create_optimization_profile()
        for tensor in parsed.inputs():
            shapes = self._profile.get(tensor.name)
            if shapes is not None:
                profile.set_shape(tensor.name, shapes.min, shapes.opt, shapes.max)
        if config.add_optimization_profile(profile) < 0:
            what = f"{library} refuses the profile: {library.problem() or 'without a reason'}"
            raise EngineError(what, where=self._component, fix="mend its min, opt and max")
        if options.workspace_bytes is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        self._set_flags(parsed, config)
        self._set_level(config)
        if options.tactic_sources is not None:
            members = {library.member("TacticSource", name) for name in options.tactic_sources}
            config.set_tactic_sources(sum(1 << int(member) for member in members))
        self._set_previews(config)
        # Needed for the inspector to name the precision of a layer.
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        self._watch(config)
        if self._recipe.calibrator:
            self._calibrate(config, profile, parsed.inputs())
        if self._recipe.accumulation == ANY_SUMS:
            return config, self._timing_cache(config)
        self._bar_fp16_sums(config)
        return config, None

    def _set_previews(self, config: Any) -> None:  # noqa: ANN401
        wanted = self._options.preview_features
        if wanted is None:
            wanted = tuple(n for n in _PREVIEWS if self._library.has("PreviewFeature", n))
        for name in wanted:
            config.set_preview_feature(self._library.member("PreviewFeature", name), True)  # noqa: FBT003

    def _bar_fp16_sums(self, config: Any) -> None:  # noqa: ANN401
        """Set a selector that bars kernels which sum products in fp16.

        Without any timing cache: it keeps the best tactic of a layer, so that it could hide others
        from the selector, and builds without one could later be given what this one was left with.
        TensorRT 8.5 itself suggests to disable it.
        """
        library = self._library
        if library.has("BuilderFlag", "DISABLE_TIMING_CACHE"):
            config.set_flag(library.member("BuilderFlag", "DISABLE_TIMING_CACHE"))
        self._selection = Selection(library.tactics)
        selector = make_selector(library, self._selection)
        self._keep.append(selector)
        config.algorithm_selector = selector

    def _set_flags(self, parsed: ParsedNetwork, config: Any) -> None:  # noqa: ANN401
        library, recipe = self._library, self._recipe
        tf32 = library.member("BuilderFlag", "TF32")
        is_tf32 = self._options.tf32 or recipe.accumulation == "tf32"
        # On by default, which would make fp32 something else without a word.
        (config.set_flag if is_tf32 else config.clear_flag)(tf32)
        has_int8 = recipe.int8 and self._has_int8(parsed)
        for name, is_wanted in (("FP16", recipe.fp16), ("INT8", has_int8)):
            if is_wanted:
                config.set_flag(library.member("BuilderFlag", name))
        for name in self._options.builder_flags:
            config.set_flag(library.member("BuilderFlag", name))
        if parsed.path is None:
            return
        pins = nodes_to_pin(parsed.path, recipe, self._options, self._component)
        if parsed.pin_fp32(pins):
            constraint = _CONSTRAINT_FLAGS[self._options.constraints]
            config.set_flag(library.member("BuilderFlag", constraint))

    def _has_int8(self, parsed: ParsedNetwork) -> bool:
        """Whether there is anything to be in INT8: 8.5 refuses the flag where nothing is."""
        if self._recipe.calibrator:
            return True
        layers = (parsed.network.get_layer(i) for i in range(parsed.network.num_layers))
        return any(layer.type.name == "QUANTIZE" for layer in layers)

    def _set_level(self, config: Any) -> None:  # noqa: ANN401
        if self._options.optimization_level is None:
            return
        if not hasattr(config, "builder_optimization_level"):
            what = f"{self._library} has no optimization levels"
            fix = "leave it out, or use --builder-flag ENABLE_TACTIC_HEURISTIC for fast builds"
            raise FeatureUnavailableError(what, where="--optimization-level", fix=fix)
        config.builder_optimization_level = self._options.optimization_level

    def _watch(self, config: Any) -> None:  # noqa: ANN401
        file = self._request.get("progress")
        if not file or not self._library.has("IProgressMonitor"):
            return
        monitor = make_monitor(self._library, Path(file))
        self._keep.append(monitor)
        config.progress_monitor = monitor

    def _calibrate(self, config: Any, profile: Any, inputs: Sequence[NetworkTensor]) -> None:  # noqa: ANN401
        stacks = load_arrays(Path(self._request["calibration"]))
        # A batch is read as the network's own type, whatever the type of the array is.
        for tensor in inputs:
            if tensor.name in stacks:
                stacks[tensor.name] = cast_numbers(stacks[tensor.name], tensor.dtype, tensor.name)
        device = self._device = self._device or CudaDevice()
        addresses: dict[str, int] = {}

        def upload(name: str, array: Any) -> int:  # noqa: ANN401
            # All batches are of one size, and read before the next is asked for.
            if name not in addresses:
                addresses[name] = device.allocate(array.nbytes)
            device.upload(array, addresses[name])
            return addresses[name]

        check_stacks(stacks, inputs, self._profile, self._component)
        count = len(next(iter(stacks.values())))
        batches = [
            lambda index=index: {name: stack[index] for name, stack in stacks.items()}
            for index in range(count)
        ]
        cache_file = Path(self._request["calibration_cache"])
        cache = cache_file.read_bytes() if cache_file.is_file() else None
        if self._feeder is not None:
            # Built again: what was found stays found.
            cache = self._feeder.cache
        self._feeder = Feeder(batches, upload, cache)
        calibrator = make_calibrator(self._library, self._feeder)
        self._keep.extend((device, calibrator))
        config.int8_calibrator = calibrator
        config.set_calibration_profile(profile)

    def _timing_cache(self, config: Any) -> Any:  # noqa: ANN401
        file = self._request.get("timing_cache")
        if not file or not self._library.has_timing_cache:
            return None
        known = Path(file).read_bytes() if Path(file).is_file() else b""
        cache = config.create_timing_cache(known)
        # Of another version or device: TensorRT says so in its log and gives none.
        if cache is None or not config.set_timing_cache(cache, False):  # noqa: FBT003
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)  # noqa: FBT003
        return cache

    def _keep_timing(self, cache: Any) -> str | None:  # noqa: ANN401
        if cache is None:
            return None
        # Another build may have gone on beside this one: what it found is kept as well.
        file = Path(self._request["timing_cache"])
        other = self._config.create_timing_cache(file.read_bytes()) if file.is_file() else None
        if other is not None:
            # Nothing is taken of another version's or device's.
            cache.combine(other, False)  # noqa: FBT003
        content = bytes(cache.serialize())
        with storage_errors(self._folder):
            (Path(self._request["scratch"]) / "timing.cache").write_bytes(content)
        return hash_bytes(content)

    def _check_built(self, plan: Any) -> None:  # noqa: ANN401
        feeder = self._feeder
        if self._selection is not None and self._selection.error is not None:
            error = self._selection.error
            if isinstance(error, HarnessError):
                raise error
            what = f"the algorithm selector failed: {type(error).__name__}: {error}"
            fix = "leave out --fp16-accumulation, and report this"
            raise EngineError(what, where=self._component, fix=fix) from error
        if feeder is not None and feeder.error is not None:
            if isinstance(feeder.error, HarnessError):
                raise feeder.error
            what = f"the calibrator failed: {type(feeder.error).__name__}: {feeder.error}"
            fix = "make the set again with harness calibrate"
            raise CalibrationError(what, where=self._component, fix=fix) from feeder.error
        if plan is None:
            raise self._failed()
        if feeder is not None and feeder.cache is not None and not feeder.was_cached:
            Path(self._request["scratch"]).joinpath("calibration.cache").write_bytes(feeder.cache)

    def _failed(self) -> EngineError:
        problem = self._library.problem() or "without a reason"
        what = f"{self._library} cannot build it: {problem[:600]}"
        fix = "look at the first error; --precision fp32 tells whether the precision is at fault"
        if self._recipe.route == "qdq" and self._library.is_weakly_typed:
            # Seen on 8.5.3.1: with INT8 alone its optimizer finds no type for what lies between.
            fix = "Q/DQ may need fp16 beside it: --precision int8+fp16 --fp16 flag"
            fix += ", or use --int8 calibrator"
        if "memory" in problem.lower():
            fix = "free device memory, give --workspace, or a smaller max in the profile"
        return EngineError(what, where=self._component, fix=fix)
