"""``pipeline.toml`` as frozen, validated types: what one file says, before it is wired up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.pipeline import expressions

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 1

DType = Literal["float32", "float16", "int32", "int64", "bool"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
CodeReference = Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$")]
OutputReference = Annotated[str, Field(pattern=r"^\w+\.\w+$")]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Decibels = Annotated[float, Field(allow_inf_nan=False)]
Precision = Literal["fp32", "fp16", "int8", "int8-ort", "int8+fp16"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dimension(_Strict):
    """A dimension that varies: the range that engines are built for, and its rate if it is time."""

    min: Positive
    opt: Positive
    max: Positive
    per_second: (
        Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False, strict=False)] | None
    ) = Field(
        default=None, description="how many of it make one second; marks the dimension of time"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Dimension:
        if not self.min <= self.opt <= self.max:
            message = (
                f"min {self.min}, opt {self.opt}, max {self.max} must not decrease; "
                "give min <= opt <= max"
            )
            raise ValueError(message)
        return self


class Tensor(_Strict):
    """Element type and shape: whole numbers and names from ``[dimensions]``; [] is a scalar."""

    dtype: DType
    shape: Annotated[tuple[Positive | Name, ...], Field(strict=False)]

    def concrete_shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with every symbol replaced by its size."""
        return tuple(size if isinstance(size, int) else sizes[size] for size in self.shape)


def _fits(value: float, dtype: str) -> bool:
    if dtype == "bool" or isinstance(value, bool):
        return dtype == "bool" and isinstance(value, bool)
    if dtype.startswith("float"):
        return abs(value) <= _LARGEST[dtype]
    return isinstance(value, int) and -_LARGEST[dtype] <= value <= _LARGEST[dtype]


_LARGEST = {"float16": 65504.0, "float32": 3.4e38, "int32": 2**31 - 1, "int64": 2**63 - 1}


class InputTensor(Tensor):
    """A component's input: fed by another tensor (``from``) or by a constant (``value``)."""

    source: str | None = Field(
        default=None,
        alias="from",
        pattern=r"^\w+(\.\w+)?$",
        description="a name under [inputs], or component.output",
    )
    value: bool | int | float | None = Field(
        default=None, description="a constant, fed in the declared shape"
    )

    @model_validator(mode="after")
    def _fed_once(self) -> InputTensor:
        if (self.source is None) == (self.value is None):
            message = "needs either from = 'component.output' or value = a constant, not both"
            raise ValueError(message)
        if self.value is not None and not _fits(self.value, self.dtype):
            message = f"value = {self.value!r} is no {self.dtype}; give one that it can hold"
            raise ValueError(message)
        return self


class Component(_Strict):
    """One stage of the pipeline: a PyTorch factory or an ONNX file, with its tensors by name."""

    factory: CodeReference | None = None
    onnx: str | None = None
    arguments: dict[Name, bool | int | float | str] = Field(default_factory=dict)
    weights: str | None = Field(
        default=None, description=".safetensors, or a checkpoint that torch loads weights_only"
    )
    submodule: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(), description="take the factory's submodule of one of these names"
    )
    sources: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="more files whose change makes a new export"
    )
    description: str = ""
    inputs: dict[Name, InputTensor] = Field(min_length=1)
    outputs: dict[Name, Tensor] = Field(min_length=1)
    min_snr_db: dict[Precision, Decibels] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> Component:
        if (self.factory is None) == (self.onnx is None):
            message = "needs either factory = 'file.py:name' or onnx = 'file.onnx', not both"
            raise ValueError(message)
        if self.onnx is not None and (self.arguments or self.weights or self.submodule):
            message = "arguments, weights and submodule belong to a factory, not to an onnx file"
            raise ValueError(message)
        return self


class Generators(_Strict):
    """Functions that make the free inputs: synthetic ones, those of a recording, diverse ones."""

    synthetic: CodeReference
    recording: CodeReference | None = None
    calibration: CodeReference | None = Field(
        default=None, description="for INT8 calibration; the synthetic ones are taken without it"
    )


class Audio(_Strict):
    """The sample rate of the pipeline's audio, and the output that is the audio."""

    sample_rate_hz: Positive
    output: OutputReference


class Budget(_Strict):
    """The latency budget: the 99th percentile end to end, for one inference of ``duration_s``."""

    p99_s: Seconds
    duration_s: Seconds = 1.0
    batch: Positive = 1
    includes: str = ""
    excludes: str = ""


class Declaration(_Strict):
    """The whole of ``pipeline.toml``."""

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    description: str = ""
    durations_s: Annotated[tuple[Seconds, ...], Field(strict=False)] = Field(
        default=(), description="durations that are measured unless asked otherwise"
    )
    batches: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1,)
    generators: Generators
    audio: Audio | None = None
    budget: Budget | None = None
    min_snr_db: dict[Precision, Decibels] = Field(default_factory=dict)
    dimensions: dict[Name, Dimension | str]
    inputs: dict[Name, Tensor] = Field(min_length=1)
    components: dict[Name, Component] = Field(min_length=1)

    @field_validator("dimensions")
    @classmethod
    def _derived(cls, dimensions: dict[str, Dimension | str]) -> dict[str, Dimension | str]:
        base = {name for name, value in dimensions.items() if isinstance(value, Dimension)}
        for name, value in dimensions.items():
            if isinstance(value, str):
                unknown = expressions.symbols_of(value) - base
                if unknown:
                    message = (
                        f"{name} = {value!r} uses {', '.join(sorted(unknown))}; "
                        f"use dimensions with a range: {', '.join(sorted(base)) or 'none yet'}"
                    )
                    raise ValueError(message)
        clocks = [n for n, d in dimensions.items() if isinstance(d, Dimension) and d.per_second]
        if len(clocks) > 1:
            message = f"only one dimension may have per_second, not {' and '.join(clocks)}"
            raise ValueError(message)
        return dimensions


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``pipeline.toml``, for editors and other tools."""
    return Declaration.model_json_schema(by_alias=True)
