"""A pipeline: the declaration, its folder, and its components in the order of the data."""

from __future__ import annotations

import graphlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from harness.errors import DeclarationError, OptionError
from harness.pipeline import expressions
from harness.pipeline.declaration import Component, Declaration, Dimension, Tensor

if TYPE_CHECKING:
    from pathlib import Path

ProfilePoint = Literal["min", "opt", "max"]
PROFILE_POINTS: tuple[ProfilePoint, ...] = ("min", "opt", "max")
MANIFEST_NAME = "pipeline.toml"
WHOLE_PIPELINE = "pipeline"
# What else is timed beside the components: the copies, and the host's part of a launch.
HOST_TO_DEVICE, DEVICE_TO_HOST, HOST_ENQUEUE = "host_to_device", "device_to_host", "host_enqueue"
# Frozen work that is no part of the pipeline, timed beside it.
CANARY = "canary"
TRANSFERS = (HOST_TO_DEVICE, DEVICE_TO_HOST, HOST_ENQUEUE)


@dataclass(frozen=True)
class Pipeline:
    """A checked declaration; every tensor reference in it is known to resolve and to fit."""

    root: Path
    declaration: Declaration
    order: tuple[str, ...]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.declaration.name

    @property
    def manifest(self) -> Path:
        """The path of ``pipeline.toml``."""
        return self.root / MANIFEST_NAME

    @cached_property
    def components(self) -> dict[str, Component]:
        """The components by name, each after those that feed it."""
        return {name: self.declaration.components[name] for name in self.order}

    @cached_property
    def time_dimension(self) -> tuple[str, Dimension] | None:
        """The dimension that has ``per_second``, if there is one."""
        for name, dimension in self.declaration.dimensions.items():
            if isinstance(dimension, Dimension) and dimension.per_second is not None:
                return name, dimension
        return None

    @property
    def final_outputs(self) -> tuple[tuple[str, str], ...]:
        """``(component, output)`` of every output that feeds no other component."""
        used = {i.source for c in self.components.values() for i in c.inputs.values()}
        return tuple(
            (name, output)
            for name, component in self.components.items()
            for output in component.outputs
            if f"{name}.{output}" not in used
        )

    def profile(self, point: ProfilePoint) -> dict[str, int]:
        """The size of every dimension at the ``min``, ``opt`` or ``max`` of the profile."""
        return self._with_derived(
            {
                name: int(getattr(dimension, point))
                for name, dimension in self.declaration.dimensions.items()
                if isinstance(dimension, Dimension)
            }
        )

    def sizes(self, *, duration_s: float | None = None, batch: int = 1) -> dict[str, int]:
        """The size of every dimension for one inference of ``duration_s`` with ``batch`` rows.

        Dimensions other than time and ``batch`` are at their ``opt``.

        Raises:
            OptionError: the duration or batch lies outside the profile, or is not a whole number
                of frames; the message names the range.
        """
        sizes = self.profile("opt")
        dimensions = self.declaration.dimensions
        batch_dimension = dimensions.get("batch")
        if isinstance(batch_dimension, Dimension):
            if not batch_dimension.min <= batch <= batch_dimension.max:
                message = f"batch {batch} lies outside the profile of {self.name}"
                fix = f"choose {batch_dimension.min} to {batch_dimension.max}"
                raise OptionError(message, where="--batch", fix=fix)
            sizes["batch"] = batch
        elif batch != 1:
            message = f"{self.name} declares no dimension called batch"
            raise OptionError(message, where="--batch", fix=f"add it to {self.manifest}")
        if duration_s is not None:
            name, count = self._frames(duration_s)
            sizes[name] = count
        base = {n: s for n, s in sizes.items() if isinstance(dimensions[n], Dimension)}
        return self._with_derived(base)

    def _frames(self, duration_s: float) -> tuple[str, int]:
        if self.time_dimension is None:
            message = f"{self.name} has no dimension of time, so no durations"
            fix = f"leave the option out, or give a dimension per_second in {self.manifest}"
            raise OptionError(message, where="--duration", fix=fix)
        name, dimension = self.time_dimension
        rate = dimension.per_second or 1.0
        shortest, longest = dimension.min / rate, dimension.max / rate
        exact = duration_s * rate
        count = round(exact) if math.isfinite(exact) else 0
        if not dimension.min <= count <= dimension.max:
            message = f"{duration_s:g} s lies outside the profile of {self.name}"
            fix = f"choose {shortest:g} to {longest:g} s"
            raise OptionError(message, where="--duration", fix=fix)
        if abs(exact - count) > 1e-6 * max(exact, 1.0):
            message = f"{duration_s:g} s is {exact:g} {name}, not a whole number"
            fix = f"choose a multiple of {1 / rate:g} s"
            raise OptionError(message, where="--duration", fix=fix)
        return name, count

    def _with_derived(self, base: dict[str, int]) -> dict[str, int]:
        sizes = dict(base)
        for name, expression in self.declaration.dimensions.items():
            if isinstance(expression, str):
                sizes[name] = int(expressions.evaluate(expression, base))
        return sizes


