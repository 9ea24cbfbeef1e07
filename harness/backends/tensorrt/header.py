"""What the first bytes of an engine file say, without any TensorRT.

The layout is not documented; it was read off engines of TensorRT 8.5.3 and TensorRT-RTX 1.7.1.
Both begin with four letters and hold a size in bytes 16 to 23: RTX that of the whole, 8.5 that of
what follows the first 24. The version's four numbers are bytes 24 to 27 of RTX; in 8.5 each has
four bytes of its own before it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.backends.tensorrt.library import TENSORRT, TENSORRT_RTX
from harness.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class _Layout:
    library: str
    version: tuple[int, int, int, int]
    bytes_before_size: int


_PACKED: Final = (24, 25, 26, 27)
# Seen in 8.5.3, seen in RTX 1.7.1; the second is said to be that of later versions of TensorRT.
_LAYOUTS: Final = {
    b"ptrt": _Layout(TENSORRT, (28, 33, 38, 43), 24),
    b"ftrt": _Layout(TENSORRT, _PACKED, 0),
    b"vtrt": _Layout(TENSORRT_RTX, _PACKED, 0),
}
_HEADER_BYTES: Final = max(max(layout.version) for layout in _LAYOUTS.values()) + 1
# A file of protobuf begins with the key of its first field: ONNX writes ir_version first.
_ONNX_FIRST_BYTE: Final = 0x08


@dataclass(frozen=True)
class EngineHeader:
    """Which library made an engine, of which version."""

    library: str
    version: tuple[int, int, int, int]

    def __str__(self) -> str:
        """For messages: ``TensorRT 8.5.3.1``."""
        name = "TensorRT-RTX" if self.library == TENSORRT_RTX else "TensorRT"
        return f"{name} {'.'.join(map(str, self.version))}"


def read_header(path: Path) -> EngineHeader:
    """The header of the engine file ``path``, checked against its size.

    Raises:
        EngineError: it cannot be read, is no engine, or is cut off.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        size_bytes = path.stat().st_size
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise EngineError(what, where=str(path), fix="name an engine file") from error
    layout = _LAYOUTS.get(head[:4])
    if layout is None:
        what = "is no TensorRT engine"
        fix = "name an engine file"
        if head[:1] == bytes([_ONNX_FIRST_BYTE]) or path.suffix == ".onnx":
            what += "; it looks like an ONNX graph"
            fix = "build it first: harness build, or TensorRTConverter.convert()"
        raise EngineError(what, where=str(path), fix=fix)
    if len(head) <= max(layout.version):
        raise EngineError("is cut off in its header", where=str(path), fix="copy it again")
    (declared_bytes,) = struct.unpack_from("<Q", head, 16)
    whole_bytes = declared_bytes + layout.bytes_before_size
    if whole_bytes > size_bytes:
        what = f"is cut off: {size_bytes} bytes of {whole_bytes}"
        raise EngineError(what, where=str(path), fix="copy or build it again")
    first, second, third, fourth = (head[place] for place in layout.version)
    return EngineHeader(layout.library, (first, second, third, fourth))


def check_header(header: EngineHeader, library: str, version: str, path: Path) -> None:
    """Check that an engine was made by the library that is to open it.

    Raises:
        EngineError: it was made by another one, or by another version.
    """
    ours = tuple(int(part) for part in version.split(".")[:4] if part.isdigit())
    if header.library == library and header.version[: len(ours)] == ours:
        return
    name = "TensorRT-RTX" if library == TENSORRT_RTX else "TensorRT"
    what = f"was built by {header}, and here is {name} {version}"
    fix = "build it again here, or install that version"
    raise EngineError(what, where=str(path), fix=fix)
