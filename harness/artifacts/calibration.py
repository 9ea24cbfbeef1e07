"""A calibration set: what every component of a pipeline is fed, over many samples, in one file.

The file is an ``.npz`` that numpy reads, with a ``manifest.json`` beside the arrays. An array is
called what it is called in ``from = ...``: a free input, or ``component.output``; its first axis
is the sample. The same arrays make the same bytes.
"""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.errors import CalibrationError
from harness.files import check_writable, written_whole
from harness.pipeline.feeds import component_feed, constant_inputs
from harness.pipeline.fingerprint import hash_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.pipeline.declaration import Tensor
    from harness.pipeline.pipeline import Pipeline

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
# Fewer do not show what a network can be fed.
MIN_SAMPLES: Final = 4
# The oldest date that a zip file can hold: the same set makes the same file at any time.
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_AGAIN: Final = "make it again with harness calibrate"
# What numpy, zipfile and json make of a file that is something else, or damaged.
_UNREADABLE: Final = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    KeyError,
    TypeError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class CalibrationSet:
    """The samples of a pipeline, checked against its declaration.

    ``tensors`` holds [samples, ...] arrays by source, each sample in the shape declared, at the
    profile's opt. ``content_hash`` is that of all of them, and ``info`` tells how they were made.
    """

    tensors: Mapping[str, NDArray[Any]]
    content_hash: str
    info: Mapping[str, Any]

    def __repr__(self) -> str:
        """What it holds, without the numbers."""
        size_mb = sum(array.nbytes for array in self.tensors.values()) / 1e6
        held = f"{len(self)} samples of {len(self.tensors)} tensors, {size_mb:.2f} MB"
        return f"<CalibrationSet: {held}, hash {self.content_hash}>"

    def __len__(self) -> int:
        """The number of samples."""
        return len(next(iter(self.tensors.values())))

    def component_inputs(self, pipeline: Pipeline, name: str, index: int) -> dict[str, Any]:
        """What sample ``index`` feeds to the component ``name``: arrays by input, as declared."""
        sizes = pipeline.profile("opt")
        return component_feed(pipeline.components[name], sizes, self.tensors, index)

    def component_hash(self, pipeline: Pipeline, name: str) -> str:
        """The hash of what the component ``name`` is fed, and of nothing else."""
        component = pipeline.components[name]
        arrays = constant_inputs(component, pipeline.profile("opt"))
        sources = {i: t.source for i, t in component.inputs.items() if t.source is not None}
        return hash_arrays(arrays | {i: self.tensors[source] for i, source in sources.items()})


def as_calibrator_input(array: NDArray[Any]) -> NDArray[Any]:
    """``array`` as TensorRT's INT8 calibrators read it: contiguous, and bool as int8."""
    return np.asarray(array, dtype=np.int8 if array.dtype == np.bool_ else array.dtype, order="C")


def required_tensors(pipeline: Pipeline) -> dict[str, Tensor]:
    """The declaration of every tensor that a set of ``pipeline`` holds, by source."""
    found: dict[str, Tensor] = dict(pipeline.declaration.inputs)
    for component in pipeline.components.values():
        found |= {t.source: t for t in component.inputs.values() if t.source is not None}
    return found


def make_set(
    pipeline: Pipeline, tensors: Mapping[str, NDArray[Any]], info: Mapping[str, Any], where: str
) -> CalibrationSet:
    """A set of ``tensors``; those that feed no component are left out.

    Raises:
        CalibrationError: it does not fit the pipeline; the message names the tensor.
    """
    required = required_tensors(pipeline)
    missing = [name for name in required if name not in tensors]
    if missing:
        held = ", ".join(sorted(tensors)) or "nothing"
        what = (
            f"has no {', '.join(map(repr, missing))}, which {pipeline.name} is fed; it has {held}"
        )
        raise CalibrationError(what, where=where, fix=f"{_AGAIN} {pipeline.name}")
    sizes = pipeline.profile("opt")
    counts = {name: len(tensors[name]) if tensors[name].ndim else 0 for name in required}
    if len(set(counts.values())) > 1:
        what = f"its tensors hold different numbers of samples: {counts}"
        raise CalibrationError(what, where=where, fix=_AGAIN)
    count = next(iter(counts.values()))
    if count < MIN_SAMPLES:
        what = f"holds {count} sample{'s' * (count != 1)}, too few to show a range"
        raise CalibrationError(what, where=where, fix=f"give {MIN_SAMPLES} or more")
    for name, declared in required.items():
        _check_tensor(f"{where}: {name}", tensors[name], declared, sizes)
    kept = {name: tensors[name] for name in sorted(required)}
    return CalibrationSet(tensors=kept, content_hash=hash_arrays(kept), info=dict(info))


