"""Parse an ONNX file into a TensorRT network, and check it before any builder is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.artifacts.adapt import every_node
from harness.backends.tensorrt.profiles import NetworkTensor
from harness.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.backends.tensorrt.library import Library

# By the names of TensorRT's DataType.
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
    "BF16": "bfloat16",
}
_REAL = frozenset({"FLOAT", "HALF"})


class ParsedNetwork:
    """A network with the builder and parser that it belongs to, which must outlive it.

    Args:
        library: whose builder and parser they are.
        strong: whether the graph's own types are binding.
        builder: one that there is already; a new one by default.
    """

    def __init__(self, library: Library, *, strong: bool, builder: Any = None) -> None:  # noqa: ANN401
        trt = library.module
        self.library = library
        self.path: Path | None = None
        self._strong = strong
        library.problem()
        self.builder = trt.Builder(library.logger) if builder is None else builder
        names = ("EXPLICIT_BATCH", "STRONGLY_TYPED") if strong else ("EXPLICIT_BATCH",)
        bits = library.flag_bits("NetworkDefinitionCreationFlag", *names)
        self.network = self.builder.create_network(bits)
        self.parser = trt.OnnxParser(self.network, library.logger)

    def again(self) -> ParsedNetwork:
        """Another network of the same builder, with nothing parsed yet."""
        return ParsedNetwork(self.library, strong=self._strong, builder=self.builder)

    def unsupported_operators(self, path: Path) -> tuple[str, ...]:
        """The operators of the graph at ``path`` that this parser has no importer for.

        Those in branches and loops as well. Nothing is parsed.
        """
        import onnx  # noqa: PLC0415

        graph = onnx.load(path, load_external_data=False).graph
        used = {node.op_type for node in every_node(graph)}
        return tuple(sorted(name for name in used if not self.parser.supports_operator(name)))

    def parse(self, path: Path) -> None:
        """Read the graph at ``path``.

        Raises:
            ContractError: the parser does not take it.
        """
        self.path = path
        # Not from bytes: weights in files beside the graph would not be found.
        if not self.parser.parse_from_file(str(path)):
            raise self._refused(path)

    def _refused(self, path: Path) -> ContractError:
        problems = [self.parser.get_error(i) for i in range(self.parser.num_errors)]
        text = "; ".join(" ".join(str(p.desc()).split()) for p in problems) or "without a reason"
        unknown = self.unsupported_operators(path)
        if unknown:
            what = f"{self.library} does not know {', '.join(unknown)}"
            fix = "export with a lower --opset, or load a plugin that has it (--plugin)"
        else:
            what = f"{self.library} cannot parse it: {text[:400]}"
            fix = "export it again, or with a lower --opset"
        return ContractError(what, where=str(path), fix=fix)

    def inputs(self) -> tuple[NetworkTensor, ...]:
        """The inputs as parsed."""
        found = (self.network.get_input(i) for i in range(self.network.num_inputs))
        return tuple(_tensor(t) for t in found)

    def outputs(self) -> tuple[NetworkTensor, ...]:
        """The outputs as parsed."""
        found = (self.network.get_output(i) for i in range(self.network.num_outputs))
        return tuple(_tensor(t) for t in found)

    def pin_fp32(self, nodes: Iterable[str]) -> int:
        """Ask for fp32 in the layers that were made of ``nodes``; gives how many there are.

        Only where the network is weakly typed: else the graph's own types are binding.
        """
        trt, wanted, pinned = self.library.module, set(nodes), 0
        for index in range(self.network.num_layers):
            layer = self.network.get_layer(index)
            if layer.name not in wanted or not _is_real(layer):
                continue
            layer.precision = trt.DataType.FLOAT
            for output in range(layer.num_outputs):
                if layer.get_output(output).dtype.name in _REAL:
                    layer.set_output_type(output, trt.DataType.FLOAT)
            pinned += 1
        return pinned


def _is_real(layer: Any) -> bool:  # noqa: ANN401
    """Whether every tensor that goes into the layer is of real numbers."""
    tensors = [layer.get_input(i) for i in range(layer.num_inputs)]
    kinds = [tensor.dtype.name for tensor in tensors if tensor is not None]
    return bool(kinds) and all(kind in _REAL for kind in kinds)


def numpy_dtype(dtype: Any) -> str:  # noqa: ANN401
    """The numpy name of a member of TensorRT's DataType."""
    return _DTYPES.get(dtype.name, str(dtype.name).lower())


def _tensor(tensor: Any) -> NetworkTensor:  # noqa: ANN401
    return NetworkTensor(tensor.name, numpy_dtype(tensor.dtype), tuple(tensor.shape))
