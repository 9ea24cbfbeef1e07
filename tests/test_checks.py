"""What is checked of a session before it is measured, where the answer is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.checks import check_components
from harness.pipeline.feeds import accuracy_inputs, constant_inputs
from harness.pipeline.loader import load_pipeline
from harness.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline
    from harness.reference import Feed
    from tests.conftest import ToyFactory

    Function = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

COUNT = 4
AUDIO = ("[dimensions]", '[audio]\nsample_rate_hz = {}\noutput = "{}"\n[dimensions]')
LEVEL = 'outputs.level = { dtype = "float32", shape = ["batch", "frames"] }'
TOTAL = 'outputs.total = { dtype = "float32", shape = ["batch"] }'
TWO_OUTPUTS = (LEVEL, f"{LEVEL}\n{TOTAL}")


def _encode(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    rows = inputs["signal"].reshape(len(inputs["signal"]), -1, 4)
    weights = np.arange(24, dtype=np.float32).reshape(4, 6) - 10
    return {"features": rows @ weights * inputs["gain"]}


def _decode(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    level = np.where(inputs["voiced"], inputs["features"].sum(2), np.float32(0))
    return {"level": level, "total": level.sum(1)}


class FakeSession:
    """Computes the toy in numpy; ``replaced`` takes the place of some components."""

    def __init__(self, pipeline: Pipeline, **replaced: Function) -> None:
        self._pipeline = pipeline
        self._functions: dict[str, Function] = {"encoder": _encode, "decoder": _decode, **replaced}
        self._sizes: Mapping[str, int] = {}
        self.values: dict[str, NDArray[Any]] = {}
        self.bound: list[Mapping[str, NDArray[Any]]] = []
        self.launched: list[str] = []
        self.load_s = {"encoder": 2.0, "decoder": 3.0}

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        self._sizes = sizes
        self.bound.append(inputs)
        self.values = dict(inputs)

    def launch(self, component: str) -> None:
        self.launched.append(component)
        declared = self._pipeline.components[component]
        fed = constant_inputs(declared, self._sizes)
        fed |= {i: self.values[t.source] for i, t in declared.inputs.items() if t.source}
        for output, value in self.infer(component, fed).items():
            self.values[f"{component}.{output}"] = value

    def launch_pipeline(self) -> None:
        for component in self._pipeline.order:
            self.launch(component)

    def read(self, component: str, output: str) -> NDArray[Any]:
        return self.values[f"{component}.{output}"].copy()

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        # As the runtimes: a scalar is an array as well.
        assert all(isinstance(array, np.ndarray) for array in inputs.values())
        made = self._functions[component](inputs)
        return {name: made[name] for name in self._pipeline.components[component].outputs}

    def close(self) -> None:
        pass


def _feeds(pipeline: Pipeline) -> list[Feed]:
    return accuracy_inputs(pipeline, pipeline.profile("opt"), seed=0, count=COUNT)


def _reference(pipeline: Pipeline) -> Reference:
    session = FakeSession(pipeline)
    rows: list[dict[str, NDArray[Any]]] = []
    for feed in _feeds(pipeline):
        session.bind(pipeline.profile("opt"), feed)
        session.launch_pipeline()
        rows.append(dict(session.values))
    return Reference({name: np.stack([row[name] for row in rows]) for name in rows[0]}, weights={})


def _check(pipeline: Pipeline, session: FakeSession) -> dict[str, Any]:
    return check_components(
        pipeline, pipeline.profile("opt"), session, _feeds(pipeline), _reference(pipeline)
    )


def _with_error(function: Function, name: str, scale: float) -> Function:
    """``function`` with an error of the relative size ``scale`` in its output ``name``."""

    def make(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        made = function(inputs)
        return {**made, name: made[name] * np.float32(1 + scale)}

    return make


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


def test_a_session_that_computes_the_reference_is_exact(pipeline: Pipeline) -> None:
    checks = _check(pipeline, FakeSession(pipeline))

    assert list(checks) == ["encoder", "decoder", "pipeline"]
    for check in checks.values():
        assert check.accuracy.inputs == COUNT
        assert check.accuracy.snr_db == math.inf
        assert check.accuracy.dependent_snr_db == math.inf
        assert check.accuracy.relative_l2 == 0.0
        assert 0.0 < check.accuracy.constant_snr_db < 20.0
        assert check.log_spectral_distance_db is None


def test_the_best_constant_scores_what_the_constant_column_says(pipeline: Pipeline) -> None:
    """And nothing for the input's part: a network that ignores its input shows."""
    constant = _reference(pipeline).tensors["encoder.features"].mean(axis=0)
    session = FakeSession(pipeline, encoder=lambda _: {"features": constant})

    accuracy = _check(pipeline, session)["encoder"].accuracy

    assert accuracy.snr_db == pytest.approx(accuracy.constant_snr_db, abs=1e-4)
    assert accuracy.dependent_snr_db == pytest.approx(0.0, abs=1e-4)


def test_any_other_constant_scores_less_and_nothing_for_the_inputs_part(
    pipeline: Pipeline,
) -> None:
    constant = _reference(pipeline).tensors["encoder.features"].mean(axis=0) + 3
    session = FakeSession(pipeline, encoder=lambda _: {"features": constant})

    accuracy = _check(pipeline, session)["encoder"].accuracy

    assert accuracy.snr_db < accuracy.constant_snr_db - 0.1
    assert accuracy.dependent_snr_db == pytest.approx(0.0, abs=1e-4)


