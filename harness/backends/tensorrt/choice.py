"""TensorRT's options as a file of JSON gives them, and whether they fit a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.pipeline.pipeline import Pipeline

_MIB: Final = 1 << 20
_WORDS: Final = "a list of words"
_NUMBER: Final = "a whole number"
_YES: Final = "true or false"
# The options of the same name on the command line, as JSON holds them.
_KINDS: Final = {
    "fp16": _WORDS,
    "int8": _WORDS,
    "fp16_accumulation": _WORDS,
    "workspace_mib": _NUMBER,
    "tf32": _YES,
    "optimization_level": _NUMBER,
    "tactic_sources": _WORDS,
    "builder_flags": _WORDS,
    "precision_constraints": "a word",
    "fp32_nodes": _WORDS,
    "preview_features": _WORDS,
}


def read_choice(settings: Mapping[str, Any], where: str) -> TensorRTChoice:
    """The variants and options that ``settings``, an object of JSON, gives.

    What is not given is as on the command line. An empty list of ``preview_features`` sets none.

    Raises:
        OptionError: one of its values is wrong; the message names ``where``, or the option.
    """
    for name, value in settings.items():
        if name not in _KINDS:
            fix = f"choose from: {', '.join(_KINDS)}"
            raise OptionError(f"{name!r} is not known", where=where, fix=fix)
        if not _is_of(value, _KINDS[name]):
            fix = f"give {_KINDS[name]}"
            raise OptionError(f"{name} cannot be {value!r}", where=where, fix=fix)
    given: dict[str, Any] = dict(settings)
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    mib = given.get("workspace_mib")
    options = TensorRTOptions(
        workspace_bytes=None if mib is None else mib * _MIB,
        tf32=given.get("tf32", False),
        optimization_level=given.get("optimization_level"),
        tactic_sources=given.get("tactic_sources") or None,
        builder_flags=given.get("builder_flags", ()),
        constraints=given.get("precision_constraints", TensorRTOptions.constraints),
        preview_features=given.get("preview_features"),
        fp32_nodes=given.get("fp32_nodes", ()),
    )
    return TensorRTChoice(
        options=options,
        fp16_routes=given.get("fp16") or TensorRTChoice.fp16_routes,
        int8_routes=given.get("int8") or TensorRTChoice.int8_routes,
        accumulations=given.get("fp16_accumulation") or TensorRTChoice.accumulations,
    )


def check_components(choice: TensorRTChoice, pipeline: Pipeline) -> None:
    """Check what is given for single components, before anything long is begun.

    Raises:
        OptionError: something is for no component.
        EngineError: a file is no engine.
    """
    named = [("--engine", name) for name in choice.engines]
    named += [("--fp32-node", text.partition(":")[0]) for text in choice.options.fp32_nodes]
    for option, name in named:
        if name not in pipeline.components:
            what = f"{pipeline.name} has no component {name!r}"
            fix = f"name one of: {', '.join(pipeline.components)}"
            raise OptionError(what, where=option, fix=fix)
    for path in choice.engines.values():
        read_header(path)


def _is_of(value: object, kind: str) -> bool:
    if kind == _WORDS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, bool if kind == _YES else str)
