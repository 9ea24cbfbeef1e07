"""What PyTorch fp32 makes of given inputs: every component's output, kept in the cache.

It is computed in a process of its own, so that a process that measures need not hold PyTorch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts.opened import noticed_files
from harness.artifacts.sources import (
    OUTSIDE_SOURCES,
    SOURCE_KEY,
    is_current,
    outside_sources,
    pipeline_hash,
)
from harness.backends.torch import TorchBackend
from harness.errors import ModelError
from harness.files import load_arrays, save_arrays
from harness.pipeline.fingerprint import hash_arrays, hash_json
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache, Entry
    from harness.artifacts.export import OnnxModel
    from harness.artifacts.foreign import ForeignCache
    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Session
    from harness.pipeline.pipeline import Pipeline

KIND: Final = "reference"
# Raised whenever what an entry holds changes.
_VERSION: Final = 6

Feed = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Reference:
    """Every tensor of the pipeline: free inputs by name, outputs by ``component.output``.

    Each is a stack, [inputs, ...]. ``weights`` holds the hash of each component's weights, to be
    held against the export's, and ``torch_version`` tells what computed it.
    """

    tensors: dict[str, NDArray[Any]]
    weights: dict[str, str]
    torch_version: str = ""

    def __len__(self) -> int:
        """The number of inputs."""
        return len(next(iter(self.tensors.values())))


def reference_source_key(pipeline: Pipeline, inputs: Mapping[str, NDArray[Any]]) -> str:
    """What a reference is made from: the pipeline's code and declaration, and the inputs."""
    return hash_json(
        {
            "version": _VERSION,
            "pipeline": pipeline_hash(pipeline),
            "inputs": hash_arrays(inputs),
        }
    )


def why_no_reference(pipeline: Pipeline, foreign: ForeignCache | None = None) -> str:
    """Why there can be no reference here; empty where there can.

    With ``foreign`` that is not known before it is looked into: see :func:`seek_reference`.
    """
    given = [name for name, component in pipeline.components.items() if component.onnx]
    if given:
        return f"{given[0]} is an ONNX file, not a PyTorch module"
    if foreign is None and not has_torch():
        return "PyTorch is not installed"
    return ""


def has_torch() -> bool:
    """Whether PyTorch is installed here; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def seek_reference(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    feeds: Sequence[Feed],
    cache: Cache,
    pool: WorkerPool,
    *,
    threads: int,
    foreign: ForeignCache | None,
) -> Reference | None:
    """The newest one that ``foreign`` holds, else one that is made here; None without PyTorch."""
    if foreign is not None:
        inputs = _stacked(feeds)
        # Whatever PyTorch and however many threads made it: it is another rounding of the same
        # sums, and better than no reference.
        key = reference_source_key(pipeline, inputs)
        entry = foreign.find_newest(KIND, pipeline, _label(pipeline), key)
        if entry is not None:
            return _reference_of(entry, inputs)
        if not has_torch():
            return None
    return find_or_make_reference(pipeline, sizes, feeds, cache, pool, threads=threads)


def find_or_make_reference(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    feeds: Sequence[Feed],
    cache: Cache,
    pool: WorkerPool,
    *,
    threads: int,
) -> Reference:
    """The reference for each of ``feeds``, from the cache or from a PyTorch process of ``pool``."""
    inputs = _stacked(feeds)
    # The threads are part of the key because sums that are split otherwise are rounded otherwise.
    origin = {
        SOURCE_KEY: reference_source_key(pipeline, inputs),
        "torch": importlib.metadata.version("torch"),
        "threads": threads,
    }

    def build(folder: Path) -> Mapping[str, Any]:
        save_arrays(folder / "inputs.npz", inputs)
        request = {
            "pipeline": str(pipeline.root),
            "folder": str(folder),
            "sizes": dict(sizes),
            "threads": threads,
        }
        made = pool.run("harness.reference:compute_reference", request, threads=threads)
        return {**made, **origin}

    entry, _ = cache.get_or_build(
        KIND,
        hash_json(origin),
        _label(pipeline),
        build,
        is_current=partial(is_current, pipeline),
        is_cancelled=lambda: pool.is_closed,
    )
    return _reference_of(entry, inputs)


def _label(pipeline: Pipeline) -> str:
    return f"{pipeline.name}/reference"


def _stacked(feeds: Sequence[Feed]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}


def _reference_of(entry: Entry, inputs: Mapping[str, NDArray[Any]]) -> Reference:
    tensors = {**inputs, **load_arrays(entry.file("outputs.npz"))}
    return Reference(tensors, dict(entry.info["weights"]), entry.info["torch"])


def compute_reference(request: dict[str, Any]) -> Mapping[str, Any]:
    """Run the pipeline in PyTorch and save every output; called in a worker process."""
    pipeline = load_pipeline(Path(request["pipeline"]))
    folder = Path(request["folder"])
    inputs = load_arrays(folder / "inputs.npz")
    with noticed_files(pipeline.root) as opened:
        session = TorchBackend(threads=request["threads"]).open(pipeline, {})
    outputs = run_stack(pipeline, session, request["sizes"], inputs)
    save_arrays(folder / "outputs.npz", outputs)
    outside = outside_sources(pipeline, pipeline.components, opened.paths())
    return {OUTSIDE_SOURCES: outside, "weights": session.weights()}


def run_stack(
    pipeline: Pipeline,
    session: Session,
    sizes: Mapping[str, int],
    inputs: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Every output of ``session``'s components for a stack of free inputs, stacked as they are."""
    rows: dict[str, list[NDArray[Any]]] = {}
    for index in range(len(next(iter(inputs.values())))):
        session.bind(sizes, {name: np.asarray(stack[index]) for name, stack in inputs.items()})
        session.launch_pipeline()
        for name, component in pipeline.components.items():
            for output in component.outputs:
                rows.setdefault(f"{name}.{output}", []).append(session.read(name, output))
    return {name: np.stack(row) for name, row in rows.items()}


def check_same_weights(reference: Reference, models: Mapping[str, OnnxModel], where: str) -> None:
    """Check that each graph was exported from the very weights that made the reference.

    Raises:
        ModelError: a factory makes other weights each time, so no comparison means anything.
    """
    for name, model in models.items():
        if model.weights_hash is not None and model.weights_hash != reference.weights[name]:
            what = "the factory makes different weights each time"
            fix = "seed it, or give the component weights"
            raise ModelError(what, where=f"{where}: components.{name}.factory", fix=fix)
