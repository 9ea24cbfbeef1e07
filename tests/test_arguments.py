"""From Python an error names the argument, and not the command line's option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import harness
from harness.arguments import names_arguments
from harness.errors import ModelError, OptionError

if TYPE_CHECKING:
    from tests.conftest import ToyFactory


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"durations_s": [99.0]}, "durations_s"),
        ({"batches": [99]}, "batches"),
        ({"backends": ["cuda"]}, "backends"),
        ({"precisions": ["fp8"]}, "precisions"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"max_samples": 0}, "max_samples"),
        ({"max_time_s": 0.0}, "max_time_s"),
        ({"rel_precision": 0.0}, "rel_precision"),
        ({"mode": "tepid"}, "mode"),
    ],
)
def test_each_argument_of_a_run_is_named_as_it_is_given(
    toy: ToyFactory, given: dict[str, Any], where: str
) -> None:
    with pytest.raises(OptionError) as caught:
        harness.benchmark_end_to_end_latency(toy(), **given)

    assert caught.value.where == where
    assert "--" not in str(caught.value)


def test_an_argument_is_named_as_the_function_has_it(toy: ToyFactory) -> None:
    with pytest.raises(OptionError) as caught:
        harness.export_and_build_engines(toy(), precision="fp8")
    assert caught.value.where == "precision"

    with pytest.raises(OptionError) as caught:
        harness.create_int8_calibration_dataset(toy(), samples=1)
    assert caught.value.where == "samples"


def test_an_option_that_the_function_does_not_have_keeps_its_name() -> None:
    @names_arguments
    def call(*, tail: bool) -> None:
        raise OptionError("no use", where="--no-tail", fix="leave it out, or use --period")

    with pytest.raises(OptionError) as caught:
        call(tail=True)

    assert str(caught.value) == "tail: no use; leave it out, or use --period"


def test_other_errors_stay_what_they_are() -> None:
    error = ModelError("wrong", where="--mode")

    @names_arguments
    def call() -> None:
        raise error

    with pytest.raises(ModelError) as caught:
        call()

    assert caught.value is error
