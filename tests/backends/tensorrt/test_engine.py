"""One engine without a pipeline around it, on a device and a TensorRT in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.gpu import has_gpu
from harness.backends.tensorrt import standalone
from harness.backends.tensorrt.profiles import NetworkTensor, ShapeRange
from harness.backends.tensorrt.standalone import TensorRTEngine
from harness.errors import EngineError, FeatureUnavailableError, InputDataError
from tests.backends.tensorrt.fakes import ENCODER, WEIGHTS, FakeDevice, make_library, write_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.tensorrt.fakes import Program

GAIN = np.array(0.5, np.float32)
# The encoder for one size alone.
FIXED = replace(
    ENCODER,
    inputs={
        "signal": ("float32", [1, 32], [[1, 32]] * 3),
        "gain": ("float32", [], [[]] * 3),
    },
    outputs={"features": ("float32", [1, 8, 6])},
)


@pytest.fixture
def open_engine(
    own_library: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[TensorRTEngine, FakeDevice]]:
    """An engine of a program, and the device that it is on."""

    def call(program: Program = ENCODER, **options: Any) -> tuple[TensorRTEngine, FakeDevice]:
        device = FakeDevice(**options)
        library = make_library(device, {"encoder": program})
        monkeypatch.setattr(standalone, "find_library", lambda *_, **__: library)
        monkeypatch.setattr(standalone, "CudaDevice", lambda: device)
        path = write_engine(tmp_path / "vocoder.engine", "encoder")
        return TensorRTEngine(path), device

    return call


def _signal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_what_it_takes_and_gives_is_told(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, _ = open_engine()

    assert engine.inputs == (
        NetworkTensor("signal", "float32", (-1, -1)),
        NetworkTensor("gain", "float32", ()),
    )
    assert engine.outputs == (NetworkTensor("features", "float32", (-1, -1, 6)),)
    assert engine.profile == {
        "signal": ShapeRange((1, 8), (1, 32), (2, 64)),
        "gain": ShapeRange((), (), ()),
    }


def test_buffers_of_a_dynamic_engine_have_no_size_until_shapes_are_given(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, device = open_engine()

    with pytest.raises(EngineError) as caught:
        engine.allocate_buffers()

    assert caught.value.what == "signal is dynamic: no buffer has a size yet"
    assert caught.value.where == "allocate_buffers()"
    fix = "call allocate_buffers({'signal': (1, 32), 'gain': ()}), or infer(), which does"
    assert caught.value.fix == fix
    assert device.allocations == []
    # What it says to call is right.
    engine.allocate_buffers({"signal": (1, 32), "gain": ()})
    assert sorted(device.allocations) == [4, 32 * 4, 8 * 6 * 4]


def test_buffers_of_a_fixed_engine_need_no_shapes(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, device = open_engine(FIXED)

    engine.allocate_buffers()

    assert sorted(device.allocations) == [4, 32 * 4, 8 * 6 * 4]


def test_numbers_come_back_at_every_size(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    with open_engine()[0] as engine:
        for shape in ((1, 32), (2, 64), (1, 8), (2, 32)):
            signal = _signal(*shape)
            (features,) = engine.infer({"signal": signal, "gain": GAIN}).values()
            expected = signal.reshape(shape[0], -1, 4) @ WEIGHTS * GAIN
            np.testing.assert_array_equal(features, expected)


def test_memory_that_is_large_enough_is_used_again(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, device = open_engine()

    engine.infer({"signal": _signal(1, 32), "gain": GAIN})
    engine.infer({"signal": _signal(1, 8), "gain": GAIN})
    engine.infer({"signal": _signal(1, 32), "gain": GAIN})
    assert len(device.allocations) == 3

    engine.infer({"signal": _signal(2, 64), "gain": GAIN})
    assert len(device.allocations) == 5
    assert len(device.memory) == 3, "what was too small is given back"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"signal": _signal(1, 4), "gain": GAIN}, r"signal is \[1, 4\], built for \[1, 8\] to"),
        ({"signal": _signal(3, 64), "gain": GAIN}, r"signal is \[3, 64\], built for"),
        ({"signal": _signal(32), "gain": GAIN}, r"signal is \[32\], built for"),
        ({"signal": _signal(1, 32)}, "is given signal; it takes signal, gain"),
        ({"signal": _signal(1, 32), "gain": GAIN, "x": GAIN}, "it takes signal, gain"),
        ({}, "is given nothing; it takes signal, gain"),
        ({"signal": _signal(1, 32).astype("f8"), "gain": GAIN}, "signal is float64, the engine"),
        ({"signal": _signal(1, 32), "gain": 1}, "gain is int64, the engine takes float32"),
    ],
)
def test_what_it_does_not_take_is_refused(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
    inputs: dict[str, Any],
    message: str,
) -> None:
    engine, device = open_engine()

    with pytest.raises(InputDataError, match=message) as caught:
        engine.infer(inputs)

    assert caught.value.fix
    assert device.queue == []
    # Nothing is broken by it.
    assert engine.infer({"signal": _signal(1, 32), "gain": GAIN})["features"].shape == (1, 8, 6)


def test_a_device_that_is_too_small(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, device = open_engine(capacity_bytes=100)
    engine.infer({"signal": _signal(1, 8), "gain": GAIN})

    with pytest.raises(EngineError, match="the device is out of memory"):
        engine.infer({"signal": _signal(1, 32), "gain": GAIN})

    # What was given back for more is not used any longer.
    assert engine.infer({"signal": _signal(1, 8), "gain": GAIN})["features"].shape == (1, 2, 6)
    assert sorted(map(len, device.memory.values())) == [4, 32, 48]


def test_closing_frees_the_device_once(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]],
) -> None:
    engine, device = open_engine()

    with engine:
        engine.infer({"signal": _signal(1, 32), "gain": GAIN})
        engine.close()
    engine.close()

    assert device.closed == 1
    assert device.memory == {}


def test_what_cannot_be_opened_leaves_no_device_open(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]], tmp_path: Path
) -> None:
    _, device = open_engine()
    foreign = write_engine(tmp_path / "foreign.engine", "no such program")

    with pytest.raises(EngineError, match="no such program"):
        TensorRTEngine(foreign)

    assert device.closed == 1


def test_what_is_no_engine_opens_no_device(
    open_engine: Callable[..., tuple[TensorRTEngine, FakeDevice]], tmp_path: Path
) -> None:
    _, device = open_engine()
    (tmp_path / "text.engine").write_bytes(b"no engine" * 100)

    for name in ("text.engine", "missing.engine"):
        with pytest.raises(EngineError):
            TensorRTEngine(tmp_path / name)

    assert device.closed == 0


@pytest.mark.skipif(has_gpu(), reason="there it may run")
def test_without_a_gpu_no_engine_runs(rtx_engine: Path) -> None:
    with pytest.raises(FeatureUnavailableError, match="no GPU"):
        TensorRTEngine(rtx_engine)