def _check_tensor(
    where: str, array: NDArray[Any], declared: Tensor, sizes: Mapping[str, int]
) -> None:
    expected = declared.concrete_shape(sizes)
    # Not by name, which is the same for the other byte order.
    if array.dtype != np.dtype(declared.dtype):
        what = f"is {array.dtype.name}, declared is {declared.dtype}"
        fix = "keep bool as bool" if declared.dtype == "bool" else "make the two the same"
        raise CalibrationError(what, where=where, fix=fix)
    if array.shape[1:] != expected:
        what = (
            f"a sample is {list(array.shape[1:])}, the pipeline's is {list(expected)} at the "
            "profile's opt"
        )
        raise CalibrationError(what, where=where, fix=_AGAIN)
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if bad.size:
            what = f"holds NaN or infinity in sample {bad[0]} ({bad.size} of {len(array)} samples)"
            raise CalibrationError(what, where=where, fix="mend what made it")


def save_set(calibration: CalibrationSet, path: Path) -> None:
    """Write the set to ``path``, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    manifest = {
        "format": FORMAT,
        **calibration.info,
        "samples": len(calibration),
        "content_hash": calibration.content_hash,
        "tensors": {name: _describe(array) for name, array in calibration.tensors.items()},
    }
    check_writable(path)
    with written_whole(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        text = json.dumps(manifest, indent=1, sort_keys=True)
        archive.writestr(zipfile.ZipInfo(MANIFEST, _DATE), text)
        for name, array in calibration.tensors.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), content.getvalue())


def _describe(array: NDArray[Any]) -> dict[str, Any]:
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape[1:]),
        "min": array.min().item(),
        "max": array.max().item(),
    }


def load_set(path: Path, pipeline: Pipeline, pipeline_hash: str) -> CalibrationSet:
    """Read a set, and check that it was made for ``pipeline`` as it is now.

    One without a manifest, made by other means, is held against the declaration alone.

    Args:
        path: the file.
        pipeline: what it is to calibrate.
        pipeline_hash: of the pipeline's code, weights and declaration.

    Raises:
        CalibrationError: it is no set, is damaged, or does not fit.
    """
    where = str(path)
    _check_archive(path, pipeline)
    try:
        with np.load(path, allow_pickle=False) as file:
            # What is no array is left out, as if it were not there.
            tensors = {n: a for n in file.files if isinstance(a := file[n], np.ndarray)}
            has_manifest = MANIFEST in file.files
            manifest: Any = json.loads(file[MANIFEST]) if has_manifest else None
    except _UNREADABLE as error:
        what = f"is no calibration set: {error}"
        raise CalibrationError(what, where=where, fix=_AGAIN) from error
    if not has_manifest:
        return make_set(pipeline, tensors, {"kind": "foreign", "file": path.name}, where)
    _check_manifest(manifest, pipeline, pipeline_hash, where)
    content_hash = manifest.pop("content_hash", None)
    for derived in ("format", "samples", "tensors"):
        manifest.pop(derived, None)
    calibration = make_set(pipeline, tensors, manifest, where)
    if content_hash != calibration.content_hash:
        what = "is damaged: its hash is not that of its content"
        raise CalibrationError(what, where=where, fix=_AGAIN)
    return calibration


def _check_archive(path: Path, pipeline: Pipeline) -> None:
    if not path.exists():
        fix = f"make it: harness calibrate {pipeline.name} --out {path}"
        raise CalibrationError("there is no such file", where=str(path), fix=fix)
    if not zipfile.is_zipfile(path):
        raise CalibrationError("is no .npz file, or a damaged one", where=str(path), fix=_AGAIN)


def _check_manifest(manifest: Any, pipeline: Pipeline, pipeline_hash: str, where: str) -> None:  # noqa: ANN401
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        what = f"its {MANIFEST} is not of format {FORMAT}"
        raise CalibrationError(what, where=where, fix=_AGAIN)
    made_for = manifest.get("pipeline")
    if made_for != pipeline.name:
        what = f"is a set of the pipeline {made_for!r}, not of {pipeline.name!r}"
        raise CalibrationError(what, where=where, fix=f"{_AGAIN} {pipeline.name}")
    if manifest.get("pipeline_hash") != pipeline_hash:
        what = f"was made before {pipeline.name}'s code, weights or declaration changed"
        raise CalibrationError(what, where=where, fix=f"{_AGAIN} {pipeline.name}")
