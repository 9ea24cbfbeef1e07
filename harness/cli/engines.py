"""What the options of engines mean, for every command that has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.api import DEFAULT_BACKEND, check_used
from harness.backends.peers import check_launches
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MIB = 1 << 20
# What only TensorRT's backends take.
_FLAGS: Final = {
    "--fp16": "fp16_routes",
    "--int8": "int8_routes",
    "--fp16-accumulation": "accumulations",
    "--workspace": "workspace_mib",
    "--tf32": "tf32",
    "--tactic-source": "tactic_sources",
    "--builder-flag": "builder_flags",
    "--fp32-node": "fp32_nodes",
    "--preview-feature": "preview_features",
    "--plugin": "plugins",
    "--profile": "layer_times",
    "--nvtx": "nvtx",
    "--engine": "engines",
}


def take_choice(options: dict[str, Any]) -> TensorRTChoice:
    """Take the options of engines out of a command's ``options``.

    Raises:
        OptionError: one of them is no such thing, or would change nothing.
    """
    _check_used(options)
    workspace_mib = options.pop("workspace_mib")
    sources = options.pop("tactic_sources")
    made = TensorRTOptions(
        workspace_bytes=None if workspace_mib is None else workspace_mib * _MIB,
        tf32=options.pop("tf32"),
        optimization_level=options.pop("optimization_level"),
        tactic_sources=sources or None,
        builder_flags=options.pop("builder_flags"),
        constraints=options.pop("constraints"),
        preview_features=_previews(options.pop("preview_features")),
        fp32_nodes=options.pop("fp32_nodes"),
        plugins=tuple(_plugin(path) for path in options.pop("plugins")),
        layer_times=options.pop("layer_times", False),
        nvtx=options.pop("nvtx", False),
    )
    return TensorRTChoice(
        options=made,
        fp16_routes=options.pop("fp16_routes") or TensorRTChoice.fp16_routes,
        int8_routes=options.pop("int8_routes") or TensorRTChoice.int8_routes,
        accumulations=options.pop("accumulations") or TensorRTChoice.accumulations,
        engines=_engines(options.pop("engines", ())),
    )


def _check_used(options: Mapping[str, Any]) -> None:
    """Refuse what no backend takes: an option of TensorRT, or a way of launching."""
    backends = options.get("backends") or [options.get("backend") or DEFAULT_BACKEND]
    launches = options.get("launches", ())
    check_launches(launches)
    given = {flag: bool(options.get(name)) for flag, name in _FLAGS.items()}
    # 0 is a level.
    given["--optimization-level"] = options["optimization_level"] is not None
    given["--precision-constraints"] = options["constraints"] != TensorRTOptions.constraints
    check_used(backends, tensorrt=given, launches={"--launch": bool(launches)})


def _previews(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """The features to set; None for the harness's own choice, ``none`` for none at all."""
    if "none" in names and len(names) > 1:
        what = "none, and others"
        raise OptionError(what, where="--preview-feature", fix="give none, or the others")
    return () if names == ("none",) else names or None


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
