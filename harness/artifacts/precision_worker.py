"""Collect a graph's values and rewrite it; called in worker processes by ``precision``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts import graph_precision
from harness.errors import ContractError, HarnessError, ModelError, storage_errors
from harness.files import load_arrays
from harness.pipeline.fingerprint import hash_file
from harness.stats.thresholds import Histogram, clip_range, clip_threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BINS: Final = 2048
# Beneath it a tensor counts as zero; the inverse of much smaller numbers overflows.
_LEAST: Final = 1e-30
# A file of protobuf cannot be larger than 2 GB; weights then go beside it.
_LARGEST_FILE_BYTES: Final = 1_900_000_000


def collect_histograms(request: dict[str, Any]) -> Mapping[str, Any]:
    """Run the graph over a stack of inputs and save the histogram of every real tensor.

    Twice: the first time for the extremes, the second for the counts between them, so that only
    one sample's tensors are held at a time.
    """
    stacks = load_arrays(Path(request["inputs"]))
    augmented = Path(request["histograms"]).with_name("augmented.onnx")
    session, names, multiplied = _open_with_all_outputs(Path(request["graph"]), augmented)
    lowest = dict.fromkeys(names, np.inf)
    highest = dict.fromkeys(names, -np.inf)
    for values in _run(session, names, stacks):
        for name, value in values.items():
            if value.size:
                # Unlike min() and max(), these keep a NaN.
                lowest[name] = float(np.minimum(lowest[name], value.min()))
                highest[name] = float(np.maximum(highest[name], value.max()))
    ranged = [name for name in names if np.isfinite((lowest[name], highest[name])).all()]
    for name in names:
        if name not in ranged and name in multiplied:
            what = f"{name} becomes NaN or infinite on the calibration set"
            fix = "look at the samples, or at the graph in fp32"
            raise ModelError(what, where=request["graph"], fix=fix)
    names = ranged
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}
    for values in _run(session, names, stacks):
        for name in names:
            counts[name] += _count(values[name], max(-lowest[name], highest[name]))
    arrays = {f"counts/{index}": counts[name] for index, name in enumerate(names)}
    extremes = np.array([(lowest[name], highest[name]) for name in names])
    path = Path(request["histograms"])
    with storage_errors(path):
        np.savez_compressed(path, names=np.array(names), extremes=extremes, **arrays)  # type: ignore[arg-type]
    return {}


def _count(value: NDArray[Any], largest: float) -> NDArray[np.int64]:
    scale = BINS / largest if largest > _LEAST else 0.0
    # Many times faster than np.histogram, which is most of a calibration's time.
    bins = (np.abs(value.ravel()) * np.float32(scale)).astype(np.int32)
    np.minimum(bins, BINS - 1, out=bins)
    counts = np.bincount(bins, minlength=BINS).astype(np.int64)
    # Zero is exact in INT8: however many there are, they say nothing of where to clip.
    counts[0] -= value.size - np.count_nonzero(value)
    return counts


def _open_with_all_outputs(path: Path, scratch: Path) -> tuple[Any, list[str], set[str]]:
    """A session of the graph with every tensor as an output, and the names of the real ones.

    The third are the names of those that enter convolutions and matrix products.

    ``scratch`` is written and removed again, and so is what lies beside it.
    """
    import onnx  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    model = onnx.load(path)
    graph_precision.lift_constants(model)
    products = [n for n in model.graph.node if n.op_type in graph_precision.MATRIX_OPS]
    multiplied = {name for node in products for name in node.input[:2]}
    present = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in present:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # As the graph is written: a fused node would hide the tensors between.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with storage_errors(scratch):
        files = _save(model, scratch)
    try:
        session = onnxruntime.InferenceSession(scratch, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        what = f"ONNX Runtime cannot load it: {error}"
        raise ContractError(what, where=str(path), fix="export it again") from error
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    values = (*session.get_inputs(), *session.get_outputs())
    return session, sorted({v.name for v in values if v.type == "tensor(float)"}), multiplied


def _run(session: Any, names: list[str], stacks: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401
    fed = {value.name for value in session.get_inputs()}
    made = [name for name in names if name not in fed]
    for index in range(len(next(iter(stacks.values())))):
        feed = {name: np.asarray(stack[index]) for name, stack in stacks.items()}
        values = dict(zip(made, session.run(made, feed), strict=True)) if made else {}
        yield values | {name: feed[name] for name in names if name in fed}


def convert_component(request: dict[str, Any]) -> Mapping[str, Any]:
    """Rewrite the graph in ``request["precision"]``; gives what the cache keeps of it."""
    import onnx  # noqa: PLC0415

    precision: str = request["precision"]
    model = onnx.load(request["graph"])
    graph_precision.lift_constants(model)
    graph_precision.name_nodes(model)
    kept = graph_precision.index_chain(model)
    try:
        if precision.startswith("int8"):
            graph_precision.check_takes_int8(model)
            with_outputs = precision == "int8-ort"
            ranges = _ranges(request, is_symmetric=not with_outputs)
            model = graph_precision.to_int8(model, ranges, kept, with_outputs=with_outputs)
        if precision.endswith("fp16"):
            kept = graph_precision.sensitive_nodes(model)
            model = graph_precision.to_fp16(model, kept)
        path = Path(request["folder"]) / f"{request['component']}.onnx"
        with storage_errors(path):
            _save(model, path)
        onnx.checker.check_model(path)
    except HarnessError:
        raise
    except Exception as error:
        what = f"cannot be converted to {precision}: {type(error).__name__}: {error}"
        raise ContractError(what, where=request["graph"], fix="measure it in fp32") from error
    return {
        "content_hash": hash_file(path),
        "nodes": asdict(graph_precision.count_nodes(model)),
        "kept_fp32": kept,
    }


def _save(model: Any, path: Path) -> tuple[Path, ...]:  # noqa: ANN401
    """Write the graph, with its weights beside it where they are too large; gives the files."""
    import onnx  # noqa: PLC0415

    if model.ByteSize() < _LARGEST_FILE_BYTES:
        onnx.save(model, path)
        return (path,)
    beside = path.with_name(f"{path.name}.data")
    onnx.save(model, path, save_as_external_data=True, location=beside.name)
    return path, beside


def _ranges(request: dict[str, Any], *, is_symmetric: bool) -> dict[str, tuple[float, float]]:
    clipping = request["clipping"]
    method, percentile = clipping["method"], clipping["percentile"]
    ranges = {}
    with np.load(request["histograms"]) as file:
        for index, name in enumerate(file["names"]):
            low, high = file["extremes"][index]
            counts = file[f"counts/{index}"]
            if not counts.any():
                ranges[str(name)] = (0.0, 0.0)
                continue
            histogram = Histogram(counts, float(low), float(high))
            if is_symmetric:
                clip = clip_threshold(histogram, method, percentile=percentile)
                ranges[str(name)] = (-clip, clip)
            else:
                ranges[str(name)] = clip_range(histogram, method, percentile=percentile)
    return ranges
