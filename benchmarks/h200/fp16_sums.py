"""What sums in fp16 cost in accuracy, emulated on a CPU: which nodes to keep out of fp16.

    harness build voice_conversion --opset 17 --out onnx
    python benchmarks/h200/fp16_sums.py voice_conversion onnx --pin 'vocoder:*'

Runs the fp32 graphs with tensors in fp16 and products summed in fp32, in fp16, and in fp16 but for
the nodes that are pinned (--pin, as --fp32-node --tf32 of harness run: products in TF32, all else
in fp32; --cut, the same by a kernel that cuts off what it multiplies in place of rounding), and
prints the SNR of each component against fp32, fed with fp32, and of the whole pipeline. Sums in
fp16 are taken to be made as tensor cores of compute capability 8.0 do: 16 products at a time,
exactly, and the sum rounded to fp16 after each 16. What computes an index stays in fp32.
``--rank COMPONENT`` tells each node's share of the noise instead: all others summed in fp32. An
emulation, of kernels that cannot run here; it needs PyTorch.
"""

# ruff: noqa: ANN401, T201  # PyTorch and onnx are untyped here; this prints
from __future__ import annotations

import argparse
import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch.nn import functional

from harness.artifacts.graph_precision import index_chain, name_nodes
from harness.pipeline.feeds import component_feed, synthetic_inputs
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FP32, FP16, FP16_SUMS, TF32 = "fp32", "fp16", "fp16 summed in fp16", "tf32"
TF32_CUT = "tf32, cut off"
PRODUCTS = ("Conv", "ConvTranspose", "MatMul")
CHUNK = 16
TF32_BITS = 13


def rounded(tensor: Any, mode: str) -> Any:
    """``tensor`` as a product in ``mode`` reads it, as numbers of fp32."""
    if mode == FP32:
        return tensor
    if mode in {TF32, TF32_CUT}:
        # To the nearest of those with 10 bits of mantissa, as fp16 has; or to the next towards 0.
        half = 1 << (TF32_BITS - 1) if mode == TF32 else 0
        bits = tensor.contiguous().view(torch.int32)
        return ((bits + half) & ~((1 << TF32_BITS) - 1)).view(torch.float32)
    return tensor.half().float()


class Sum:
    """A running sum, rounded to fp16 after each part where ``mode`` says so."""

    def __init__(self, mode: str) -> None:
        self._in_fp16 = mode == FP16_SUMS
        self.value: Any = None

    def add(self, part: Any) -> None:
        """Add ``part``."""
        found = part if self.value is None else self.value + part
        self.value = found.half().float() if self._in_fp16 else found


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node, by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def conv(node: Any, x: Any, w: Any, mode: str) -> Any:
    """A convolution of one or two axes, without its bias."""
    given, axes = attributes(node), x.dim() - 2
    strides, dilations = given.get("strides", [1] * axes), given.get("dilations", [1] * axes)
    pads, groups = given.get("pads", [0] * 2 * axes), given.get("group", 1)
    if mode != FP16_SUMS or groups > 1:
        padded = functional.pad(x, _both_sides(pads))
        run = functional.conv1d if axes == 1 else functional.conv2d
        return run(padded, w, None, strides, 0, dilations, groups)
    if axes == 1:
        x, w = x.unsqueeze(2), w.unsqueeze(2)
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    x = functional.pad(x, _both_sides(pads))
    rows, columns = w.shape[2:]
    height = (x.shape[2] - dilations[0] * (rows - 1) - 1) // strides[0] + 1
    width = (x.shape[3] - dilations[1] * (columns - 1) - 1) // strides[1] + 1
    total = Sum(mode)
    for row in range(rows):
        for column in range(columns):
            top, left = row * dilations[0], column * dilations[1]
            bottom, right = top + (height - 1) * strides[0] + 1, left + (width - 1) * strides[1] + 1
            patch = x[:, :, top : bottom : strides[0], left : right : strides[1]]
            for first in range(0, x.shape[1], CHUNK):
                part = slice(first, first + CHUNK)
                total.add(torch.einsum("oc,nchw->nohw", w[:, part, row, column], patch[:, part]))
    return total.value.squeeze(2) if axes == 1 else total.value


