"""Records of sides that are compared, without measuring anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.types import GRAPH, Engine, MissingProcess, Replication
from tests.history.records import measurement, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import Measurement, Record

NOISE = 0.001
MS = {"encoder": 2.0, "decoder": 4.0, "pipeline": 6.4}


def factors(count: int, seed: int) -> list[float]:
    """What processes are off by."""
    return [
        float(value) for value in np.exp(NOISE * np.random.default_rng(seed).normal(size=count))
    ]


def side(
    name: str,
    ratios: Mapping[str, float] | None = None,
    *,
    processes: int = 12,
    seed: int = 0,
    experiment: str = "",
    missing: Sequence[int] = (),
    changes: Mapping[str, Any] | None = None,
    **of_record: Any,
) -> Record:
    """A record of several processes; ``ratios`` says by how much a component is slower."""
    measured: list[Measurement] = []
    for process, factor in enumerate(factors(processes, seed)):
        for component, ms in MS.items():
            level = ms * 1e-3 * factor * (ratios or {}).get(component, 1.0)
            latency_s = tuple(level * (1.0 + 1e-3 * place) for place in range(-4, 5))
            one = measurement(component, latency_s=latency_s, process=process, **(changes or {}))
            if process not in missing:
                measured.append(one)
    engines = tuple(
        Engine(component, "onnxruntime", "fp32", 5_000_000, None, 1.0, 1, size_bytes=1_000_000)
        for component in ("encoder", "decoder")
    )
    replication = Replication(
        processes,
        1,
        missing=tuple(MissingProcess(number, 0, "it died") for number in missing),
        experiment=experiment,
        turns=tuple(range(processes)) if experiment else (),
    )
    made = record(name, measured, context=None, engines=engines, replication=replication)
    return replace(made, **of_record)


def on_gpu() -> dict[str, Any]:
    """The changes that make a measurement one of a GPU."""
    return {"backend": "tensorrt", "precision": "fp16", "route": "flag", "launch": GRAPH}
