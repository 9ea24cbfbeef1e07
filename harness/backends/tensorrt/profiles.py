"""Optimization profiles: the shapes that an engine is built for, checked before any builder is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.errors import ContractError
from harness.pipeline.pipeline import PROFILE_POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline

Shape = tuple[int, ...]
_SLIDING: Final = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool"})


@dataclass(frozen=True)
class ShapeRange:
    """The shapes of one input at the profile's min, opt and max."""

    min: Shape
    opt: Shape
    max: Shape


@dataclass(frozen=True)
class NetworkTensor:
    """An input or output of a parsed network; a dynamic dimension is -1, dtype is numpy's name."""

    name: str
    dtype: str
    shape: Shape


def declared_profile(pipeline: Pipeline, component: str) -> dict[str, ShapeRange]:
    """The profile that the declaration gives to every input of ``component``."""
    sizes = {point: pipeline.profile(point) for point in PROFILE_POINTS}
    return {
        name: ShapeRange(*(tensor.concrete_shape(sizes[point]) for point in PROFILE_POINTS))
        for name, tensor in pipeline.components[component].inputs.items()
    }


def check_profile(
    inputs: Sequence[NetworkTensor], profile: Mapping[str, ShapeRange], where: str
) -> None:
    """Check ``profile`` against the inputs of a parsed network; TensorRT would take most of it.

    Raises:
        ContractError: naming the input, and what to give.
    """
    known = {tensor.name: tensor for tensor in inputs}
    for name in profile:
        if name not in known:
            what = f"the profile has {name!r}, which is no input of the graph"
            fix = f"remove or rename it; the inputs are {', '.join(known)}"
            raise ContractError(what, where=where, fix=fix)
    for name, tensor in known.items():
        place = f"{where}: {name}"
        shapes = profile.get(name)
        if shapes is None:
            if -1 in tensor.shape:
                what = f"is dynamic ({_text(tensor.shape)}) and the profile has no shapes for it"
                raise ContractError(what, where=place, fix="give its min, opt and max")
            continue
        _check_range(tensor, shapes, place)


def _check_range(tensor: NetworkTensor, shapes: ShapeRange, where: str) -> None:
    for point in PROFILE_POINTS:
        shape: Shape = getattr(shapes, point)
        if len(shape) != len(tensor.shape):
            what = f"{point} is {_text(shape)}, the graph's rank is {len(tensor.shape)}"
            raise ContractError(what, where=where, fix=f"give {len(tensor.shape)} sizes")
        for axis, (size, fixed) in enumerate(zip(shape, tensor.shape, strict=True)):
            if size < 1:
                what = f"{point} is {_text(shape)}: axis {axis} is {size}"
                fix = "a profile holds actual sizes, 1 or more, never -1"
                raise ContractError(what, where=where, fix=fix)
            if fixed not in {-1, size}:
                what = f"{point} is {_text(shape)}, but axis {axis} is frozen at {fixed}"
                fix = f"give {fixed}, or export the axis as dynamic"
                raise ContractError(what, where=where, fix=fix)
    for axis, sizes in enumerate(zip(shapes.min, shapes.opt, shapes.max, strict=True)):
        if not sizes[0] <= sizes[1] <= sizes[2]:
            what = f"axis {axis} is {sizes[0]}, {sizes[1]}, {sizes[2]} at min, opt and max"
            raise ContractError(what, where=where, fix="give min <= opt <= max")


def check_declared(
    pipeline: Pipeline,
    component: str,
    inputs: Sequence[NetworkTensor],
    outputs: Sequence[NetworkTensor],
) -> None:
    """Check a parsed network, or an engine, against the declaration of ``component``.

    Raises:
        ContractError: naming the tensor, what the network has and what is declared.
    """
    declared = pipeline.components[component]
    groups: tuple[tuple[str, Any, Sequence[NetworkTensor]], ...] = (
        ("inputs", declared.inputs, inputs),
        ("outputs", declared.outputs, outputs),
    )
    smallest, largest = pipeline.profile("min"), pipeline.profile("max")
    for kind, wanted, found in groups:
        where = f"{pipeline.manifest}: components.{component}.{kind}"
        names = {tensor.name: tensor for tensor in found}
        if set(names) != set(wanted):
            what = f"the network has {', '.join(names) or 'none'}, declared are {', '.join(wanted)}"
            raise ContractError(what, where=where, fix="rename them, or mend the declaration")
        for name, tensor in wanted.items():
            _check_dtype(f"{where}.{name}", names[name].dtype, tensor.dtype)
            low, high = tensor.concrete_shape(smallest), tensor.concrete_shape(largest)
            _check_shape(f"{where}.{name}", names[name].shape, low, high)


def _check_dtype(where: str, actual: str, declared: str) -> None:
    # TensorRT 8.5 has no 64-bit integers and takes 32-bit ones in their place.
    if actual != declared and (declared, actual) != ("int64", "int32"):
        what = f"the network has {actual}, declared is {declared}"
        raise ContractError(what, where=where, fix="make the two the same")


def _check_shape(where: str, actual: Shape, low: Shape, high: Shape) -> None:
    if len(actual) != len(low):
        what = f"the network has rank {len(actual)}, declared is {len(low)}"
        raise ContractError(what, where=where, fix="make the two the same")
    for axis, (size, smallest, largest) in enumerate(zip(actual, low, high, strict=True)):
        if size not in {-1, smallest} or (size != -1 and smallest != largest):
            what = f"axis {axis} is {size} in the network, declared is {smallest} to {largest}"
            fix = "export it with a dynamic axis, or declare it as fixed"
            raise ContractError(what, where=where, fix=fix)


def check_shortest(path: Path, profile: Mapping[str, ShapeRange]) -> None:
    """Check that no tensor of the graph at ``path`` vanishes at the profile's min.

    TensorRT builds an engine for audio that is shorter than the receptive field, with a warning.

    Raises:
        ContractError: naming the tensor and the input's shape.
    """
    import onnx  # noqa: PLC0415

    model = onnx.load(path, load_external_data=False)
    for value in model.graph.input:
        shapes = profile.get(value.name)
        if shapes is not None:
            axes = value.type.tensor_type.shape.dim
            for axis, size in zip(axes, shapes.min, strict=True):
                axis.dim_value = size
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        what = f"has no shapes at the profile's min: {' '.join(str(error).split())[:200]}"
        raise ContractError(what, where=str(path), fix="give a larger min") from error
    # Others may be empty for good reasons: the axes of a shape that is put together, say.
    sliding = {o for node in inferred.graph.node if node.op_type in _SLIDING for o in node.output}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        if value.name not in sliding:
            continue
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim if d.HasField("dim_value")]
        if any(size < 1 for size in sizes):
            mins = ", ".join(f"{name} {_text(shapes.min)}" for name, shapes in profile.items())
            what = f"{value.name} would be {_text(tuple(sizes))} at the profile's min ({mins})"
            fix = "the input is shorter than what the network looks at: give a larger min"
            raise ContractError(what, where=str(path), fix=fix)


def _text(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"
