"""Layers and the precision of products, from what TensorRT's inspector writes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.backends.tensorrt.inspector import is_product, product_precision, summarize_layers


def _tensor(kind: str) -> dict[str, Any]:
    # As 8.5 writes it.
    return {"Name": "t", "Dimensions": [1, 8, 32], "Format/Datatype": kind}


def _layer(kind: str, tactic: str = "", inputs: str = "", **more: Any) -> dict[str, Any]:
    return {
        "Name": "layer",
        "LayerType": kind,
        "Inputs": [_tensor(inputs)] if inputs else [],
        "Outputs": [],
        "TacticName": tactic,
        **more,
    }


REFORMAT = _layer("Reformat", inputs="Row major linear FP32", ParameterType="Reformat")
SCALE = _layer("Scale", inputs="Row major linear FP16 format")
CONV_INT8 = _layer(
    "CaskConvolution",
    "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs",
    "Thirty-two wide channel vectorized row major Int8 format",
    ParameterType="Convolution",
    Weights={"Type": "Int8", "Count": 1024},
)
CONV_HALF = _layer(
    "CaskConvolution",
    "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x64",
    ParameterType="Convolution",
    Weights={"Type": "Half", "Count": 1024},
)
CONV_FLOAT = _layer(
    "CaskConvolution",
    "sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nchwkcrs_nchw",
    ParameterType="Convolution",
    Weights={"Type": "Float", "Count": 1024},
)


@pytest.mark.parametrize(
    ("layer", "precision"), [(CONV_INT8, "int8"), (CONV_HALF, "fp16"), (CONV_FLOAT, "fp32")]
)
def test_a_convolution_is_of_the_precision_of_its_kernel(
    layer: dict[str, Any], precision: str
) -> None:
    assert is_product(layer)
    assert product_precision(layer) == precision


@pytest.mark.parametrize(
    ("weights", "precision"), [("Half", "fp16"), ("Int8", "int8"), ("Float", "fp32")]
)
def test_where_a_kernel_has_no_telling_name_the_weights_tell(weights: str, precision: str) -> None:
    layer = _layer("CaskDeconvolution", "0x1f2e", "FP32", Weights={"Type": weights, "Count": 3})

    assert is_product(layer)
    assert product_precision(layer) == precision


@pytest.mark.parametrize(
    ("handed", "precision"),
    [
        ("Row major linear FP16 format", "fp16"),
        ("Half", "fp16"),
        ("Four wide channel vectorized row major Int8 format", "int8"),
        ("Row major linear FP32", "fp32"),
        ("", "fp32"),
    ],
)
def test_where_nothing_else_tells_it_is_what_the_layer_is_handed(
    handed: str, precision: str
) -> None:
    assert product_precision(_layer("MatrixMultiply", inputs=handed)) == precision


def test_weights_without_a_type_are_passed_over() -> None:
    layer = _layer("gemm", inputs="Half", Weights={"Count": 0})

    assert product_precision(layer) == "fp16"
    assert product_precision(_layer("gemm", inputs="Half", Weights="none")) == "fp16"


def test_a_kernel_that_is_handed_halves_and_multiplies_bytes_is_int8() -> None:
    layer = _layer("Myelin", "sm90_xmma_gemm_i8i8_i8i32_f32_tn_n", "Half")

    assert is_product(layer)
    assert product_precision(layer) == "int8"


def test_a_fused_layer_is_a_product_by_the_name_of_its_kernel() -> None:
    """8.5 calls it after its first operation only."""
    fused = _layer("Myelin", "sm86_xmma_gemm_f16f16_f16f16_f16_nn_n", "Half")
    elementwise = _layer("PointWiseV2", "__myl_MulAdd_0xabc", "Half")

    assert is_product(fused)
    assert not is_product(elementwise)


def test_attention_in_one_kernel_is_a_product() -> None:
    assert is_product(_layer("kgen", "fmha_v2_flash_attention_fp16_64_64_S_40_sm86_kernel"))


def test_a_conversion_of_types_is_no_convolution() -> None:
    assert not is_product(_layer("Myelin", "__myl_convert_half_to_float_0x12"))
    assert is_product(_layer("Myelin", "cudnn_convolve_sgemm_sm80"))


def test_a_reformat_is_no_product_even_beside_a_convolution() -> None:
    assert not is_product(REFORMAT)
    assert not is_product(_layer("Reformat", "sm80_xmma_fprop_reformat"))


def test_layers_are_counted_by_kind_and_products_by_precision() -> None:
    layers = [CONV_INT8, REFORMAT, CONV_HALF, REFORMAT, CONV_FLOAT, SCALE, CONV_INT8]

    assert summarize_layers(layers) == {
        "kinds": {"CaskConvolution": 4, "Reformat": 2, "Scale": 1},
        "products": {"int8": 2, "fp16": 1, "fp32": 1},
        "hidden": 0,
        "fp16_sums": 1,
    }


def test_names_alone_tell_nothing() -> None:
    """An engine that was built without details gives strings."""
    summary = summarize_layers(["Conv_0 + Relu_1", "Reformatting CopyNode", CONV_HALF])

    assert summary["kinds"] == {"CaskConvolution": 1, "unknown": 2}
    assert summary["products"] == {"int8": 0, "fp16": 1, "fp32": 0}


def test_no_layers() -> None:
    products = {"int8": 0, "fp16": 0, "fp32": 0}
    assert summarize_layers([]) == {"kinds": {}, "products": products, "hidden": 0, "fp16_sums": 0}


def test_blocks_that_are_not_opened_are_counted() -> None:
    myelin = {"Name": "{ForeignNode[a...b]}", "LayerType": "Myelin"}
    assert summarize_layers([CONV_HALF, myelin, myelin])["hidden"] == 2


def test_a_layer_without_a_type_or_inputs_is_counted() -> None:
    assert summarize_layers([{"Name": "x"}])["kinds"] == {"unknown": 1}
