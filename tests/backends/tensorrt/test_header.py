"""What an engine file says of itself before any TensorRT is asked."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from harness.backends.gpu import has_gpu
from harness.backends.tensorrt.header import EngineHeader, check_header, read_header
from harness.backends.tensorrt.library import TENSORRT, TENSORRT_RTX, Library
from harness.backends.tensorrt.open import open_engine
from harness.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


def _header(letters: bytes, version: tuple[int, ...], size_bytes: int = 64) -> bytes:
    head = letters + bytes(12) + struct.pack("<Q", size_bytes) + bytes(version)
    return head.ljust(64, b"\0")


def test_an_engine_of_rtx_names_the_library_that_made_it(rtx_engine: Path, rtx: Library) -> None:
    header = read_header(rtx_engine)

    assert header.library == TENSORRT_RTX
    assert ".".join(map(str, header.version)) == rtx.version
    assert str(header) == str(rtx)
    check_header(header, rtx.name, rtx.version, rtx_engine)


def test_an_engine_of_tensorrt_is_told_from_one_of_rtx(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(_header(b"ftrt", (8, 5, 3, 1)))

    header = read_header(path)

    assert header == EngineHeader(TENSORRT, (8, 5, 3, 1))
    assert str(header) == "TensorRT 8.5.3.1"


# As TensorRT 8.5.3 writes it: a size less 24 in bytes 16 to 23, four bytes before each number.


def _header_of_8_5(version: tuple[int, int, int, int] = (8, 5, 3, 1), more: int = 100) -> bytes:
    numbers = b"".join(b"\x01\x02\x00\x00" + bytes([number]) for number in version)
    rest = numbers + bytes(more)
    return b"ptrt" + bytes(12) + struct.pack("<Q", len(rest)) + rest


def test_the_numbers_of_8_5_lie_where_8_5_writes_them() -> None:
    content = _header_of_8_5()

    assert [content[place] for place in (28, 33, 38, 43)] == [8, 5, 3, 1]
    assert struct.unpack_from("<Q", content, 16) == (len(content) - 24,)


@pytest.mark.parametrize("more", [100, 0])
def test_an_engine_of_8_5(tmp_path: Path, more: int) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(_header_of_8_5(more=more))

    header = read_header(path)

    assert header == EngineHeader(TENSORRT, (8, 5, 3, 1))
    check_header(header, TENSORRT, "8.5.3.1", path)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (143, "is cut off: 143 bytes of 144"),
        (44, "is cut off: 44 bytes of 144"),
        # That of RTX would be whole.
        (43, "is cut off in its header"),
        (28, "is cut off in its header"),
        (4, "is cut off in its header"),
        (3, "is no TensorRT engine"),
    ],
)
def test_an_engine_of_8_5_that_is_cut_off(tmp_path: Path, kept: int, message: str) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(_header_of_8_5()[:kept])

    with pytest.raises(EngineError) as caught:
        read_header(path)

    assert caught.value.what == message
    assert caught.value.where == str(path)
    assert caught.value.fix


@pytest.mark.parametrize("version", [(8, 5, 2, 2), (8, 6, 1, 6), (8, 4, 3, 1), (8, 5, 3, 2)])
def test_an_engine_of_8_5_that_is_of_another_version(
    tmp_path: Path, version: tuple[int, int, int, int]
) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(_header_of_8_5(version))

    with pytest.raises(EngineError) as caught:
        check_header(read_header(path), TENSORRT, "8.5.3.1", path)

    name = ".".join(map(str, version))
    assert caught.value.what == f"was built by TensorRT {name}, and here is TensorRT 8.5.3.1"


def test_an_engine_of_8_5_is_none_of_rtx(tmp_path: Path, rtx: Library) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(_header_of_8_5())

    with pytest.raises(
        EngineError, match=r"was built by TensorRT 8\.5\.3\.1, and here is"
    ) as caught:
        open_engine(rtx, path)

    assert str(rtx) in caught.value.what


def test_the_name_of_the_file_is_no_matter(rtx_engine: Path) -> None:
    renamed = rtx_engine.rename(rtx_engine.with_suffix(".plan"))

    assert read_header(renamed).library == TENSORRT_RTX


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (1000, "is cut off: 1000 bytes of "),
        (28, "is cut off: 28 bytes of "),
        (27, "is cut off in its header"),
        (4, "is cut off in its header"),
        (3, "is no TensorRT engine"),
        (0, "is no TensorRT engine"),
    ],
)
def test_a_file_that_is_cut_off(rtx_engine: Path, kept: int, message: str) -> None:
    rtx_engine.write_bytes(rtx_engine.read_bytes()[:kept])

    with pytest.raises(EngineError) as caught:
        read_header(rtx_engine)

    assert caught.value.what.startswith(message)
    assert caught.value.where == str(rtx_engine)
    assert caught.value.fix


def test_one_byte_less_is_noticed(rtx_engine: Path) -> None:
    content = rtx_engine.read_bytes()
    rtx_engine.write_bytes(content[:-1])

    with pytest.raises(EngineError, match=f"{len(content) - 1} bytes of {len(content)}"):
        read_header(rtx_engine)


@pytest.mark.parametrize("content", [b"no engine at all" * 10, bytes(100), b"\xff" * 100])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(content)

    with pytest.raises(EngineError) as caught:
        read_header(path)

    assert caught.value.what == "is no TensorRT engine"
    assert caught.value.fix == "name an engine file"


def test_a_graph_whatever_its_name_is(conv: Path, tmp_path: Path) -> None:
    disguised = tmp_path / "conv.engine"
    disguised.write_bytes(conv.read_bytes())
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"???")

    for path in (conv, disguised, damaged):
        with pytest.raises(EngineError, match="it looks like an ONNX graph"):
            read_header(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read: No such file") as caught:
        read_header(tmp_path / "a.engine")

    assert caught.value.where.endswith("a.engine")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read: Is a directory"):
        read_header(tmp_path)


def test_an_engine_of_another_version(rtx_engine: Path, rtx: Library) -> None:
    content = bytearray(rtx_engine.read_bytes())
    content[24:28] = bytes((1, 2, 0, 54))
    rtx_engine.write_bytes(content)

    with pytest.raises(EngineError) as caught:
        open_engine(rtx, rtx_engine)

    assert caught.value.what == f"was built by TensorRT-RTX 1.2.0.54, and here is {rtx}"
    assert caught.value.fix == "build it again here, or install that version"


def test_an_engine_of_the_other_library(rtx_engine: Path) -> None:
    header = read_header(rtx_engine)

    with pytest.raises(EngineError, match=r"was built by TensorRT-RTX .* here is TensorRT 8.5.3.1"):
        check_header(header, TENSORRT, "8.5.3.1", rtx_engine)


@pytest.mark.parametrize("version", ["10.13.3.9", "10.13.3", "10.13.3.9.post12.dev1"])
def test_a_version_may_be_told_shorter_or_longer_than_in_the_file(
    tmp_path: Path, version: str
) -> None:
    check_header(EngineHeader(TENSORRT, (10, 13, 3, 9)), TENSORRT, version, tmp_path)


@pytest.mark.skipif(has_gpu(), reason="it can be opened on some GPUs")
def test_an_engine_that_cannot_run_here_is_refused_with_the_librarys_reason(
    rtx_engine: Path, rtx: Library
) -> None:
    with pytest.raises(EngineError) as caught:
        open_engine(rtx, rtx_engine)

    assert caught.value.what.startswith(f"{rtx} cannot open it: ")
    assert caught.value.where == str(rtx_engine)
    assert caught.value.fix
