"""What a pipeline's generators give: checked, repeatable, and no run fed what calibrated it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.errors import InputDataError
from harness.pipeline.feeds import (
    accuracy_inputs,
    calibration_inputs,
    constant_inputs,
    recording_inputs,
    synthetic_inputs,
)
from harness.pipeline.fingerprint import hash_arrays
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

SEEDS = range(4)
COUNT = 4
# The same for every sample, by what they are.
ALIKE = {"mask"}

Feed = dict[str, "NDArray[Any]"]

CALIBRATION = """

def calibration(sizes, rng, index):
    arrays = synthetic(sizes, rng)
    arrays["signal"] = np.full_like(arrays["signal"], index)
    return arrays
"""


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def with_calibration(toy: ToyFactory) -> Pipeline:
    """The toy with a generator for calibration: the signal is the sample's index throughout."""
    synthetic = 'synthetic = "inputs.py:synthetic"'
    root = toy((synthetic, f'{synthetic}\ncalibration = "inputs.py:calibration"'))
    inputs = root / "inputs.py"
    inputs.write_text(inputs.read_text(encoding="utf-8") + CALIBRATION, encoding="utf-8")
    return load_pipeline(root)


def calibrate(pipeline: Pipeline, seed: int, index: int) -> Feed:
    return calibration_inputs(pipeline, pipeline.profile("opt"), seed=seed, index=index)


# Calibration


@pytest.mark.parametrize("name", ["toy", "tiny", "voice_conversion"])
def test_no_run_is_fed_what_calibrated_it(toy: ToyFactory, name: str) -> None:
    """Of the voice converter a singing sample comes from the generator of the runs themselves."""
    pipeline = load_pipeline(toy() if name == "toy" else name)
    sizes = pipeline.profile("min")
    seen: dict[str, set[str]] = {}
    for seed in SEEDS:
        for feed in accuracy_inputs(pipeline, sizes, seed=seed, count=COUNT):
            for array in feed:
                seen.setdefault(array, set()).add(hash_arrays({array: feed[array]}))

    for seed in SEEDS:
        for index in range(COUNT):
            feed = calibration_inputs(pipeline, sizes, seed=seed, index=index)
            for array in {a for a in feed if feed[a].dtype.kind == "f"} - ALIKE:
                if feed[array].any():
                    assert hash_arrays({array: feed[array]}) not in seen[array]


@pytest.mark.parametrize("name", ["toy", "tiny", "voice_conversion"])
def test_no_two_samples_or_runs_are_alike(toy: ToyFactory, name: str) -> None:
    pipeline = load_pipeline(toy() if name == "toy" else name)
    sizes = pipeline.profile("min")

    feeds = [
        calibration_inputs(pipeline, sizes, seed=seed, index=index)
        for seed in SEEDS
        for index in range(COUNT)
    ]
    for seed in SEEDS:
        feeds += accuracy_inputs(pipeline, sizes, seed=seed, count=COUNT)

    assert len({hash_arrays(feed) for feed in feeds}) == 2 * COUNT * len(SEEDS)


def test_a_sample_does_not_depend_on_how_many_there_are_nor_on_their_order(
    pipeline: Pipeline,
) -> None:
    forwards = [hash_arrays(calibrate(pipeline, 2, index)) for index in range(8)]
    backwards = [hash_arrays(calibrate(pipeline, 2, index)) for index in reversed(range(8))]

    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 8


@pytest.mark.parametrize("name", ["tiny", "voice_conversion"])
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    pipeline = load_pipeline(name)

    for index in range(COUNT):
        first, again = (calibrate(pipeline, 3, index) for _ in range(2))
        assert {n: a.tobytes() for n, a in first.items()} == {
            n: a.tobytes() for n, a in again.items()
        }


def test_without_a_generator_for_calibration_the_synthetic_one_is_taken(
    pipeline: Pipeline,
) -> None:
    feed = calibrate(pipeline, 0, 5)

    assert {n: (a.dtype.name, a.shape) for n, a in feed.items()} == {
        "signal": ("float32", (1, 32)),
        "voiced": ("bool", (1, 8)),
    }
    assert feed["signal"].std() == pytest.approx(1, abs=0.5)


