"""Rewrite an ONNX graph in another precision, and say what the result holds.

Inputs and outputs stay as declared, in fp32: a graph of any precision fits the same pipeline.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.graph_order import captured_by, drop_unused, sort_nodes
from harness.errors import ContractError
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What INT8 and fp16 are for; also the types of node that are counted.
MATRIX_OPS: Final = ("Conv", "ConvTranspose", "MatMul", "Gemm")
# Where in its inputs a node takes indices.
_INDEX_INPUTS: Final = {
    "Gather": (1,),
    "GatherElements": (1,),
    "GatherND": (1,),
    "OneHot": (0,),
    "ScatterElements": (1,),
    "ScatterND": (1,),
}
_CHAIN_ENDS: Final = (*MATRIX_OPS, "Shape", "Size")
# From this opset on, Q/DQ nodes take scales in fp16.
_FP16_SCALES_OPSET: Final = 19
# From this one on, they take a scale for each channel.
_CHANNEL_SCALES_OPSET: Final = 13
_FLOATS: Final = frozenset({1, 10, 11, 16})  # TensorProto: FLOAT, FLOAT16, DOUBLE, BFLOAT16
_INTEGERS: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13})
_FLOAT, _FLOAT16 = 1, 10
_QDQ: Final = ("QuantizeLinear", "DequantizeLinear")


def name_nodes(model: Any) -> None:  # noqa: ANN401
    """Give every node a name of its own; what is excluded is excluded by name."""
    given = Counter(node.name for node in model.graph.node)
    taken = set(given)
    for node in model.graph.node:
        if not node.name or given[node.name] > 1:
            numbers = (f"{node.op_type}_{number}" for number in itertools.count())
            node.name = next(name for name in numbers if name not in taken)
            taken.add(node.name)


def lift_constants(model: Any) -> None:  # noqa: ANN401
    """Turn Constant nodes into initializers: what is constant is a weight, and no activation."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensors = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if tensors:
            graph.initializer.add().CopyFrom(tensors[0])
            graph.initializer[-1].name = node.output[0]
            graph.node.remove(node)


