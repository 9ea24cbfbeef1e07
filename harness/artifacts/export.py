"""Export the components of a pipeline to ONNX, each in a process of its own, into the cache."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.contract import check_contract, check_sizes, graph_files
from harness.artifacts.sources import (
    SOURCE_KEY,
    WARNINGS,
    component_facts,
    is_current,
    source_hashes,
)
from harness.errors import OptionError
from harness.pipeline.fingerprint import hash_file, hash_json
from harness.pipeline.unrun import check_factories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.artifacts.cache import Cache, Entry
    from harness.artifacts.worker import WorkerPool
    from harness.pipeline.pipeline import Pipeline
    from harness.types import NodeCounts

logger = logging.getLogger("harness.export")

KIND: Final = "onnx"
DEFAULT_OPSET: Final = 20
OPSETS: Final = (17, 18, 19, 20)
# Raised whenever the exporter's own code changes what it writes.
EXPORTER_VERSION: Final = 6
_KEY_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX graph that has been checked against its component's declaration.

    ``worst_relative_l2`` is its largest difference from PyTorch at the profile's min, opt and max;
    None for a graph that the user gave as ONNX, and for one in another precision. ``nodes`` and
    ``recipe`` tell how such a one was made.
    """

    component: str
    path: Path
    content_hash: str
    weights_hash: str | None
    size_bytes: int
    parameters: int | None
    worst_relative_l2: float | None
    was_cached: bool
    export_s: float
    precision: str = "fp32"
    nodes: NodeCounts | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)


def export_key(pipeline: Pipeline, name: str, opset: int) -> str:
    """The cache key of a component: what it is made from, and the versions of what makes it."""
    return _key(export_source_key(pipeline, name, opset))


def export_source_key(pipeline: Pipeline, name: str, opset: int) -> str:
    """What a component's export is made from: its declaration, the folder's code and weights.

    It is the same in every interpreter.
    """
    declaration = pipeline.declaration
    return hash_json(
        {
            "exporter": EXPORTER_VERSION,
            "name": name,
            "opset": opset,
            "component": component_facts(pipeline.components[name]),
            "dimensions": declaration.model_dump(mode="json")["dimensions"],
            "generator": declaration.generators.synthetic,
            "files": source_hashes(pipeline, name),
        }
    )


def _key(source_key: str) -> str:
    return hash_json({SOURCE_KEY: source_key, "versions": _versions()})


def _versions() -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {**{package: _version(package) for package in _KEY_PACKAGES}, "python": python}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def find_export(pipeline: Pipeline, name: str, cache: Cache, opset: int) -> Entry | None:
    """The component's entry in the cache, if it is there, sound and up to date."""
    entry = cache.find(KIND, export_key(pipeline, name, opset))
    return entry if entry is not None and is_current(pipeline, entry) else None


def export_pipeline(
    pipeline: Pipeline,
    cache: Cache,
    pool: WorkerPool,
    *,
    opset: int = DEFAULT_OPSET,
    workers: int | None = None,
    on_done: Callable[[OnnxModel], None] = lambda _: None,
) -> dict[str, OnnxModel]:
    """Export every component that the cache does not hold; gives all of them, in order.

    The exports run in processes of ``pool``, ``workers`` at a time (one a core by default), and
    the pool is closed if one fails. ``on_done`` is called for each component as it is ready, from
    the thread that saw to it.

    Raises:
        OptionError: an opset that no backend of the harness takes.
        DeclarationError: there is no such factory, or it takes no such argument.
        ModelError, ContractError, VerificationError: a component is wrong; the others' exports
            stay in the cache.
        StorageError: the cache cannot be written.
    """
    check_opset(opset)
    check_factories(pipeline)
    cores = len(os.sched_getaffinity(0))
    workers = max(1, min(workers or cores, len(pipeline.components)))
    threads = max(1, cores // workers)

    def export(name: str) -> OnnxModel:
        model = _export_component(pipeline, name, cache, opset, pool, threads)
        on_done(model)
        return model

    with ThreadPoolExecutor(workers) as executor:
        # The last stages first: they work at the rate of the samples, and take the longest.
        futures = {executor.submit(export, name): name for name in reversed(pipeline.order)}
        try:
            models = {futures[future]: future.result() for future in as_completed(futures)}
        except BaseException:
            for future in futures:
                future.cancel()
            pool.close()
            raise
    return {name: models[name] for name in pipeline.components}


def check_opset(opset: int) -> None:
    """Check that the harness exports at ``opset``.

    Raises:
        OptionError: naming those that it does.
    """
    if opset not in OPSETS:
        what = f"opset {opset} is not supported"
        raise OptionError(what, where="--opset", fix=f"choose one of {', '.join(map(str, OPSETS))}")


def _export_component(
    pipeline: Pipeline, name: str, cache: Cache, opset: int, pool: WorkerPool, threads: int
) -> OnnxModel:
    if pipeline.components[name].onnx is not None:
        return given_model(pipeline, name)
    source_key = export_source_key(pipeline, name, opset)
    request = {
        "pipeline": str(pipeline.root),
        "component": name,
        "opset": opset,
        "threads": threads,
        "verify_threads": len(os.sched_getaffinity(0)),
    }

    def build(folder: Path) -> Mapping[str, Any]:
        info = pool.run(
            "harness.artifacts.export_worker:export_component",
            {**request, "folder": str(folder)},
            threads=threads,
        )
        return {**info, SOURCE_KEY: source_key, "versions": _versions()}

    entry, was_cached = cache.get_or_build(
        KIND,
        _key(source_key),
        f"{pipeline.name}/{name}",
        build,
        is_current=partial(is_current, pipeline),
        is_cancelled=lambda: pool.is_closed,
    )
    for warning in entry.info.get(WARNINGS, ()):
        logger.warning(warning)
    return model_of(name, entry, was_cached=was_cached)


def model_of(name: str, entry: Entry, *, was_cached: bool = True) -> OnnxModel:
    """The component's graph in an entry of the cache."""
    return OnnxModel(
        component=name,
        path=entry.file(f"{name}.onnx"),
        content_hash=entry.info["content_hash"],
        weights_hash=entry.info["weights_hash"],
        size_bytes=entry.size_bytes,
        parameters=entry.info["parameters"],
        worst_relative_l2=entry.info["worst_relative_l2"],
        was_cached=was_cached,
        export_s=0.0 if was_cached else entry.build_s,
    )


def given_model(pipeline: Pipeline, name: str) -> OnnxModel:
    """The graph of a component that is given as ONNX.

    Raises:
        ContractError: it is not what the declaration says.
    """
    path = pipeline.root / (pipeline.components[name].onnx or "")
    check_contract(pipeline, name, path)
    check_sizes(pipeline, name, path)
    files = graph_files(path)
    return OnnxModel(
        component=name,
        path=path,
        content_hash=hash_json([hash_file(file) for file in files]),
        weights_hash=None,
        size_bytes=sum(file.stat().st_size for file in files),
        parameters=None,
        worst_relative_l2=None,
        was_cached=True,
        export_s=0.0,
    )
