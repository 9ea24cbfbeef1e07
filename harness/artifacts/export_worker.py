"""Export and verify one component; called in a worker process by ``harness.artifacts.export``.

One process a component: an exporter that traced one model before can freeze an axis of the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.adapt import every_node
from harness.artifacts.contract import check_contract
from harness.artifacts.graph_order import captured_by
from harness.artifacts.opened import noticed_files
from harness.artifacts.sources import OUTSIDE_SOURCES, WARNINGS, outside_sources
from harness.errors import ModelError, VerificationError, missing_dependency, storage_errors
from harness.pipeline import expressions
from harness.pipeline.declaration import Dimension
from harness.pipeline.fingerprint import hash_file
from harness.pipeline.loader import load_pipeline
from harness.pipeline.modules import build_module, check_module, hash_weights, import_torch
from harness.pipeline.pipeline import PROFILE_POINTS
from harness.pipeline.signature import misspelt_inputs
from harness.stats.accuracy import relative_l2

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from harness.pipeline.declaration import Component, Tensor
    from harness.pipeline.pipeline import Pipeline

MAX_RELATIVE_L2: Final = 1e-4
_MESSAGE_LENGTH: Final = 400


def export_component(request: dict[str, Any]) -> Mapping[str, Any]:
    """Export one component into ``request["folder"]``; gives what the cache keeps of it."""
    torch = import_torch("the export")
    _require_onnxscript()
    torch.set_num_threads(request["threads"])
    pipeline = load_pipeline(Path(request["pipeline"]))
    name: str = request["component"]
    path = Path(request["folder"]) / f"{name}.onnx"
    with noticed_files(pipeline.root) as opened:
        module = build_module(pipeline, name)
    _export(pipeline, name, module, path, request["opset"])
    check_contract(pipeline, name, path)
    _check_used(pipeline, name, path)
    # By far the longest part of a large component, and often the last one of all.
    torch.set_num_threads(request["verify_threads"])
    return {
        "content_hash": hash_file(path),
        "weights_hash": hash_weights(module),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "worst_relative_l2": _verify(pipeline, name, module, path, request["verify_threads"]),
        OUTSIDE_SOURCES: outside_sources(pipeline, [name], opened.paths()),
        "opset": request["opset"],
        WARNINGS: misspelt_inputs(pipeline, name, module),
    }


def _check_used(pipeline: Pipeline, name: str, path: Path) -> None:
    """An input that forward() ignores is left over: a backend may drop it from what it builds."""
    import onnx  # noqa: PLC0415

    graph = onnx.load(path, load_external_data=False).graph
    used = {name for node in graph.node for name in node.input}
    used |= {output.name for output in graph.output} | captured_by(graph)
    unused = [i for i in pipeline.components[name].inputs if i not in used]
    if unused:
        where = f"{pipeline.manifest}: components.{name}.inputs.{unused[0]}"
        what = f"forward() does not use {', '.join(map(repr, unused))}"
        raise ModelError(what, where=where, fix="remove it here, and let forward() do without it")


def _require_onnxscript() -> None:
    try:
        import onnxscript  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise missing_dependency("onnxscript", "export", "the export") from error


def _export(pipeline: Pipeline, name: str, module: torch.nn.Module, path: Path, opset: int) -> None:
    torch = import_torch("the export")
    import onnx  # noqa: PLC0415

    component = pipeline.components[name]
    where = f"{pipeline.manifest}: components.{name}"
    arguments = check_module(pipeline, name, module, _tracing_sizes(pipeline)).arguments
    try:
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            opset_version=opset,
            input_names=list(component.inputs),
            output_names=list(component.outputs),
            dynamic_shapes=_dynamic_shapes(pipeline, name),
            external_data=False,
            verbose=False,
        )
    except Exception as error:
        what = f"torch.onnx.export failed: {_root_cause(error)}"
        fix = "make forward() exportable with every declared dimension dynamic"
        raise ModelError(what, where=where, fix=fix) from error
    model = program.model_proto
    _check_opset(model, opset, where)
    _name_dimensions(model, component)
    _forget_source(model)
    with storage_errors(path):
        onnx.save_model(model, path)


def _check_opset(model: Any, opset: int, where: str) -> None:  # noqa: ANN401
    """The exporter keeps another opset without a word where it cannot convert to the one asked."""
    actual = {entry.domain: entry.version for entry in model.opset_import}.get("")
    if actual != opset:
        what = f"torch.onnx.export gave opset {actual} where {opset} was asked for"
        fix = f"use --opset {actual}, or avoid what cannot be converted (padding, chunk, mean)"
        raise ModelError(what, where=where, fix=fix)


def _name_dimensions(model: Any, component: Component) -> None:  # noqa: ANN401
    """Call the dynamic axes of inputs and outputs what the declaration calls them."""
    declared: dict[str, Tensor] = {**component.inputs, **component.outputs}
    for value in (*model.graph.input, *model.graph.output):
        tensor = declared.get(value.name)
        axes = value.type.tensor_type.shape.dim
        if tensor is not None and len(axes) == len(tensor.shape):
            for axis, symbol in zip(axes, tensor.shape, strict=True):
                if isinstance(symbol, str) and not axis.HasField("dim_value"):
                    axis.dim_param = symbol


def _forget_source(model: Any) -> None:  # noqa: ANN401
    """Take out which lines of which files the nodes come from.

    So that the same program is the same graph, and the same engine, wherever a checkout lies and
    whatever comment was added to it.
    """
    del model.graph.metadata_props[:]
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    held = [*values, *model.graph.initializer, *model.functions]
    held += [node for graph in (model.graph, *model.functions) for node in every_node(graph)]
    for one in held:
        del one.metadata_props[:]


def _root_cause(error: BaseException) -> str:
    """The exporter wraps what went wrong in several layers of advice; this is the innermost."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error)[:_MESSAGE_LENGTH]}"


