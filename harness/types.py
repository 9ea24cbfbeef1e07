"""Frozen types that every layer shares: what was measured, of what, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One size at which a pipeline is measured; no duration where it has no dimension of time."""

    duration_s: float | None
    batch: int

    def __str__(self) -> str:
        """For messages: ``1 s, batch 2``."""
        duration = "opt" if self.duration_s is None else f"{self.duration_s:g} s"
        return duration if self.batch == 1 else f"{duration}, batch {self.batch}"


@dataclass(frozen=True)
class Measurement:
    """The latencies of one component, or of the whole pipeline, with everything that labels them.

    ``latency_s`` holds the raw samples in the order measured. ``load_s`` is the time to open the
    component from its built file, ``first_s`` its first inference at this case. ``snr_db`` and
    ``relative_l2`` compare its output with PyTorch fp32; None where there is no reference.
    ``clock`` names what timed it and ``simulated`` is true where that was no real clock.
    """

    component: str
    backend: str
    precision: str
    mode: str
    clock: str
    duration_s: float | None
    batch: int
    threads: int
    load_s: float
    first_s: float
    latency_s: tuple[float, ...]
    snr_db: float | None = None
    relative_l2: float | None = None
    min_snr_db: float | None = None
    simulated: bool = False


@dataclass(frozen=True)
class Artifact:
    """An exported graph that was measured; hashes are BLAKE2b-160."""

    component: str
    content_hash: str
    size_bytes: int
    parameters: int | None
    worst_relative_l2: float | None


@dataclass(frozen=True)
class Budget:
    """The latency budget that the pipeline declares, copied into the record."""

    p99_s: float
    duration_s: float | None
    batch: int
    includes: str
    excludes: str


@dataclass(frozen=True)
class Record:
    """One run, immutable: its samples, what they are of, and the environment they come from.

    ``is_complete`` is false for a run that was interrupted. ``inputs`` tells what was fed: the
    seed of synthetic inputs, or the recording's name and hash.
    """

    record_id: str
    created_utc: str
    harness_version: str
    pipeline: str
    command: tuple[str, ...]
    inputs: dict[str, Any]
    budget: Budget | None
    environment: dict[str, Any]
    artifacts: tuple[Artifact, ...]
    measurements: tuple[Measurement, ...]
    is_complete: bool = True
    phases_s: dict[str, float] = field(default_factory=dict)
