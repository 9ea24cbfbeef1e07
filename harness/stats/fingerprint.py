"""Whether two environments are the same, and in what they differ.

An environment is the dictionary that records hold; older ones lack entries, which are then unknown.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.states import FLAG, NOTE, Finding

if TYPE_CHECKING:
    from collections.abc import Collection

_DIGEST_BYTES: Final = 20
# Where these are not told, there is none.
_OPTIONAL: Final = re.compile(
    r"(interpreters\.[^.]+\.)?packages\..*|variables\..*|gpu_name|canary\..*"
)
_SHOWN: Final = 6
_SHOWN_HASH: Final = 12
# What is of the moment: no part of what a machine is.
_MOMENTARY: Final = re.compile(r"load_average_1min|momentary(\..*)?")
# What no latency depends on, or what is compared on purpose, as commits are.
_PROVENANCE: Final = re.compile(
    r"memory_bytes|harness_version|harness_commit(\..*)?|pipeline_commit(\..*)?|plan_commit(\..*)?"
    # Of the packages, all but those that run inference, or feed it.
    # The GPU's UUID tells which one it came to.
    r"|variables\.(CUDA_DEVICE_ORDER|CUDA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES)"
    r"|(interpreters\.[^.]+\.)?packages\."
    r"(?!(onnxruntime|torch|triton|tensorrt|pycuda|cuda-|nvidia-|numpy)).*"
)
# What only a pair of environments can tell: whether both have one, and not the same.
_PAIRED: Final = re.compile(r"canary\..*")
_INTERPRETER: Final = re.compile(r"interpreters\.([^.]+)(\..+)?")


@dataclass(frozen=True)
class Difference:
    """A field that is not the same; None for what is not known.

    ``affects_latency`` is false for what tells only where figures come from.
    """

    field: str
    a: Any
    b: Any
    affects_latency: bool

    def __str__(self) -> str:
        """For labels: ``driver 580.1 / 570.2``."""
        unknown = "none" if _OPTIONAL.fullmatch(self.field) else "unknown"
        is_hash = self.field.endswith("_commit.commit") or self.field.startswith("canary.")
        a, b = (_told(value, unknown, is_hash=is_hash) for value in (self.a, self.b))
        return f"{_name(self.field)} {a} / {b}"


def fingerprint(environment: Mapping[str, Any]) -> str:
    """The hash (BLAKE2b-160) of all in ``environment`` that latency may depend on.

    What is unknown (None) counts as what is not there. A canary is left out: that it was not timed
    makes no other environment. Whether two that were are the same is for :func:`differences`.
    """
    fields = {
        name: value
        for name, value in _fields(environment).items()
        if not (_PROVENANCE.fullmatch(name) or _PAIRED.fullmatch(name))
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The fields in which two environments differ; those that affect latency come first.

    What is momentary, such as load, is left out. Canaries of one kind that are not the same are
    such a difference, since their figures tell nothing of the machine; one that was not timed is
    not.
    """
    left, right = _fields(a), _fields(b)
    # An interpreter of one side alone is one difference.
    lone = _backends(left) ^ _backends(right)
    left, right = (
        _collapsed(fields, lone, is_known="interpreters" in environment)
        for fields, environment in ((left, a), (right, b))
    )
    is_bare = any("gpu" in one and one["gpu"] is None for one in (a, b))
    if is_bare and ("gpu.name" in left) != ("gpu.name" in right):
        # A GPU against none: one difference, not one for each of its entries.
        left, right = (
            {**{k: v for k, v in fields.items() if not k.startswith("gpu.")}, "gpu_name": name}
            for fields, name in ((left, left.get("gpu.name")), (right, right.get("gpu.name")))
        )
    found = [
        Difference(name, left.get(name), right.get(name), _affects(name, left, right))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]
    return tuple(sorted(found, key=lambda difference: not difference.affects_latency))


def facts(environment: Mapping[str, Any]) -> dict[str, str]:
    """All that is known of ``environment`` and latency may depend on, in words, by dotted names."""
    return {
        name: _told(value, "", is_hash=False)
        for name, value in sorted(_fields(environment).items())
        if not _PROVENANCE.fullmatch(name)
    }


