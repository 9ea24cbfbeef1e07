"""What change is none: as asked, by the calibration of the machine, or by default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import OptionError, RecordError
from harness.gate.thresholds import find_threshold
from harness.noise.calibration import Calibration, SeriesNoise, calibration_path, save
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share
from harness.types import Replication
from tests.gate.made import HOSTILE, head
from tests.history.records import measurement

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

LABEL = "pipeline, onnxruntime fp32, 1 s, hot"


# As harness noise writes them.
SETTINGS = {
    "processes": 32,
    "pairs": 12,
    "trials": 1000,
    "threads": [2],
    "words": ["--backend=onnxruntime", "--rel-precision=0.001", "--no-tail", "--max-time=5.0"],
}


def noise(label: str, margin: float, smallest: float | None = 0.03, **changes: Any) -> SeriesNoise:
    made = SeriesNoise(label, 0.01, 0.01, margin, Share(1, 2000, 0.0, 0.0025), smallest)
    return replace(made, **changes)


def of_pairs(
    pairs: int = 12, command: str = "harness run tiny --max-time 5", **changes: Any
) -> Record:
    """As many processes, of an A/B that was to go on to as many pairs."""
    measured = tuple(measurement(process=i, **changes) for i in range(pairs))
    replication = Replication(pairs, 1, looks=(8, pairs))
    return head(measurements=measured, command=tuple(command.split()), replication=replication)


def keep(cache: Path, *rows: SeriesNoise, pipeline: str = "tiny", cpu: str = "some") -> None:
    its = fingerprint({"cpu": cpu, "gpu": None})
    save(Calibration(its, pipeline, "2026-01-02T03:04:05+00:00", rows), cache)


def test_without_a_calibration_it_is_the_usual_one_and_nobody_knows(tmp_path: Path) -> None:
    found = find_threshold(head(), tmp_path)
    assert found.margin == 0.002
    assert "nobody knows" in found.remarks[0]


def test_what_was_asked_comes_first(tmp_path: Path) -> None:
    keep(tmp_path, noise(LABEL, 0.05))
    found = find_threshold(head(), tmp_path, 0.01)
    assert (found.margin, found.remarks) == (0.01, ("a change up to 1 % is none, as asked",))
    # No margin at all is one.
    assert find_threshold(head(), tmp_path, 0.0).margin == 0.0


@pytest.mark.parametrize("given", [-0.1, 1.0, float("nan")])
def test_what_is_no_margin_is_refused(tmp_path: Path, given: float) -> None:
    with pytest.raises(OptionError, match="is no margin"):
        find_threshold(head(), tmp_path, given)


def test_the_calibration_is_of_the_environment_and_the_pipeline(tmp_path: Path) -> None:
    keep(tmp_path, noise(LABEL, 0.05), cpu="other")
    keep(tmp_path, noise(LABEL, 0.06), pipeline="other")
    keep(tmp_path, noise("pipeline, onnxruntime fp16, 1 s, hot", 0.07))
    assert find_threshold(head(), tmp_path).margin == 0.002
    keep(tmp_path, noise(LABEL, 0.03))
    found = find_threshold(head(), tmp_path)
    assert found.margin == 0.03
    assert "equal commits were slower in 1 of 2000 trials (at most 0.25 %)" in found.remarks[0]
    assert "calibration of 2026-01-02" in found.remarks[0]


def test_of_several_pipelines_it_is_the_widest(tmp_path: Path) -> None:
    other = "pipeline, onnxruntime fp16, 1 s, hot"
    keep(tmp_path, noise(LABEL, 0.03), noise(other, 0.05, None), noise("vocoder, x", 0.5))
    record = head()
    assert find_threshold(record, tmp_path).margin == 0.03
    both = (*record.measurements, measurement(precision="fp16"))
    found = find_threshold(head(measurements=both), tmp_path)
    assert found.margin == 0.05
    assert "no slowdown that was tried was found 95 % of the time" in found.remarks[0]


def differing(tmp_path: Path, record: Record, *, is_paired: bool = True, **changes: Any) -> str:
    """What is said of rates that are not of the record; empty where they are."""
    keep(tmp_path, noise(LABEL, 0.03, **{"settings": SETTINGS, **changes}))
    _, *more = find_threshold(record, tmp_path, is_paired=is_paired).remarks
    told = "those rates are not of what was measured here: "
    assert all(one.startswith(told) for one in more)
    return "; ".join(more).removeprefix(told)


def test_rates_of_what_was_measured_alike_are_quoted_as_they_are(tmp_path: Path) -> None:
    assert not differing(tmp_path, of_pairs())
    # Early looks spared it the rest of the pairs that it was to go on to.
    early = of_pairs()
    eight = replace(early, measurements=early.measurements[:8])
    assert not differing(tmp_path, eight)
    of_ab = replace(
        of_pairs(command="harness ab a b --max-time 70 --process-time=5"),
        replication=Replication(12, 1, experiment="x", looks=(8, 12)),
    )
    assert not differing(tmp_path, of_ab)


@pytest.mark.parametrize(
    ("record", "is_paired", "told"),
    [
        (of_pairs(8), True, "up to 12 pairs there, 8 here"),
        (of_pairs(8), False, "there the sides took turns, here they took none"),
        (of_pairs(threads=4), True, "threads: 2 there, 4 here"),
        (
            of_pairs(command="harness run --max-time=0.5 x"),
            True,
            "5.0 s a process there, 0.5 s here",
        ),
        (
            of_pairs(command="harness history measure"),
            True,
            "5.0 s a process there, and here the command does not tell",
        ),
    ],
)
def test_what_a_calibrations_rates_are_not_of_is_told(
    tmp_path: Path, record: Record, is_paired: bool, told: str
) -> None:
    assert differing(tmp_path, record, is_paired=is_paired) == told


@pytest.mark.parametrize("words", [["--max-time"], ["--max-time=x"], [], [HOSTILE]])
def test_a_time_that_is_none_is_no_crash(tmp_path: Path, words: list[str]) -> None:
    record = replace(of_pairs(), command=("harness", "run", HOSTILE, f"--max-time={HOSTILE}"))
    differing(tmp_path, record, settings={**SETTINGS, "words": words})


def test_of_an_older_calibration_nobody_knows_by_what_it_was(tmp_path: Path) -> None:
    assert "is not known" in differing(tmp_path, of_pairs(), settings={})


def test_a_row_has_its_own_date_and_whether_it_was_made_up(tmp_path: Path) -> None:
    keep(tmp_path, noise(LABEL, 0.03, created_utc="2025-05-06T07:08:09", is_simulated=True))
    told = find_threshold(head(), tmp_path).remarks[0]
    assert "calibration of 2025-05-06 (pipeline, onnxruntime fp32, 1 s, hot, of SIMULATED" in told


def test_variants_that_a_calibration_has_nothing_of_are_told(tmp_path: Path) -> None:
    keep(tmp_path, noise(LABEL, 0.03, settings=SETTINGS))
    record = of_pairs()
    more = (*record.measurements, measurement(precision="fp16"))
    told = find_threshold(replace(record, measurements=more), tmp_path).remarks
    assert len(told) == 2
    assert told[1].startswith("the calibration has nothing of pipeline, onnxruntime fp16, 1 s, hot")
    assert told[1].endswith("that margin is not of its noise, which nobody knows")


def test_a_damaged_calibration_is_told(tmp_path: Path) -> None:
    path = calibration_path(tmp_path, head().environment, "tiny")
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="no calibration"):
        find_threshold(head(), tmp_path)
    assert find_threshold(head(), tmp_path, 0.01).margin == 0.01
