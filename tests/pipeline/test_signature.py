"""Declared inputs against the parameters of forward()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ModelError
from harness.pipeline.loader import load_pipeline
from harness.pipeline.modules import build_module
from harness.pipeline.signature import check_signature, misspelt_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

# The encoder's inputs are declared as signal and gain.
GAIN = "inputs.gain = { dtype"


class Forward:
    def __init__(self, forward: Any) -> None:
        self.forward = forward


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.mark.parametrize(
    "forward",
    [
        lambda signal, gain: signal,
        lambda signal, gain, inverse=False: signal,
        lambda x, y: x,
        lambda signal, strength: signal,
        lambda *inputs: inputs,
        lambda gain, signal, **others: signal,
        lambda signal, gain, *, inverse=False: signal,
        max,
    ],
)
def test_what_takes_them_by_position_passes(pipeline: Pipeline, forward: Any) -> None:
    check_signature(pipeline, "encoder", Forward(forward))
    check_signature(pipeline, "encoder", object())

    assert misspelt_inputs(pipeline, "encoder", Forward(forward)) == []


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda signal: signal, "forward() takes signal, not gain"),
        (lambda x: x, "forward() takes x; declared are signal, gain"),
        (lambda: None, "forward() takes nothing, not signal, gain"),
        (lambda signal, gain, mask: signal, "takes signal, gain, mask; declared are signal, gain"),
        (lambda gain, signal: signal, "in this order; signal is declared where it takes gain"),
        (lambda x, signal: signal, "in this order; signal is declared where it takes x"),
    ],
)
def test_what_does_not_is_told_by_name(pipeline: Pipeline, forward: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_signature(pipeline, "encoder", Forward(forward))

    assert message in caught.value.what
    assert caught.value.where == f"{pipeline.manifest}: components.encoder.inputs"


def test_a_name_that_is_almost_that_of_forward_is_told(pipeline: Pipeline) -> None:
    (told,) = misspelt_inputs(pipeline, "encoder", Forward(lambda signals, gain: signals))

    assert "components.encoder.inputs.signal: forward() calls it 'signals'" in told


def test_inputs_in_the_wrong_order_are_refused_where_the_module_is_made(toy: ToyFactory) -> None:
    root: Path = toy()
    lines = (root / "pipeline.toml").read_text().splitlines()
    signal, gain = (line for line in lines if line.startswith(("inputs.signal", "inputs.gain")))
    root = toy((f"{signal}\n{gain}\n", f"{gain}\n{signal}\n"))

    with pytest.raises(ModelError, match="declare them in forward"):
        build_module(load_pipeline(root), "encoder")
