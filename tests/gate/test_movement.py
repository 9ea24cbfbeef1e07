"""Which component moved, its share, and what moved the other way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate.movement import movements_of
from harness.report.gate_words import movement_sentence
from harness.types import Variant
from tests.gate.made import FASTER, INCONCLUSIVE, MOVED, SAME, SLOWER, comparison, row


def test_the_component_that_moved_is_named_with_its_share() -> None:
    (movement,) = movements_of(comparison())
    assert movement.culprit is not None
    assert movement.culprit.component == "vocoder"
    assert movement.culprit.change.change_s == pytest.approx(0.6e-3)
    assert movement.culprit.share == pytest.approx(1.2)
    assert [part.component for part in movement.against] == ["encoder"]
    assert movement.against[0].share == pytest.approx(-0.2)
    # 0.5 ms of the whole, less 0.6, -0.1 and 0.001 of its components.
    assert movement.rest_s == pytest.approx(-1e-6, abs=1e-9)
    assert movement_sentence(movement) == (
        "vocoder moved by +.600 ms, +10.00 % of its own, 120 % of the pipeline's change; the other "
        "way moved encoder by -.100 ms, -5.00 % of its own, -20 % of the pipeline's change"
    )


def test_components_come_in_the_order_of_their_change() -> None:
    (movement,) = movements_of(comparison())
    assert [part.component for part in movement.parts] == ["vocoder", "encoder", "decoder"]


def test_a_pipeline_that_did_not_move_has_no_shares_and_no_culprit() -> None:
    for status in (SAME, INCONCLUSIVE):
        rows = (*MOVED[:-1], row("pipeline", status, 1.001))
        (movement,) = movements_of(comparison(rows))
        assert (movement.culprit, movement.against) == (None, ())
        assert {part.share for part in movement.parts} == {None}
        assert movement_sentence(movement) == (
            "yet of its components moved vocoder by +.600 ms, +10.00 % of its own, encoder by "
            "-.100 ms, -5.00 % of its own"
        )


def test_where_nothing_moved_there_is_nothing_to_say() -> None:
    for whole in (row("pipeline", SAME), row("pipeline", SLOWER, 1.1)):
        alone = comparison((whole,))
        assert movement_sentence(movements_of(alone)[0]) == ""
    (movement,) = movements_of(comparison((row("a", SAME), row("pipeline", SAME))))
    assert movement_sentence(movement) == ""


def test_a_gain_names_what_became_faster() -> None:
    rows = (row("a", FASTER, 0.5, 4.0), row("b", SLOWER, 1.5, 1.0), row("pipeline", FASTER, 0.85))
    (movement,) = movements_of(comparison(rows))
    assert movement.culprit is not None
    assert movement.culprit.component == "a"
    assert [part.component for part in movement.against] == ["b"]


def test_where_no_component_is_known_to_have_moved_that_is_said() -> None:
    rows = (row("a", INCONCLUSIVE, 1.2, 4.0), row("b", SLOWER, 1.1, 1.0, is_discovery=False))
    (movement,) = movements_of(comparison((*rows, row("pipeline", SLOWER, 1.08))))
    assert movement.culprit is None
    sentence = movement_sentence(movement)
    assert sentence.startswith("no component alone is known to have moved; most did a, +.800 ms")
    assert sentence.endswith("100 % of the pipeline's change (inconclusive)")


def test_copies_and_other_variants_are_no_part_of_a_pipeline() -> None:
    other = Variant("onnxruntime", "fp16")
    rows = (
        row("host_to_device", SLOWER, 9.0),
        row("a", SLOWER, 1.5, variant=other),
        row("b", SLOWER, 1.5, mode="cold"),
        *MOVED,
        row("pipeline", SAME, variant=other),
    )
    first, second = movements_of(comparison(rows))
    assert {part.component for part in first.parts} == {"encoder", "vocoder", "decoder"}
    assert [part.component for part in second.parts] == ["a"]


def test_components_of_other_streams_are_none_of_a_pipelines() -> None:
    whole = row("pipeline", SLOWER, 1.1)
    other = row("a", SLOWER, 1.1)
    other = replace(other, series=replace(other.series, streams=4))
    (movement,) = movements_of(comparison((other, whole)))
    assert movement.parts == ()


def test_components_alone_are_pipelines_of_their_own() -> None:
    found = movements_of(comparison(MOVED[:-1]))
    assert [m.series.component for m in found] == ["encoder", "vocoder", "decoder"]
    assert {m.rest_s for m in found} == {None}
