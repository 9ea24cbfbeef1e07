"""PyTorch on CUDA, on a device that is the CPU: what is captured, copied, cast and timed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.backends import torch_cuda
from harness.backends.torch import TorchBackend
from harness.backends.torch_cuda import TorchCudaBackend, TorchCudaSession
from harness.backends.torch_cuda_device import open_device, running
from harness.backends.torch_cuda_module import place_module
from harness.errors import EngineError, FeatureUnavailableError, ModelError, OptionError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from tests.backends.torch_fakes import FakeDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    made = FakeDevice()
    monkeypatch.setattr(torch_cuda, "open_device", lambda: made)
    return made


def _open(
    pipeline: Pipeline, precision: str = "fp32", launches: Sequence[str] = ("graph",)
) -> TorchCudaSession:
    return TorchCudaBackend(precision=precision, launches=launches).open(pipeline, {})


def _bind(
    session: Any, pipeline: Pipeline, duration_s: float = 0.5, seed: int = 1
) -> dict[str, np.ndarray]:
    sizes = pipeline.sizes(duration_s=duration_s, batch=1)
    inputs = synthetic_inputs(pipeline, sizes, seed=seed)
    session.bind(sizes, inputs)
    return inputs


@pytest.mark.parametrize("launch", ["graph", "enqueue"])
@pytest.mark.parametrize("name", ["toy", "tiny"])
def test_fp32_is_what_the_cpu_computes(
    toy: ToyFactory, device: FakeDevice, launch: str, name: str
) -> None:
    pipeline = load_pipeline(toy() if name == "toy" else name)
    peer = TorchBackend(threads=1).open(pipeline, {})
    session = _open(pipeline, launches=[launch])
    for duration_s, seed in ((0.5, 1), (0.5, 2), (1.0, 3)):
        for opened in (peer, session):
            inputs = _bind(opened, pipeline, duration_s, seed)
            opened.launch_pipeline()
        for component, output in pipeline.final_outputs:
            expected = peer.read(component, output)
            np.testing.assert_array_equal(session.read(component, output), expected)
    first = pipeline.order[0]
    feed = {
        key: inputs[t.source] if t.source in inputs else np.array(t.value, t.dtype)
        for key, t in pipeline.components[first].inputs.items()
    }
    for key, value in peer.infer(first, feed).items():
        np.testing.assert_array_equal(session.infer(first, feed)[key], value)


@pytest.mark.parametrize("launch", ["graph", "enqueue"])
@pytest.mark.parametrize("name", ["toy", "tiny"])
def test_fp16_is_fp16_on_the_device_and_declared_outside(
    toy: ToyFactory, device: FakeDevice, launch: str, name: str
) -> None:
    pipeline = load_pipeline(toy() if name == "toy" else name)
    peer, session = TorchBackend(threads=1).open(pipeline, {}), _open(pipeline, "fp16", [launch])
    for opened in (peer, session):
        _bind(opened, pipeline)
        opened.launch_pipeline()

    held = {**session._is_bound._static, **session._is_bound.latest}
    f0 = {"f0"} if name == "tiny" else set()
    assert {key for key, value in held.items() if value.dtype == torch.float32} == f0
    assert {value.dtype for value in held.values()} <= {torch.float16, torch.bool, torch.float32}
    for component, output in pipeline.final_outputs:
        expected, made = peer.read(component, output), session.read(component, output)
        assert made.dtype == expected.dtype == np.float32
        assert 0 < np.linalg.norm(made - expected) < 0.01 * np.linalg.norm(expected)


def test_what_makes_an_index_of_floats_stays_in_fp32_and_says_so(device: FakeDevice) -> None:
    pipeline = load_pipeline("tiny")
    backend = TorchCudaBackend(precision="fp16")

    found = backend.inspect(pipeline, {}, {}, {})

    computes = {name: one.details["computes_in"] for name, one in found.items()}
    assert computes.pop("pitch_encoder") == "fp32"
    assert set(computes.values()) == {"fp16"}
    notes = found["pitch_encoder"].details["notes"]
    assert notes == ["kept in fp32: it makes integers of its floats"]
    # What was made to be looked into is opened, once.
    session = backend._opened[1] if backend._opened else None
    assert backend.open(pipeline, {}) is session
    assert backend.open(pipeline, {}) is not session


def test_what_cannot_run_in_fp16_stays_in_fp32_with_its_weights(
    toy: ToyFactory, device: FakeDevice
) -> None:
    edit = ("self.layer(signal", "self.layer(signal.float()")
    pipeline = load_pipeline(toy(edit, file="models.py"))
    peer, session = TorchBackend(threads=1).open(pipeline, {}), _open(pipeline, "fp16")
    for opened in (peer, session):
        _bind(opened, pipeline)
        opened.launch("encoder")

    details = session.details("encoder")
    assert details["computes_in"] == "fp32"
    assert "dtype" in details["notes"][0]
    assert session._is_bound._static["signal"].dtype == torch.float32
    expected = peer.read("encoder", "features").astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(session.read("encoder", "features"), expected)


def test_an_attribute_called_half_is_no_obstacle(toy: ToyFactory, device: FakeDevice) -> None:
    edit = ("super().__init__()\n", "super().__init__()\n        self.half = 3\n")
    session = _open(load_pipeline(toy(edit, file="models.py")), "fp16")

    assert session.details("encoder")["computes_in"] == "fp16"


def test_what_forward_makes_without_a_device_is_made_on_the_device(pipeline: Pipeline) -> None:
    """The decoder makes a zero; a device without memory stands for another one."""
    notes = place_module(pipeline, "decoder", torch.device("meta"), "fp32", is_compiled=False).notes
    assert notes == ("what forward() makes without a device is made on meta",)
    encoder = place_module(pipeline, "encoder", torch.device("meta"), "fp32", is_compiled=False)
    assert encoder.notes == ()
    assert encoder.default_device is None


def test_graphs_are_captured_again_at_other_sizes_only(
    pipeline: Pipeline, device: FakeDevice
) -> None:
    session = _open(pipeline)
    _bind(session, pipeline, 0.5)
    assert device.captured == 3
    static = dict(session._is_bound._static)

    inputs = _bind(session, pipeline, 0.5, seed=2)
    assert device.captured == 3
    for name, array in inputs.items():
        assert session._is_bound._static[name] is static[name]
        np.testing.assert_array_equal(static[name].numpy(), array)

    _bind(session, pipeline, 1.0)
    assert device.captured == 6
    session.launch_pipeline()
    assert session.read("decoder", "level").shape == (1, 16)


def test_a_component_after_the_pipeline_sees_what_the_pipeline_was_fed(
    pipeline: Pipeline, device: FakeDevice
) -> None:
    session = _open(pipeline)
    _bind(session, pipeline, seed=1)
    session.launch_pipeline()
    _bind(session, pipeline, seed=2)
    session.launch_pipeline()
    expected = session.read("decoder", "level")
    session.launch("decoder")

    np.testing.assert_array_equal(session.read("decoder", "level"), expected)
    before = device.replays
    session.launch("decoder")
    assert device.replays == before + 1


@pytest.mark.parametrize("launches", [["graph"], ["enqueue"], ["graph", "enqueue"]])
def test_the_series_are_in_the_order_of_the_data(
    pipeline: Pipeline, device: FakeDevice, launches: list[str]
) -> None:
    session = _open(pipeline, launches=launches)
    _bind(session, pipeline)

    series = session.series()

    assert [one.launch for one in series] == [name for name in launches for _ in range(2)]
    components = ["encoder", "decoder", "pipeline"]
    copies = ["host_to_device", "encoder", "decoder", "device_to_host", "pipeline"]
    assert list(series[0].targets) == copies
    assert [list(one.targets) for one in series[2::2]] == [components] * (len(launches) - 1)
    assert {tuple(one.targets) for one in series[1::2]} == {("host_enqueue",)}
    clocks = {"graph": "cuda events, queued ahead", "enqueue": "cuda events, as enqueued"}
    for one, host in zip(series[::2], series[1::2], strict=True):
        assert one.clock is not None
        assert host.clock is not None
        assert one.clock.name == clocks[one.launch]
        assert host.clock.name == "host, without waiting"
        timed = one.clock.time_block(list(one.targets.values()))
        assert timed == pytest.approx([1e-3] * len(one.targets))


def test_the_copies_move_what_is_bound(pipeline: Pipeline, device: FakeDevice) -> None:
    session = _open(pipeline)
    _bind(session, pipeline)
    targets = session.series()[0].targets
    bound = session._is_bound
    bound._host["signal"].zero_()

    targets["host_to_device"]()

    assert bound._static["signal"].abs().max() == 0
    targets["encoder"]()
    targets["decoder"]()
    targets["device_to_host"]()


def test_no_memory_on_the_gpu_names_the_component_and_how_much() -> None:
    text = (
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.80 GiB "
        "of which 1.25 GiB is free."
    )
    match = r"2.50 GiB more are needed, 1.25 GiB are free"
    with pytest.raises(EngineError, match=match) as caught, running("vocoder"):
        raise torch.cuda.OutOfMemoryError(text)
    assert caught.value.where == "vocoder"


def test_the_first_error_of_a_broken_capture_is_told() -> None:

    def capture() -> None:
        try:
            with running("encoder"):
                raise ValueError("no such size")
        finally:
            raise RuntimeError("capture was invalidated")

    with pytest.raises(ModelError, match="no such size") as caught, running("pipeline"):
        capture()
    assert caught.value.where == "encoder"


def test_a_cuda_error_is_no_fault_of_the_module() -> None:
    with pytest.raises(EngineError, match="CUDA failed"), running("encoder"):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_wrong_shape_names_the_component(pipeline: Pipeline, device: FakeDevice) -> None:
    inputs = synthetic_inputs(pipeline, pipeline.profile("opt"), seed=1)
    inputs["signal"] = np.zeros((1, 33), np.float32)
    with pytest.raises(ModelError) as caught:
        _open(pipeline).bind({**pipeline.profile("opt"), "samples": 33}, inputs)
    assert caught.value.where == "encoder"


def test_a_run_shows_every_launch_and_the_copies_apart(
    toy: ToyFactory,
    device: FakeDevice,
    harness: Callable[..., tuple[int, str, str]],
    shared_cache: Cache,
    tmp_path: Path,
) -> None:
    launches = ("--launch", "graph", "--launch", "enqueue")
    precisions = ("--precision", "fp32", "--precision", "fp16")
    where = ("--cache", shared_cache.root, "--out", tmp_path)

    code, out, _ = harness(
        "run", toy(), "--backend", "torch-cuda", *precisions, *launches, "--samples", 3, *where
    )

    assert code == 0
    for launch in ("graph", "enqueue"):
        assert f"torch-cuda, {launch}, 0.5 s, hot" in out


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has CUDA")
def test_a_build_without_cuda_says_so(pipeline: Pipeline) -> None:
    with pytest.raises(FeatureUnavailableError, match=r"built without CUDA; .*--interpreter"):
        TorchCudaBackend().open(pipeline, {})


def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(is_available=lambda: False)
    fake = SimpleNamespace(
        __version__="2.11.0+cu130", version=SimpleNamespace(cuda="13.0"), cuda=cuda
    )
    monkeypatch.setattr("harness.backends.torch_cuda_device.import_torch", lambda _: fake)
    with pytest.raises(FeatureUnavailableError, match=r"for CUDA 13.0 finds no GPU"):
        open_device()


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: TorchCudaBackend(precision="int8"), "--precision"),
        (lambda: TorchCudaBackend(route="jit"), "--backend"),
        (lambda: TorchCudaBackend(launches=("call",)), "--launch"),
        (lambda: TorchCudaBackend(launches=()), "--launch"),
    ],
)
def test_what_it_cannot_do_is_refused(make: Callable[[], Any], where: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.where == where


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", ["toy", "tiny"])
@pytest.mark.parametrize(("precision", "route"), [("fp32", ""), ("fp16", ""), ("fp16", "compile")])
def test_on_a_gpu(toy: ToyFactory, name: str, precision: str, route: str) -> None:
    pipeline = load_pipeline(toy() if name == "toy" else name)
    peer = TorchBackend(threads=1).open(pipeline, {})
    backend = TorchCudaBackend(precision=precision, route=route, launches=("graph", "enqueue"))
    assert backend.inspect(pipeline, {}, {}, {})[pipeline.order[0]].details["gpu_uuid"]
    session = backend.open(pipeline, {})
    tolerance = 1e-4 if precision == "fp32" else 2e-2
    for duration_s, seed in ((0.5, 1), (0.5, 2), (1.0, 3)):
        for opened in (peer, session):
            _bind(opened, pipeline, duration_s, seed)
            opened.launch_pipeline()
        for component, output in pipeline.final_outputs:
            expected = peer.read(component, output)
            error = np.linalg.norm(session.read(component, output) - expected)
            assert error < tolerance * np.linalg.norm(expected)
            whole = session.read(component, output)
            session.launch(component)
            np.testing.assert_allclose(session.read(component, output), whole, rtol=1e-2, atol=1e-2)
    for series in session.series():
        assert series.clock is not None
        timed = series.clock.time_block([*series.targets.values()] * 20)
        assert all(0 < seconds < 0.1 for seconds in timed)
    session.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_delay_on_a_gpu_takes_its_time() -> None:
    gpu = open_device()
    start = gpu.record()
    gpu.delay(0.01)
    end = gpu.record()
    assert not gpu.is_past(end)
    gpu.synchronize()
    assert 0.005 < gpu.elapsed_s(start, end) < 0.03


@pytest.mark.parametrize("name", ["toy", "tiny"])
def test_a_round_trip_takes_what_lies_on_the_host_and_brings_back_the_outputs(
    toy: ToyFactory, device: FakeDevice, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(toy() if name == "toy" else name)
    peer = TorchBackend(threads=1).open(pipeline, {})
    session = _open(pipeline, launches=["graph", "enqueue"])
    pinned: list[Any] = []
    pin = device.pin
    monkeypatch.setattr(device, "pin", lambda tensor: pinned.append(pin(tensor)) or pinned[-1])
    inputs = _bind(session, pipeline)
    staged = len(pinned)
    trips = session.round_trips()

    assert list(trips) == ["graph", "enqueue"]
    copies = len(pipeline.final_outputs)
    for index, trip in enumerate(trips.values()):
        for seed in (2, 3):
            sizes = pipeline.sizes(duration_s=0.5, batch=1)
            inputs = synthetic_inputs(pipeline, sizes, seed=seed)
            peer.bind(sizes, inputs)
            peer.launch_pipeline()
            for key, array in inputs.items():
                session._is_bound._host[key].copy_(torch.from_numpy(array.copy()))
            trip.call()
            own = pinned[staged + index * copies : staged + (index + 1) * copies]
            for (component, output), made in zip(pipeline.final_outputs, own, strict=True):
                np.testing.assert_array_equal(made.numpy(), peer.read(component, output))
