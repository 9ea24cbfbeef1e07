"""How accurate INT8 is with each way of finding its ranges."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.artifacts.cache import Cache
from harness.artifacts.precision import ClippingRule, Quantization, convert_pipeline
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import as_built
from harness.checks import check_components
from harness.errors import FeatureUnavailableError
from harness.measure.environment import available_cores
from harness.pipeline.feeds import sweep_inputs
from harness.reference import find_or_make_reference, why_no_reference
from harness.types import SweepRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.artifacts.calibration import CalibrationSet
    from harness.artifacts.export import OnnxModel
    from harness.artifacts.worker import WorkerPool
    from harness.checks import Check
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline

RULES: Final = (
    ClippingRule("minmax"),
    ClippingRule("entropy"),
    *(ClippingRule("percentile", share) for share in (99.0, 99.9, 99.99, 99.999)),
)
_INPUTS: Final = 8


def sweep(
    pipeline: Pipeline,
    models: Mapping[str, OnnxModel],
    precisions: Sequence[str],
    calibration: CalibrationSet,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
) -> Iterator[SweepRow]:
    """Convert and check the pipeline with each of :data:`RULES`, in ONNX Runtime.

    The inputs, at the profile's opt, are those of no calibration, and of no run either: what is
    chosen on them can still be held against others.

    Raises:
        FeatureUnavailableError: there is no PyTorch to compare with.
        HarnessError: a conversion is impossible.
    """
    reason = why_no_reference(pipeline)
    if reason:
        what = f"there is nothing to compare with: {reason}"
        raise FeatureUnavailableError(what, where="--sweep", fix="sweep where PyTorch runs it")
    sizes = pipeline.profile("opt")
    feeds = sweep_inputs(pipeline, sizes, count=_INPUTS)
    threads = available_cores()
    reference = find_or_make_reference(pipeline, sizes, feeds, cache, pool, threads=threads)
    observer.phase("Sweep", len(precisions) * len(RULES))
    for precision, rule in itertools.product(precisions, RULES):
        # What is only looked at once is not kept: a sweep of a large pipeline is many graphs.
        with tempfile.TemporaryDirectory() as folder:
            made = convert_pipeline(
                pipeline,
                models,
                precision,
                Quantization(calibration, rule),
                cache,
                pool,
                workers=threads,
                scratch=Cache(Path(folder)),
            )
            backend = OnnxRuntimeBackend(threads=threads, precision=precision)
            session = backend.open(pipeline, as_built(made))
            checks = check_components(pipeline, sizes, session, feeds, reference)
            session.close()
        observer.step(f"{precision}, {rule}")
        yield _row(precision, rule, checks)


def _row(precision: str, rule: ClippingRule, checks: Mapping[str, Check]) -> SweepRow:
    accuracies = {name: check.accuracy for name, check in checks.items() if check.accuracy}
    return SweepRow(
        precision=precision,
        rule=str(rule),
        snr_db={name: accuracy.snr_db for name, accuracy in accuracies.items()},
        constant_snr_db={name: a.constant_snr_db or 0.0 for name, a in accuracies.items()},
    )
