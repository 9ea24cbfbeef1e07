"""Which nodes of a graph the builder is told to leave in fp32."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.artifacts.graph_precision import fp32_nodes, index_chain, name_nodes
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.backends.tensorrt.options import Recipe, TensorRTOptions


def nodes_to_pin(
    graph: Path, recipe: Recipe, options: TensorRTOptions, component: str
) -> list[str]:
    """The names of the nodes of ``graph`` that must not be rounded, where the builder may choose.

    What computes an index, what a graph in fp16 has in fp32, and what the user names. Beside Q/DQ
    only the first of these: an instance normalization that is pinned there makes 8.5 fail
    ("incorrectly marked as an int8 node"); by the flag it gains nothing. INT8 by Q/DQ alone is
    where the graph says, and nowhere else: nothing is pinned for it but by name.

    Raises:
        OptionError: a pattern of the user's fits no node.
    """
    if options.constraints == "none" or not recipe.is_typed_by_builder:
        return []
    import onnx  # noqa: PLC0415

    model = onnx.load(graph)
    name_nodes(model)
    found: list[str] = []
    if recipe.fp16 or recipe.calibrator:
        # Not int8+fp16, which has Q/DQ nodes.
        is_fp16 = recipe.graph_precision == "fp16"
        found = fp32_nodes(model) if is_fp16 else index_chain(model)
    named = _named(model, options.fp32_patterns(component), component)
    return list(dict.fromkeys((*found, *named)))


def _named(model: Any, patterns: Sequence[str], component: str) -> list[str]:  # noqa: ANN401
    names = [node.name for node in model.graph.node]
    found = []
    for pattern in patterns:
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            what = f"no node of {component} is called {pattern!r}"
            fix = f"its nodes are called {', '.join(names[:3])}, ...: look into the graph"
            raise OptionError(what, where="--fp32-node", fix=fix)
        found += fitting
    return found
