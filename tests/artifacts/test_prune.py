"""Prune removes entries and nothing else, whatever folder it is pointed at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.artifacts.cache import Cache
from harness.artifacts.keepsakes import keep, keepsake_path

if TYPE_CHECKING:
    from pathlib import Path


def test_prune_touches_nothing_but_entries(tmp_path: Path) -> None:
    foreign = tmp_path / "Documents" / "thesis" / "thesis.tex"
    near = tmp_path / "onnx" / "my-models" / "model.onnx"
    for file in (foreign, near, tmp_path / "tmp" / "mine" / "file"):
        file.parent.mkdir(parents=True)
        file.write_text("precious")
        os.utime(file.parent, (0, 0))

    assert Cache(tmp_path).prune() == (0, 0)

    assert foreign.read_text() == near.read_text() == "precious"
    assert (tmp_path / "tmp" / "mine" / "file").exists()


def test_prune_removes_an_entry_beside_them(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.get_or_build("onnx", "c" * 40, "label", lambda _: {})
    (tmp_path / "onnx" / "notes").mkdir()

    assert cache.prune()[0] == 1
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["notes"]


def test_what_speeds_up_builds_goes_with_the_rest(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, new = (keepsake_path(cache, "timing", name) for name in ("old", "new"))
    keep(old, b"12345")
    keep(new, b"123")
    os.utime(old, (0, 0))

    assert cache.prune(older_than_s=3600.0) == (0, 5)
    assert (old.exists(), new.exists()) == (False, True)
    assert cache.prune() == (0, 3)
    assert not new.exists()
