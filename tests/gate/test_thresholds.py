"""What change is none: as asked, by the calibration of the machine, or by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import OptionError, RecordError
from harness.gate.thresholds import find_threshold
from harness.noise.calibration import Calibration, SeriesNoise, calibration_path, save
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share
from tests.gate.made import head
from tests.history.records import measurement

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "pipeline, onnxruntime fp32, 1 s, hot"


def noise(label: str, margin: float, smallest: float | None = 0.03) -> SeriesNoise:
    return SeriesNoise(label, 0.01, 0.01, margin, Share(1, 2000, 0.0, 0.0025), smallest)


def keep(cache: Path, *rows: SeriesNoise, pipeline: str = "tiny", cpu: str = "some") -> None:
    its = fingerprint({"cpu": cpu, "gpu": None})
    save(Calibration(its, pipeline, "2026-01-02T03:04:05+00:00", rows), cache)


def test_without_a_calibration_it_is_the_usual_one_and_nobody_knows(tmp_path: Path) -> None:
    found = find_threshold(head(), tmp_path)
    assert found.margin == 0.002
    assert "nobody knows" in found.remark


def test_what_was_asked_comes_first(tmp_path: Path) -> None:
    keep(tmp_path, noise(LABEL, 0.05))
    found = find_threshold(head(), tmp_path, 0.01)
    assert (found.margin, found.remark) == (0.01, "a change up to 1 % is none, as asked")
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
    assert "equal commits were slower in 1 of 2000 trials (at most 0.25 %)" in found.remark
    assert "calibration of 2026-01-02" in found.remark


def test_of_several_pipelines_it_is_the_widest(tmp_path: Path) -> None:
    other = "pipeline, onnxruntime fp16, 1 s, hot"
    keep(tmp_path, noise(LABEL, 0.03), noise(other, 0.05, None), noise("vocoder, x", 0.5))
    record = head()
    assert find_threshold(record, tmp_path).margin == 0.03
    both = (*record.measurements, measurement(precision="fp16"))
    found = find_threshold(head(measurements=both), tmp_path)
    assert found.margin == 0.05
    assert "no slowdown that was tried was found 95 % of the time" in found.remark


def test_a_damaged_calibration_is_told(tmp_path: Path) -> None:
    path = calibration_path(tmp_path, head().environment, "tiny")
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="no calibration"):
        find_threshold(head(), tmp_path)
    assert find_threshold(head(), tmp_path, 0.01).margin == 0.01
