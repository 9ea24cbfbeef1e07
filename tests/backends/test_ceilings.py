"""What a GPU does at best, on a device and a cuBLAS in memory."""

from __future__ import annotations

import ctypes
import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.cache import Cache
from harness.backends import ceilings, cublas
from harness.backends.ceilings import find_or_measure_ceilings
from harness.backends.cublas import MatrixProduct
from harness.errors import EngineError, FeatureUnavailableError
from tests.backends.tensorrt.fakes import STEP_S, FakeDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.types import Ceilings

SIZE, COPY_BYTES = 16, 1 << 12
# By the type of the inputs in cuBLAS: fp32, fp16, int8. Steps of the device for one product.
STEPS = {0: 8, 2: 2, 3: 1}
# An event is one step, so that an interval holds one more than its work.
MACS_PER_S = {
    name: pytest.approx(SIZE**3 / ((steps + 1) * STEP_S))
    for name, steps in zip(("fp32", "fp16", "int8"), STEPS.values(), strict=True)
}


class FakeCublas:
    """Notes its products and queues as many steps of the device as each takes."""

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.products: list[tuple[Any, ...]] = []
        self.opened = self.closed = 0
        self.statuses: dict[str, int] = {}

    def cublasCreate_v2(self, handle: Any) -> int:  # noqa: N802
        self.opened += 1
        handle._obj.value = 0xC0
        return self.statuses.get("create", 0)

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:  # noqa: N802
        assert (handle.value, stream.value) == (0xC0, self.device.stream_handle)
        return self.statuses.get("stream", 0)

    def cublasGemmEx(self, handle: Any, *arguments: Any) -> int:  # noqa: N802
        assert handle.value == 0xC0
        self.products.append(arguments)
        for _ in range(STEPS[arguments[7]]):
            self.device.submit(lambda: None)
        return self.statuses.get("product", 0)

    def cublasDestroy_v2(self, handle: Any) -> int:  # noqa: N802
        self.closed += 1
        return 0


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "_SIZE", SIZE)
    monkeypatch.setattr(ceilings, "_COPY_BYTES", COPY_BYTES)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[FakeDevice, FakeCublas]]:
    """A device, by its uuid, and the cuBLAS that is then the one that is found."""

    def call(uuid: str = "GPU-0", **options: Any) -> tuple[FakeDevice, FakeCublas]:
        device = FakeDevice(**options)
        device.info = SimpleNamespace(**{**vars(FakeDevice.info), "uuid": uuid})
        library = FakeCublas(device)
        monkeypatch.setattr(cublas, "_load", lambda: (library, "11.11.3"))
        return device, library

    return call


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def _find(device: FakeDevice, cache: Cache) -> Ceilings | None:
    return find_or_measure_ceilings(device, cache)  # type: ignore[arg-type]


def _product(device: FakeDevice, precision: str) -> MatrixProduct:
    return MatrixProduct(device, precision, SIZE)  # type: ignore[arg-type]


def test_ceilings_are_the_work_over_the_devices_own_time(
    make: Callable[..., tuple[FakeDevice, FakeCublas]], cache: Cache
) -> None:
    device, library = make()

    found = _find(device, cache)

    assert found is not None
    assert found.matrix_macs_per_s == MACS_PER_S
    # Read once and written once, in one step and that of an event.
    assert found.copy_bytes_per_s == pytest.approx(2 * COPY_BYTES / (2 * STEP_S))
    assert found.source == "cuBLAS 11.11.3, 16 x 16 of random numbers"
    assert found.gpu_uuid == "GPU-0"
    assert device.memory == {}
    assert library.opened == library.closed == 3


def test_ceilings_are_measured_once_for_each_gpu(
    make: Callable[..., tuple[FakeDevice, FakeCublas]], cache: Cache
) -> None:
    found, counts = [], []
    for uuid in ("GPU-0", "GPU-0", "GPU-1", "GPU-0", "GPU-1"):
        device, library = make(uuid)
        found.append(_find(device, cache))
        counts.append(len(library.products))

    first, again, other, *_ = found
    assert first is not None
    assert other is not None
    assert first == again == found[3]
    assert other == found[4]
    assert (first.gpu_uuid, other.gpu_uuid) == ("GPU-0", "GPU-1")
    assert [count > 0 for count in counts] == [True, False, True, False, False]
    assert len(list((cache.root / "keep").iterdir())) == 2


def test_what_was_kept_and_is_damaged_is_measured_again(
    make: Callable[..., tuple[FakeDevice, FakeCublas]], cache: Cache
) -> None:
    first = _find(make()[0], cache)
    (kept,) = (cache.root / "keep").iterdir()
    sound = kept.read_bytes()

    for content in (b"", b"{", b"[]", b"null", b'{"gpu_uuid": "GPU-0"}', b"\xff"):
        kept.write_bytes(content)
        device, library = make()
        assert _find(device, cache) == first
        assert library.products
        assert kept.read_bytes() == sound
    assert json.loads(sound)["gpu_uuid"] == "GPU-0"


