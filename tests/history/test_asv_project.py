"""asv's configuration, read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError

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
