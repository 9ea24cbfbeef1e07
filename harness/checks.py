"""What is checked of an open session before it is measured: first inference and accuracy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.pipeline.feeds import constant_inputs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.accuracy import Accuracy, compare_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.backends.protocol import Session
    from harness.pipeline.pipeline import Pipeline
    from harness.reference import Reference


@dataclass(frozen=True)
class Check:
    """What is known of a series before its samples; no accuracy where there is no reference."""

    load_s: float
    first_s: float
    accuracy: Accuracy | None


def check_components(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    session: Session,
    reference: Reference | None,
) -> dict[str, Check]:
    """Launch each component of a bound ``session`` for the first time, and check its output.

    A component's accuracy is that on the reference's own inputs, so that it inherits no error; the
    whole pipeline's is that of its final outputs, with the errors of every stage. Where there are
    several outputs it is the worst of them.

    Returns:
        A check of each component by name, and of the whole as :data:`WHOLE_PIPELINE`.
    """
    checks: dict[str, Check] = {}
    for name in pipeline.order:
        started = time.perf_counter()
        session.launch(name)
        first_s = time.perf_counter() - started
        accuracy = None
        if reference is not None:
            accuracy = _component_accuracy(pipeline, sizes, session, name, reference)
        checks[name] = Check(session.load_s[name], first_s, accuracy)
    whole = None if reference is None else _pipeline_accuracy(pipeline, session, reference)
    checks[WHOLE_PIPELINE] = Check(
        load_s=sum(check.load_s for check in checks.values()),
        first_s=sum(check.first_s for check in checks.values()),
        accuracy=whole,
    )
    return checks


def _component_accuracy(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    session: Session,
    name: str,
    reference: Reference,
) -> Accuracy:
    component = pipeline.components[name]
    inputs = constant_inputs(component, sizes)
    for input_name, tensor in component.inputs.items():
        if tensor.source is not None:
            inputs[input_name] = reference.tensors[tensor.source]
    outputs = session.infer(name, inputs)
    return _worst(
        compare_arrays(reference.tensors[f"{name}.{output}"], value)
        for output, value in outputs.items()
    )


def _pipeline_accuracy(pipeline: Pipeline, session: Session, reference: Reference) -> Accuracy:
    return _worst(
        compare_arrays(reference.tensors[f"{name}.{output}"], session.read(name, output))
        for name, output in pipeline.final_outputs
    )


def _worst(accuracies: Iterable[Accuracy]) -> Accuracy:
    return min(accuracies, key=lambda accuracy: accuracy.snr_db)
