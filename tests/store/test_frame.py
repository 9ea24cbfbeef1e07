"""Records as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import harness
from harness.store.frame import samples_frame
from tests.records import measured

if TYPE_CHECKING:
    from harness.artifacts.cache import Cache
    from tests.conftest import ToyFactory


def test_every_sample_is_a_row_with_its_labels(toy: ToyFactory, shared_cache: Cache) -> None:
    record = harness.benchmark_end_to_end_latency(toy(), max_samples=4, cache=shared_cache.root)

    frame = samples_frame([record, record])

    assert len(frame) == 2 * (3 + 1) * 4, "three series and the canary"
    assert set(frame["pipeline"]) == {"toy"}
    whole = frame[frame["component"] == "pipeline"]
    assert tuple(whole["latency_s"][:4]) == measured(record)[-1].latency_s
    assert list(whole["sample"]) == [0, 1, 2, 3] * 2
    assert (set(frame["route"]), set(frame["launch"])) == ({"", "cpu-1"}, {"call"})
