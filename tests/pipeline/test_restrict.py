"""A part of a pipeline, fed from outside."""

from __future__ import annotations

import pytest

from harness.errors import OptionError
from harness.pipeline.loader import load_pipeline
from harness.pipeline.restrict import restrict


def test_what_other_components_would_make_becomes_an_input() -> None:
    part = restrict(load_pipeline("tiny"), ("vocoder", "flow_decoder"))

    assert part.order == ("flow_decoder", "vocoder")
    assert list(part.components) == ["flow_decoder", "vocoder"]
    assert set(part.declaration.inputs) == {
        "latent",
        "mask",
        "conditioner.conditioning",
        "latent_to_mel.mel",
    }
    assert part.declaration.inputs["latent_to_mel.mel"].shape == ("batch", 20, "frames")
    assert part.final_outputs == (("flow_decoder", "output_latent"), ("vocoder", "audio"))


def test_what_they_feed_each_other_stays_inside() -> None:
    part = restrict(load_pipeline("tiny"), ("flow_decoder", "latent_to_mel"))

    assert "flow_decoder.output_latent" not in part.declaration.inputs
    assert part.final_outputs == (("latent_to_mel", "mel"),)


def test_none_named_and_all_named_are_the_whole() -> None:
    tiny = load_pipeline("tiny")

    assert restrict(tiny, ()) is tiny
    assert restrict(tiny, tuple(reversed(tiny.order))) is tiny


def test_what_is_no_component_is_refused() -> None:
    with pytest.raises(OptionError, match="no component 'nothing'"):
        restrict(load_pipeline("tiny"), ("vocoder", "nothing"))
