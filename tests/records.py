"""What tests look at in a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.pipeline import CANARY

if TYPE_CHECKING:
    from harness.types import Measurement, Record


def measured(record: Record) -> list[Measurement]:
    """What was measured of the pipeline: all but the canaries."""
    return [one for one in record.measurements if one.component != CANARY]
