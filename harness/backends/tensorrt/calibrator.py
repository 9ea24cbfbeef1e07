"""TensorRT's own INT8 calibrator, fed from a calibration set (8.5 to 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.artifacts.calibration import as_calibrator_input
from harness.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.backends.tensorrt.library import Library
    from harness.backends.tensorrt.profiles import NetworkTensor, ShapeRange

Batch = dict[str, "NDArray[Any]"]


class Feeder:
    """Gives the calibrator's batches, and keeps what went wrong.

    An exception in a calibrator is taken for the end of the data: it is kept here, and must be
    raised after the build. Every batch has the profile's opt shapes, as 8.5 calibrates at no other.
    """

    def __init__(
        self,
        batches: Sequence[Callable[[], Batch]],
        upload: Callable[[str, NDArray[Any]], int],
        cache: bytes | None,
    ) -> None:
        self._batches = iter(batches)
        self._upload = upload
        self.cache = cache
        self.was_cached = cache is not None
        self.error: BaseException | None = None
        self.count = 0

    def next_batch(self, names: Sequence[str]) -> list[int] | None:
        """The addresses of the next batch, one for each of ``names`` in order; None at the end."""
        try:
            make = next(self._batches, None)
            if make is None:
                return None
            batch = make()
            # One address is read for each binding: a list that is short is read out of bounds.
            self._check(names, batch)
            addresses = [self._upload(n, as_calibrator_input(batch[n])) for n in names]
        except BaseException as error:  # noqa: BLE001  # raised again after the build
            self.error = error
            return None
        self.count += 1
        return addresses

    @staticmethod
    def _check(names: Sequence[str], batch: Mapping[str, Any]) -> None:
        missing = [name for name in names if name not in batch]
        if missing:
            message = f"the calibration set has no {', '.join(missing)}"
            raise KeyError(message)


def check_stacks(
    stacks: Mapping[str, NDArray[Any]],
    inputs: Sequence[NetworkTensor],
    profile: Mapping[str, ShapeRange],
    where: str,
) -> None:
    """Check that every batch is one of the opt shapes, which is all that TensorRT reads.

    Raises:
        CalibrationError: naming the input, and what it should be.
    """
    fix = "make the set again at the profile's opt"
    opt = {t.name: profile[t.name].opt if t.name in profile else t.shape for t in inputs}
    if set(stacks) != set(opt):
        what = f"the data are of {', '.join(stacks)}; the inputs are {', '.join(opt)}"
        raise CalibrationError(what, where=where, fix=fix)
    if len({len(stack) for stack in stacks.values()}) != 1:
        raise CalibrationError("its stacks are of different lengths", where=where, fix=fix)
    for name, stack in stacks.items():
        shape = stack.shape[1:]
        fits = [size in {wanted, -1} for wanted, size in zip(shape, opt[name], strict=False)]
        if len(shape) != len(opt[name]) or not all(fits):
            what = f"{name} is {list(shape)}, opt is {list(opt[name])}"
            raise CalibrationError(what, where=where, fix=fix)
        if stack.dtype.kind == "f" and not np.isfinite(stack).all():
            raise CalibrationError(f"{name} holds NaN or infinity", where=where, fix=fix)


def make_calibrator(library: Library, feeder: Feeder) -> Any:  # noqa: ANN401
    """An ``IInt8EntropyCalibrator2`` that asks ``feeder``; it must outlive the build."""
    base = library.module.IInt8EntropyCalibrator2

    class Calibrator(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Sequence[str]) -> list[int] | None:
            return feeder.next_batch(names)

        def read_calibration_cache(self) -> bytes | None:
            return feeder.cache

        def write_calibration_cache(self, cache: Any) -> None:  # noqa: ANN401
            feeder.cache = bytes(cache)

    return Calibrator()
