"""asv's configuration, read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError
from tests.history.repositories import Repository

pytest.importorskip("asv")

from harness.history.asv_project import open_project, results_of

if TYPE_CHECKING:
    from pathlib import Path


def test_the_results_are_where_it_says_and_no_plugin_is_loaded(tmp_path: Path) -> None:
    config = tmp_path / "asv.conf.json"
    config.write_text('{"version": 1, "repo": ".", /* kept */ "plugins": [".no_such_module"]}')
    assert results_of(config) == tmp_path / "results"

    config.write_text('{"version": 1, "repo": ".", "results_dir": "../elsewhere"}')
    assert results_of(config) == tmp_path / ".." / "elsewhere"


def test_what_asv_writes_is_no_change_of_the_working_tree(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    folders = {"results_dir": "out/results", "html_dir": "out/html", "env_dir": "out/env"}
    config = {"version": 1, "repo": ".", **folders}
    repository.commit("first", {"asv.conf.json": json.dumps(config)})
    project = open_project(tmp_path)
    for name in folders.values():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.py").touch()
    assert project.warnings() == []

    (tmp_path / "out" / "a.py").touch()
    assert "changes that are in no commit" in project.warnings()[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"version": 1, ', "is no JSON that asv takes"),
        ("[1]", "No version specified"),
        ('{"version": 1}', "No repo specified"),
        ('{"version": 1, "repo": ".", "branches": 3 3}', "is no JSON that asv takes"),
        ('{"version": 9, "repo": "."}', "newer than"),
    ],
)
def test_one_that_asv_does_not_take_is_told(tmp_path: Path, text: str, what: str) -> None:
    config = tmp_path / "asv.conf.json"
    config.write_text(text)

    for read in (results_of, open_project):
        with pytest.raises(OptionError, match=rf"asv\.conf\.json: .*{what}"):
            read(config)
