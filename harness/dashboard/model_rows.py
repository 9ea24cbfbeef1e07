"""Rows of the dashboard that stand beside its series: what failed, and what gates catch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CommitFailure:
    """A commit that could not be measured, at which ``stage`` (build, measure), and why.

    ``commit`` is its place in the dashboard's commits; None where it is not among them.
    """

    hash: str
    commit: int | None
    machine: str
    environment_name: str
    stage: str
    reason: str
    created_utc: str


@dataclass(frozen=True)
class NoiseRow:
    """What a gate was found to catch on a machine: a row of ``harness noise``."""

    pipeline: str
    fingerprint: str
    environment: int | None
    series: str
    within_sd: float
    process_sd: float
    margin: float
    false_alarms: int
    trials: int
    false_alarm_upper: float
    smallest_caught: float | None
    created_utc: str
    simulated: bool
