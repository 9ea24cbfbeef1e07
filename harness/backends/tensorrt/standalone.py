"""One ONNX file to one engine, and one engine run, without a pipeline around them."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts.contract import read_graph
from harness.artifacts.worker import WorkerPool
from harness.backends.cuda import CudaDevice
from harness.backends.gpu import has_gpu
from harness.backends.tensorrt.engine import OpenEngine, size_bytes
from harness.backends.tensorrt.engines import WORKER, target_device
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.library import AUTO, find_library
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.errors import (
    CalibrationError,
    ContractError,
    EngineError,
    FeatureUnavailableError,
    OptionError,
)
from harness.files import check_writable, save_arrays, written_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.backends.tensorrt.profiles import NetworkTensor, ShapeRange

SUFFIX: Final = ".engine"


class TensorRTConverter:
    """Builds engines of ONNX files.

    Args:
        library: ``tensorrt``, ``tensorrt-rtx``, or ``auto`` for the first that can build here.
        options: what the builder is told.

    Raises:
        OptionError: there is no such library.
        MissingDependencyError: it is not installed.
        FeatureUnavailableError: it needs a GPU, and there is none.
    """

    def __init__(self, library: str = AUTO, options: TensorRTOptions | None = None) -> None:
        self._library = find_library(library, has_gpu=has_gpu())
        self._options = options or TensorRTOptions()

    def convert(
        self,
        graph: str | Path,
        output: str | Path | None = None,
        *,
        profiles: Mapping[str, Sequence[Sequence[int]]] | None = None,
        fp16: bool = False,
        int8: bool = False,
        calibration: Mapping[str, NDArray[Any]] | None = None,
    ) -> Path:
        """Build the engine of ``graph``, in a process of its own, and write it with a sidecar.

        Args:
            graph: the ONNX file; data beside it is found.
            output: where to write, ``NAME.engine``; beside the graph by default. ``NAME.json``
                tells what it is.
            profiles: the min, opt and max shape of every input that is dynamic.
            fp16: let the builder choose fp16, where the library has such a flag.
            int8: let the builder choose INT8, by its calibrator.
            calibration: for ``int8``: by input, a stack of batches in opt shape, [batches, ...].

        Returns:
            The engine's path.

        Raises:
            OptionError: ``output`` is no engine's name.
            ContractError: ``graph`` is no ONNX model, or the profiles do not fit it; nothing was
                built.
            CalibrationError: ``int8`` without data, or data that do not fit.
            FeatureUnavailableError: the library has no such flag or calibrator.
            EngineError: the library cannot build it.
        """
        source = Path(graph)
        target = source.with_suffix(SUFFIX) if output is None else Path(output)
        if target.suffix != SUFFIX:
            what = f"{target.name} is no engine's name"
            fix = f"call it {target.with_suffix(SUFFIX).name}"
            raise OptionError(what, where="output", fix=fix)
        read_graph(source)
        recipe = self._recipe(fp16=fp16, int8=int8)
        if int8 and not calibration:
            what = "int8 by the calibrator needs calibration data"
            raise CalibrationError(what, where=str(source), fix="give calibration={input: stack}")
        _check_points(profiles or {})
        check_writable(target)
        with tempfile.TemporaryDirectory() as folder, WorkerPool() as pool:
            request: dict[str, Any] = {
                "library": self._library.name,
                "component": target.stem,
                "graph": str(source.resolve()),
                "folder": folder,
                "scratch": _subfolder(folder),
                "recipe": asdict(recipe),
                "options": asdict(self._options),
                "profile": {n: [list(s) for s in shapes] for n, shapes in (profiles or {}).items()},
                "calibration_cache": str(Path(folder) / "none"),
            }
            if calibration:
                request["calibration"] = str(Path(folder) / "calibration.npz")
                save_arrays(Path(request["calibration"]), calibration)
            facts = dict(pool.run(WORKER, request, threads=1))
            facts["device"] = target_device()
            with written_whole(target) as scratch:
                shutil.copyfile(Path(folder) / target.name, scratch)
            with written_whole(target.with_suffix(".json")) as scratch:
                scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        return target

    def _recipe(self, *, fp16: bool, int8: bool) -> Recipe:
        for is_wanted, has_it, name in (
            (fp16, self._library.is_weakly_typed, "fp16"),
            (int8, self._library.has_calibrators, "int8"),
        ):
            if is_wanted and not has_it:
                what = f"{self._library} takes {name} from the graph alone"
                fix = f"convert the graph first: harness build PIPELINE --precision {name}"
                raise FeatureUnavailableError(what, where=name, fix=fix)
        strong = not (fp16 or int8) and self._library.has(
            "NetworkDefinitionCreationFlag", "STRONGLY_TYPED"
        )
        return Recipe("graph", "", "graph", fp16=fp16, int8=int8, calibrator=int8, strong=strong)


def _subfolder(folder: str) -> str:
    path = Path(folder) / "scratch"
    path.mkdir()
    return str(path)


def _check_points(profile: Mapping[str, Sequence[Sequence[int]]]) -> None:
    for name, shapes in profile.items():
        if len(shapes) != 3:  # noqa: PLR2004  # min, opt and max
            what = f"{name} has {len(shapes)} shapes"
            raise OptionError(what, where="profiles", fix="give three: min, opt and max")
        if not all(isinstance(size, int) for shape in shapes for size in shape):
            what = f"{name} holds sizes that are no whole numbers"
            raise OptionError(what, where="profiles", fix="give ints")
        for axis, sizes in enumerate(zip(*shapes, strict=False)):
            if list(sizes) != sorted(sizes):
                told = ", ".join(map(str, sizes))
                what = f"axis {axis} is {told} at min, opt and max"
                where = f"profiles: {name}"
                raise ContractError(what, where=where, fix="give min <= opt <= max")


class TensorRTEngine:
    """One engine on the GPU; use it as a context manager, or ``close()`` it.

    Args:
        path: the engine's file. Its header says which library opens it.
        plugins: libraries of the plugins that it holds.

    Raises:
        EngineError: it is no engine, is damaged, or is of another version or GPU.
        FeatureUnavailableError: there is no GPU.
        MissingDependencyError: the library, or PyCUDA, is not installed.
    """

    def __init__(self, path: str | Path, plugins: Sequence[str | Path] = ()) -> None:
        file = Path(path)
        header = read_header(file)
        library = find_library(header.library, has_gpu=has_gpu())
        self._addresses: dict[str, tuple[int, int]] = {}
        self._is_closed = False
        self._device = CudaDevice()
        try:
            self._engine = OpenEngine(library, file, file.stem, tuple(map(str, plugins)))
        except BaseException:
            self._device.close()
            raise

    def __enter__(self) -> TensorRTEngine:  # noqa: PYI034  # typing.Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def inputs(self) -> tuple[NetworkTensor, ...]:
        """The inputs; a dynamic dimension is -1."""
        return self._engine.inputs

    @property
    def outputs(self) -> tuple[NetworkTensor, ...]:
        """The outputs; a dynamic dimension is -1."""
        return self._engine.outputs

    @property
    def profile(self) -> dict[str, ShapeRange]:
        """The shapes that each input was built for."""
        found = self._engine.tensors.items()
        return {name: spec.range for name, spec in found if spec.range is not None}

    def allocate_buffers(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
        """Take device memory for every tensor at the inputs' ``shapes``; what is there is reused.

        Raises:
            EngineError: ``shapes`` is left out and an input is dynamic: a size cannot be told from
                -1; or there is not enough memory.
            InputDataError: the shapes are not those that it was built for.
        """
        if shapes is None:
            dynamic = [tensor.name for tensor in self.inputs if -1 in tensor.shape]
            if dynamic:
                what = f"{', '.join(dynamic)} is dynamic: no buffer has a size yet"
                example = {t.name: self._usual_shape(t) for t in self.inputs}
                fix = f"call allocate_buffers({example}), or infer(), which does"
                raise EngineError(what, where="allocate_buffers()", fix=fix)
            shapes = {tensor.name: tensor.shape for tensor in self.inputs}
        found = self._engine.set_shapes(shapes)
        for name, shape in found.items():
            needed = size_bytes(shape, self._engine.tensors[name].tensor.dtype)
            address, known = self._addresses.get(name, (0, -1))
            if needed > known:
                if address:
                    # Forgotten first: where there is no more memory, it must not pass for ours.
                    del self._addresses[name]
                    self._device.free(address)
                self._addresses[name] = (self._device.allocate(needed), needed)
            self._engine.set_address(name, self._addresses[name][0])

    def _usual_shape(self, tensor: NetworkTensor) -> tuple[int, ...]:
        known = self.profile.get(tensor.name)
        return tensor.shape if known is None else known.opt

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Copy ``inputs`` to the device, run, and copy the outputs back.

        Raises:
            InputDataError: a name, dtype or shape that the engine does not take.
            EngineError: it fails on the device.
        """
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        self.allocate_buffers({name: array.shape for name, array in arrays.items()})
        shapes = self._engine.set_shapes({name: array.shape for name, array in arrays.items()})
        for tensor in self.inputs:
            array = self._engine.check_dtype(tensor, arrays[tensor.name])
            self._device.upload(array, self._addresses[tensor.name][0])
        self._engine.enqueue(self._device.stream_handle)
        self._device.synchronize()
        return {
            tensor.name: self._device.download(
                self._addresses[tensor.name][0], shapes[tensor.name], tensor.dtype
            )
            for tensor in self.outputs
        }

    def close(self) -> None:
        """Free the engine and its memory; a second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._engine.close()
        self._device.close()
        self._addresses.clear()
