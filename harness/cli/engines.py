"""What the options of engines mean, for every command that has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.library import AUTO, TENSORRT, TENSORRT_RTX
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.pipeline.pipeline import Pipeline

_MIB = 1 << 20


def take_choice(options: dict[str, Any]) -> TensorRTChoice:
    """Take the options of engines out of a command's ``options``.

    Raises:
        OptionError: one of them is no such thing.
    """
    workspace_mib = options.pop("workspace_mib")
    sources = options.pop("tactic_sources")
    made = TensorRTOptions(
        workspace_bytes=None if workspace_mib is None else workspace_mib * _MIB,
        tf32=options.pop("tf32"),
        optimization_level=options.pop("optimization_level"),
        tactic_sources=sources or None,
        builder_flags=options.pop("builder_flags"),
        constraints=options.pop("constraints"),
        plugins=tuple(_plugin(path) for path in options.pop("plugins")),
        layer_times=options.pop("layer_times", False),
        nvtx=options.pop("nvtx", False),
    )
    return TensorRTChoice(
        options=made,
        fp16_routes=options.pop("fp16_routes") or TensorRTChoice.fp16_routes,
        int8_routes=options.pop("int8_routes") or TensorRTChoice.int8_routes,
        engines=_engines(options.pop("engines", ())),
    )


def check_engines(choice: TensorRTChoice, pipeline: Pipeline, backends: Iterable[str]) -> None:
    """Check the engines that are given as files, before anything long is begun.

    Raises:
        OptionError: one is for no component, or no backend takes it.
        EngineError: a file is no engine.
    """
    for name, path in choice.engines.items():
        if name not in pipeline.components:
            what = f"{pipeline.name} has no component {name!r}"
            fix = f"name one of: {', '.join(pipeline.components)}"
            raise OptionError(what, where="--engine", fix=fix)
        if not set(backends) & {TENSORRT, TENSORRT_RTX, AUTO}:
            fix = f"add --backend {TENSORRT}"
            raise OptionError("no backend takes engines", where="--engine", fix=fix)
        read_header(path)


def _plugin(path: Path) -> str:
    if not path.is_file():
        raise OptionError(f"there is no file {path}", where="--plugin", fix="name a library")
    return str(path.resolve())


def _engines(given: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        name, separator, file = text.partition("=")
        if not (name and separator and file):
            what = f"{text!r} is not NAME=FILE"
            fix = "name the component and its engine: --engine vocoder=vocoder.engine"
            raise OptionError(what, where="--engine", fix=fix)
        if name in found:
            what = f"two engines are given for {name}"
            raise OptionError(what, where="--engine", fix="give one")
        found[name] = Path(file)
    return found