def wire(declaration: Declaration, root: Path) -> Pipeline:
    """Check that every reference resolves and fits, and order the components.

    Raises:
        DeclarationError: naming the key, what does not fit, and what would.
    """
    manifest = root / MANIFEST_NAME
    _check_dimensions(declaration, manifest)
    _check_sources(declaration, manifest)
    order = _topological_order(declaration, manifest)
    pipeline = Pipeline(root=root, declaration=declaration, order=order)
    _check_sizes(pipeline)
    _check_references(pipeline)
    return pipeline


def _check_dimensions(declaration: Declaration, manifest: Path) -> None:
    tensors: dict[str, Tensor] = {f"inputs.{n}": t for n, t in declaration.inputs.items()}
    for name, component in declaration.components.items():
        if name in {WHOLE_PIPELINE, CANARY, *TRANSFERS}:
            message = "is a name that reports give to something else"
            raise DeclarationError(
                message, where=f"{manifest}: components.{name}", fix="choose another"
            )
        for kind, group in (("inputs", component.inputs), ("outputs", component.outputs)):
            tensors |= {f"components.{name}.{kind}.{n}": t for n, t in group.items()}
    for key, tensor in tensors.items():
        for symbol in tensor.shape:
            if isinstance(symbol, str) and symbol not in declaration.dimensions:
                known = ", ".join(declaration.dimensions) or "none"
                message = f"unknown dimension {symbol!r}"
                fix = f"declare it under [dimensions] (there are: {known})"
                raise DeclarationError(message, where=f"{manifest}: {key}.shape", fix=fix)


def _check_sources(declaration: Declaration, manifest: Path) -> None:
    available: dict[str, Tensor] = dict(declaration.inputs)
    for name, component in declaration.components.items():
        available |= {f"{name}.{output}": tensor for output, tensor in component.outputs.items()}
    unused = set(declaration.inputs)
    for name, component in declaration.components.items():
        for input_name, tensor in component.inputs.items():
            if tensor.source is None:
                continue
            where = f"{manifest}: components.{name}.inputs.{input_name}"
            if tensor.source not in available:
                message = f"from = {tensor.source!r} names neither an input nor an output"
                fix = f"use one of: {', '.join(available)}"
                raise DeclarationError(message, where=where, fix=fix)
            unused.discard(tensor.source)
            source = available[tensor.source]
            if (source.dtype, source.shape) != (tensor.dtype, tensor.shape):
                message = (
                    f"takes {tensor.dtype} {_shape(tensor)}, but {tensor.source} is "
                    f"{source.dtype} {_shape(source)}"
                )
                raise DeclarationError(message, where=where, fix="make the two the same")
    if unused:
        message = "feeds no component"
        where = f"{manifest}: inputs.{min(unused)}"
        raise DeclarationError(message, where=where, fix="remove it, or name it in a 'from'")


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(str(size) for size in tensor.shape)}]"


def _topological_order(declaration: Declaration, manifest: Path) -> tuple[str, ...]:
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for name, component in declaration.components.items():
        sources = (tensor.source or "" for tensor in component.inputs.values())
        sorter.add(name, *(source.split(".")[0] for source in sources if "." in source))
    try:
        return tuple(sorter.static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        message = f"the components feed each other in a cycle: {cycle}"
        fix = "let one of them take an input under [inputs]"
        raise DeclarationError(message, where=f"{manifest}: components", fix=fix) from error


def _check_sizes(pipeline: Pipeline) -> None:
    for point in PROFILE_POINTS:
        try:
            sizes = pipeline.profile(point)
        except ValueError as error:
            where = f"{pipeline.manifest}: dimensions"
            raise DeclarationError(str(error), where=where, fix="mend the expression") from error
        for name, size in sizes.items():
            if size < 1:
                message = f"{name} is {size} at the profile's {point}"
                where = f"{pipeline.manifest}: dimensions.{name}"
                raise DeclarationError(message, where=where, fix="sizes must be 1 or more")


def _check_references(pipeline: Pipeline) -> None:
    declaration = pipeline.declaration
    outputs = {f"{n}.{o}" for n, c in pipeline.components.items() for o in c.outputs}
    if declaration.audio is not None and declaration.audio.output not in outputs:
        message = f"output = {declaration.audio.output!r} is no component's output"
        fix = f"use one of: {', '.join(sorted(outputs))}"
        raise DeclarationError(message, where=f"{pipeline.manifest}: audio", fix=fix)
    durations: list[float | None] = list(declaration.durations_s)
    if declaration.budget is not None and pipeline.time_dimension is not None:
        durations.append(declaration.budget.duration_s)
    batches = list(declaration.batches)
    if declaration.budget is not None:
        batches.append(declaration.budget.batch)
    for batch in batches:
        for duration_s in durations or [None]:
            try:
                pipeline.sizes(duration_s=duration_s, batch=batch)
            except OptionError as error:
                key = (
                    "batches, budget.batch"
                    if error.where == "--batch"
                    else "durations_s, budget.duration_s"
                )
                where = f"{pipeline.manifest}: {key}"
                raise DeclarationError(error.what, where=where, fix=error.fix) from error