def conv_transpose(node: Any, x: Any, w: Any, mode: str) -> Any:
    """A transposed convolution of one or two axes, without its bias."""
    given, axes = attributes(node), x.dim() - 2
    pads = given.get("pads", [0] * 2 * axes)
    extra = [
        e - (b - a)
        for e, a, b in zip(
            given.get("output_padding", [0] * axes), pads[:axes], pads[axes:], strict=True
        )
    ]
    run = functional.conv_transpose1d if axes == 1 else functional.conv_transpose2d
    options = (
        given.get("strides", [1] * axes),
        pads[:axes],
        extra,
        given.get("group", 1),
        given.get("dilations", [1] * axes),
    )
    if mode != FP16_SUMS:
        return run(x, w, None, *options)
    total = Sum(mode)
    for tap in np.ndindex(*w.shape[2:]):
        only = torch.zeros_like(w)
        only[(..., *tap)] = w[(..., *tap)]
        for first in range(0, x.shape[1], CHUNK):
            part = slice(first, first + CHUNK)
            total.add(run(x[:, part], only[part], None, *options))
    return total.value


def product(_: Any, x: Any, w: Any, mode: str) -> Any:
    """A matrix product."""
    if mode != FP16_SUMS:
        return x @ w
    total = Sum(mode)
    for first in range(0, x.shape[-1], CHUNK):
        part = slice(first, first + CHUNK)
        total.add(x[..., part] @ w[..., part, :])
    return total.value


def _both_sides(pads: list[int]) -> list[int]:
    """ONNX's begins and ends as PyTorch pads: from the last axis, both sides of each."""
    axes = len(pads) // 2
    return [pads[a + side * axes] for a in reversed(range(axes)) for side in (0, 1)]


RUN: Mapping[str, Callable[..., Any]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MatMul": product,
}


class Graph:
    """A graph that is run node by node, each in a mode of its own."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)
        name_nodes(model)
        self.nodes = list(model.graph.node)
        self.outputs = [value.name for value in model.graph.output]
        self.products = [node.name for node in self.nodes if node.op_type in PRODUCTS]
        self.index_chain = frozenset(index_chain(model))
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._others = {
            node.name: _alone(node, model.opset_import)
            for node in self.nodes
            if node.op_type not in PRODUCTS
        }

    def run(
        self, feed: Mapping[str, Any], mode_of: Callable[[str], str] = lambda _: FP32
    ) -> dict[str, Any]:
        """The outputs; ``mode_of`` gives the mode of a node by its name."""
        tensors: dict[str, Any] = {**self._constants, **feed}
        for node in self.nodes:
            mode = FP32 if node.name in self.index_chain else mode_of(node.name)
            given = [tensors[name] for name in node.input if name]
            if node.op_type in PRODUCTS:
                made = [self._product(node, given, mode)]
            else:
                is_half = mode in {FP16, FP16_SUMS}
                taken = [_half(a) for a in given] if is_half else given
                names = [name for name in node.input if name]
                made = self._others[node.name].run(None, dict(zip(names, taken, strict=True)))
            # What is in fp32 or TF32 is written in fp32.
            keep = mode in {FP32, TF32, TF32_CUT}
            made = made if keep else [_half(a) for a in made]
            tensors |= dict(zip(node.output, made, strict=True))
        return {name: tensors[name] for name in self.outputs}

    @staticmethod
    def _product(node: Any, given: list[Any], mode: str) -> Any:
        x, w, *bias = (torch.tensor(np.array(a, np.float32)) for a in given)
        found = RUN[node.op_type](node, rounded(x, mode), rounded(w, mode), mode)
        for b in bias:
            found = found + b.reshape(1, -1, *[1] * (found.dim() - 2))
        return found.numpy()


def _alone(node: Any, opsets: Any) -> ReferenceEvaluator:
    """What runs one node that is no product."""
    inputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output]
    graph = helper.make_graph([node], node.name, inputs, outputs)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))


def _half(array: Any) -> Any:
    is_real = isinstance(array, np.ndarray) and array.dtype == np.float32
    return array.astype(np.float16).astype(np.float32) if is_real else array


def noise(found: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """The power of the difference over that of what is right, of all outputs together."""
    wrong = sum(float(np.square(found[n].astype(float) - right[n]).sum()) for n in right)
    return wrong / sum(float(np.square(right[n].astype(float)).sum()) for n in right)


def db(share: float) -> str:
    """A share of noise as an SNR."""
    return f"{-10 * math.log10(share):.1f} dB" if share else "exact"


class Graphs:
    """The graphs of a pipeline, run one after the other on its synthetic inputs."""

    def __init__(self, name: str, folder: Path, duration_s: float) -> None:
        self.pipeline = load_pipeline(name)
        self._sizes = self.pipeline.sizes(duration_s=duration_s, batch=1)
        inputs = synthetic_inputs(self.pipeline, self._sizes, seed=0)
        self._inputs = {name: np.stack([array]) for name, array in inputs.items()}
        self.graphs = {n: Graph(folder / f"{n}.onnx") for n in self.pipeline.order}
        self.right = self.run(lambda _: lambda _: FP32)

    def run(self, modes: Callable[[str], Callable[[str], str]]) -> dict[str, Any]:
        """Every tensor by source; ``modes`` gives what tells a component's modes."""
        tensors: dict[str, Any] = dict(self._inputs)
        for name in self.pipeline.order:
            found = self.run_one(name, tensors, modes(name))
            tensors |= {f"{name}.{output}": np.stack([a]) for output, a in found.items()}
        return tensors

    def run_one(
        self, name: str, tensors: Mapping[str, Any], mode_of: Callable[[str], str]
    ) -> dict[str, Any]:
        """One component's outputs, fed from ``tensors``."""
        feed = component_feed(self.pipeline.components[name], self._sizes, tensors, 0)
        return self.graphs[name].run(feed, mode_of)

    def component_noise(self, name: str, mode_of: Callable[[str], str]) -> float:
        """The noise of one component that is fed with fp32."""
        found = self.run_one(name, self.right, mode_of)
        return noise(found, {o: self.right[f"{name}.{o}"][0] for o in found})

    def whole_noise(self, modes: Callable[[str], Callable[[str], str]]) -> float:
        """The noise of what the whole pipeline puts out."""
        found = self.run(modes)
        ends = [f"{component}.{output}" for component, output in self.pipeline.final_outputs]
        return noise({n: found[n] for n in ends}, {n: self.right[n] for n in ends})

    def rank(self, name: str) -> list[tuple[str, float]]:
        """Each product's share of the noise of sums in fp16, the largest first."""
        base = self.component_noise(name, lambda _: FP16)
        shares = {
            one: self.component_noise(name, lambda n, one=one: FP16_SUMS if n == one else FP16)
            - base
            for one in self.graphs[name].products
        }
        total = sum(max(0.0, share) for share in shares.values())
        return sorted(((n, s / total) for n, s in shares.items()), key=lambda item: -item[1])


def pinned_modes(pins: list[str], cuts: list[str]) -> Callable[[str], Callable[[str], str]]:
    """Sums in fp16, and TF32 for the nodes of ``pins``, COMPONENT:PATTERN; ``cuts`` go first."""
    kinds = [(TF32_CUT, cut) for cut in cuts] + [(TF32, pin) for pin in pins]

    def modes(component: str) -> Callable[[str], str]:
        parts = [(mode, *pattern.partition(":")) for mode, pattern in kinds]
        its = [(mode, pattern) for mode, name, _, pattern in parts if name == component]
        return lambda node: next((m for m, p in its if fnmatchcase(node, p)), FP16_SUMS)

    return modes


def main() -> None:
    """Print the SNR of each way, or what each node contributes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pipeline")
    parser.add_argument("folder", type=Path, help="of the fp32 graphs, NAME.onnx")
    parser.add_argument("--duration", type=float, default=1.0, help="seconds of input")
    parser.add_argument("--rank", metavar="COMPONENT", help="each node's share of the noise")
    parser.add_argument("--pin", action="append", default=[], metavar="COMPONENT:PATTERN")
    parser.add_argument("--cut", action="append", default=[], metavar="COMPONENT:PATTERN")
    given = parser.parse_args()
    graphs = Graphs(given.pipeline, given.folder, given.duration)
    if given.rank:
        for name, share in graphs.rank(given.rank):
            print(f"{name:40}{share:8.1%}")
        return
    ways = {
        "summed in fp32": lambda _: lambda _: FP16,
        "summed in fp16": lambda _: lambda _: FP16_SUMS,
    }
    if given.pin or given.cut:
        ways["pinned"] = pinned_modes(given.pin, given.cut)
    print(f"{'fp16, SNR':20}" + "".join(f"{way:>16}" for way in ways), flush=True)
    for name in graphs.pipeline.order:
        found = [graphs.component_noise(name, modes(name)) for modes in ways.values()]
        print(f"{name:20}" + "".join(f"{db(share):>16}" for share in found), flush=True)
    found = [graphs.whole_noise(modes) for modes in ways.values()]
    print(f"{'whole pipeline':20}" + "".join(f"{db(share):>16}" for share in found))


if __name__ == "__main__":
    main()
