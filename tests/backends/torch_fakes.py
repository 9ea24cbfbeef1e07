"""A device of PyTorch that is the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from harness.backends.torch_cuda_device import Graph

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeDevice:
    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.captured = 0
        self.now = 0
        self.replays = 0

    def activate(self) -> None:
        pass

    def record(self) -> int:
        self.now += 1
        return self.now

    def is_past(self, event: int) -> bool:
        return False

    def elapsed_s(self, start: int, end: int) -> float:
        return (end - start) * 1e-3

    def delay(self, seconds: float) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def capture(self, work: Callable[[], dict[str, Any]]) -> Graph:
        self.captured += 1
        # A capture computes nothing: what it gives is memory only.
        with torch.inference_mode():
            outputs = {name: torch.zeros_like(value) for name, value in work().items()}

        def replay() -> None:
            self.replays += 1
            with torch.inference_mode():
                for name, value in work().items():
                    outputs[name].copy_(value)

        return Graph(outputs, replay)

    def pin(self, tensor: Any) -> Any:
        return tensor.clone()

    def release(self) -> None:
        pass

    def details(self) -> dict[str, Any]:
        return {"gpu": "none"}
