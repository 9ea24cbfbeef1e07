"""Which record tells what is so now, and that a card says what the record's report says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard import candidates
from harness.dashboard.gather import gather
from harness.report.figures import figures_of
from harness.report.summary_statements import verdict_of
from harness.states import Finding, Validity
from harness.store.parquet import ParquetStore
from harness.types import (
    ENQUEUE,
    Ceilings,
    ComponentCost,
    Engine,
    GraphCost,
    MacCounts,
    MissingProcess,
    Replication,
)
from tests.dashboard.histories import commit, of_commit
from tests.history.records import measurement
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.dashboard.model import BudgetStatus, Dashboard, Series
    from harness.types import Measurement, Record

INVALID = Validity((Finding("fail", "throttled", "cool it"),))
SIDE = Replication(1, 1, experiment="x", turns=(0,))
# Work that has a roofline.
WORK: Mapping[str, Any] = {
    "costs": (
        ComponentCost("encoder", "fp32", 1.0, 1, GraphCost(MacCounts(fp32=10**6), 1000, 100, 100)),
    ),
    "ceilings": Ceilings({"fp32": 1e9, "fp16": 2e9}, 1e9, "made up", ""),
}


def whole(ms: float = 10.0, **changes: Any) -> Measurement:
    """A whole pipeline of enough samples for a verdict."""
    samples = tuple(1e-3 * ms * (1.0 + 1e-4 * (place % 7)) for place in range(400))
    return measurement(latency_s=samples, launch=ENQUEUE, **changes)


def made(place: int, ms: float = 10.0, **changes: Any) -> Record:
    encoder = measurement("encoder", launch=ENQUEUE, latency_s=(1e-3 * ms / 2,) * 400)
    return of_commit(place, **{"measurements": (encoder, whole(ms)), **WORK, **changes})


def bare(place: int, ms: float = 10.0, *, is_dirty: bool = False, **changes: Any) -> Record:
    """A record that was measured beside the history, of a commit of it."""
    of = {"commit": commit(place), "is_dirty": is_dirty}
    return replace(
        made(place, ms),
        history=None,
        created_utc=f"2026-01-{1 + place:02}T00:00:00+00:00",
        environment={"cpu": "some", "gpu": None, "pipeline_commit": of},
        **changes,
    )


def keep(folder: Path, *records: Record) -> Path:
    for one in records:
        ParquetStore(folder).append(one)
    return folder


def shown(folder: Path) -> Dashboard:
    return gather([str(folder)])


def only_card(folder: Path) -> BudgetStatus:
    (card,) = shown(folder).budgets
    return card


def of_card(dashboard: Dashboard, card: BudgetStatus) -> Series:
    (found,) = (one for one in dashboard.series if one.id == card.series)
    return found


def test_an_invalid_record_hides_no_valid_one_and_is_told_of(tmp_path: Path) -> None:
    keep(tmp_path, made(0), made(1, 80.0, validity=INVALID))

    dashboard = shown(tmp_path)

    (card,) = dashboard.budgets
    assert (card.verdict, card.record_id, card.commit) == ("within", "r0", 0)
    assert card.reason == ""
    assert card.sentences[0] == "a newer run of 2026-01-01 00:01 UTC is invalid: throttled"
    assert of_card(dashboard, card).commits.tolist() == [0]
    (trade,) = dashboard.trades
    assert trade.commit == 0
    assert trade.median_s == pytest.approx(0.01, rel=1e-3)
    (point,) = dashboard.roofline
    assert point.commit == 0
    assert point.median_s == pytest.approx(0.005)


def test_what_only_an_invalid_record_tells_is_open_and_in_no_chart(tmp_path: Path) -> None:
    keep(tmp_path, made(0, 80.0, validity=INVALID))

    dashboard = shown(tmp_path)

    (card,) = dashboard.budgets
    assert (card.verdict, card.series, card.validity) == ("inconclusive", None, "invalid")
    assert card.reason.startswith("the machine's state makes the run invalid; ")
    assert not dashboard.trades
    assert not dashboard.roofline


def test_an_interrupted_run_is_told_of_and_decides_nothing(tmp_path: Path) -> None:
    keep(tmp_path / "both", made(0), made(1, 80.0, is_complete=False))
    keep(tmp_path / "alone", made(1, 80.0, is_complete=False))

    card, alone = only_card(tmp_path / "both"), only_card(tmp_path / "alone")

    assert (card.verdict, card.record_id) == ("within", "r0")
    assert card.sentences[0].endswith("was interrupted")
    assert alone.verdict == "inconclusive"
    assert alone.reason.startswith("the run was interrupted; ")


def test_a_side_of_an_ab_decides_nothing_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "LOOKED_AT", 2)
    sides = [bare(place, 80.0, replication=SIDE) for place in range(1, 5)]
    wrong = replace(sides[0], measurements=(whole(min_snr_db=130.0),), is_complete=False)
    keep(tmp_path / "both", bare(0), *sides)
    keep(tmp_path / "alone", wrong)

    card, alone = only_card(tmp_path / "both"), only_card(tmp_path / "alone")

    assert (card.verdict, card.record_id) == ("within", "r0")
    assert card.sentences[0].startswith("a newer run of 2026-01-05 00:00 UTC is a side of an A/B")
    assert alone.verdict == "inconclusive"
    assert alone.reason.startswith("it is a side of an A/B")


def test_a_run_that_was_made_again_tells_and_the_old_one_does_not(tmp_path: Path) -> None:
    old = made(0, 80.0)
    again = replace(
        made(0),
        record_id="again",
        history={**(old.history or {}), "started_unix_s": 2e9},
    )
    # Its clock was put back.
    keep(tmp_path, old, replace(again, created_utc="2025-01-01T00:00:00+00:00"))

    card = only_card(tmp_path)

    assert (card.verdict, card.record_id) == ("within", "again")
    assert card.sentences[0].endswith("was measured anew later")


def test_a_dirty_tree_tells_where_no_clean_one_does(tmp_path: Path) -> None:
    dirty = bare(1, 80.0, is_dirty=True)
    keep(tmp_path / "both", bare(0), dirty)
    keep(tmp_path / "alone", dirty)

    card, alone = only_card(tmp_path / "both"), only_card(tmp_path / "alone")

    assert (card.verdict, card.record_id) == ("within", "r0")
    assert "a tree with changes" in card.sentences[0]
    assert alone.verdict == "missed"
    assert "changes that no commit has" in alone.sentences[0]


def test_what_is_newest_is_so_by_the_commit_that_it_is_of(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    old, new = (repository.commit(name, {"counted": name}) for name in ("old", "new"))
    for name, ms, day in ((new, 10.0, 1), (old, 80.0, 2)):
        of = {"commit": name, "is_dirty": False}
        one = replace(bare(day, ms), record_id=name[:6], environment={"pipeline_commit": of})
        keep(tmp_path / "records", one)

    (card,) = gather([str(tmp_path / "records")], repository=repository.root).budgets

    assert card.record_id == new[:6]


def test_a_card_has_the_series_of_the_engines_that_were_judged(tmp_path: Path) -> None:
    for place in range(6):
        details = {"options": {"level": 1 if place >= 4 else 2}}
        engine = Engine("encoder", "onnxruntime", "fp32", 5000, None, 1.0, 1, details=details)
        keep(tmp_path, made(place, 5.0 if place >= 4 else 10.0, engines=(engine,)))

    dashboard = shown(tmp_path)

    (card,) = dashboard.budgets
    series = of_card(dashboard, card)
    assert (series.component, series.commits.tolist()) == ("pipeline", [4, 5])
    assert [one.budget_s is not None for one in dashboard.series].count(True) == 1
    assert series.budget_s == 0.05


@pytest.mark.parametrize("changes", [{"clock": "zz other"}, {"threads": 7}])
def test_a_card_has_the_series_of_the_clock_and_threads_that_were_judged(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    for place in range(6):
        own = changes if place < 3 else {}
        keep(tmp_path, made(place, measurements=(whole(**own),)))

    dashboard = shown(tmp_path)

    (card,) = dashboard.budgets
    assert of_card(dashboard, card).commits.tolist() == [3, 4, 5]


def test_what_two_clocks_timed_is_of_no_series(tmp_path: Path) -> None:
    parts = (whole(process=0), whole(process=1, clock="other"))
    keep(tmp_path, made(0, measurements=parts, replication=Replication(2, 1)))

    assert only_card(tmp_path).series is None


def test_an_accuracy_under_its_floor_is_missed_as_the_report_says(tmp_path: Path) -> None:
    bad = whole(precision="fp16", snr_db=39.08, min_snr_db=40.0)
    keep(tmp_path, made(0, measurements=(whole(), bad)))

    cards = {one.variant: one for one in shown(tmp_path).budgets}

    missed = next(one for name, one in cards.items() if "fp16" in name)
    assert (missed.verdict, missed.misses_floor) == ("missed", True)
    assert missed.reason == "an accuracy floor is missed"
    assert (missed.snr_db, missed.min_snr_db) == (39.08, 40.0)
    assert missed.floor_sentence.startswith(
        "At 1 s: pipeline (onnxruntime, fp16) is wrong: 39.1 dB"
    )
    kept = next(one for name, one in cards.items() if "fp16" not in name)
    assert (kept.verdict, kept.misses_floor, kept.floor_sentence) == ("within", False, "")
    assert (kept.snr_db, kept.min_snr_db) == (120.0, None)


def test_a_component_under_its_floor_is_told_of_as_well(tmp_path: Path) -> None:
    encoder = measurement("encoder", launch=ENQUEUE, snr_db=10.0, min_snr_db=20.0)
    keep(tmp_path, made(0, measurements=(encoder, whole(min_snr_db=30.0))))

    card = only_card(tmp_path)

    assert (card.verdict, card.misses_floor, card.snr_db) == ("missed", True, 120.0)
    assert "encoder" in card.floor_sentence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"measurements": (whole(80.0),)},
        {"measurements": (whole(min_snr_db=130.0),)},
        {"measurements": (whole(snr_db=None, min_snr_db=30.0),)},
        {"measurements": (whole(mode="paced", period_s=0.1, missed_deadlines=2),)},
        {"measurements": (measurement(launch=ENQUEUE, latency_s=(0.01, 0.02)),)},
        {"validity": INVALID},
        {"validity": INVALID, "measurements": (whole(min_snr_db=130.0),)},
        {"is_complete": False},
        {"replication": Replication(2, 1, missing=(MissingProcess(1, 0, "it died"),))},
    ],
)
def test_a_card_says_what_the_report_of_its_record_says(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    one = made(0, **changes)
    status, headline = verdict_of(figures_of(one))

    card = only_card(keep(tmp_path, one))

    assert card.verdict == status
    assert status == "within" or headline == f"{status.upper()}: {card.reason}"


def test_a_card_of_each_variant_is_of_the_newest_that_has_it(tmp_path: Path) -> None:
    both = (whole(), whole(precision="fp16"))
    keep(
        tmp_path, made(0, measurements=both), made(1), made(2, measurements=both, validity=INVALID)
    )

    cards = {one.variant: one for one in shown(tmp_path).budgets}

    assert sorted((one.record_id, one.verdict) for one in cards.values()) == [
        ("r0", "within"),
        ("r1", "within"),
    ]
    assert all(one.sentences[0].endswith("is invalid: throttled") for one in cards.values())


def variants(**ms: float) -> tuple[Measurement, ...]:
    return tuple(whole(time_ms, precision=precision) for precision, time_ms in ms.items())


def test_what_is_compared_is_of_one_record(tmp_path: Path) -> None:
    """A newer run of one variant would make that one slower or faster than the others."""
    keep(
        tmp_path,
        made(0, ceilings=None, measurements=variants(fp32=10.0, fp16=8.0, int8=9.0)),
        made(1, measurements=variants(fp16=11.0)),
        made(2, measurements=(whole(12.0, backend="pytorch"),)),
    )

    trades = shown(tmp_path).trades

    assert {one.variant.split(",")[0]: one.record_id for one in trades} == {
        "onnxruntime fp32": "r0",
        "onnxruntime fp16": "r0",
        "onnxruntime int8": "r0",
        "pytorch fp32": "r2",
    }
    assert [one.record_id for one in trades] == ["r0", "r0", "r0", "r2"]
    fp16 = next(one for one in trades if one.precision == "fp16")
    assert fp16.median_s == pytest.approx(8e-3, rel=1e-3)
    assert fp16.created_utc == "2026-01-01T00:00:00+00:00"


def test_of_records_with_as_many_variants_the_newest_is_compared(tmp_path: Path) -> None:
    """Even where the newer ones have all of them only between them."""
    keep(
        tmp_path,
        made(0, measurements=variants(fp32=10.0, fp16=8.0)),
        made(1, measurements=variants(fp32=10.0, fp16=8.0)),
        made(2, measurements=variants(fp32=10.0)),
        made(3, measurements=variants(fp16=10.0)),
    )
    assert {one.record_id for one in shown(tmp_path).trades} == {"r1"}


def test_an_invalid_record_of_more_variants_is_not_compared(tmp_path: Path) -> None:
    keep(
        tmp_path,
        made(0, measurements=variants(fp32=10.0, fp16=8.0), validity=INVALID),
        made(1, measurements=variants(fp32=10.0)),
    )
    assert [one.record_id for one in shown(tmp_path).trades] == ["r1"]
