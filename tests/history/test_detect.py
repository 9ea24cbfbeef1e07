"""What is found in records: by commit, one environment at a time, without the machine's drift."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.history.detect import Detected, find_candidates
from harness.history.query import Selection
from harness.pipeline.pipeline import CANARY
from harness.states import FAIL, Finding, Validity
from harness.stats.changes import ChangeKind
from harness.store.parquet import ParquetStore
from harness.types import Engine, Replication
from tests.history.records import CONTEXT, measurement, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.types import Measurement

COUNT = 24
DAY_S = 86_400.0


def commit(index: int) -> str:
    return f"{index:040x}"


def noisy(seed: int, step: float = 0.0, at: int = 12) -> np.ndarray:
    """Times about 10 ms at 0.5 % of noise, one a commit."""
    times = 0.01 * (1.0 + 0.005 * np.random.default_rng(seed).standard_normal(COUNT))
    times[at:] *= 1.0 + step
    return times


def series(component: str, time_s: float, **changes: Any) -> Measurement:
    return measurement(component, latency_s=(0.9 * time_s, time_s, 1.2 * time_s), **changes)


def keep(
    folder: Path, times: Mapping[str, Sequence[float]], *, prefix: str = "", **context: Any
) -> None:
    """A record a commit, of one series for each component; NaN is no record."""
    environment = context.pop("environment", {"cpu": "some", "gpu": None})
    changes = {name: context.pop(name, {}) for name in ("record", "measurement")}
    for index in range(COUNT):
        measured = [
            series(name, its[index], **changes["measurement"])
            if name != CANARY
            else series(name, its[index], backend=CANARY, route="cpu-1")
            for name, its in times.items()
            if np.isfinite(its[index])
        ]
        if not measured:
            continue
        its_context = replace(
            CONTEXT, commit=commit(index), commit_unix_s=1.7e9 + index * DAY_S, **context
        )
        ParquetStore(folder).append(
            record(
                f"{prefix}{index}",
                measured,
                its_context,
                environment=environment,
                **changes["record"],
            )
        )


def found(detected: Detected) -> list[tuple[str, str, str]]:
    return [
        (one.points.name.component, one.change.kind.value, one.commit)
        for one in detected.candidates
    ]


def test_a_step_is_told_by_its_commit_and_nothing_of_what_is_flat(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(1, 0.1), "encoder": noisy(2)})

    detected = find_candidates([str(tmp_path)])

    assert found(detected) == [("pipeline", "step", commit(12))]
    (candidate,) = detected.candidates
    assert (candidate.good, candidate.bad) == (commit(11), commit(12))
    assert candidate.suspects == (commit(12),)
    assert candidate.change.lower <= 1.1 <= candidate.change.upper
    assert [one.points.name.component for one in detected.series] == ["encoder", "pipeline"]
    assert detected.exit_code == 1


def test_commits_without_a_record_are_between_good_and_bad(tmp_path: Path) -> None:
    times = noisy(3, 0.1)
    times[11] = np.nan
    encoder = noisy(4)
    keep(tmp_path, {"pipeline": times, "encoder": encoder})

    (candidate,) = find_candidates([str(tmp_path)]).candidates

    assert (candidate.good, candidate.commit, candidate.bad) == (commit(10), commit(12), commit(12))
    assert candidate.suspects == (commit(12),)


def test_faster_is_no_failure_and_what_recovered_is_none(tmp_path: Path) -> None:
    keep(tmp_path / "faster", {"pipeline": noisy(5, -0.1)})
    faster = find_candidates([str(tmp_path / "faster")])
    assert found(faster) == [("pipeline", "step", commit(12))]
    assert faster.exit_code == 0

    times = noisy(6)
    times[12] *= 1.1
    keep(tmp_path / "spike", {"pipeline": times})
    spiked = find_candidates([str(tmp_path / "spike")])
    assert found(spiked) == [("pipeline", "spike", commit(12))]
    assert spiked.exit_code == 0


def test_too_few_commits_are_no_verdict(tmp_path: Path) -> None:
    times = noisy(7)
    times[7:] = np.nan
    keep(tmp_path, {"pipeline": times})
    detected = find_candidates([str(tmp_path)])
    assert detected.series[0].findings.too_few
    assert detected.exit_code == 3
    nothing = find_candidates([str(tmp_path)], Selection(components=("vocoder",)))
    assert nothing.exit_code == 3


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "desk"},
        {"environment_name": "shared-py3.12"},
        {"requirements": {"torch": "2.14.0"}},
        {"environment": {"cpu": "another", "gpu": None}},
    ],
)
def test_environments_are_never_one_history(tmp_path: Path, other: dict[str, Any]) -> None:
    fast, slow = noisy(8), noisy(9, 0.3, at=0)
    fast[12:] = np.nan
    slow[:12] = np.nan
    keep(tmp_path, {"pipeline": fast})
    keep(tmp_path, {"pipeline": slow}, prefix="other", **other)

    detected = find_candidates([str(tmp_path)])

    assert len(detected.series) == 2
    assert detected.candidates == ()
    assert {one.findings.count for one in detected.series} == {12}


def test_the_machines_drift_is_taken_out_where_the_canary_shows_it(tmp_path: Path) -> None:
    machine = noisy(10, 0.08, at=16)
    work = noisy(11, 0.05, at=8)
    work[16:] *= 1.08
    keep(tmp_path, {"pipeline": work, CANARY: machine})

    detected = find_candidates([str(tmp_path)])

    assert found(detected) == [("pipeline", "step", commit(8))]
    (one,) = detected.series
    assert one.is_corrected
    assert one.canary_note.startswith("canary cpu-1 shows the machine's own: step of +")
    assert one.canary_note.endswith(f"at {commit(16)[:8]}; taken out")


def test_a_quiet_canary_is_left_alone(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(12, 0.1), CANARY: noisy(13)})
    (one,) = find_candidates([str(tmp_path)]).series
    assert not one.is_corrected
    assert "nothing taken out" in one.canary_note
    assert len(one.candidates) == 1


def test_made_up_times_are_not_held_against_a_real_canary(tmp_path: Path) -> None:
    of = {"measurement": {"simulated": True, "backend": "simulated"}}
    keep(tmp_path, {"pipeline": noisy(14), CANARY: noisy(15, 0.2)}, **of)
    (one,) = find_candidates([str(tmp_path)]).series
    assert one.points.is_simulated
    assert one.drift is None
    assert one.canary_note.startswith("no canary")


def test_what_does_not_count_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(16)})
    invalid = Validity((Finding(FAIL, "throttled", "wait"),))
    slow = {"pipeline": noisy(17, 0.5, at=0)}
    keep(tmp_path, slow, prefix="i", record={"validity": invalid})
    keep(tmp_path, slow, prefix="c", record={"is_complete": False})
    keep(tmp_path, slow, prefix="s", record={"replication": Replication(8, 1, slowed_by=0.5)})

    detected = find_candidates([str(tmp_path)])

    assert [one.findings.count for one in detected.series] == [COUNT]
    assert detected.candidates == ()
    assert all(time is not None and time < 0.012 for time in detected.series[0].points.times_s)


def test_one_figure_a_commit_is_the_median_of_the_process_medians(tmp_path: Path) -> None:
    processes = [
        series("pipeline", time_s, process=index) for index, time_s in enumerate((1, 2, 9))
    ]
    ParquetStore(tmp_path).append(record("a", processes))
    (one,) = find_candidates([str(tmp_path)]).series
    assert one.points.times_s == pytest.approx((2.0,))


def test_the_selection_is_followed_and_the_canary_still_is_read(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(18, 0.1), "encoder": noisy(19, 0.1), CANARY: noisy(20)})
    only = Selection(components=("encoder",), commits=tuple(map(commit, range(20))))
    (one,) = find_candidates([str(tmp_path)], only).series
    assert one.points.name.component == "encoder"
    assert one.points.canary == "cpu-1"
    assert one.findings.count == 20
    assert one.candidates[0].change.kind is ChangeKind.STEP


def test_series_that_were_not_timed_or_built_alike_are_never_one(tmp_path: Path) -> None:
    first, second = noisy(21), noisy(22, 0.3, at=0)
    first[12:] = np.nan
    second[:12] = np.nan
    built = Engine("encoder", "onnxruntime", "fp32", None, None, 1.0, 1, details=options(3))
    other = replace(built, details=options(5))
    kinds: dict[str, dict[str, Any]] = {
        "threads": {"measurement": {"threads": 1}},
        "clock": {"measurement": {"clock": "cuda_event"}},
        "options": {"record": {"engines": (other,)}},
    }
    for name, changes in kinds.items():
        folder = tmp_path / name
        keep(folder, {"pipeline": first}, record={"engines": (built,)})
        keep(
            folder, {"pipeline": second}, prefix="x", **{"record": {"engines": (built,)}} | changes
        )

        detected = find_candidates([str(folder)])

        assert [one.findings.count for one in detected.series] == [12, 12], name
        assert detected.candidates == ()
        names = [one.points.name for one in detected.series]
        assert str(names[0]) == str(names[1])
        assert names[0].how != names[1].how


def options(level: int | None, **more: Any) -> dict[str, Any]:
    return {"options": {"optimization_level": level, "nvtx": bool(level), **more}}


def test_options_that_are_not_set_make_no_other_series(tmp_path: Path) -> None:
    """As where a later harness has an option more."""
    times = noisy(23)
    first, second = times.copy(), times.copy()
    first[12:] = np.nan
    second[:12] = np.nan
    for prefix, its, details in (
        ("a", first, options(0)),
        ("b", second, options(0, preview_features=None, plugins=[], nvtx=True)),
    ):
        engine = Engine("encoder", "onnxruntime", "fp32", None, None, 1.0, 1, details=details)
        keep(tmp_path, {"pipeline": its}, prefix=prefix, record={"engines": (engine,)})

    (one,) = find_candidates([str(tmp_path)]).series

    assert one.findings.count == COUNT
    assert one.points.name.options


def test_records_of_no_history_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    keep(tmp_path, {"pipeline": noisy(24)})
    environment = {"cpu": "some", "gpu": None, "pipeline_commit": {"commit": "ab" * 20}}
    topic = record("topic", [series("pipeline", 0.02)], None, environment=environment)
    ParquetStore(tmp_path).append(topic)

    detected = find_candidates([str(tmp_path)])
    every = find_candidates([str(tmp_path)], any_record=True)

    assert [one.findings.count for one in detected.series] == [COUNT]
    assert (detected.left_out, every.left_out) == (1, 0)
    assert sorted(one.findings.count for one in every.series) == [1, COUNT]
