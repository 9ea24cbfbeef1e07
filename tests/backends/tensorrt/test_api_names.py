"""Every name of TensorRT's that is used is there: in the runtime of 11 and the builder of RTX.

The full library cannot be installed where these tests run. Its runtime half can, as the lean
runtime of version 11, and the builder's half is that of TensorRT-RTX. Both must be installed: a
test that passes over them would prove nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import harness.backends.tensorrt as package
from harness.backends.tensorrt.library import MEMORY_API, RUNTIME_API

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.backends.tensorrt.library import Library

FOLDER = Path(package.__file__).parent
RUNTIME_SIDE = (
    "backend.py",
    "buffers.py",
    "engine.py",
    "inspector.py",
    "layer_times.py",
    "open.py",
    "session.py",
)
BUILDER_SIDE = ("builder.py", "calibrator.py", "network.py", "progress.py", "selector.py")
# The lean runtime leaves these out, and the full one of each version has them.
NOT_IN_LEAN = {"EngineInspector"}
# Attributes of ours that have the names of theirs in the code: OpenEngine.
OUR_ENGINE = {
    "close",
    "context",
    "device_memory_bytes",
    "engine",
    "enqueue",
    "inputs",
    "largest_shapes",
    "outputs",
    "set_address",
    "set_shapes",
    "tensors",
}
# What only weakly typed versions have, asked for by name first; and what has no place in RTX.
OLDER = {
    "IAlgorithmSelector",
    "IInt8EntropyCalibrator2",
    "algorithm_selector",
    "int8_calibrator",
    "precision",
    "set_calibration_profile",
    "set_output_type",
}


@pytest.fixture(scope="module")
def lean() -> Any:
    import tensorrt_lean_bindings  # noqa: PLC0415  # not pytest.importorskip: see above

    return tensorrt_lean_bindings


def _trees(files: tuple[str, ...]) -> Iterator[tuple[str, ast.AST]]:
    for name in files:
        yield name, ast.parse((FOLDER / name).read_text(encoding="utf-8"))


def _chain(node: ast.AST) -> list[str]:
    """``self.engine.x`` as its names; empty for what is no such chain."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return [node.id, *reversed(names)]


def _uses(tree: ast.AST) -> Iterator[list[str]]:
    """Every whole chain of attributes."""
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            chain = _chain(node)
            # What a call gives is asked in turn: engine.create_...().get_...
            yield chain or [node.attr]


def _after(chain: list[str], owners: tuple[tuple[str, ...], ...]) -> list[str]:
    """What follows one of ``owners`` in ``chain``."""
    for owner in owners:
        for start in range(len(chain) - len(owner)):
            if tuple(chain[start : start + len(owner)]) == owner:
                return chain[start + len(owner) :]
    return []


def _theirs(names: list[str]) -> set[str]:
    """Those of ``names`` up to the first that is ours: what follows it is Python's."""
    ours = (i for i, n in enumerate(names) if n in OUR_ENGINE - {"context", "engine"})
    return set(names[: next(ours, len(names))]) - OUR_ENGINE


def test_the_runtime_of_version_11_is_the_one_that_is_looked_into(lean: Any) -> None:
    assert lean.__version__.startswith("11.4")
    assert not hasattr(lean, "Builder")


@pytest.mark.parametrize("kind", sorted(RUNTIME_API))
def test_the_runtime_of_version_11_has_every_name(lean: Any, rtx: Library, kind: str) -> None:
    module = rtx.module if kind in NOT_IN_LEAN else lean

    assert hasattr(module, kind)
    assert [n for n in RUNTIME_API[kind] if not hasattr(getattr(module, kind), n)] == []


def test_the_runtime_of_version_11_names_its_memory_in_one_of_the_ways(
    lean: Any, rtx: Library
) -> None:
    for module in (lean, rtx.module):
        assert any(hasattr(module.ICudaEngine, name) for name in MEMORY_API)


def test_rtx_has_every_name_of_the_runtime(rtx: Library) -> None:
    rtx.check_runtime()


def test_a_session_uses_no_name_that_is_not_checked() -> None:
    listed = {name for names in RUNTIME_API.values() for name in names} | set(MEMORY_API)
    kinds = {"IProfiler", *RUNTIME_API}
    owners = (("engine",), ("context",), ("_runtimes",), ("trt",), ("library", "module"))
    found: dict[str, set[str]] = {}
    for file, tree in _trees(RUNTIME_SIDE):
        for chain in _uses(tree):
            used = _after(chain, owners)
            found.setdefault(file, set()).update(_theirs(used))
            # Those of what a call of TensorRT's gives.
            if chain[0].startswith(("get_engine", "deserialize", "create_")):
                found[file].add(chain[0])

    assert {"get_tensor_profile_shape", "execute_async_v3"} <= found["engine.py"]
    assert "get_engine_information" in found["inspector.py"]
    assert "Runtime" in found["open.py"]
    unchecked = {
        f"{file}: {name}" for file, names in found.items() for name in names - listed - kinds
    }
    assert unchecked == set()


def test_all_that_is_checked_is_used() -> None:
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in RUNTIME_SIDE)

    assert [n for names in RUNTIME_API.values() for n in names if n not in text] == []


def test_the_builder_of_rtx_has_every_name_that_is_used(rtx: Library) -> None:
    trt = rtx.module
    kinds = {
        "trt": [trt],
        "module": [trt],
        "builder": [trt.Builder],
        "config": [trt.IBuilderConfig],
        "network": [trt.INetworkDefinition],
        "parser": [trt.OnnxParser],
        "profile": [trt.IOptimizationProfile],
        "layer": [trt.ILayer],
        "tensor": [trt.ITensor],
        "cache": [trt.ITimingCache],
        "p": [trt.ParserError],
    }
    found = set()
    for file, tree in _trees(BUILDER_SIDE):
        for chain in _uses(tree):
            for owner, holders in kinds.items():
                used = _after(chain, ((owner,),))
                if not used or chain[0] == "feeder" or used[0] in OLDER:
                    continue
                found.add(used[0])
                assert any(hasattr(holder, used[0]) for holder in holders), f"{file}: {chain}"
                if owner in {"trt", "module"} and len(used) > 1:
                    assert hasattr(getattr(trt, used[0]), used[1]), f"{file}: {chain}"

    assert {
        "Builder",
        "OnnxParser",
        "build_serialized_network",
        "create_builder_config",
        "parse_from_file",
        "set_shape",
        "supports_operator",
    } <= found


def test_names_given_as_texts_are_rtxs_or_asked_for_first(rtx: Library) -> None:
    """library.member("BuilderFlag", "TF32") and the like."""
    pairs = set()
    for _, tree in _trees((*BUILDER_SIDE, *RUNTIME_SIDE)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _chain(node.func)[-1:] == ["member"]:
                kind, name = node.args
                assert isinstance(kind, ast.Constant)
                assert rtx.has(kind.value), kind.value
                if isinstance(name, ast.Constant):
                    pairs.add((kind.value, name.value))

    assert ("BuilderFlag", "TF32") in pairs
    assert [pair for pair in pairs if not rtx.has(*pair)] == []
