"""The public functions, on the toy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import harness

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from tests.conftest import ToyFactory


def test_export_gives_a_checked_graph_of_each_component(
    toy: ToyFactory, shared_cache: Cache
) -> None:
    models = harness.export_and_build_engines(toy(), cache=shared_cache.root)

    assert list(models) == ["encoder", "decoder"]
    assert all(model.path.is_file() for model in models.values())


def test_benchmark_gives_the_record_and_writes_none(
    toy: ToyFactory, shared_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = harness.load_pipeline(toy())

    record = harness.benchmark_end_to_end_latency(
        pipeline, durations_s=[0.25], max_samples=5, threads=1, cache=shared_cache.root
    )

    assert {m.component for m in record.measurements} == {"encoder", "decoder", "pipeline"}
    assert {len(m.latency_s) for m in record.measurements} == {5}
    assert {m.threads for m in record.measurements} == {1}
    assert {path.name for path in tmp_path.iterdir()} == {"toy"}


def test_a_wrong_backend_is_an_error_of_the_tree(toy: ToyFactory) -> None:
    with pytest.raises(harness.HarnessError, match="choose one of"):
        harness.export_and_build_engines(toy(), backend="directml")
