"""Which commits share what they have exported."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

from harness.artifacts.cache import Cache
from harness.artifacts.export import KIND
from harness.history import exports
from harness.history.exports import choose_exports, limit_entries, project_key

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _wheel(path: Path, **contents: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(f"voice/{name}.py", text)
        archive.writestr("voice-1.0.dist-info/METADATA", path.name)
    return path


def test_another_code_of_the_project_has_another_cache(tmp_path: Path) -> None:
    """Its models may import it, and the key of an export knows nothing of that."""
    one = _wheel(tmp_path / "one.whl", model="width = 8")
    same = _wheel(tmp_path / "same.whl", model="width = 8")
    other = _wheel(tmp_path / "other.whl", model="width = 9")
    renamed = _wheel(tmp_path / "renamed.whl", net="width = 8")

    assert project_key([one]) == project_key([same])
    assert len({project_key(wheels) for wheels in ([], [one], [other], [renamed])}) == 4


def test_caches_of_long_ago_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_KEPT_FOLDERS", 2)
    for age, name in enumerate("abc"):
        (tmp_path / "exports" / name / KIND).mkdir(parents=True)
        os.utime(tmp_path / "exports" / name, (1000 - age, 1000 - age))

    chosen = choose_exports(tmp_path, [])

    assert {path.name for path in (tmp_path / "exports").iterdir()} == {"a", "no-project"}
    assert chosen == tmp_path / "exports" / "no-project"
    assert choose_exports(tmp_path / "nothing", []).parent.parent == tmp_path / "nothing"
    assert not (tmp_path / "nothing").exists()


def test_a_cache_with_too_many_entries_loses_the_older_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    for number in range(5):
        key = f"{number:040x}"
        monkeypatch.setattr("harness.artifacts.cache.time.time", lambda now=number: 1000.0 + now)
        cache.get_or_build(KIND, key, "toy/encoder", _built)
    monkeypatch.undo()
    limit_entries(tmp_path)
    assert len(list(cache.entries())) == 5

    monkeypatch.setattr(exports, "_KEPT_ENTRIES", 4)
    limit_entries(tmp_path)

    assert sorted(entry.created_unix_s for entry in cache.entries()) == [1003.0, 1004.0]


def _built(folder: Path) -> dict[str, str]:
    (folder / "graph").write_text("content")
    return {}
