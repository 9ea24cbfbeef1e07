"""The emulation of sums in fp16: right where it rounds nothing, and rounding as it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[1] / "benchmarks" / "h200"


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import fp16_sums  # noqa: PLC0415  # a script, found by path

    return fp16_sums


@pytest.fixture
def graph(tmp_path: Path, save_graph: Callable[..., None]) -> Path:
    """Products of every kind, of one and of two axes, with strides, dilations, pads and a bias."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        # So that nothing grows beyond what fp16 holds.
        return np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)

    path = tmp_path / "all.onnx"
    conv = {"strides": [2], "pads": [1, 3], "dilations": [2]}
    flat = {"strides": [1, 2], "pads": [0, 2, 0, 1], "dilations": [1, 3]}
    up = {"strides": [1, 3], "pads": [0, 1, 0, 1]}
    save_graph(
        path,
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["h1"], name="one", **conv),
            helper.make_node("LeakyRelu", ["h1"], ["h2"], name="act", alpha=0.1),
            helper.make_node("Unsqueeze", ["h2", "axis"], ["h3"], name="flat"),
            helper.make_node("Conv", ["h3", "w2"], ["h4"], name="two", **flat),
            helper.make_node("ConvTranspose", ["h4", "w3", "b3"], ["h5"], name="up", **up),
            helper.make_node("MatMul", ["h5", "w4"], ["y"], name="mul"),
        ],
        {"x": (TensorProto.FLOAT, [1, 20, 64])},
        {"y": (TensorProto.FLOAT, None)},
        w1=weights(24, 20, 5),
        b1=weights(24),
        w2=weights(40, 24, 1, 3),
        w3=weights(40, 18, 1, 4),
        b3=weights(18),
        w4=weights(41, 7),
        axis=np.array([2]),
    )
    return path


def test_in_fp32_it_is_what_onnx_runtime_gives(sums: Any, graph: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 20, 64), dtype=np.float32)
    (right,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )

    found = sums.Graph(graph).run({"x": x})["y"]

    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-3)


def test_coarser_numbers_are_further_off_and_pins_bring_them_back(sums: Any, graph: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 20, 64), dtype=np.float32)
    made = sums.Graph(graph)
    right = made.run({"x": x})

    def noise(mode_of: Callable[[str], str]) -> float:
        return float(sums.noise(made.run({"x": x}, mode_of), right))

    fp16, fp16_sums, tf32 = (
        noise(lambda _, m=m: m) for m in (sums.FP16, sums.FP16_SUMS, sums.TF32)
    )
    pinned = noise(sums.pinned_modes(["net:two", "net:up", "other:*"], [])("net"))

    cut, rounded = (
        noise(sums.pinned_modes(["net:*"], cuts)("net")) for cuts in (["net:*"], ["other:*"])
    )

    assert 0 < tf32 < fp16 < fp16_sums < 1e-4
    assert rounded == tf32
    assert tf32 < cut
    assert fp16 < pinned < fp16_sums


def test_a_sum_is_rounded_after_each_sixteen_products(sums: Any) -> None:
    """1 on top of 2048 is lost in fp16, 16 times in turn."""
    import torch  # noqa: PLC0415

    x = torch.zeros(1, 17 * 16)
    x[0, 0], x[0, 16::16] = 2048.0, 1.0
    ones = torch.ones(17 * 16, 1)

    assert sums.product(None, x, ones, sums.FP16).item() == 2064.0
    assert sums.product(None, x, ones, sums.FP16_SUMS).item() == 2048.0


def test_tf32_keeps_ten_bits(sums: Any) -> None:
    import torch  # noqa: PLC0415

    given = torch.tensor([1.0 + 2.0**-10, 1.0 + 2.0**-12, -3.0e30, 0.0])

    assert sums.rounded(given, sums.TF32).tolist()[:2] == [1.0 + 2.0**-10, 1.0]
    assert sums.rounded(given, sums.TF32)[2].item() == pytest.approx(-3.0e30, rel=2**-11)
    assert sums.rounded(given, sums.FP32) is given
    near = torch.tensor([1.0 + 1.9 * 2.0**-10, -1.0 - 1.9 * 2.0**-10])
    assert sums.rounded(near, sums.TF32).tolist() == [1.0 + 2.0**-9, -1.0 - 2.0**-9]
    assert sums.rounded(near, sums.TF32_CUT).tolist() == [1.0 + 2.0**-10, -1.0 - 2.0**-10]
