"""What TensorRT's inspector says of an engine: its layers, and the precision each computes in."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from harness.backends.tensorrt.open import open_engine
from harness.backends.tensorrt.tactics import fp16_sum
from harness.errors import EngineError
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.backends.tensorrt.library import Library

LAYERS_FILE: Final = "layers.json"
# Layers that multiply, by the inspector's LayerType or, for what was fused, by the names of the
# kernels: 8.5 calls a fused layer after its first operation only.
_MATRIX_TYPES: Final = ("convolution", "deconvolution", "matrixmultiply", "gemm", "fullyconnected")
_MATRIX_KERNELS: Final = re.compile(r"gemm|conv(?!ert)|fprop|dgrad|mma|mha", re.IGNORECASE)
# A kernel's name tells what it multiplies, the formats of a layer only what it is handed.
_INT8_KERNEL: Final = re.compile(r"i8i8|_int8_|imma|s8s8|i8816|int8", re.IGNORECASE)
_FP16_KERNEL: Final = re.compile(
    r"f16f16|h884|h1688|h16816|hmma|_fp16_|hgemm|half|f16_|_h_", re.IGNORECASE
)
# Blocks that the inspector names and does not open.
_OPAQUE: Final = ("Myelin", "ForeignNode", "unknown")
_WEIGHTS: Final = {"int8": "int8", "half": "fp16", "float": "fp32"}


def describe_layers(library: Library, path: Path, folder: Path) -> dict[str, Any]:
    """Write what the inspector says of the engine at ``path``, and sum it up.

    Where this machine cannot open the engine, as one that has no GPU, it says so in place of it.
    """
    try:
        engine = open_engine(library, path)
    except EngineError as error:
        return {"problem": str(error)}
    text = engine.create_engine_inspector().get_engine_information(
        library.member("LayerInformationFormat", "JSON")
    )
    (folder / LAYERS_FILE).write_text(text, encoding="utf-8")
    return summarize_layers(read_layers(folder))


def read_layers(folder: Path) -> list[Any]:
    """The layers that :func:`describe_layers` wrote into ``folder``; none, where it could not."""
    file = folder / LAYERS_FILE
    if not file.is_file():
        return []
    return list(json.loads(file.read_text(encoding="utf-8")).get("Layers", []))


def summarize_layers(layers: Sequence[Any]) -> dict[str, Any]:
    """How many layers there are of each kind, and in which precision the products are.

    ``fp16_sums`` is how many sum products in fp16, by the names of their kernels.
    """
    kinds: Counter[str] = Counter()
    products: Counter[str] = Counter()
    for layer in layers:
        # A name alone, where the engine was built without details.
        if not isinstance(layer, dict):
            kinds["unknown"] += 1
            continue
        kinds[str(layer.get("LayerType", "unknown"))] += 1
        if is_product(layer):
            products[product_precision(layer)] += 1
    counts = NodeCounts(int8=products["int8"], fp16=products["fp16"], fp32=products["fp32"])
    hidden = sum(kinds[kind] for kind in _OPAQUE)
    return {
        "kinds": dict(sorted(kinds.items())),
        "products": asdict(counts),
        "hidden": hidden,
        "fp16_sums": sum(map(bool, map(fp16_sum, layers))),
    }


def is_product(layer: Mapping[str, Any]) -> bool:
    """Whether the layer is, or holds, a convolution or matrix product."""
    named = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
    if "reformat" in named:
        return False
    if any(kind in named for kind in _MATRIX_TYPES):
        return True
    return bool(_MATRIX_KERNELS.search(str(layer.get("TacticName", ""))))


def product_precision(layer: Mapping[str, Any]) -> str:
    """The precision that a product multiplies in: ``int8``, ``fp16`` or ``fp32``.

    By its kernel's name; else by its weights; else by what it is handed.
    """
    kernel = str(layer.get("TacticName", ""))
    if _INT8_KERNEL.search(kernel):
        return "int8"
    if _FP16_KERNEL.search(kernel):
        return "fp16"
    weights = layer.get("Weights")
    if isinstance(weights, dict):
        found = _WEIGHTS.get(str(weights.get("Type", "")).lower())
        if found is not None:
            return found
    formats = " ".join(str(i.get("Format/Datatype", "")) for i in layer.get("Inputs", ())).lower()
    if "int8" in formats:
        return "int8"
    return "fp16" if "fp16" in formats or "half" in formats else "fp32"
