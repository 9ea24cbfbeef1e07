"""Kernels by their tactic's number, and whether one sums its products in fp16.

An algorithm selector is told numbers alone. The names are in the library's verbose log, which tells
of each tactic when it is timed, and in what the inspector says of a finished engine.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# As 8.5 to 10 log it: "Tactic Name: sm80_xmma_gemm_f16f16_f16f16_f16_... Tactic: 0x0866ddee32".
_LOGGED: Final = re.compile(r"Tactic Name: (\S+) Tactic: (-?(?:0x)?[0-9a-fA-F]+)")
# xmma names say what is read and written, what is multiplied and summed, and the epilogue; in
# older names h884 to h16816 sum in halves where s884 to s16816 sum in singles.
_FP16_SUMS: Final = re.compile(
    r"(?:^|_)[a-z]+\d+[a-z]+\d+_f16(?:f16)?_f(?:16|32)(?:_|$)"
    r"|(?:^|_)h(?:884|1688|16816)(?:gemm|cudnn|fprop|dgrad|wgrad|_)"
    r"|(?:^|_)h(?:gemm|cudnn)(?:_|$)"
)
_MASK: Final = (1 << 64) - 1


def sums_in_fp16(kernel: str) -> bool:
    """Whether the name of a kernel says that it sums its products in fp16."""
    return bool(_FP16_SUMS.search(kernel))


class TacticNames:
    """What is known of the names of tactics; numbers are taken modulo 2^64, signed or not.

    Implementations number their tactics apart from one another, so that a small number may stand
    for several kernels, of which one without a name is taken for the others. Those of convolutions
    and of most products are hashes, and stand for one.
    """

    def __init__(self) -> None:
        self._names: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def add(self, tactic: int, name: str) -> None:
        """Note that ``tactic`` is the kernel ``name``."""
        self._names.setdefault(tactic & _MASK, set()).add(name)

    def read_log(self, message: str) -> None:
        """Note what a line of the log tells, if it tells of a tactic."""
        # Most lines do not, and there are very many.
        if "Tactic Name: " not in message:
            return
        for name, number in _LOGGED.findall(message):
            self.add(_number(number), name)

    def read_layers(self, layers: Iterable[Any]) -> None:
        """Note what the inspector tells of an engine's layers."""
        for layer in layers:
            if isinstance(layer, dict) and layer.get("TacticName") and layer.get("TacticValue"):
                self.add(_number(str(layer["TacticValue"])), str(layer["TacticName"]))

    def are_fp16_sums(self, tactic: int) -> bool:
        """Whether ``tactic`` is known, and sums in fp16 whichever of its kernels it is."""
        names = self._names.get(tactic & _MASK, ())
        return bool(names) and all(map(sums_in_fp16, names))

    def merge(self, text: str) -> None:
        """Add what :meth:`dump` wrote; what is no such thing teaches nothing."""
        try:
            found: Mapping[str, list[str]] = json.loads(text)
            pairs = [(int(number, 16), str(n)) for number, names in found.items() for n in names]
        except (ValueError, AttributeError, TypeError):
            return
        for number, name in pairs:
            self.add(number, name)

    def dump(self) -> str:
        """All that is known, as JSON."""
        return json.dumps({f"{n:#018x}": sorted(names) for n, names in sorted(self._names.items())})


def _number(text: str) -> int:
    return int(text, 16 if "x" in text.lower() else 10)


def fp16_sum(layer: Any) -> str:  # noqa: ANN401
    """The kernel of a layer of the inspector's, if it sums products in fp16; else nothing."""
    kernel = str(layer.get("TacticName", "")) if isinstance(layer, dict) else ""
    return kernel if sums_in_fp16(kernel) else ""


def fp16_sums(layers: Iterable[Any]) -> dict[str, str]:
    """The kernel of every layer that sums products in fp16, by the layer's name."""
    return {str(layer.get("Name", "")): fp16_sum(layer) for layer in layers if fp16_sum(layer)}
