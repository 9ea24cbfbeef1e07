"""What is checked of an open session before it is measured: first inference and accuracy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.pipeline.feeds import component_feed
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.accuracy import (
    MIN_SAMPLE_RATE_HZ,
    Accuracy,
    compare_stacks,
    log_spectral_distance_db,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.backends.protocol import Session
    from harness.pipeline.pipeline import Pipeline
    from harness.reference import Feed, Reference

Stacks = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Check:
    """What is known of a series before its samples; no accuracy where there is no reference.

    ``log_spectral_distance_db`` is given for what puts out the pipeline's audio.
    """

    load_s: float
    first_s: float
    accuracy: Accuracy | None = None
    log_spectral_distance_db: float | None = None


def check_components(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    session: Session,
    feeds: Sequence[Feed],
    reference: Reference | None,
) -> dict[str, Check]:
    """Launch each component for the first time, and check its outputs over all of ``feeds``.

    A component's accuracy is that on the reference's own inputs, so that it inherits no error; the
    whole pipeline's is that of its final outputs, with the errors of every stage. Where there are
    several outputs it is the worst of them. The session is left bound to the first feed.

    Returns:
        A check of each component by name, and of the whole as :data:`WHOLE_PIPELINE`.
    """
    session.bind(sizes, feeds[0])
    first_s = {name: _first_launch(session, name) for name in pipeline.order}
    first_s[WHOLE_PIPELINE] = sum(first_s.values())
    load_s = {**session.load_s, WHOLE_PIPELINE: sum(session.load_s.values())}
    if reference is None:
        return {name: Check(load_s[name], seconds) for name, seconds in first_s.items()}
    outputs = {
        name: _component_outputs(pipeline, sizes, session, name, reference)
        for name in pipeline.order
    }
    outputs[WHOLE_PIPELINE] = _final_outputs(pipeline, sizes, session, feeds)
    return {
        name: Check(
            load_s[name],
            seconds,
            _worst(outputs[name], reference),
            _audio_distance(pipeline, outputs[name], reference),
        )
        for name, seconds in first_s.items()
    }


def with_accuracy(checks: Mapping[str, Check], known: Mapping[str, Check]) -> dict[str, Check]:
    """The times of ``checks``, with the accuracy that ``known`` checks of the same have found."""
    return {
        name: replace(
            check,
            accuracy=known[name].accuracy,
            log_spectral_distance_db=known[name].log_spectral_distance_db,
        )
        if name in known
        else check
        for name, check in checks.items()
    }


def _first_launch(session: Session, name: str) -> float:
    started = time.perf_counter()
    session.launch(name)
    return time.perf_counter() - started


def _component_outputs(
    pipeline: Pipeline,
    sizes: Mapping[str, int],
    session: Session,
    name: str,
    reference: Reference,
) -> Stacks:
    component = pipeline.components[name]
    feeds = (
        component_feed(component, sizes, reference.tensors, index)
        for index in range(len(reference))
    )
    rows = [session.infer(name, feed) for feed in feeds]
    return {f"{name}.{output}": np.stack([row[output] for row in rows]) for output in rows[0]}


def _final_outputs(
    pipeline: Pipeline, sizes: Mapping[str, int], session: Session, feeds: Sequence[Feed]
) -> Stacks:
    rows = []
    # The first one comes last, and stays bound.
    for feed in reversed(feeds):
        session.bind(sizes, feed)
        session.launch_pipeline()
        rows.append({f"{n}.{o}": session.read(n, o) for n, o in pipeline.final_outputs})
    rows.reverse()
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _worst(outputs: Stacks, reference: Reference) -> Accuracy:
    accuracies = [compare_stacks(reference.tensors[name], made) for name, made in outputs.items()]
    return min(accuracies, key=lambda accuracy: accuracy.snr_db)


def _audio_distance(pipeline: Pipeline, outputs: Stacks, reference: Reference) -> float | None:
    audio = pipeline.declaration.audio
    if audio is None or audio.output not in outputs:
        return None
    if audio.sample_rate_hz < MIN_SAMPLE_RATE_HZ:
        return None
    expected = reference.tensors[audio.output]
    return log_spectral_distance_db(expected, outputs[audio.output], audio.sample_rate_hz)