def test_with_one_it_is_told_the_index(with_calibration: Pipeline) -> None:
    for index in (0, 1, 7):
        assert (calibrate(with_calibration, 0, index)["signal"] == index).all()
    masks = [
        calibrate(with_calibration, seed, index)["voiced"] for seed in SEEDS for index in SEEDS
    ]
    assert len({mask.tobytes() for mask in masks}) > 12


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("return arrays", "raise ValueError('broken')", "ValueError: broken"),
        ("return arrays", "return arrays['signal']", "the generator gave ndarray"),
        ('"], index)', '"], index / 0)', "ZeroDivisionError"),
        ('"], index)', '"], np.nan)', "signal holds NaN or infinity"),
        (
            'np.full_like(arrays["signal"], index)',
            'arrays["signal"].astype(np.float64)',
            "signal is float64 [1, 32], declared is float32 [1, 32]",
        ),
        (
            'np.full_like(arrays["signal"], index)',
            'arrays["signal"][:, 1:]',
            "signal is float32 [1, 31], declared is float32 [1, 32]",
        ),
    ],
)
def test_what_a_generator_for_calibration_does_wrong_is_told(
    with_calibration: Pipeline, old: str, new: str, expected: str
) -> None:
    path = with_calibration.root / "inputs.py"
    head, tail = path.read_text(encoding="utf-8").split("def calibration")
    assert old in tail
    path.write_text(f"{head}def calibration{tail.replace(old, new)}", encoding="utf-8")

    with pytest.raises(InputDataError) as caught:
        calibrate(with_calibration, 0, 0)

    assert expected in caught.value.what
    assert caught.value.where == str(with_calibration.root / "inputs.py:calibration")
    assert caught.value.fix


# Accuracy and timed runs


def test_the_first_input_of_a_comparison_is_the_one_that_is_timed(pipeline: Pipeline) -> None:
    sizes = pipeline.profile("opt")

    feeds = accuracy_inputs(pipeline, sizes, seed=3, count=COUNT)

    assert len(feeds) == COUNT
    assert hash_arrays(feeds[0]) == hash_arrays(synthetic_inputs(pipeline, sizes, seed=3))
    assert len({hash_arrays(feed) for feed in feeds}) == COUNT
    fewer = accuracy_inputs(pipeline, sizes, seed=3, count=2)
    assert [hash_arrays(f) for f in fewer] == [hash_arrays(f) for f in feeds[:2]]


def test_inputs_have_the_sizes_that_are_asked_for(pipeline: Pipeline) -> None:
    sizes = pipeline.sizes(duration_s=1.0, batch=2)

    for feed in accuracy_inputs(pipeline, sizes, seed=0, count=2):
        assert feed["signal"].shape == (2, 64)
        assert feed["voiced"].shape == (2, 16)


def test_a_scalar_stays_one(toy: ToyFactory) -> None:
    root = toy(
        ("[inputs]\n", '[inputs]\nlevel = { dtype = "float32", shape = [] }\n'),
        ("value = 0.5", 'from = "level"'),
    )
    inputs = root / "inputs.py"
    text = inputs.read_text(encoding="utf-8")
    made = "    return {\n"
    assert made in text
    inputs.write_text(text.replace(made, f'{made}        "level": np.array(0.5, np.float32),\n'))
    pipeline = load_pipeline(root)

    assert synthetic_inputs(pipeline, pipeline.profile("opt"), seed=0)["level"].shape == ()
    assert calibrate(pipeline, 0, 0)["level"].shape == ()


# Recordings and constants


def test_a_pipeline_without_a_generator_for_recordings_takes_none(pipeline: Pipeline) -> None:
    with pytest.raises(InputDataError, match="toy takes no recordings") as caught:
        recording_inputs(pipeline, np.zeros(32, np.float32), pipeline.profile("opt"))

    assert caught.value.where == str(pipeline.manifest)


@pytest.mark.parametrize("value", [2, 0])
def test_constants_are_fed_in_their_declared_shape(toy: ToyFactory, value: int) -> None:
    declared = 'inputs.gain = { dtype = "float32", shape = [], value = 0.5 }'
    wider = f'inputs.gain = {{ dtype = "int64", shape = ["batch", "frames", 3], value = {value} }}'
    pipeline = load_pipeline(toy((declared, wider)))

    fed = constant_inputs(pipeline.components["encoder"], pipeline.sizes(duration_s=1.0, batch=2))

    assert set(fed) == {"gain"}
    assert (fed["gain"].dtype, fed["gain"].shape) == (np.int64, (2, 16, 3))
    assert (fed["gain"] == value).all()
    assert constant_inputs(pipeline.components["decoder"], pipeline.profile("opt")) == {}
