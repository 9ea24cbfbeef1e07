"""What an ONNX graph must compute and move for one inference at a given size."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.contract import GraphTensor, read_graph
from harness.artifacts.graph_order import captured_by, drop_unused
from harness.artifacts.graph_precision import product_precisions
from harness.artifacts.graph_shapes import fix_shapes, forget_weights, infer_shapes
from harness.errors import ContractError
from harness.types import GraphCost, MacCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.graph_shapes import Shape
    from harness.pipeline.declaration import Component

# TensorProto's types of less than a byte, packed: UINT4, INT4, FLOAT4E2M1.
_PACKED_BITS: Final = {21: 4, 22: 4, 23: 4}


def component_cost(component: Component, path: Path, sizes: Mapping[str, int]) -> GraphCost:
    """That of the graph at ``path``, which is of ``component``, at ``sizes``.

    Raises:
        ContractError: as :func:`graph_cost`.
    """
    inputs = component.inputs.items()
    return graph_cost(path, {name: tensor.concrete_shape(sizes) for name, tensor in inputs})


def graph_cost(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> GraphCost:
    """The multiply-accumulates and the least memory traffic of the graph at ``path``.

    Counted are Conv, ConvTranspose, MatMul and Gemm, and nothing else: no elementwise work, no
    other operator with products inside (LSTM, Attention, the integer ones) and nothing in the
    branches of an If or the body of a Loop, which run an unknown number of times. A constant that
    such a branch takes from outside does count as a weight, and so does the whole of a table of
    which a lookup reads a few rows.

    Args:
        path: the graph; its weights are not read.
        shapes: a shape for every input, by name.

    Raises:
        ContractError: the file is no graph, ``shapes`` does not fit its inputs, or the shape of a
            product or an output cannot be told from them.
    """
    import onnx  # noqa: PLC0415

    inputs, _ = read_graph(path)
    _check_shapes(path, inputs, shapes)
    model = onnx.load(path, load_external_data=False)
    drop_unused(model)
    weight_bytes = _weight_bytes(model.graph)
    given = [tensor.name for tensor in inputs]
    made = [value.name for value in model.graph.output]
    products = [node for node, _ in product_precisions(model)]
    needed = {name for node in products for name in (*node.input[:2], node.output[0])}
    fix_shapes(model, shapes)
    forget_weights(model, path.parent)
    inferred, known = infer_shapes(model, {*needed, *made})
    unknown = sorted({*needed, *made} - known.keys())
    if unknown:
        what = f"the shape of {unknown[0]!r} cannot be told from those of the inputs"
        fix = "export it so that no size depends on the numbers that are fed"
        raise ContractError(what, where=str(path), fix=fix)
    macs: Counter[str] = Counter()
    for node, precision in product_precisions(inferred):
        macs[precision] += _macs(node, known)
    types = _types(inferred.graph)
    return GraphCost(
        macs_by_precision=MacCounts(**macs),
        weight_bytes=weight_bytes,
        input_bytes=sum(_size_bytes(types[name], shapes[name]) for name in given),
        output_bytes=sum(_size_bytes(types[name], known[name]) for name in made),
    )


def _check_shapes(path: Path, inputs: tuple[GraphTensor, ...], shapes: Mapping[str, Shape]) -> None:
    wrong = sorted({tensor.name for tensor in inputs} ^ shapes.keys())
    if wrong:
        what = f"{wrong[0]!r} is {'no input' if wrong[0] in shapes else 'an input without a shape'}"
        fix = f"give a shape to each of {', '.join(tensor.name for tensor in inputs)}"
        raise ContractError(what, where=str(path), fix=fix)
    for tensor in inputs:
        shape = shapes[tensor.name]
        fits = len(shape) == len(tensor.shape) and all(
            size == fixed if fixed is not None else size >= 0
            for size, fixed in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            declared = ["any" if size is None else size for size in tensor.shape]
            what = f"{tensor.name!r} cannot be {list(shape)}: in the graph it is {declared}"
            raise ContractError(what, where=str(path), fix="give a shape that fits")


def _macs(node: Any, shapes: Mapping[str, Shape]) -> int:  # noqa: ANN401
    """The multiply-accumulates of one product, padding included.

    Those of the operators' definitions (onnx.ai/onnx/operators), as ``torch.utils.flop_counter``
    counts them too; for a convolution also Sze, Chen, Yang and Emer, "Efficient Processing of Deep
    Neural Networks", Proceedings of the IEEE 105(12), 2017, equation 1::

        Conv           N Cout prod(out) (Cin / group) prod(kernel),   W (Cout, Cin / group, *kernel)
        ConvTranspose  N Cin prod(in) (Cout / group) prod(kernel),    W (Cin, Cout / group, *kernel)
        MatMul         prod(batch) M N K; a 1-D operand has no M or N
        Gemm           M N K, of the operands as transA and transB leave them
    """
    first, second = shapes[node.input[0]], shapes[node.input[1]]
    output = shapes[node.output[0]]
    if node.op_type == "Conv":
        return math.prod(output) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    is_transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(output) * first[0 if is_transposed else -1]


def _weight_bytes(graph: Any) -> int:  # noqa: ANN401
    """Of the initializers and Constant nodes that a node reads."""
    used = {name for node in graph.node for name in node.input} | captured_by(graph)
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    size_bytes = 0
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] in used:
            (attribute,) = node.attribute
            if attribute.HasField("t"):
                tensors.append(attribute.t)
            numbers = attribute.floats or [attribute.f] * attribute.HasField("f")
            integers = attribute.ints or [attribute.i] * attribute.HasField("i")
            size_bytes += 4 * len(numbers) + 8 * len(integers)
    return size_bytes + sum(_size_bytes(tensor.data_type, tensor.dims) for tensor in tensors)


def _types(graph: Any) -> dict[str, int]:  # noqa: ANN401
    return {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}


def _size_bytes(element_type: int, shape: Sequence[int]) -> int:
    from onnx import helper  # noqa: PLC0415

    bits = _PACKED_BITS.get(element_type)
    if bits is None:
        bits = 8 * helper.tensor_dtype_to_np_dtype(element_type).itemsize
    return math.ceil(math.prod(shape) * bits / 8)
