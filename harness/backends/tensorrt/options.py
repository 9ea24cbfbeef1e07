"""How engines are built: what a user asks for, and what the builder is told of one engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.errors import FeatureUnavailableError, OptionError
from harness.types import TF32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.backends.tensorrt.library import Library

FP16_ROUTES: Final = ("graph", "flag")
INT8_ROUTES: Final = ("qdq", "calibrator")
ANY_SUMS: Final = "any"
# What sums of fp16 products may be made in: whatever is fastest, or fp32, where a layer without
# such a kernel computes in fp32, or in TF32, which rounds what it multiplies as fp16 does.
ACCUMULATIONS: Final = (ANY_SUMS, "fp32", TF32)
# The end of the route of a variant with engines that were given as files.
GIVEN: Final = "given"
CONSTRAINTS: Final = ("obey", "prefer", "none")
MAX_OPTIMIZATION_LEVEL: Final = 5


@dataclass(frozen=True)
class TensorRTOptions:
    """What a user asks of the builder, whatever the precision.

    ``workspace_bytes`` is the builder's scratch memory, the library's own choice if None.
    ``constraints`` says what becomes of nodes that must stay in fp32 where the library may choose:
    ``obey``, ``prefer`` or ``none``. ``tactic_sources`` and ``builder_flags`` are names of
    ``TacticSource`` and ``BuilderFlag`` of the installed version, ``preview_features`` those of
    ``PreviewFeature`` to set, the harness's own choice if None. ``fp32_nodes`` are
    ``COMPONENT:PATTERN``: nodes of the graph that must stay in fp32 too.
    """

    workspace_bytes: int | None = None
    tf32: bool = False
    optimization_level: int | None = None
    tactic_sources: tuple[str, ...] | None = None
    builder_flags: tuple[str, ...] = ()
    constraints: str = "obey"
    preview_features: tuple[str, ...] | None = None
    fp32_nodes: tuple[str, ...] = ()
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
        for text in self.fp32_nodes:
            component, separator, pattern = text.partition(":")
            if not (component and separator and pattern):
                what = f"{text!r} is not COMPONENT:PATTERN"
                fix = "name a component and its nodes: --fp32-node 'vocoder:*conv_post*'"
                raise OptionError(what, where="--fp32-node", fix=fix)
        if self.fp32_nodes and self.constraints == "none":
            what = "--precision-constraints none pins nothing"
            raise OptionError(what, where="--fp32-node", fix="use obey or prefer")

    def fp32_patterns(self, component: str) -> tuple[str, ...]:
        """The patterns of ``fp32_nodes`` that are for ``component``, without its name."""
        parts = (text.partition(":") for text in self.fp32_nodes)
        return tuple(pattern for name, _, pattern in parts if name == component)


@dataclass(frozen=True)
class TensorRTChoice:
    """Which TensorRT variants to measure: routes, launches, options, and engines given as files."""

    options: TensorRTOptions = field(default_factory=TensorRTOptions)
    fp16_routes: tuple[str, ...] = ("graph",)
    int8_routes: tuple[str, ...] = ("qdq",)
    accumulations: tuple[str, ...] = (ANY_SUMS,)
    engines: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How one precision is reached: the graph to build from, and what the builder is told.

    ``route`` names the way in records; ``fp16`` and ``int8`` are the builder's flags, and
    ``strong`` that the graph's own types are binding. ``accumulation`` is what sums of fp16
    products may be made in, one of :data:`ACCUMULATIONS`.
    """

    precision: str
    route: str
    graph_precision: str
    fp16: bool = False
    int8: bool = False
    calibrator: bool = False
    strong: bool = False
    accumulation: str = ANY_SUMS

    @property
    def is_typed_by_builder(self) -> bool:
        """Whether the builder is told of a precision, and may be told to leave nodes in fp32."""
        return not self.strong and (self.fp16 or self.int8)


def make_recipes(
    library: Library, precisions: Sequence[str], choice: TensorRTChoice
) -> tuple[Recipe, ...]:
    """Every way asked for of reaching each of ``precisions``, each once.

    Raises:
        OptionError: there is no such route, or no engine of that precision.
        FeatureUnavailableError: the library has no such route.
    """
    options = choice.options
    for accumulation in choice.accumulations:
        _check_accumulation(library, accumulation)
    found = (
        _summed(make_recipe(library, precision, fp16_route, int8_route, tf32=options.tf32), sums)
        for precision in precisions
        for int8_route in choice.int8_routes
        for fp16_route in choice.fp16_routes
        for sums in choice.accumulations
    )
    recipes = tuple(_pinned(recipe, options) for recipe in dict.fromkeys(found))
    if options.fp32_nodes and not any(recipe.is_typed_by_builder for recipe in recipes):
        what = f"{library} takes each node's type from the graph, or no precision is below fp32"
        fix = "leave it out, or use --fp16 flag where there is one"
        raise FeatureUnavailableError(what, where="--fp32-node", fix=fix)
    return recipes


def _summed(recipe: Recipe, accumulation: str) -> Recipe:
    """``recipe`` with sums in ``accumulation``, where it has sums of fp16 products."""
    if accumulation == ANY_SUMS or "fp16" not in recipe.precision:
        return recipe
    route = f"{recipe.route}+{accumulation}-sums"
    return replace(recipe, route=route, accumulation=accumulation)


def _pinned(recipe: Recipe, options: TensorRTOptions) -> Recipe:
    if not (options.fp32_nodes and recipe.is_typed_by_builder):
        return recipe
    # What is pinned is then in something between the two.
    name = "pinned-tf32" if options.tf32 else "pinned"
    return replace(recipe, route=f"{recipe.route}+{name}")


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
        return Recipe("fp32", TF32 if tf32 else "", "fp32", strong=not weak)
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


def _check_accumulation(library: Library, accumulation: str) -> None:
    where = f"--fp16-accumulation {accumulation}"
    if accumulation not in ACCUMULATIONS:
        fix = f"choose one of: {', '.join(ACCUMULATIONS)}"
        what = f"there is no {accumulation!r}"
        raise OptionError(what, where="--fp16-accumulation", fix=fix)
    if accumulation != ANY_SUMS and not library.has("IAlgorithmSelector"):
        what = f"{library} has no algorithm selectors: nobody can bar a kernel"
        raise FeatureUnavailableError(what, where=where, fix="leave it out, or use 8.5 to 10")


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
