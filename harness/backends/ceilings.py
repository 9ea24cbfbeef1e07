"""What a GPU was measured to do at best, kept for the next run on the same one."""

from __future__ import annotations

import json
import logging
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from harness.artifacts.keepsakes import keep, keepsake_path
from harness.backends.cublas import MatrixProduct
from harness.errors import HarnessError
from harness.measure.device_clock import QueuedClock
from harness.pipeline.fingerprint import hash_json
from harness.types import Ceilings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.backends.cuda import CudaDevice

logger = logging.getLogger("harness.ceilings")

_VERSION: Final = 1
_SIZE: Final = 8192
_COPY_BYTES: Final = 2 << 30
_REPEATS: Final = 24
_PRECISIONS: Final = ("fp32", "fp16", "int8")


def find_or_measure_ceilings(device: CudaDevice, cache: Cache) -> Ceilings | None:
    """The ceilings of ``device``, from the cache or measured now (about two seconds).

    None, with a warning, where they cannot be measured: nothing else depends on them.
    """
    key = hash_json([_VERSION, device.info.uuid, device.info.driver_cuda])
    path = keepsake_path(cache, "ceilings", key)
    kept = _read(path)
    if kept is not None:
        return kept
    try:
        found = _measure(device)
    except (HarnessError, ValueError, TypeError) as error:
        logger.warning("no ceilings for the roofline: %s", error)
        return None
    keep(path, json.dumps(asdict(found)).encode())
    return found


def _read(path: Path) -> Ceilings | None:
    """What was kept; None where nothing was, or it is damaged."""
    try:
        return Ceilings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _measure(device: CudaDevice) -> Ceilings:
    rates, version = {}, ""
    for precision in _PRECISIONS:
        product = MatrixProduct(device, precision, _SIZE)
        try:
            rates[precision] = product.macs / _median_s(device, product.launch)
            version = product.version
        finally:
            product.close()
    return Ceilings(
        matrix_macs_per_s=rates,
        copy_bytes_per_s=_copy_rate(device),
        source=f"cuBLAS {version}, {_SIZE} x {_SIZE} of random numbers",
        gpu_uuid=device.info.uuid,
    )


def _copy_rate(device: CudaDevice) -> float:
    addresses: list[int] = []
    try:
        addresses.extend(device.allocate(_COPY_BYTES) for _ in range(2))
        target, source = addresses
        spent_s = _median_s(device, lambda: device.queue_copy(target, source, _COPY_BYTES))
    finally:
        for address in addresses:
            device.free(address)
    # Read once, written once.
    return 2 * _COPY_BYTES / spent_s


def _median_s(device: CudaDevice, launch: Callable[[], None]) -> float:
    times_s = QueuedClock(device).time_block([launch] * _REPEATS)
    # The first ones load kernels and raise the clocks.
    return statistics.median(times_s[_REPEATS // 3 :])
