"""What TensorRT's calibrator is fed, and what becomes of an error that it would swallow."""

from __future__ import annotations

from dataclasses import asdict
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.tensorrt import builder
from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt.calibrator import Feeder, make_calibrator
from harness.backends.tensorrt.library import TENSORRT, Library
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.backends.tensorrt.profiles import NetworkTensor
from harness.errors import CalibrationError, EngineError, InputDataError
from harness.files import save_arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ["signal", "voiced"]


class IInt8EntropyCalibrator2:
    """As TensorRT has it: it drives what is derived from it, and prints what that raises."""

    def __init__(self) -> None:
        self.is_made = True

    def drive(self, names: list[str]) -> tuple[int, bool]:
        """The number of batches read, and whether the ranges came from the cache."""
        assert self.is_made, "the binding refuses one whose base was not made"
        assert self.get_batch_size() == 1
        cached = self.read_calibration_cache()
        if cached is not None:
            return 0, True
        count = 0
        while True:
            try:
                batch = self.get_batch(names)
            except Exception:  # noqa: BLE001  # as the binding does
                batch = None
            if not batch:
                break
            # One pointer for each binding is read, however long the list is.
            assert len(batch) == len(names)
            assert all(type(address) is int for address in batch)
            count += 1
        self.write_calibration_cache(memoryview(f"ranges of {count}".encode()))
        return count, False


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(libraries, "_loggers", {})
    module = ModuleType("fake_trt")
    module.__version__ = "8.5.3.1"  # type: ignore[attr-defined]
    module.ILogger = IInt8EntropyCalibrator2  # type: ignore[attr-defined]
    module.IInt8EntropyCalibrator2 = IInt8EntropyCalibrator2  # type: ignore[attr-defined]
    return Library(TENSORRT, module)


class Uploads:
    """Addresses by name, and what was last copied there."""

    def __init__(self) -> None:
        self.held: dict[int, NDArray[Any]] = {}
        self.order: list[str] = []

    def __call__(self, name: str, array: NDArray[Any]) -> int:
        address = 1000 + NAMES.index(name)
        self.held[address] = array
        self.order.append(name)
        return address


def _batches(count: int) -> list[Callable[[], dict[str, NDArray[Any]]]]:
    def make(index: int) -> dict[str, NDArray[Any]]:
        # In another order than the bindings are.
        return {
            "voiced": np.array([[True, False]]),
            "signal": np.full((1, 4), index, np.float32),
        }

    return [lambda index=index: make(index) for index in range(count)]  # type: ignore[misc]


def test_a_batch_has_an_address_for_each_name_in_their_order() -> None:
    uploads = Uploads()
    feeder = Feeder(_batches(2), uploads, None)

    assert feeder.next_batch(["voiced", "signal"]) == [1001, 1000]
    assert feeder.next_batch(["signal", "voiced"]) == [1000, 1001]
    assert uploads.order == ["voiced", "signal", "signal", "voiced"]
    assert feeder.next_batch(NAMES) is None
    assert (feeder.count, feeder.error) == (2, None)


def test_batches_are_made_one_at_a_time() -> None:
    uploads = Uploads()
    feeder = Feeder(_batches(3), uploads, None)

    for index in range(3):
        feeder.next_batch(NAMES)
        assert uploads.held[1000].tolist() == [[index] * 4]


def test_a_choice_is_fed_as_bytes() -> None:
    uploads = Uploads()
    Feeder(_batches(1), uploads, None).next_batch(NAMES)

    assert uploads.held[1001].dtype == np.int8
    assert uploads.held[1001].tolist() == [[1, 0]]
    assert uploads.held[1000].dtype == np.float32


def test_what_is_fed_is_contiguous() -> None:
    uploads = Uploads()
    batch = {"signal": np.zeros((4, 6), np.float32).T, "voiced": np.zeros((2, 4), bool)[:, ::2]}
    Feeder([lambda: batch], uploads, None).next_batch(NAMES)

    assert all(array.flags["C_CONTIGUOUS"] for array in uploads.held.values())


def test_a_batch_that_lacks_a_name_is_no_batch() -> None:
    """A short list would be read out of bounds."""
    feeder = Feeder([lambda: {"signal": np.zeros(4, np.float32)}], Uploads(), None)

    assert feeder.next_batch(NAMES) is None
    assert isinstance(feeder.error, KeyError)
    assert "no voiced" in str(feeder.error)
    assert feeder.count == 0


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), EngineError("full")])
def test_an_error_ends_the_data_and_is_kept(error: BaseException) -> None:
    def fail() -> dict[str, NDArray[Any]]:
        raise error

    feeder = Feeder([*_batches(1), fail, *_batches(1)], Uploads(), None)

    assert feeder.next_batch(NAMES) is not None
    assert feeder.next_batch(NAMES) is None
    assert feeder.error is error
    assert feeder.count == 1


def test_an_error_of_the_copy_is_kept() -> None:
    def upload(name: str, array: NDArray[Any]) -> int:
        raise EngineError("the device is out of memory")

    feeder = Feeder(_batches(1), upload, None)

    assert feeder.next_batch(NAMES) is None
    assert isinstance(feeder.error, EngineError)