def index_chain(model: Any) -> list[str]:  # noqa: ANN401
    """The names of the nodes that compute an integer from real numbers, such as a table's index.

    Rounding in such a chain is no small error: it makes another integer. The chain is followed up
    from the cast, the argmax or the index of a lookup to the inputs, to the matrix products that
    feed it, or to the shape of a tensor, which does not depend on its values.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    types = _element_types(model)
    pending = [node for node in model.graph.node if _makes_integers(node, types)]
    looked_up = (n.input[i] for n in model.graph.node for i in _INDEX_INPUTS.get(n.op_type, ()))
    pending.extend(producers[name] for name in looked_up if name in producers)
    chain: dict[str, None] = {}
    while pending:
        node = pending.pop()
        if node.name in chain or node.op_type in _CHAIN_ENDS:
            continue
        chain[node.name] = None
        pending.extend(producers[name] for name in node.input if name in producers)
    return list(chain)


def sensitive_nodes(model: Any) -> list[str]:  # noqa: ANN401
    """The names of the nodes that 16 bits are not enough for: indices, and statistics over time.

    The mean and variance of an instance normalization are of thousands of samples, and TensorRT
    8.5's plugin for it takes its scales in fp32.
    """
    norms = [n.name for n in model.graph.node if n.op_type == "InstanceNormalization"]
    return [*index_chain(model), *norms]


def fp32_nodes(model: Any) -> list[str]:  # noqa: ANN401
    """The names of the nodes that a graph of mixed precision computes in fp32."""
    types = _element_types(model)
    return [
        node.name
        for node in model.graph.node
        if node.op_type not in {"Cast", "QuantizeLinear", "DequantizeLinear"}
        and any(types.get(name) == _FLOAT for name in node.output)
    ]


def _makes_integers(node: Any, types: Mapping[str, int]) -> bool:  # noqa: ANN401
    if node.op_type in {"ArgMax", "ArgMin", "TopK", "NonMaxSuppression"}:
        return True
    if node.op_type != "Cast":
        return False
    target = next(a.i for a in node.attribute if a.name == "to")
    # A source of unknown type may be real: too much in fp32 is slow, too little is wrong.
    return target in _INTEGERS and types.get(node.input[0], _FLOAT) in _FLOATS


def _element_types(model: Any) -> dict[str, int]:  # noqa: ANN401
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {initializer.name: initializer.data_type for initializer in graph.initializer}


def to_fp16(model: Any, keep_fp32: Iterable[str]) -> Any:  # noqa: ANN401
    """``model`` with everything in fp16 but the nodes named in ``keep_fp32``, inputs and outputs.

    Numbers beyond fp16's range are clipped where they are constants; where they are computed they
    overflow, which shows where a backend runs fp16 (ONNX Runtime's CPU does not).
    """
    import onnx  # noqa: PLC0415
    from onnxruntime.transformers.float16 import (  # noqa: PLC0415
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )

    blocked, kept = list(DEFAULT_OP_BLOCK_LIST), list(keep_fp32)
    if opset_of(model) < _FP16_SCALES_OPSET:
        # What multiplies INT8 stays beside its scales: a cast between them would undo it.
        blocked += ["QuantizeLinear", "DequantizeLinear"]
        kept += [node.name for node in _quantized_products(model)]
    _separate_constants(model, set(kept))
    converted = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=blocked, node_block_list=kept
    )
    # The converter sends every input through fp16 (also what a node in fp32 takes), and puts its
    # own nodes at the end, where no checker accepts them.
    _bypass_round_trips(converted)
    drop_unused(converted)
    sort_nodes(converted)
    # The types of what lies between are stale now, and some are wrong.
    del converted.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(converted, strict_mode=True)


def _separate_constants(model: Any, kept: set[str]) -> None:  # noqa: ANN401
    """Give the nodes ``kept`` constants of their own: one that others use as well is converted."""
    graph = model.graph
    others = {name for node in graph.node if node.name not in kept for name in node.input}
    others |= captured_by(graph)
    for constant in [i for i in graph.initializer if i.data_type == _FLOAT and i.name in others]:
        own = f"{constant.name}_kept_fp32"
        users = [n for n in graph.node if n.name in kept and constant.name in n.input]
        for node in users:
            for position, name in enumerate(node.input):
                node.input[position] = own if name == constant.name else name
        if users:
            graph.initializer.add().CopyFrom(constant)
            graph.initializer[-1].name = own


def opset_of(model: Any) -> int:  # noqa: ANN401
    """The version of the standard operators that the graph uses."""
    return int(max(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}))


def _bypass_round_trips(model: Any) -> None:  # noqa: ANN401
    """Where fp32 is cast to fp16 and back to fp32, take the number before the first cast."""
    graph = model.graph
    narrowed = {n.output[0]: n.input[0] for n in graph.node if _casts_to(n, _FLOAT16)}
    restored = {
        node.output[0]: narrowed[node.input[0]]
        for node in graph.node
        if _casts_to(node, _FLOAT) and node.input[0] in narrowed
    }
    # fp32 alone: a cast from an integer loses nothing that this would bring back.
    types = _element_types(model)
    restored = {new: old for new, old in restored.items() if types.get(old) == _FLOAT}
    # What a node in fp32 has for itself is cast as well, though it is in fp32: TensorRT 8.5 wants
    # the scale of an instance normalization as a constant.
    own = {i.name for i in graph.initializer if i.data_type == _FLOAT}
    restored |= {
        n.output[0]: n.input[0] for n in graph.node if _casts_to(n, _FLOAT) and n.input[0] in own
    }
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in restored:
                node.input[position] = restored[name]


def _casts_to(node: Any, element_type: int) -> bool:  # noqa: ANN401
    return node.op_type == "Cast" and any(
        a.name == "to" and a.i == element_type for a in node.attribute
    )


def check_takes_int8(model: Any) -> None:  # noqa: ANN401
    """Check that the graph's opset has scales for each channel.

    Raises:
        ContractError: it has not.
    """
    opset = opset_of(model)
    if opset < _CHANNEL_SCALES_OPSET:
        what = f"opset {opset} has no INT8 by channel"
        fix = f"export it at opset {_CHANNEL_SCALES_OPSET} or later, or use onnx.version_converter"
        raise ContractError(what, where=model.graph.name or "the graph", fix=fix)


def dynamic_products(model: Any) -> list[str]:  # noqa: ANN401
    """The names of the matrix products without a constant factor, such as attention's."""
    constants = {initializer.name for initializer in model.graph.initializer}
    constants |= {n.output[0] for n in model.graph.node if n.op_type == "Constant"}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in {"MatMul", "Gemm"} and node.input[1] not in constants
    ]


