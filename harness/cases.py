"""Which cases a pipeline is measured at unless asked otherwise, and on how many inputs each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.types import Case

if TYPE_CHECKING:
    from harness.pipeline.pipeline import Pipeline

# Accuracy is taken on as many inputs as make this much of audio, within the two bounds: a constant
# is no constant over one input.
_ACCURACY_SECONDS = 4.0
_MIN_ACCURACY_INPUTS, _MAX_ACCURACY_INPUTS = 2, 8


def accuracy_count(case: Case) -> int:
    """How many inputs to compare on: few where each takes long."""
    fitting = int(_ACCURACY_SECONDS / (case.duration_s or 1.0))
    return max(_MIN_ACCURACY_INPUTS, min(_MAX_ACCURACY_INPUTS, fitting))


def default_cases(pipeline: Pipeline) -> tuple[Case, ...]:
    """The cases that the pipeline declares: every duration at every batch."""
    durations: tuple[float | None, ...] = pipeline.declaration.durations_s
    budget = pipeline.declaration.budget
    if not durations and budget is not None and pipeline.time_dimension is not None:
        durations = (budget.duration_s,)
    return tuple(
        Case(duration_s, batch)
        for batch in pipeline.declaration.batches
        for duration_s in durations or (None,)
    )
