"""Hold an ONNX graph against the declaration of its component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.graph_shapes import fix_shapes, forget_weights, infer_shapes
from harness.errors import ContractError
from harness.pipeline.pipeline import PROFILE_POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.artifacts.graph_shapes import Shape
    from harness.pipeline.declaration import Tensor
    from harness.pipeline.pipeline import Pipeline


# What engines of TensorRT begin with: see harness.backends.tensorrt.header.
_ENGINES: Final = (b"ptrt", b"ftrt", b"vtrt")


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of a graph; a dimension that is not a fixed number is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def read_graph(path: Path) -> tuple[tuple[GraphTensor, ...], tuple[GraphTensor, ...]]:
    """The inputs and the outputs of the ONNX graph at ``path``; initializers are no inputs.

    Raises:
        ContractError: the file is no ONNX model.
    """
    import onnx  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(str(path))
    except FileNotFoundError as error:
        # It may be a file of external data that is missing.
        what = "there is no such file" if not path.exists() else str(error)
        raise ContractError(what, where=str(path), fix="mend the path") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        what = f"is no valid ONNX model: {' '.join(str(error).split())[:200]}"
        fix = "export it again"
        if _is_engine(path):
            what, fix = "is an engine of TensorRT, no ONNX model", "give the graph it was built of"
        raise ContractError(what, where=str(path), fix=fix) from error
    weights = {initializer.name for initializer in model.graph.initializer}
    inputs = tuple(_tensor(v) for v in model.graph.input if v.name not in weights)
    return inputs, tuple(_tensor(value) for value in model.graph.output)


def _is_engine(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_ENGINES[0])) in _ENGINES
    except OSError:
        return False


def graph_files(path: Path) -> tuple[Path, ...]:
    """The graph's file and the files of external data that it names, in a fixed order."""
    import onnx  # noqa: PLC0415
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data  # noqa: PLC0415

    initializers = onnx.load(path, load_external_data=False).graph.initializer
    names = {ExternalDataInfo(i).location for i in initializers if uses_external_data(i)}
    return (path, *(path.parent / name for name in sorted(names)))


def _tensor(value: Any) -> GraphTensor:  # noqa: ANN401
    import onnx  # noqa: PLC0415

    if not value.type.HasField("tensor_type"):
        what = "is a sequence, map or optional"
        raise ContractError(what, where=value.name, fix="give the graph tensors only")
    tensor_type = value.type.tensor_type
    return GraphTensor(
        name=value.name,
        dtype=onnx.helper.tensor_dtype_to_np_dtype(tensor_type.elem_type).name,
        shape=tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in tensor_type.shape.dim
        ),
    )


def check_contract(pipeline: Pipeline, name: str, path: Path) -> None:
    """Check every input and output of the graph at ``path`` against the component ``name``.

    Names must be the same sets; dtypes and ranks equal; a declared number must be that number or
    dynamic; a declared range must be dynamic, since a frozen axis runs at one size only.

    Raises:
        ContractError: naming the tensor, what the graph has and what is declared.
    """
    component = pipeline.components[name]
    inputs, outputs = read_graph(path)
    _check_group(pipeline, f"{name}.inputs", path, inputs, component.inputs)
    _check_group(pipeline, f"{name}.outputs", path, outputs, component.outputs)


def check_sizes(pipeline: Pipeline, name: str, path: Path) -> None:
    """Check the sizes of the outputs of the graph at ``path`` at the profile's min, opt and max.

    They are inferred from those of the inputs, without running the graph. What cannot be told so
    passes: it depends on the numbers that are fed, or on an operator that ONNX does not know.

    Raises:
        ContractError: naming the output, what the graph gives and what is declared.
    """
    component = pipeline.components[name]
    for point in PROFILE_POINTS:
        sizes = pipeline.profile(point)
        inputs = {i: tensor.concrete_shape(sizes) for i, tensor in component.inputs.items()}
        known = _output_shapes(path, inputs)
        for output, tensor in component.outputs.items():
            declared = tensor.concrete_shape(sizes)
            if known.get(output, declared) != declared:
                what = (
                    f"the graph of {path.name} gives {list(known[output])} at the profile's "
                    f"{point}, declared is {list(declared)} at {sizes}"
                )
                where = f"{pipeline.manifest}: components.{name}.outputs.{output}"
                raise ContractError(what, where=where, fix="make the two the same")


def _output_shapes(path: Path, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
    import onnx  # noqa: PLC0415

    try:
        model = onnx.load(path, load_external_data=False)
        fix_shapes(model, inputs)
        forget_weights(model, path.parent)
        _, known = infer_shapes(model, {value.name for value in model.graph.output})
    except Exception:  # noqa: BLE001  # whatever runs the graph will tell what is wrong with it
        return {}
    return known


def _check_group(
    pipeline: Pipeline,
    key: str,
    path: Path,
    actual: tuple[GraphTensor, ...],
    declared: Mapping[str, Tensor],
) -> None:
    where = f"{path.name} against {pipeline.manifest}: components.{key}"
    names = {tensor.name for tensor in actual}
    extra, missing = sorted(names - set(declared)), sorted(set(declared) - names)
    if extra:
        what = f"the graph has {', '.join(map(repr, extra))}, which is not declared"
        fix = (
            "freeze it inside the module, or declare it"
            if key.endswith("inputs")
            else "declare it, or do not return it"
        )
        raise ContractError(what, where=where, fix=f"{fix}; declared are {', '.join(declared)}")
    if missing:
        what = f"the graph has no {', '.join(map(repr, missing))}"
        fix = f"rename it or mend the declaration; the graph has {', '.join(sorted(names))}"
        raise ContractError(what, where=where, fix=fix)
    for tensor in actual:
        _check_tensor(pipeline, f"{where}.{tensor.name}", tensor, declared[tensor.name])


def _check_tensor(pipeline: Pipeline, where: str, actual: GraphTensor, declared: Tensor) -> None:
    if actual.dtype != declared.dtype:
        what = f"the graph has {actual.dtype}, declared is {declared.dtype}"
        raise ContractError(what, where=where, fix="make the two the same")
    if len(actual.shape) != len(declared.shape):
        what = f"the graph has rank {len(actual.shape)}, declared is {list(declared.shape)}"
        raise ContractError(what, where=where, fix="make the two the same")
    smallest, largest = pipeline.profile("min"), pipeline.profile("max")
    for axis, (size, symbol) in enumerate(zip(actual.shape, declared.shape, strict=True)):
        if size is None:
            continue
        if isinstance(symbol, int):
            if size != symbol:
                what = f"axis {axis} is {size} in the graph, declared is {symbol}"
                raise ContractError(what, where=where, fix="make the two the same")
        elif not smallest[symbol] == size == largest[symbol]:
            what = (
                f"axis {axis} is frozen at {size} in the graph, but {symbol} ranges over "
                f"{smallest[symbol]} to {largest[symbol]}"
            )
            fix = "export it with a dynamic axis, or declare the dimension with min = opt = max"
            raise ContractError(what, where=where, fix=fix)
