"""The shape of every tensor of an ONNX graph whose inputs have given shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Shape = tuple[int, ...]

# What a shape is computed from has a few numbers; a tensor of more is no part of such arithmetic.
_MOST_ELEMENTS: Final = 1024
# Drawn anew by every run.
_RANDOM: Final = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike"}
)


def fix_shapes(model: Any, shapes: Mapping[str, Shape]) -> None:  # noqa: ANN401
    """Give the graph's inputs ``shapes``, and forget the sizes that stood for any number."""
    weights = {initializer.name for initializer in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in weights:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for size in shapes[value.name]:
                dims.add().dim_value = size
    for value in (*model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.Clear()


def forget_weights(model: Any, folder: Path) -> None:  # noqa: ANN401
    """Leave the shape and type of large initializers alone, as inputs; load the small ones.

    No shape depends on the numbers of a large one, and a model of 2 GB fits no shape inference.
    ``folder`` is where external data lies.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415
    from onnx.external_data_helper import (  # noqa: PLC0415
        load_external_data_for_tensor,
        uses_external_data,
    )

    graph = model.graph
    declared = {value.name for value in graph.input}
    for tensor in list(graph.initializer):
        if math.prod(tensor.dims) > _MOST_ELEMENTS:
            if tensor.name not in declared:
                graph.input.append(
                    helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                )
            graph.initializer.remove(tensor)
        elif uses_external_data(tensor):
            load_external_data_for_tensor(tensor, str(folder))
            # Older versions of onnx leave it marked as lying outside.
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def infer_shapes(model: Any, needed: Collection[str]) -> tuple[Any, dict[str, Shape]]:  # noqa: ANN401
    """``model`` with types, and the shapes that are known for certain, by tensor.

    ONNX's inference follows sizes through some arithmetic only. Where it stops short of ``needed``,
    the arithmetic on shapes that are known is done here and its results put in as constants, until
    nothing more comes of it. What depends on an input's numbers stays unknown: running the graph on
    made-up numbers would give a shape, and perhaps a wrong one.

    Args:
        model: changed where arithmetic is replaced by its result.
        needed: the names of the tensors that are asked for.
    """
    import onnx  # noqa: PLC0415

    while True:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        known = _known_shapes(inferred.graph)
        if known.keys() >= set(needed) or not _fold(model, known):
            return inferred, known


def _known_shapes(graph: Any) -> dict[str, Shape]:  # noqa: ANN401
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.output, *graph.input):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            known[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return known


def _fold(model: Any, known: Mapping[str, Shape]) -> bool:  # noqa: ANN401
    """Replace what is computed from shapes and constants by its value; whether there was any."""
    import numpy as np  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    is_folded = False
    for node in list(graph.node):
        if not _is_small(node, known):
            continue
        if node.op_type in {"Shape", "Size"} and node.input[0] in known:
            # One number seen through strides of zero: nothing of that size is allocated.
            feeds = {node.input[0]: np.broadcast_to(np.float32(0), known[node.input[0]])}
        elif all(name in values for name in node.input if name):
            feeds = {name: values[name] for name in node.input if name}
        else:
            continue
        for name, value in _evaluate(model, node, feeds).items():
            values[name] = value
            graph.initializer.append(numpy_helper.from_array(value, name))
            is_folded = True
        if node.output[0] in values:
            graph.node.remove(node)
    return is_folded


def _is_small(node: Any, known: Mapping[str, Shape]) -> bool:  # noqa: ANN401
    sizes = [math.prod(known[name]) if name in known else math.inf for name in node.output]
    return (
        node.op_type not in _RANDOM
        and not any(a.HasField("g") for a in node.attribute)
        and all(size <= _MOST_ELEMENTS for size in sizes)
    )


def _evaluate(
    model: Any,  # noqa: ANN401
    node: Any,  # noqa: ANN401
    feeds: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """The outputs of one node, by name; none where it cannot be evaluated."""
    import numpy as np  # noqa: PLC0415
    from onnx import helper  # noqa: PLC0415
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = helper.make_graph([node], "node", inputs, outputs)
    alone = helper.make_model(graph, opset_imports=model.opset_import)
    try:
        results = ReferenceEvaluator(alone).run(None, dict(feeds))
    except Exception:  # noqa: BLE001  # of a custom domain, say: its shape stays unknown
        return {}
    return {name: np.asarray(array) for name, array in zip(node.output, results, strict=True)}