def test_tensorrt_reads_every_batch_and_writes_its_cache(library: Library) -> None:
    feeder = Feeder(_batches(3), Uploads(), None)

    assert make_calibrator(library, feeder).drive(NAMES) == (3, False)
    assert feeder.cache == b"ranges of 3"
    assert (feeder.count, feeder.was_cached) == (3, False)


def test_with_a_cache_nothing_is_read(library: Library) -> None:
    feeder = Feeder(_batches(3), Uploads(), b"ranges of 3")

    assert make_calibrator(library, feeder).drive(NAMES) == (0, True)
    assert (feeder.count, feeder.was_cached) == (0, True)


# What the build makes of it.


def _build(library: Library, tmp_path: Path, **request: Any) -> Any:
    recipe = Recipe("int8", "calibrator", "fp32", int8=True, calibrator=True)
    more = {"component": "net", "folder": str(tmp_path), "scratch": str(tmp_path), **request}
    more["recipe"] = asdict(recipe)
    return builder._Build(library, recipe, TensorRTOptions(), {}, more)


def test_an_error_while_calibrating_is_raised_even_where_an_engine_was_built(
    library: Library, tmp_path: Path
) -> None:
    def fail() -> dict[str, NDArray[Any]]:
        message = "no such sample"
        raise ValueError(message)

    build = _build(library, tmp_path)
    build._feeder = Feeder([*_batches(1), fail], Uploads(), None)
    make_calibrator(library, build._feeder).drive(NAMES)

    with pytest.raises(CalibrationError) as caught:
        build._check_built(b"an engine")

    assert caught.value.what == "the calibrator failed: ValueError: no such sample"
    assert caught.value.where == "net"
    assert "harness calibrate" in caught.value.fix
    assert not (tmp_path / "calibration.cache").exists(), "these ranges are of half the data"


def test_an_error_of_ours_while_calibrating_comes_back_as_itself(
    library: Library, tmp_path: Path
) -> None:
    error = InputDataError("odd", where="signal", fix="mend it")
    build = _build(library, tmp_path)
    build._feeder = Feeder([], Uploads(), None)
    build._feeder.error = error

    with pytest.raises(InputDataError) as caught:
        build._check_built(None)

    assert caught.value is error


def test_an_engine_that_was_not_built_is_told_with_the_reason_of_the_library(
    library: Library, tmp_path: Path
) -> None:
    build = _build(library, tmp_path)
    library.logger.log(SimpleNamespace(name="ERROR"), "could not find any implementation for x")

    with pytest.raises(EngineError, match="cannot build it: could not find any") as caught:
        build._check_built(None)

    assert caught.value.where == "net"


def test_a_builder_that_runs_out_of_memory(library: Library, tmp_path: Path) -> None:
    build = _build(library, tmp_path)
    library.logger.log(SimpleNamespace(name="ERROR"), "Requested amount of GPU memory (9) ...")

    with pytest.raises(EngineError) as caught:
        build._check_built(None)

    assert caught.value.fix.startswith("free device memory")


@pytest.mark.parametrize("cache", [None, b"known"])
def test_new_ranges_are_kept_and_known_ones_are_not_written_again(
    library: Library, tmp_path: Path, cache: bytes | None
) -> None:
    build = _build(library, tmp_path)
    build._feeder = Feeder(_batches(2), Uploads(), cache)
    make_calibrator(library, build._feeder).drive(NAMES)

    build._check_built(b"an engine")

    kept = tmp_path / "calibration.cache"
    assert (kept.read_bytes() if kept.exists() else None) == (None if cache else b"ranges of 2")


class Device:
    def __init__(self) -> None:
        self.held: dict[int, bytes] = {}
        self.sizes: dict[int, int] = {}

    def allocate(self, size_bytes: int) -> int:
        self.sizes[len(self.sizes) + 1] = size_bytes
        return len(self.sizes)

    def upload(self, array: NDArray[Any], address: int) -> None:
        assert array.nbytes == self.sizes[address]
        self.held[address] = array.tobytes()


def test_the_builder_feeds_a_calibration_set_in_the_types_of_the_network(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8.5 has no whole numbers of 64 bits; a scalar is a batch as well."""
    monkeypatch.setattr(builder, "CudaDevice", Device)
    save_arrays(
        tmp_path / "set.npz",
        {
            "signal": np.arange(8, dtype=np.float32).reshape(2, 1, 4),
            "gain": np.array([0.5, 0.25], np.float32),
            "speaker": np.array([[3], [4]], np.int64),
        },
    )
    build = _build(
        library,
        tmp_path,
        calibration=str(tmp_path / "set.npz"),
        calibration_cache=str(tmp_path / "none"),
    )
    config = SimpleNamespace(set_calibration_profile=lambda profile: None, int8_calibrator=None)
    inputs = [
        NetworkTensor("signal", "float32", (-1, -1)),
        NetworkTensor("gain", "float32", ()),
        NetworkTensor("speaker", "int32", (-1,)),
    ]

    build._calibrate(config, "profile", inputs)
    count, _ = config.int8_calibrator.drive(["speaker", "gain", "signal"])

    assert (count, build._feeder.error) == (2, None)
    device = build._keep[0]
    assert list(device.held.values()) == [
        np.int32(4).tobytes(),
        np.float32(0.25).tobytes(),
        np.arange(4, 8, dtype=np.float32).tobytes(),
    ]