@pytest.mark.parametrize("failure", ["create", "stream", "product"])
def test_a_failure_is_no_more_than_a_warning(
    make: Callable[..., tuple[FakeDevice, FakeCublas]],
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
    failure: str,
) -> None:
    device, library = make()
    library.statuses[failure] = 14

    with caplog.at_level(logging.WARNING):
        assert _find(device, cache) is None

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no ceilings for the roofline: ceilings: cuBLAS answers status 14" in caplog.text
    assert device.memory == {}, "what follows is measured on the same device"
    assert library.opened == library.closed == 1
    # It is not kept: the next run may have more luck.
    device, _ = make()
    assert _find(device, cache) is not None


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.5])
def test_a_device_whose_memory_is_full(
    make: Callable[..., tuple[FakeDevice, FakeCublas]],
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
    factor: float,
) -> None:
    """Full before the first matrix, before the second, before the third."""
    device, library = make(capacity_bytes=int(factor * SIZE * SIZE * 4))

    assert _find(device, cache) is None

    assert "the device is out of memory" in caplog.text
    assert device.memory == {}
    assert library.opened == library.closed == 0


def test_a_device_that_holds_the_matrices_and_one_half_of_the_copy(
    make: Callable[..., tuple[FakeDevice, FakeCublas]],
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, library = make(capacity_bytes=COPY_BYTES + 1)

    assert _find(device, cache) is None

    assert library.closed == 3
    assert "the device is out of memory" in caplog.text
    assert device.memory == {}


def test_without_cublas_there_are_no_ceilings(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)

    with pytest.raises(FeatureUnavailableError, match=r"there is no cuBLAS .*libcublas\.so\.11"):
        _product(FakeDevice(), "fp32")
    assert _find(FakeDevice(), cache) is None
    assert "install nvidia-cublas" in caplog.text


def test_the_newest_cublas_that_is_there_is_taken_and_tells_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Library:
        def cublasGetProperty(self, part: int, value: Any) -> int:  # noqa: N802
            value._obj.value = (12, 9, 1)[part]
            return 0

    def load(name: str) -> Library:
        asked.append(name)
        if name == "libcublas.so.13":
            raise OSError(name)
        return Library()

    monkeypatch.setattr(ctypes, "CDLL", load)

    assert cublas._load()[1] == "12.9.1"
    assert asked == ["libcublas.so.13", "libcublas.so.12"]


@pytest.mark.parametrize(
    ("precision", "compute", "kinds", "dtypes", "one"),
    [
        ("fp32", 68, (0, 0), ("float32", "float32"), ctypes.c_float),
        ("fp16", 68, (2, 2), ("float16", "float16"), ctypes.c_float),
        ("int8", 72, (3, 10), ("int8", "int32"), ctypes.c_int32),
    ],
)
def test_a_product_is_of_random_numbers_and_accumulates_in_32_bits(
    make: Callable[..., tuple[FakeDevice, FakeCublas]],
    precision: str,
    compute: int,
    kinds: tuple[int, int],
    dtypes: tuple[str, str],
    one: type,
) -> None:
    device, library = make()
    product = _product(device, precision)

    product.launch()

    (arguments,) = library.products
    assert arguments[:5] == (1, 0, SIZE, SIZE, SIZE)
    assert isinstance(arguments[5]._obj, one)
    assert (arguments[5]._obj.value, arguments[12]._obj.value) == (1, 0)
    sources = [arguments[place].value for place in (6, 9)]
    target = arguments[13].value
    assert (arguments[7], arguments[10], arguments[14]) == (kinds[0], kinds[0], kinds[1])
    assert (arguments[8], arguments[11], arguments[15]) == (SIZE, SIZE, SIZE)
    assert arguments[16:] == (compute, -1)
    assert product.macs == SIZE**3
    for source in sources:
        array = device.load(source, (SIZE, SIZE), dtypes[0])
        assert len(set(array.ravel().tolist())) > SIZE
        # No sum of products leaves fp16's range.
        assert precision == "int8" or abs(array).max() <= SIZE**-0.5
    assert len(device.memory[target]) == SIZE * SIZE * (2 if precision == "fp16" else 4)
    product.close()
    assert device.memory == {}


def test_a_product_that_is_refused_is_an_error(
    make: Callable[..., tuple[FakeDevice, FakeCublas]],
) -> None:
    device, library = make()
    product = _product(device, "fp32")
    library.statuses["product"] = 15

    with pytest.raises(EngineError, match="cuBLAS answers status 15"):
        product.launch()
