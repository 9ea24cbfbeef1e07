"""How engines are built: what a user asks for, and what the builder is told of one engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.errors import FeatureUnavailableError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.backends.tensorrt.library import Library

FP16_ROUTES: Final = ("graph", "flag")
INT8_ROUTES: Final = ("qdq", "calibrator")
CONSTRAINTS: Final = ("obey", "prefer", "none")
MAX_OPTIMIZATION_LEVEL: Final = 5


@dataclass(frozen=True)
class TensorRTOptions:
    """What a user asks of the builder, whatever the precision.

    ``workspace_bytes`` is the builder's scratch memory, the library's own choice if None.
    ``constraints`` says what becomes of nodes that must stay in fp32 where the library may choose:
    ``obey``, ``prefer`` or ``none``. ``tactic_sources`` and ``builder_flags`` are names of
    ``TacticSource`` and ``BuilderFlag`` of the installed version.
    """

    workspace_bytes: int | None = None
    tf32: bool = False
    optimization_level: int | None = None
    tactic_sources: tuple[str, ...] | None = None
    builder_flags: tuple[str, ...] = ()
    constraints: str = "obey"
    plugins: tuple[str, ...] = ()
    layer_times: bool = False
    nvtx: bool = False

    def __post_init__(self) -> None:
        """Refuse what no version takes."""
        if self.workspace_bytes is not None and self.workspace_bytes < 1:
            what = f"{self.workspace_bytes} bytes"
            raise OptionError(what, where="--workspace", fix="give 1 MiB or more")
        level = self.optimization_level
        if level is not None and not 0 <= level <= MAX_OPTIMIZATION_LEVEL:
            fix = f"give 0 to {MAX_OPTIMIZATION_LEVEL}"
            raise OptionError(f"level {level}", where="--optimization-level", fix=fix)
        if self.constraints not in CONSTRAINTS:
            fix = f"choose one of: {', '.join(CONSTRAINTS)}"
            what = f"there is no {self.constraints!r}"
            raise OptionError(what, where="--precision-constraints", fix=fix)


@dataclass(frozen=True)
class TensorRTChoice:
    """Which TensorRT variants to measure: routes, launches, options, and engines given as files."""

    options: TensorRTOptions = field(default_factory=TensorRTOptions)
    fp16_routes: tuple[str, ...] = ("graph",)
    int8_routes: tuple[str, ...] = ("qdq",)
    engines: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How one precision is reached: the graph to build from, and what the builder is told.

    ``route`` names the way in records; ``fp16`` and ``int8`` are the builder's flags, and
    ``strong`` that the graph's own types are binding.
    """

    precision: str
    route: str
    graph_precision: str
    fp16: bool = False
    int8: bool = False
    calibrator: bool = False
    strong: bool = False


def make_recipes(
    library: Library, precisions: Sequence[str], choice: TensorRTChoice
) -> tuple[Recipe, ...]:
    """Every way asked for of reaching each of ``precisions``, each once.

    Raises:
        OptionError: there is no such route, or no engine of that precision.
        FeatureUnavailableError: the library has no such route.
    """
    found = (
        make_recipe(library, precision, fp16_route, int8_route, tf32=choice.options.tf32)
        for precision in precisions
        for int8_route in choice.int8_routes
        for fp16_route in choice.fp16_routes
    )
    return tuple(dict.fromkeys(found))


def make_recipe(
    library: Library, precision: str, fp16_route: str, int8_route: str, *, tf32: bool = False
) -> Recipe:
    """How ``library`` reaches ``precision`` by the routes asked for.

    fp32 with TF32 is a route of its own: its products are rounded to 10 bits.

    Raises:
        OptionError: there is no such route, or no engine of that precision.
        FeatureUnavailableError: the library has no such route.
    """
    _check_routes(library, fp16_route, int8_route)
    by_flag, calibrated = fp16_route == "flag", int8_route == "calibrator"
    weak = not library.has("NetworkDefinitionCreationFlag", "STRONGLY_TYPED")
    if precision == "fp32":
        return Recipe("fp32", "tf32" if tf32 else "", "fp32", strong=not weak)
    if precision == "fp16":
        if by_flag:
            return Recipe("fp16", "flag", "fp32", fp16=True)
        return Recipe("fp16", "graph", "fp16", fp16=weak, strong=not weak)
    if precision == "int8":
        if calibrated:
            return Recipe("int8", "calibrator", "fp32", int8=True, calibrator=True)
        return Recipe("int8", "qdq", "int8", int8=weak, strong=not weak)
    if precision == "int8+fp16":
        return _mixed(by_flag=by_flag, calibrated=calibrated, weak=weak)
    what = f"{library} builds no {precision}, which is a form of ONNX Runtime's CPU"
    raise OptionError(what, where="--precision", fix="use int8, or --backend onnxruntime")


def _mixed(*, by_flag: bool, calibrated: bool, weak: bool) -> Recipe:
    if calibrated:
        # The calibrator takes a graph in fp32; what is not INT8 then is fp16 by the flag.
        return Recipe("int8+fp16", "calibrator", "fp32", fp16=True, int8=True, calibrator=True)
    if by_flag:
        return Recipe("int8+fp16", "qdq+flag", "int8", fp16=True, int8=True)
    return Recipe("int8+fp16", "qdq", "int8+fp16", fp16=weak, int8=weak, strong=not weak)


def _check_routes(library: Library, fp16_route: str, int8_route: str) -> None:
    for option, route, known in (
        ("--fp16", fp16_route, FP16_ROUTES),
        ("--int8", int8_route, INT8_ROUTES),
    ):
        if route not in known:
            fix = f"choose one of: {', '.join(known)}"
            raise OptionError(f"there is no route {route!r}", where=option, fix=fix)
    if fp16_route == "flag" and not library.is_weakly_typed:
        what = f"{library} has no flag for fp16: the graph's types are binding"
        raise FeatureUnavailableError(what, where="--fp16 flag", fix="use --fp16 graph")
    if int8_route == "calibrator" and not library.has_calibrators:
        what = f"{library} has no INT8 calibrators"
        raise FeatureUnavailableError(what, where="--int8 calibrator", fix="use --int8 qdq")