def to_int8(
    model: Any,  # noqa: ANN401
    ranges: Mapping[str, tuple[float, float]],
    keep_fp32: Iterable[str],
    *,
    with_outputs: bool,
) -> Any:  # noqa: ANN401
    """``model`` with explicit Q/DQ nodes, as TensorRT takes them.

    Weights are quantized per output channel and symmetrically to signed numbers. Without
    ``with_outputs`` only the inputs of matrix operations are quantized, symmetrically, and biases
    stay real: TensorRT refuses any other. With it everything that ONNX Runtime has an INT8 kernel
    for is, asymmetrically: the form that is fast on a CPU.

    Args:
        model: in fp32, every node with a name of its own.
        ranges: smallest and largest value of each tensor that may be quantized.
        keep_fp32: names of nodes to leave alone.
        with_outputs: quantize for ONNX Runtime's CPU rather than for TensorRT.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType  # noqa: PLC0415
    from onnxruntime.quantization.calibrate import TensorsData  # noqa: PLC0415
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer  # noqa: PLC0415
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry  # noqa: PLC0415

    _separate_constants(model, set(keep_fp32))
    excluded = [*keep_fp32, *_without_range(model, ranges)]
    options: dict[str, Any] = {}
    if with_outputs:
        # ONNX Runtime's CPU has no INT8 kernel for transposed convolutions.
        op_types = sorted({*QDQRegistry, *QLinearOpsRegistry} - {"ConvTranspose"})
        excluded += _clips_of_outputs(model)
    else:
        op_types = list(MATRIX_OPS)
        excluded += dynamic_products(model)
        options = {
            "ActivationSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": op_types,
        }
    options["TensorQuantOverrides"] = {
        name: [{"quant_type": QuantType.QInt8, "symmetric": True}]
        for name in _stacked_weights(model)
    }
    quantized = {n.name for n in model.graph.node if n.op_type in op_types} - set(excluded)
    with _quiet():
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8 if with_outputs else QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, _as_float32(ranges)),
            nodes_to_quantize=[],
            nodes_to_exclude=excluded,
            op_types_to_quantize=op_types,
            extra_options=options,
        )
        quantizer.quantize_model()
    made = quantizer.model.model
    # ONNX Runtime fuses a product with the pair after it, unless that product has other readers.
    real = {n.name for n in made.graph.node if n.op_type not in _QDQ} - quantized
    _restore_inputs(made, set(excluded) if with_outputs else real)
    drop_unused(made)
    sort_nodes(made)
    return made


def _stacked_weights(model: Any) -> set[str]:  # noqa: ANN401
    """Those of a MatMul with a matrix for each batch: its channels are another axis there."""
    ranks = {initializer.name: len(initializer.dims) for initializer in model.graph.initializer}
    products = [n for n in model.graph.node if n.op_type == "MatMul"]
    return {name for n in products for name in n.input if ranks.get(name, 0) > 2}  # noqa: PLR2004


def _without_range(model: Any, ranges: Mapping[str, tuple[float, float]]) -> list[str]:  # noqa: ANN401
    """The nodes with a real tensor of no known range: one that is empty, or becomes infinite."""
    types = _element_types(model)
    constants = {initializer.name for initializer in model.graph.initializer}

    def is_unknown(name: str) -> bool:
        is_real = types.get(name, _FLOAT) == _FLOAT
        return bool(name) and is_real and name not in constants and name not in ranges

    return [
        node.name
        for node in model.graph.node
        if any(is_unknown(name) for name in (*node.input, *node.output))
    ]


def _clips_of_outputs(model: Any) -> list[str]:  # noqa: ANN401
    """The nodes after an output of the graph whose range the quantizer would give to it."""
    outputs = {value.name for value in model.graph.output}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in {"Relu", "Clip"} and node.input[0] in outputs
    ]


def _restore_inputs(model: Any, names: set[str]) -> None:  # noqa: ANN401
    """Give the nodes ``names`` the real numbers again that they had before the Q/DQ pairs.

    The quantizer puts a pair on a tensor, and so before every node that takes it.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.name not in names:
            continue
        for position, name in enumerate(node.input):
            if name not in producers:
                continue
            after = producers[name]
            before = producers.get(after.input[0]) if after.input else None
            if before is not None and (before.op_type, after.op_type) == _QDQ:
                node.input[position] = before.input[0]


def _as_float32(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[Any, Any]]:
    import numpy as np  # noqa: PLC0415

    return {
        name: (np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))
        for name, (low, high) in ranges.items()
    }


class _quiet:  # noqa: N801  # used as a block, like contextlib.suppress
    """Keep the quantizer's advice, given through the root logger, out of our output."""

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)


def count_nodes(model: Any) -> NodeCounts:  # noqa: ANN401
    """How many convolutions and matrix products compute in each precision."""
    return NodeCounts(**Counter(precision for _, precision in product_precisions(model)))


def product_precisions(model: Any) -> list[tuple[Any, str]]:  # noqa: ANN401
    """Each convolution and matrix product with the precision (int8, fp16, fp32) it computes in.

    One counts as INT8 if all of its factors come out of DequantizeLinear nodes, which is what lets
    TensorRT and ONNX Runtime run it so.
    """
    types = _element_types(model)
    # By output: names of nodes need not be their own.
    quantized = {node.output[0] for node in _quantized_products(model)}
    found = []
    for node in (node for node in model.graph.node if node.op_type in MATRIX_OPS):
        is_fp16 = any(types.get(name) == _FLOAT16 for name in node.input[:2])
        real = "fp16" if is_fp16 else "fp32"
        found.append((node, "int8" if node.output[0] in quantized else real))
    return found


def _quantized_products(model: Any) -> list[Any]:  # noqa: ANN401
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node
        for node in model.graph.node
        if node.op_type in MATRIX_OPS
        and all(producers.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]