def comparison_label(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """What must stand beside a comparison of records from ``a`` and ``b``; empty if nothing.

    It names all that affects latency, and the first of the rest.
    """
    found = differences(a, b)
    if not found:
        return ""
    grave = [str(difference) for difference in found if difference.affects_latency]
    other = [str(difference) for difference in found if not difference.affects_latency]
    if not grave:
        return f"the same environment, but for {_listed(other)}"
    label = f"not the same environment: {', '.join(grave)}"
    return f"{label}; also {_listed(other)}" if other else label


def variable_findings(
    variables: Mapping[str, str],
    precisions: Collection[str] = ("fp32",),
    *,
    uses_gpu: bool = True,
) -> tuple[Finding, ...]:
    """What environment variables do to figures of ``precisions``, and what to do about it.

    Those of a GPU do nothing where none is used.
    """
    found = []
    if uses_gpu and "fp32" in precisions and variables.get("NVIDIA_TF32_OVERRIDE", "0") != "0":
        value = variables["NVIDIA_TF32_OVERRIDE"]
        what = f"NVIDIA_TF32_OVERRIDE={value}: fp32 products on a GPU are not fp32 but TF32"
        found.append(Finding(FLAG, what, "unset NVIDIA_TF32_OVERRIDE, or set it to 0"))
    if uses_gpu and variables.get("CUDA_LAUNCH_BLOCKING", "0") != "0":
        what = "CUDA_LAUNCH_BLOCKING is set: the host waits for every kernel"
        found.append(Finding(FLAG, what, "unset CUDA_LAUNCH_BLOCKING"))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        if name in variables:
            what = f"{name}={variables[name]} may limit threads beside --threads"
            found.append(Finding(NOTE, what, f"unset {name}, unless that is meant"))
    return tuple(found)


def _affects(name: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    if _PAIRED.fullmatch(name):
        return name in left and name in right
    return _PROVENANCE.fullmatch(name) is None


def _name(field: str) -> str:
    """What a label calls it: ``torch-cuda's cudnn`` of another interpreter's package."""
    if field == "gpu.driver":
        return "driver"
    if field.startswith("variables."):
        return field.removeprefix("variables.")
    backend, rest = "", field
    if (of := _INTERPRETER.fullmatch(field)) is not None:
        backend, rest = f"{of[1]}'s ", (of[2] or ".interpreter")[1:]
    rest = rest.removeprefix("packages.").removesuffix(".commit")
    return backend + rest.replace(".", " ").replace("_", " ")


def _backends(fields: Mapping[str, Any]) -> set[str]:
    """Those whose interpreter ``fields`` tell of."""
    return {found[1] for name in fields if (found := _INTERPRETER.fullmatch(name))}


def _collapsed(
    fields: Mapping[str, Any], backends: Collection[str], *, is_known: bool
) -> dict[str, Any]:
    """``fields`` with one for the interpreter of each of ``backends``, not one for each package.

    Where there is none, it is told only if that ``is_known``: older records do not tell.
    """
    found = {
        name: value for name, value in fields.items() if not _backends({name: 0}) & {*backends}
    }
    for backend in backends:
        name = f"interpreters.{backend}"
        if backend in _backends(fields):
            found[name] = f"Python {fields.get(f'{name}.python', 'unknown')}"
        elif is_known:
            found[name] = "none"
    return found


def _fields(environment: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known, by dotted names, without what is momentary."""
    canaries = environment.get("canary")
    if isinstance(canaries, Mapping):
        # By its kind: cpu-1 and cpu-2 are two canaries of one.
        kinds = {
            str(name).rpartition("-")[0] or str(name): f"{name} {told}"
            for name, told in canaries.items()
        }
        environment = {**environment, "canary": kinds}
    return _flat(environment)


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in environment.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": inner for name, inner in _flat(value).items()}
        elif value is not None:
            found[key] = list(value) if isinstance(value, (list, tuple)) else value
    return {name: value for name, value in found.items() if not _MOMENTARY.fullmatch(name)}


def _told(value: Any, unknown: str, *, is_hash: bool) -> str:  # noqa: ANN401
    if value is None:
        return unknown
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(word[:_SHOWN_HASH] for word in str(value).split()) if is_hash else str(value)


def _listed(items: list[str]) -> str:
    rest = len(items) - _SHOWN
    shown = ", ".join(items[:_SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown
