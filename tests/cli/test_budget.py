"""``harness budget`` on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.store.parquet import ParquetStore
from tests.gate.made import head
from tests.gate.test_prospect import of_commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_it_shows_the_newest_record_of_a_folder(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    ParquetStore(tmp_path).append(head())
    code, out, err = harness("budget", tmp_path)
    assert (code, err) == (0, "")
    assert "tiny, onnxruntime fp32, 1 s" in out
    assert "p99 <= 50 ms" in out
    assert "WITHIN: headroom 40.0 ms, 80.0 % of the budget" in out
    assert "trend: cannot tell: 1 commits" in out


def test_the_trend_is_of_what_lies_beside_the_record(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    for i in range(10):
        ParquetStore(tmp_path).append(of_commit(i, 20.0 + i))
    path = tmp_path / "tiny-9-0.parquet"
    assert "it will be spent in 21 commits" in " ".join(harness("budget", path)[1].split())
    other = tmp_path / "other"
    other.mkdir()
    assert "0 commits were measured" in harness("budget", path, "--records", other)[1]


def test_json_goes_where_it_is_sent(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    ParquetStore(tmp_path).append(head())
    code, out, err = harness("budget", tmp_path, "--json", "-")
    assert code == 0
    assert json.loads(out)["variants"][0]["verdict"] == "within"
    assert "headroom" in err
    file = tmp_path / "new" / "x.json"
    harness("budget", tmp_path, "--json", file)
    assert file.read_text() == out


def test_another_limit_can_be_asked_for(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    ParquetStore(tmp_path).append(head(budget=None))
    code, _, err = harness("budget", tmp_path)
    assert (code, "the pipeline declares no budget" in err) == (2, True)
    code, out, _ = harness("budget", tmp_path, "--limit", "5 ms")
    assert (code, "p99 <= 5 ms" in out, "MISSED" in out) == (0, True, True)
    code, _, err = harness("budget", tmp_path, "--limit", "fast")
    assert (code, "--limit cannot be 'fast'" in err) == (2, True)


def test_what_is_no_record_of_a_whole_pipeline_is_bad_input(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert harness("budget", tmp_path / "none.parquet")[0] == 2
    assert harness("budget", tmp_path)[0] == 2
    made = head()
    ParquetStore(tmp_path).append(replace(made, measurements=made.measurements[:1]))
    code, _, err = harness("budget", tmp_path)
    assert (code, "no whole pipeline was measured" in err) == (2, True)
