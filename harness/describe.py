"""How a run is described in its record."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.artifacts.cost import component_cost
from harness.pipeline.pipeline import CANARY, TRANSFERS
from harness.types import TF32, Artifact, Budget, ComponentCost, Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.artifacts.export import OnnxModel
    from harness.artifacts.foreign import ForeignCache
    from harness.artifacts.precision import ClippingRule
    from harness.audio import Recording
    from harness.backends.protocol import Built, Inspection
    from harness.checks import Check
    from harness.pipeline.pipeline import Pipeline
    from harness.prepare import Prepared
    from harness.types import Case, Variant


def describe_inputs(recording: Recording | None, seed: int) -> dict[str, Any]:
    """What was fed: the recording, or the seed of synthetic inputs."""
    if recording is None:
        return {"kind": "synthetic", "seed": seed}
    return {
        "kind": "recording",
        "file": recording.path.name,
        "content_hash": recording.content_hash,
        "source_rate_hz": recording.source_rate_hz,
    }


def describe_missing(
    pipeline: Pipeline,
    cases: Sequence[Case],
    foreign: ForeignCache,
    recording: Recording | None,
    seed: int,
) -> str:
    """Why ``cases`` have no reference though another interpreter's could be taken, and what helps.

    The command feeds in the other interpreter what was fed here.
    """
    options: list[object] = ["--backend", "onnxruntime"]
    if recording is not None:
        options += ["--audio", recording.path]
    else:
        durations = dict.fromkeys(c.duration_s for c in cases if c.duration_s is not None)
        options += [word for d in durations for word in ("--duration", f"{d:.12g}")]
        batches = dict.fromkeys(case.batch for case in cases)
        options += [word for batch in batches for word in ("--batch", batch)]
        options += ["--seed", seed] if seed else []
    return (
        f"PyTorch is not installed here and {foreign.folder} holds no reference for these inputs "
        f"({', '.join(map(str, cases))}); run `{foreign.command(pipeline, 'run', *options)}` there"
    )


def describe_calibration(prepared: Prepared, rule: ClippingRule) -> dict[str, Any] | None:
    """What INT8 was made with; None without it."""
    calibration = prepared.calibration
    if calibration is None:
        return None
    return {
        **calibration.info,
        "content_hash": calibration.content_hash,
        "samples": len(calibration),
        "clipping": str(rule),
    }


def describe_artifact(model: OnnxModel) -> Artifact:
    """A graph."""
    return Artifact(
        component=model.component,
        precision=model.precision,
        content_hash=model.content_hash,
        size_bytes=model.size_bytes,
        parameters=model.parameters,
        worst_relative_l2=model.worst_relative_l2,
        nodes=model.nodes,
        recipe=dict(model.recipe),
    )


def describe_engine(
    variant: Variant, case: Case, name: str, built: Built | None, found: Inspection
) -> Engine:
    """What a backend made of a component, looked into at ``case``; nothing may be built for it."""
    return Engine(
        component=name,
        backend=variant.backend,
        precision=variant.precision,
        route=variant.route,
        memory_bytes=found.memory_bytes,
        nodes=found.nodes,
        duration_s=case.duration_s,
        batch=case.batch,
        size_bytes=built.size_bytes if built else None,
        build_s=built.build_s if built else None,
        details={**(built.details if built else {}), **found.details},
    )


def describe_costs(
    pipeline: Pipeline, prepared: Prepared, cases: Sequence[Case]
) -> tuple[ComponentCost, ...]:
    """What every graph must do at each of ``cases``, for a roofline.

    Raises:
        ContractError: the shapes inside a graph cannot be told.
    """
    found = []
    for case in cases:
        sizes = pipeline.sizes(duration_s=case.duration_s, batch=case.batch)
        for precision, models in prepared.models.items():
            for name, model in models.items():
                cost = component_cost(pipeline.components[name], model.path, sizes)
                found.append(ComponentCost(name, precision, case.duration_s, case.batch, cost))
    return tuple(found)


def describe_accuracy(check: Check) -> dict[str, Any]:
    """The fields of a measurement that tell its accuracy; none without a reference."""
    if check.accuracy is None:
        return {}
    found = asdict(check.accuracy)
    return {
        "accuracy_inputs": found.pop("inputs"),
        **found,
        "log_spectral_distance_db": check.log_spectral_distance_db,
    }


def find_floor(pipeline: Pipeline, component: str, variant: Variant) -> float | None:
    """The accuracy floor (dB) of a component, its own or the pipeline's; None without one.

    A copy has none: nothing is computed. Nor has a canary, which is no part of the pipeline. TF32
    is held to fp16's where there is one, since its products have the ten bits of mantissa that
    fp16 has; else to fp32's.
    """
    if component in {CANARY, *TRANSFERS}:
        return None
    is_tf32 = variant.precision == "fp32" and variant.route.partition("+")[0] == TF32
    declared = pipeline.components.get(component)
    groups = [*([declared.min_snr_db] if declared else []), pipeline.declaration.min_snr_db]
    found = (
        floor_db
        for precision in (("fp16", "fp32") if is_tf32 else (variant.precision,))
        for group in groups
        for name, floor_db in group.items()
        if name == precision
    )
    return next(found, None)


def describe_budget(pipeline: Pipeline) -> Budget | None:
    """The latency budget that the pipeline declares."""
    declared = pipeline.declaration.budget
    if declared is None:
        return None
    return Budget(
        p99_s=declared.p99_s,
        duration_s=declared.duration_s if pipeline.time_dimension else None,
        batch=declared.batch,
        includes=declared.includes,
        excludes=declared.excludes,
    )