def _tracing_sizes(pipeline: Pipeline) -> dict[str, int]:
    """The opt sizes, but no dynamic dimension at 1: torch.export takes 0 and 1 for constants."""
    base = {
        name: min(max(dimension.opt, 2), dimension.max)
        for name, dimension in pipeline.declaration.dimensions.items()
        if isinstance(dimension, Dimension)
    }
    derived = {
        name: int(expressions.evaluate(expression, base))
        for name, expression in pipeline.declaration.dimensions.items()
        if isinstance(expression, str)
    }
    return base | derived


def _dynamic_shapes(pipeline: Pipeline, name: str) -> tuple[dict[int, Any], ...]:
    from torch.export import Dim  # noqa: PLC0415

    declared = pipeline.declaration.dimensions
    symbols: dict[str, Any] = {}
    for symbol, dimension in declared.items():
        if isinstance(dimension, Dimension) and dimension.min < dimension.max:
            symbols[symbol] = Dim(symbol, min=dimension.min, max=dimension.max)
    for symbol, expression in declared.items():
        if isinstance(expression, str) and expressions.symbols_of(expression) <= set(symbols):
            symbols[symbol] = expressions.evaluate(expression, symbols)
    return tuple(
        {
            axis: symbols[size]
            for axis, size in enumerate(tensor.shape)
            if isinstance(size, str) and size in symbols
        }
        for tensor in pipeline.components[name].inputs.values()
    )


def _check_finite(reference: torch.Tensor, where: str) -> None:
    if not bool(reference.isfinite().all()):
        what = "PyTorch's own output holds NaN or infinity, which nothing can be compared with"
        fix = "look at the weights and at what the generator feeds"
        raise ModelError(what, where=where, fix=fix)


def _verify(
    pipeline: Pipeline, name: str, module: torch.nn.Module, path: Path, threads: int
) -> float:
    """The largest relative L2 difference of ONNX Runtime from PyTorch over the profile."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    component = pipeline.components[name]
    worst = 0.0
    for point in PROFILE_POINTS:
        run = check_module(pipeline, name, module, pipeline.profile(point))
        feeds = {i: value.numpy() for i, value in zip(component.inputs, run.arguments, strict=True)}
        actual = session.run(list(component.outputs), feeds)
        for output, reference, value in zip(component.outputs, run.outputs, actual, strict=True):
            _check_finite(reference, f"{pipeline.manifest}: components.{name}.outputs.{output}")
            error = relative_l2(reference.numpy(), value)
            if not error <= MAX_RELATIVE_L2:
                what = (
                    f"ONNX differs from PyTorch by {error:.2e} (relative L2) at the profile's "
                    f"{point}; at most {MAX_RELATIVE_L2:.0e} is allowed"
                )
                where = f"{pipeline.name}: {name}.{output}"
                fix = "look for data-dependent control flow or random numbers in forward()"
                raise VerificationError(what, where=where, fix=fix)
            worst = max(worst, error)
    return worst