def test_a_component_inherits_no_error_and_the_pipeline_holds_them_all(pipeline: Pipeline) -> None:
    session = FakeSession(pipeline, encoder=_with_error(_encode, "features", 0.01))

    checks = _check(pipeline, session)

    assert checks["encoder"].accuracy.snr_db == pytest.approx(40.0, abs=0.01)
    assert checks["decoder"].accuracy.snr_db == math.inf
    assert checks["pipeline"].accuracy.snr_db == pytest.approx(40.0, abs=0.01)


def test_errors_of_all_inputs_count(pipeline: Pipeline) -> None:
    """An output that is right for the first input alone is not taken for right."""
    first = _feeds(pipeline)[0]["signal"]

    def encode(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        made = _encode(inputs)
        return made if np.array_equal(inputs["signal"], first) else {"features": -made["features"]}

    checks = _check(pipeline, FakeSession(pipeline, encoder=encode))

    assert checks["encoder"].accuracy.snr_db < 0.0
    assert checks["pipeline"].accuracy.snr_db < 0.0


def test_of_several_outputs_the_worst_counts(toy: ToyFactory) -> None:
    pipeline = load_pipeline(toy(TWO_OUTPUTS))
    for name in ("level", "total"):
        session = FakeSession(pipeline, decoder=_with_error(_decode, name, 0.1))

        checks = _check(pipeline, session)

        assert checks["encoder"].accuracy.snr_db == math.inf
        assert checks["decoder"].accuracy.snr_db == pytest.approx(20.0, abs=0.01)
        assert checks["pipeline"].accuracy.snr_db == pytest.approx(20.0, abs=0.01)


def test_an_output_that_is_not_finite_is_the_worst(pipeline: Pipeline) -> None:
    session = FakeSession(pipeline, decoder=_with_error(_decode, "level", math.nan))

    accuracy = _check(pipeline, session)["decoder"].accuracy

    assert accuracy.snr_db == -math.inf
    assert accuracy.relative_l2 == math.inf


def test_the_session_is_left_bound_to_the_first_input(pipeline: Pipeline) -> None:
    """That is what is timed, and what a recording's conversion is read from."""
    session = FakeSession(pipeline)

    _check(pipeline, session)

    first = _feeds(pipeline)[0]
    np.testing.assert_array_equal(session.bound[-1]["signal"], first["signal"])
    expected = _decode({**first, **_encode({**first, "gain": np.array(0.5, np.float32)})})
    np.testing.assert_array_equal(session.read("decoder", "level"), expected["level"])


def test_the_first_launch_is_of_each_component_in_order(pipeline: Pipeline) -> None:
    session = FakeSession(pipeline)

    checks = _check(pipeline, session)

    assert session.launched[:2] == ["encoder", "decoder"]
    assert [check.load_s for check in checks.values()] == [2.0, 3.0, 5.0]
    parts = checks["encoder"].first_s + checks["decoder"].first_s
    assert 0.0 < checks["pipeline"].first_s == pytest.approx(parts)


def test_without_a_reference_only_the_times_are_known(pipeline: Pipeline) -> None:
    session = FakeSession(pipeline)

    checks = check_components(
        pipeline, pipeline.profile("opt"), session, _feeds(pipeline)[:1], None
    )

    assert list(checks) == ["encoder", "decoder", "pipeline"]
    for check in checks.values():
        assert check.accuracy is None
        assert check.log_spectral_distance_db is None
    assert len(session.bound) == 1


def test_a_single_input_has_no_constant(pipeline: Pipeline) -> None:
    """As for a recording: a constant over one input would be that input's output."""
    whole = _reference(pipeline)
    alone = Reference({name: stack[:1] for name, stack in whole.tensors.items()}, weights={})
    session = FakeSession(pipeline, decoder=_with_error(_decode, "level", 0.1))

    checks = check_components(
        pipeline, pipeline.profile("opt"), session, _feeds(pipeline)[:1], alone
    )

    accuracy = checks["decoder"].accuracy
    assert accuracy is not None
    assert accuracy.inputs == 1
    assert accuracy.snr_db == pytest.approx(20.0, abs=0.01)
    assert accuracy.constant_snr_db is None
    assert accuracy.dependent_snr_db is None


def _with_audio(toy: ToyFactory, rate_hz: int, output: str) -> Path:
    return toy(TWO_OUTPUTS, (AUDIO[0], AUDIO[1].format(rate_hz, output)))


@pytest.mark.parametrize(
    ("output", "given"),
    [("decoder.level", {"decoder", "pipeline"}), ("encoder.features", {"encoder"})],
)
def test_a_spectral_distance_is_given_for_what_puts_out_the_audio(
    toy: ToyFactory, output: str, given: set[str]
) -> None:
    pipeline = load_pipeline(_with_audio(toy, 16_000, output))
    session = FakeSession(
        pipeline,
        encoder=_with_error(_encode, "features", 0.1),
        decoder=_with_error(_decode, "level", 0.1),
    )

    checks = _check(pipeline, session)

    known = {n for n, check in checks.items() if check.log_spectral_distance_db is not None}
    assert known == given
    # 20 log10(1.1) everywhere, and twice that after both errors.
    step_db = 20 * math.log10(1.1)
    for name in given - {"pipeline"}:
        assert checks[name].log_spectral_distance_db == pytest.approx(step_db, rel=1e-3)
    if "pipeline" in given:
        assert checks["pipeline"].log_spectral_distance_db == pytest.approx(2 * step_db, rel=1e-3)


def test_audio_of_too_low_a_rate_for_a_spectrum_has_no_distance(toy: ToyFactory) -> None:
    """Such as a recording of the heart at 100 Hz; the run goes on."""
    pipeline = load_pipeline(_with_audio(toy, 100, "decoder.level"))

    checks = _check(pipeline, FakeSession(pipeline))

    assert checks["decoder"].log_spectral_distance_db is None
    assert checks["decoder"].accuracy.snr_db == math.inf
