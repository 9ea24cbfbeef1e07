"""What is measured of every commit: the file ``plan.json`` beside the suites."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from harness.errors import DeclarationError
from harness.pipeline.fingerprint import hash_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.backends.protocol import Backend
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Variant

PLAN_NAME: Final = "plan.json"
# How each field is written in JSON; those of numbers may be null where their default is.
_WORDS: Final = {
    "str": "a text",
    "tuple[str, ...]": "a list of texts",
    "tuple[float, ...]": "a list of numbers",
    "tuple[int, ...]": "a list of whole numbers",
    "float | None": "a number or null",
    "int | None": "a whole number or null",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "Mapping[str, Any] | None": "an object or null",
}


@dataclass(frozen=True)
class HistoryPlan:
    """What is measured of every commit; the same for all, or their figures would not compare.

    ``pipeline`` is a folder, relative to the repository. No ``durations_s`` or ``batches`` means
    those that the pipeline declares. ``max_time_s`` and ``max_samples`` end what is not known to
    ``rel_precision`` before. ``energy`` runs each whole pipeline for 2.5 s more. ``tensorrt`` says
    which engines are built, and how. ``simulation`` is what the backend ``simulated`` makes its
    times up from; its seed is mixed with the commit and the round.
    """

    pipeline: str
    backends: tuple[str, ...] = ("onnxruntime",)
    precisions: tuple[str, ...] = ("fp32",)
    durations_s: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    max_time_s: float | None = None
    max_samples: int | None = None
    rel_precision: float = 0.005
    seed: int = 0
    opset: int = 20
    threads: int | None = None
    launches: tuple[str, ...] = ()
    energy: bool = True
    tensorrt: Mapping[str, Any] | None = field(default=None, hash=False)
    simulation: Mapping[str, Any] | None = field(default=None, hash=False)


def read_plan(path: Path) -> HistoryPlan:
    """The plan in the file at ``path``.

    Raises:
        DeclarationError: it cannot be read, or one of its values cannot be used.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"cannot be read: {error}"
        fix = "write one with 'harness history init FOLDER'"
        raise DeclarationError(what, where=str(path), fix=fix) from error
    if not isinstance(given, dict):
        fix = 'write {"pipeline": "FOLDER"}'
        raise DeclarationError("is no JSON object", where=str(path), fix=fix)
    known = {one.name: one for one in fields(HistoryPlan)}
    for name in given:
        if name not in known:
            fix = f"choose from: {', '.join(known)}"
            raise DeclarationError(f"there is no {name!r}", where=str(path), fix=fix)
    values = {}
    for name, one in known.items():
        if name in given:
            values[name] = _converted(given[name], str(one.type), f"{path}: {name}")
        elif one.default is MISSING and one.default_factory is MISSING:
            raise DeclarationError(f"has no {name!r}", where=str(path), fix="add it")
    plan = HistoryPlan(**values)
    parts = PurePosixPath(plan.pipeline)
    if not plan.pipeline or parts.is_absolute() or ".." in parts.parts:
        what = f"{plan.pipeline!r} is no folder of the repository"
        fix = "give its path from the top of the repository, as it is in every commit"
        raise DeclarationError(what, where=f"{path}: pipeline", fix=fix)
    return plan


def plan_hash(plan: HistoryPlan) -> str:
    """The same for plans that say the same, however they are written."""
    return hash_json(asdict(plan))


def _converted(value: Any, kind: str, where: str) -> Any:  # noqa: ANN401
    """``value`` as a field of that type holds it."""
    base = kind.removesuffix(" | None")
    if value is None and base != kind:
        return None
    if base.startswith("tuple") and isinstance(value, list):
        inner = base[len("tuple[") : -len(", ...]")]
        return tuple(_converted(item, inner, where) for item in value)
    kinds: dict[str, type | tuple[type, ...]] = {
        "str": str,
        "int": int,
        "float": (int, float),
        "bool": bool,
    }
    is_number = base in {"int", "float"}
    if not isinstance(value, kinds.get(base, dict)) or (is_number and isinstance(value, bool)):
        fix = f"give {_WORDS[kind] if kind in _WORDS else _WORDS[base]}"
        raise DeclarationError(f"{value!r} cannot be used", where=where, fix=fix)
    return float(value) if isinstance(value, int) and base == "float" else value


def plan_backends(plan: HistoryPlan, *keys: object) -> list[Backend]:
    """The backends of ``plan``, each at each precision that it runs.

    ``keys``, such as a commit and a round, give a simulation a seed of their own.

    Raises:
        HarnessError: there is no such backend here, or it does not run so.
    """
    from harness.api import check_used, make_backends  # noqa: PLC0415  # loads numpy and the like
    from harness.backends.simulated import read_simulation  # noqa: PLC0415
    from harness.backends.tensorrt.choice import read_choice  # noqa: PLC0415
    from harness.types import GRAPH  # noqa: PLC0415

    where = f"{PLAN_NAME}: tensorrt"
    check_used(plan.backends, tensorrt={where: bool(plan.tensorrt)}, launches={})
    # Also without one: the seed must never come from the environment, for all commits alike.
    simulation = read_simulation(plan.simulation or {}, f"{PLAN_NAME}: simulation")
    return make_backends(
        plan.backends,
        plan.precisions,
        threads=plan.threads,
        launches=plan.launches or (GRAPH,),
        tensorrt=read_choice(plan.tensorrt or {}, where),
        simulation=simulation.mixed(*keys),
    )


def offered(plan: HistoryPlan, pipeline: Pipeline) -> dict[str, Any]:
    """The parameters of asv's benchmarks: components, variants, sizes, canaries, the budget's size.

    Raises:
        HarnessError: as :func:`plan_backends`, or a size lies outside the pipeline's profile.
    """
    from harness.api import choose_cases  # noqa: PLC0415
    from harness.backends.canary.series import CPU, CUDA  # noqa: PLC0415
    from harness.backends.simulated import is_simulated  # noqa: PLC0415
    from harness.backends.tensorrt.choice import check_components, read_choice  # noqa: PLC0415
    from harness.types import Case  # noqa: PLC0415

    backends = plan_backends(plan)
    check_components(read_choice(plan.tensorrt or {}, f"{PLAN_NAME}: tensorrt"), pipeline)
    variants = dict.fromkeys(str(v) for backend in backends for v in _launched(plan, backend))
    budget = pipeline.declaration.budget
    duration_s = budget.duration_s if budget and pipeline.time_dimension else None
    has_engines = any(backend.name.startswith("tensorrt") for backend in backends)
    return {
        "components": list(pipeline.order),
        "variants": list(variants),
        "sizes": [str(case) for case in choose_cases(pipeline, plan.durations_s, plan.batches)],
        # Beside made up times, none is measured.
        "canaries": [] if is_simulated(backends) else [CPU, CUDA] if has_engines else [CPU],
        "budget": [] if budget is None else [str(Case(duration_s, budget.batch))],
        "energy": plan.energy,
    }


def _launched(plan: HistoryPlan, backend: Backend) -> list[Variant]:
    """What ``backend`` is measured as: once for each way in which it is launched on a GPU."""
    from harness.backends.protocol import variant_of  # noqa: PLC0415
    from harness.types import GRAPH  # noqa: PLC0415

    variant = variant_of(backend)
    if not backend.name.startswith(("tensorrt", "torch-cuda")):
        return [variant]
    return [replace(variant, launch=launch) for launch in plan.launches or (GRAPH,)]
