"""The modules that an export was made with, beside the pipeline's own files."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from harness.artifacts.sources import outside_sources
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_packages_that_another_environment_shares_are_installed_ones(
    tmp_path: Path, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each export of a commit would hash all of PyTorch."""
    pipeline = load_pipeline(onnx_toy())
    shared, own = tmp_path / "lib" / "site-packages", tmp_path / "code"
    for folder, name in ((shared, "shared_package"), (own, "models_of_mine")):
        folder.mkdir(parents=True)
        (folder / f"{name}.py").touch()
        monkeypatch.syspath_prepend(folder)
        importlib.import_module(name)

    found = outside_sources(pipeline)

    assert str(own / "models_of_mine.py") in found
    assert str(shared / "shared_package.py") not in found
    for name in ("shared_package", "models_of_mine"):
        monkeypatch.delitem(sys.modules, name)
