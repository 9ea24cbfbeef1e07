"""Make an ONNX graph readable by a parser that is older than its operators.

Most operators that came late are functions of older ones. Where a parser lacks such an operator,
the function's body takes its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts.contract import graph_files, read_graph
from harness.artifacts.graph_bodies import function_body
from harness.artifacts.graph_precision import opset_of
from harness.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# Where bodies stand until they are put in; nothing of it is left.
_DOMAIN: Final = "trt_harness.bodies"
_LAST: Final = 2**31 - 1
_STANDARD: Final = ("", "ai.onnx")
# Initializers that are no inputs came with the fourth version of the format, functions with the
# eighth.
_FORMAT_OF_INITIALIZERS, _FORMAT_OF_FUNCTIONS = 4, 8


def adapt_graph(source: Path, target: Path, *, unsupported: Collection[str]) -> tuple[str, ...]:
    """Write the graph at ``source`` to ``target`` without the operators ``unsupported``.

    Each is replaced by the body that its definition gives, down to what is not in ``unsupported``.
    A Shape of a part of the shape becomes one of the whole and a Slice, whatever is unsupported.
    All other nodes keep their names, inputs and outputs theirs with their types and symbolic
    dimensions, and the file says the lowest version of the format that its opsets need. What the
    bodies are made of is for the caller to hold against the parser: naming it in ``unsupported``
    replaces that too. External data is written again, to one file beside ``target``.

    Args:
        source: the graph; functions of its own are left as they are, and what they hold.
        target: another path, in a folder that exists.
        unsupported: types of standard operators; those that the graph has not are ignored.

    Returns:
        The types of operator that were replaced, sorted.

    Raises:
        ContractError: an operator has no body to be replaced by, or the result is no valid graph.
    """
    import onnx  # noqa: PLC0415
    from onnx.external_data_helper import load_external_data_for_model  # noqa: PLC0415

    is_external = len(graph_files(source)) > 1
    model = onnx.load(source, load_external_data=False)
    wanted, replaced = set(unsupported), set[str]()
    while found := {n.op_type for n in every_node(model.graph) if _is_one_of(n, wanted)}:
        model = _replace(source, model, found)
        replaced |= found
        # Bodies that serve every type of number hold casts to the type of another tensor, younger
        # than most of what they replace; as plain casts any parser takes them.
        wanted.add("CastLike")
    graphs = [model.graph, *(g for node in every_node(model.graph) for g in _inner_graphs(node))]
    # The inner ones first: a graph whose nodes are put in anew holds copies of theirs.
    for graph in reversed(graphs):
        _spell_out_shapes(graph)
    lowest = onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    needed = _FORMAT_OF_FUNCTIONS if model.functions else _FORMAT_OF_INITIALIZERS
    model.ir_version = max(lowest, needed)
    if is_external:
        load_external_data_for_model(model, str(source.parent))
        onnx.save(model, target, save_as_external_data=True, location=f"{target.name}.data")
    else:
        onnx.save(model, target)
    read_graph(target)
    return tuple(sorted(replaced & set(unsupported)))


def _replace(source: Path, model: Any, op_types: set[str]) -> Any:  # noqa: ANN401
    """``model`` with a body in the place of every node of ``op_types``.

    The inliner of onnx 1.18 takes no bodies from the operators' definitions, and that of later
    versions none but those. So each becomes a function of the model first.
    """
    from onnx.inliner import inline_selected_functions  # noqa: PLC0415

    types, opset = _types(model), opset_of(model)
    lacking = set()
    for number, node in enumerate([n for n in every_node(model.graph) if _is_one_of(n, op_types)]):
        body = function_body(node, types, opset)
        if body is None:
            lacking.add(node.op_type)
            continue
        body.domain, body.name = _DOMAIN, f"{node.op_type}_{number}"
        for position, inner in enumerate(body.node):
            inner.name = f"{node.name or body.name}/{inner.op_type}_{position}"
        model.functions.append(body)
        node.domain, node.op_type = _DOMAIN, body.name
    fix = "export it with a lower --opset"
    if lacking:
        what = f"no older operators can replace {', '.join(sorted(lacking))} at opset {opset}"
        raise ContractError(what, where=str(source), fix=fix)
    bodies = [(_DOMAIN, f.name) for f in model.functions if f.domain == _DOMAIN]
    model.opset_import.add(domain=_DOMAIN, version=1)
    try:
        inlined = inline_selected_functions(model, bodies)
    except RuntimeError as error:
        what = f"operators cannot be replaced by their bodies: {error}"
        raise ContractError(what, where=str(source), fix=fix) from error
    imports = [entry for entry in inlined.opset_import if entry.domain != _DOMAIN]
    del inlined.opset_import[:]
    inlined.opset_import.extend(imports)
    return inlined


def _spell_out_shapes(graph: Any) -> None:  # noqa: ANN401
    """Put a Shape and a Slice in the place of a Shape with ``start`` or ``end``.

    TensorRT 8.5's parser takes no notice of the two, which came with opset 15, and gives the whole
    shape without a word.
    """
    import onnx  # noqa: PLC0415

    nodes = []
    for node in graph.node:
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type != "Shape" or node.domain not in _STANDARD or not bounds:
            nodes.append(node)
            continue
        # Names of nodes need not differ, those of tensors do.
        output = node.output[0]
        whole, prefix = f"{output}/whole", f"{output}/bounds"
        ends = (("start", bounds.get("start", 0)), ("end", bounds.get("end", _LAST)))
        for name, value in ends:
            tensor = onnx.numpy_helper.from_array(np.array([value]), f"{prefix}/{name}")
            graph.initializer.append(tensor)
        names = [f"{prefix}/{name}" for name, _ in ends]
        nodes.append(onnx.helper.make_node("Shape", node.input, [whole], name=f"{output}/Shape"))
        nodes.append(onnx.helper.make_node("Slice", [whole, *names], [output], name=node.name))
    del graph.node[:]
    graph.node.extend(nodes)


def _is_one_of(node: Any, op_types: Collection[str]) -> bool:  # noqa: ANN401
    return node.op_type in op_types and node.domain in _STANDARD


def every_node(graph: Any) -> Iterator[Any]:  # noqa: ANN401
    """Every node, those in branches and loops included."""
    for node in graph.node:
        yield node
        for inner in _inner_graphs(node):
            yield from every_node(inner)


def _inner_graphs(node: Any) -> list[Any]:  # noqa: ANN401
    single = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return single + [graph for attribute in node.attribute for graph in attribute.graphs]


def _types(model: Any) -> dict[str, Any]:  # noqa: ANN401
    """The ``TypeProto`` of every tensor whose type can be inferred, by name."""
    import onnx  # noqa: PLC0415

    inferred = onnx.shape_inference.infer_shapes(model).graph
    graphs = [inferred, *(g for node in every_node(inferred) for g in _inner_graphs(node))]
    types = {}
    for graph in graphs:
        for tensor in graph.initializer:
            types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        for value in (*graph.value_info, *graph.output, *graph.input):
            types[value.name] = value.type
    return types
