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
_OPTIONAL: Final = ("packages.", "variables.", "gpu_name")
_SHOWN: Final = 6
_SHOWN_COMMIT: Final = 12
# What is of the moment: no part of what a machine is.
_MOMENTARY: Final = re.compile(r"load_average_1min|momentary(\..*)?")
# What no latency depends on, or what is compared on purpose, as commits are.
_PROVENANCE: Final = re.compile(
    r"memory_bytes|harness_version|harness_commit(\..*)?|pipeline_commit(\..*)?"
    # Of the packages, all but those that run inference, or feed it.
    # The GPU's UUID tells which one it came to.
    r"|variables\.(CUDA_DEVICE_ORDER|CUDA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES)"
    r"|packages\.(?!(onnxruntime|torch|triton|tensorrt|pycuda|cuda-|nvidia-|numpy)).*"
)


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
        name = self.field.removeprefix("packages.").removeprefix("variables.")
        name = name.removesuffix(".commit").replace(".", " ").replace("_", " ")
        if self.field.startswith("variables."):
            name = self.field.removeprefix("variables.")
        elif self.field == "gpu.driver":
            name = "driver"
        is_commit = self.field.endswith("_commit.commit")
        unknown = "none" if self.field.startswith(_OPTIONAL) else "unknown"
        a, b = (_told(value, unknown, is_commit=is_commit) for value in (self.a, self.b))
        return f"{name} {a} / {b}"


def fingerprint(environment: Mapping[str, Any]) -> str:
    """The hash (BLAKE2b-160) of all in ``environment`` that latency may depend on.

    What is unknown (None) counts as what is not there.
    """
    fields = {name: value for name, value in _fields(environment).items() if _affects(name)}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The fields in which two environments differ; those that affect latency come first.

    What is momentary, such as load, is left out.
    """
    left, right = _fields(a), _fields(b)
    is_bare = any("gpu" in one and one["gpu"] is None for one in (a, b))
    if is_bare and ("gpu.name" in left) != ("gpu.name" in right):
        # A GPU against none: one difference, not one for each of its entries.
        left, right = (
            {**{k: v for k, v in fields.items() if not k.startswith("gpu.")}, "gpu_name": name}
            for fields, name in ((left, left.get("gpu.name")), (right, right.get("gpu.name")))
        )
    found = [
        Difference(name, left.get(name), right.get(name), _affects(name))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]
    return tuple(sorted(found, key=lambda difference: not difference.affects_latency))


def comparison_label(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """What must stand beside a comparison of records from ``a`` and ``b``; empty if nothing."""
    found = differences(a, b)
    if not found:
        return ""
    grave = [str(difference) for difference in found if difference.affects_latency]
    other = [str(difference) for difference in found if not difference.affects_latency]
    if not grave:
        return f"the same environment, but for {_listed(other)}"
    label = f"not the same environment: {_listed(grave)}"
    return f"{label}; also {_listed(other)}" if other else label


def variable_findings(
    variables: Mapping[str, str], precisions: Collection[str] = ("fp32",)
) -> tuple[Finding, ...]:
    """What environment variables do to figures of ``precisions``, and what to do about it."""
    found = []
    if "fp32" in precisions and variables.get("NVIDIA_TF32_OVERRIDE", "0") != "0":
        value = variables["NVIDIA_TF32_OVERRIDE"]
        what = f"NVIDIA_TF32_OVERRIDE={value}: fp32 products on a GPU are not fp32 but TF32"
        found.append(Finding(FLAG, what, "unset NVIDIA_TF32_OVERRIDE, or set it to 0"))
    if variables.get("CUDA_LAUNCH_BLOCKING", "0") != "0":
        what = "CUDA_LAUNCH_BLOCKING is set: the host waits for every kernel"
        found.append(Finding(FLAG, what, "unset CUDA_LAUNCH_BLOCKING"))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        if name in variables:
            what = f"{name}={variables[name]} may limit threads beside --threads"
            found.append(Finding(NOTE, what, f"unset {name}, unless that is meant"))
    return tuple(found)


def _affects(name: str) -> bool:
    return _PROVENANCE.fullmatch(name) is None


def _fields(environment: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known, by dotted names, without what is momentary."""
    found: dict[str, Any] = {}
    for key, value in environment.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": inner for name, inner in _fields(value).items()}
        elif value is not None:
            found[key] = list(value) if isinstance(value, (list, tuple)) else value
    return {name: value for name, value in found.items() if not _MOMENTARY.fullmatch(name)}


def _told(value: Any, unknown: str, *, is_commit: bool) -> str:  # noqa: ANN401
    if value is None:
        return unknown
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)[:_SHOWN_COMMIT] if is_commit else str(value)


def _listed(items: list[str]) -> str:
    rest = len(items) - _SHOWN
    shown = ", ".join(items[:_SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown
