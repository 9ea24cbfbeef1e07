"""What an operator does, written in older operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

# From this opset on, ReduceMean takes its axes as an input.
_AXES_INPUT_OPSET: Final = 18


def function_body(node: Any, types: Mapping[str, Any], opset: int) -> Any | None:  # noqa: ANN401
    """A ``FunctionProto`` that computes what the standard operator ``node`` does.

    Args:
        node: its inputs and attributes decide on the body where the operator's definition says so.
        types: the ``TypeProto`` of every tensor, by name.
        opset: the version of the standard operators that the graph, and so the body, uses.

    Returns:
        The body, or None where the operator is no function of others at this opset.
    """
    if node.op_type == "LayerNormalization":
        return _layer_normalization(node, types, opset)
    return _of_definition(node, types, opset)


def _of_definition(node: Any, types: Mapping[str, Any], opset: int) -> Any | None:  # noqa: ANN401
    """The body that ONNX's own definition of the operator gives."""
    import onnx  # noqa: PLC0415

    try:
        # Typed by hand: the extension's type stubs leave out what a schema knows of its function.
        schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    plain = [v for v in schema.function_opset_versions if v <= opset]
    in_context = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if plain:
        made = schema.get_function_with_opset_version(max(plain))
    elif in_context:
        inputs = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        made = schema.get_context_dependent_function_with_opset_version(
            max(in_context), node.SerializeToString(), inputs
        )
    else:
        return None
    body = onnx.FunctionProto.FromString(made)
    # Of the version that the body was written for, which means the same later; the inliner wants
    # the model's.
    del body.opset_import[:]
    body.opset_import.append(onnx.helper.make_opsetid("", opset))
    return body


def _layer_normalization(node: Any, types: Mapping[str, Any], opset: int) -> Any:  # noqa: ANN401
    """Mean, deviation and scale over the last axes, as they stand.

    ONNX's definition flattens to two axes and back, by way of Shape, Slice, Concat and Reshape:
    with dynamic sizes a parser has to carry all of that arithmetic, and what recognises a
    normalization to fuse it no longer does. It also takes the variance as the mean square less the
    squared mean, which loses digits where the mean is large.
    """
    from onnx import helper  # noqa: PLC0415

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    element_type, rank = _type_and_rank(node, types)
    axis = attributes.get("axis", -1)
    # Counted from the end: the same for any number of axes in front.
    axes = list(range(axis if axis < 0 else axis - rank, 0))
    stash_type = attributes.get("stash_type", 1)
    is_cast = stash_type != element_type
    nodes = [
        *([helper.make_node("Cast", ["X"], ["Wide"], to=stash_type)] if is_cast else []),
        *_normalization(
            "Wide" if is_cast else "X", axes, stash_type, attributes.get("epsilon", 1e-5), opset
        ),
        *([helper.make_node("Cast", ["Normal"], ["NormalX"], to=element_type)] if is_cast else []),
    ]
    inputs, outputs = ["X", "Scale"], ["Y", "Mean", "InvStdDev"][: len(node.output)]
    has_bias = len(node.input) > 2 and bool(node.input[2])  # noqa: PLR2004
    last = "Scaled" if has_bias else "Y"
    nodes.append(helper.make_node("Mul", ["NormalX" if is_cast else "Normal", "Scale"], [last]))
    if has_bias:
        inputs.append("B")
        nodes.append(helper.make_node("Add", ["Scaled", "B"], ["Y"]))
    if "InvStdDev" in outputs:
        nodes.append(helper.make_node("Reciprocal", ["StdDev"], ["InvStdDev"]))
    return helper.make_function(
        "", "body", inputs, outputs, nodes, [helper.make_opsetid("", opset)]
    )


def _normalization(
    given: str, axes: list[int], element_type: int, epsilon: float, opset: int
) -> list[Any]:
    """The nodes that make ``Normal``, ``Mean`` and ``StdDev`` of ``given``."""
    from onnx import TensorProto, helper  # noqa: PLC0415

    nodes, names = [], []
    options: dict[str, Any] = {"axes": axes}
    if opset >= _AXES_INPUT_OPSET:
        tensor = helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)
        nodes.append(helper.make_node("Constant", [], ["Axes"], value=tensor))
        names, options = ["Axes"], {}
    small = helper.make_tensor("epsilon", element_type, [], [epsilon])
    return [
        *nodes,
        helper.make_node("ReduceMean", [given, *names], ["Mean"], **options),
        helper.make_node("Sub", [given, "Mean"], ["Deviation"]),
        helper.make_node("Mul", ["Deviation", "Deviation"], ["Square"]),
        helper.make_node("ReduceMean", ["Square", *names], ["Variance"], **options),
        helper.make_node("Constant", [], ["Epsilon"], value=small),
        helper.make_node("Add", ["Variance", "Epsilon"], ["Safe"]),
        helper.make_node("Sqrt", ["Safe"], ["StdDev"]),
        helper.make_node("Div", ["Deviation", "StdDev"], ["Normal"]),
    ]


def _type_and_rank(node: Any, types: Mapping[str, Any]) -> tuple[int, int]:  # noqa: ANN401
    """Of what is normalized.

    Raises:
        ContractError: neither the graph nor inference tells.
    """
    found = types.get(node.input[0])
    if found is None or not found.tensor_type.HasField("shape"):
        what = f"the type of {node.input[0]!r}, which it normalizes, cannot be told"
        fix = "export it again, or run onnx.shape_inference on it"
        raise ContractError(what, where=node.name or node.op_type, fix=fix)
    return found.tensor_type.elem_type, len(found.tensor_type.shape.dim)
