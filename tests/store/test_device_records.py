"""What a record tells of a device: the costs of its graphs, and its ceilings."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from harness.errors import RecordError
from harness.report.figures import figures_of
from harness.store.parquet import ParquetStore, read_record
from harness.types import Ceilings, ComponentCost, GraphCost, MacCounts, Record
from tests.report.devices import RECORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD = replace(
    RECORD,
    costs=(
        ComponentCost(
            "Stimme_音声",
            "int8+fp16",
            None,
            7,
            GraphCost(MacCounts(1 << 62, 3, 0), (1 << 53) + 1, 0, 1),
        ),
        ComponentCost("b", "fp32", 0.1 + 0.2, 1, GraphCost(MacCounts(), 0, 0, 0)),
    ),
    ceilings=Ceilings({"fp32": 0.30000000000000004, "int8": 1e300}, 5e-324, "“Gerät”", "GPU-é"),
)


@pytest.mark.parametrize(
    "record",
    [RECORD, ODD, replace(RECORD, ceilings=None), replace(RECORD, costs=())],
    ids=["usual", "odd", "no ceilings", "no costs"],
)
def test_costs_and_ceilings_come_back_as_they_were(tmp_path: Path, record: Record) -> None:
    found = read_record(ParquetStore(tmp_path).append(record))

    assert found == record
    for cost in found.costs:
        # Whoever computes with them finds what they need.
        assert isinstance(cost.cost.macs_by_precision, MacCounts)
        assert cost.cost.in_precision("fp32").macs == cost.cost.macs


def test_what_is_shown_of_a_record_that_was_read_is_what_was_shown_of_it_before(
    tmp_path: Path,
) -> None:
    before, after = (
        figures_of(record)
        for record in (RECORD, read_record(ParquetStore(tmp_path).append(RECORD)))
    )

    assert after == before
    assert any(group.pipeline.times_roofline for group in after.groups)


def _rewrite(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    table = pq.read_table(path)
    header = json.loads(zlib.decompress(table.schema.metadata[b"trt_harness"]))
    edit(header)
    pq.write_table(
        table.replace_schema_metadata({b"trt_harness": zlib.compress(json.dumps(header).encode())}),
        path,
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda header: header["ceilings"].update(copy_bytes_per_s=2e12),
        lambda header: header["ceilings"]["matrix_macs_per_s"].update(fp32=2e12),
        lambda header: header["costs"][0]["cost"].update(weight_bytes=1),
        lambda header: header["costs"].pop(),
        lambda header: header.update(ceilings=None),
        lambda header: header.pop("costs"),
    ],
)
def test_costs_and_ceilings_that_were_changed_are_noticed(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    _rewrite(path, lambda _: None)
    assert read_record(path) == RECORD

    _rewrite(path, edit)

    with pytest.raises(RecordError, match="is damaged"):
        read_record(path)
