"""What a session refuses: it names the component, and gives back what it had taken."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.backends.tensorrt import open as opening
from harness.errors import ContractError, EngineError, InputDataError
from harness.types import ENQUEUE
from tests.backends.tensorrt.fakes import (
    DECODER,
    ENCODER,
    FakeDevice,
    bind,
    expected,
    make_library,
    write_engine,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.backends.tensorrt.session import TensorRTSession
    from harness.pipeline.pipeline import Pipeline


@pytest.mark.parametrize(
    "given",
    [
        {"features": np.ones((1, 3, 6), np.float32)},
        {
            "features": np.ones((1, 3, 6), np.float32),
            "voiced": np.ones((1, 3), bool),
            "inverse": np.ones(1, bool),
        },
        {},
    ],
)
def test_all_inputs_must_be_given_also_where_some_were_bound_before(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline, given: dict[str, Any]
) -> None:
    session = open_session()
    for is_bound in (False, True):
        if is_bound:
            bind(session, pipeline, frames=3)
        with pytest.raises(InputDataError, match="it takes features, voiced") as caught:
            session.infer("decoder", given)
        assert caught.value.where == "decoder"


def test_a_shape_outside_the_profile(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    session = open_session()

    with pytest.raises(InputDataError) as caught:
        session.infer(
            "decoder",
            {"features": np.ones((1, 17, 6), np.float32), "voiced": np.ones((1, 17), bool)},
        )

    assert str(caught.value) == (
        "decoder: features is [1, 17, 6], built for [1, 2, 6] to [2, 16, 6]; "
        "stay within the profile"
    )


def test_a_context_that_took_half_of_the_shapes_is_set_again(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    """The sizes of before are not those of the context any more."""
    session = open_session()
    inputs = bind(session, pipeline, frames=8)
    context = session.engines["decoder"].context
    context.infer_shapes = lambda: ["voiced"]
    with pytest.raises(EngineError, match="no shape is set for voiced"):
        bind(session, pipeline, frames=4)
    del context.infer_shapes

    bind(session, pipeline, frames=8)
    session.launch_pipeline()

    np.testing.assert_allclose(session.read("decoder", "level"), expected(inputs)[1], rtol=1e-5)


def test_an_output_whose_size_depends_on_the_data(
    open_session: Callable[..., TensorRTSession], device: FakeDevice
) -> None:
    ragged = replace(DECODER, shapes=lambda known: {"level": (known["voiced"][0], -1)})

    with pytest.raises(EngineError) as caught:
        open_session(decoder=ragged)

    assert caught.value.what == "level is [2, -1]: its size depends on the data"
    assert caught.value.where == "decoder"
    assert device.memory == {}


def test_an_output_of_another_shape_than_declared(
    open_session: Callable[..., TensorRTSession], pipeline: Pipeline
) -> None:
    longer = replace(DECODER, shapes=lambda known: {"level": (known["voiced"][0], 16)})
    session = open_session(decoder=longer)

    with pytest.raises(EngineError, match=r"level is \[1, 16\], declared is \[1, 8\]") as caught:
        bind(session, pipeline)

    assert caught.value.where == "decoder"


def test_a_tensor_that_the_host_reads(open_session: Callable[..., TensorRTSession]) -> None:
    with pytest.raises(EngineError, match="signal is read by the host: a shape tensor") as caught:
        open_session(encoder=replace(ENCODER, location="HOST"))

    assert caught.value.where == "encoder"


def test_a_device_without_memory_left_names_the_component_and_the_bytes(
    open_session: Callable[..., TensorRTSession], device: FakeDevice
) -> None:
    device.capacity_bytes = 1300

    with pytest.raises(EngineError, match=r"out of memory: 0\.0 MB are needed") as caught:
        open_session()

    assert caught.value.where == "decoder (CUDA)"
    assert device.memory == {}, "what was taken is given back"


def test_a_context_that_cannot_be_made(
    open_session: Callable[..., TensorRTSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.backends.tensorrt.fakes.ICudaEngine.create_execution_context", lambda _: None
    )

    with pytest.raises(EngineError, match="its context cannot be made") as caught:
        open_session()

    assert (caught.value.where, caught.value.fix) == ("encoder", "free device memory")


def test_an_engine_that_the_library_cannot_open(own_library: None, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot open it: no such program: encoder") as caught:
        opening.open_engine(
            make_library(FakeDevice(), {}), write_engine(tmp_path / "e.engine", "encoder")
        )

    assert caught.value.fix == "build it again on this machine"


def test_an_engine_of_another_component(
    open_session: Callable[..., TensorRTSession], device: FakeDevice
) -> None:
    with pytest.raises(ContractError, match="the network has features, voiced, declared are") as e:
        open_session(encoder=DECODER)

    assert "components.encoder.inputs" in e.value.where
    assert device.memory == {}


def test_two_engines_that_disagree_on_a_size(
    open_session: Callable[..., TensorRTSession], device: FakeDevice
) -> None:
    inputs = {**ENCODER.inputs, "signal": ("float32", [-1, -1], [[1, 8], [1, 32], [1, 64]])}

    with pytest.raises(EngineError, match="features is float32 of 768 bytes, but") as caught:
        open_session(encoder=replace(ENCODER, inputs=inputs))

    assert caught.value.where == "decoder"
    assert device.memory == {}


def test_a_launch_that_is_refused_names_the_component(
    open_session: Callable[..., TensorRTSession],
) -> None:
    session = open_session(ENQUEUE)

    # Nothing is bound: no addresses are set.
    with pytest.raises(EngineError, match="cannot be queued") as caught:
        session.launch("encoder")

    assert caught.value.where == "encoder"
