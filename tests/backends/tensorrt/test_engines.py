"""Engines in the cache: found again by all that makes them, and whole or not there."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.artifacts.cache import Cache
from harness.artifacts.export import export_pipeline
from harness.artifacts.keepsakes import keep, keepsake_path
from harness.artifacts.worker import WorkerPool
from harness.backends.protocol import Workshop
from harness.backends.tensorrt import engines
from harness.backends.tensorrt.engines import EngineFactory
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.errors import (
    CalibrationError,
    EngineError,
    FeatureUnavailableError,
    StorageError,
    WorkerError,
)
from harness.files import load_arrays
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.artifacts.export import OnnxModel
    from harness.backends.tensorrt.library import Library
    from harness.pipeline.pipeline import Pipeline

FP32 = Recipe("fp32", "", "fp32", strong=True)
CALIBRATED = Recipe("int8", "calibrator", "fp32", int8=True, calibrator=True)


class FakePool:
    """Takes what a worker would be asked, and leaves what one would leave."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.timings: list[bytes] = []
        self.sets: list[dict[str, Any]] = []
        self.error = error
        self.is_closed = False

    def run(self, function: str, request: dict[str, Any], *, threads: int) -> dict[str, Any]:
        assert function == "harness.backends.tensorrt.builder:build_engine"
        self.requests.append(json.loads(json.dumps(request)))
        timing = Path(request["timing_cache"])
        self.timings.append(timing.read_bytes() if timing.is_file() else b"")
        if "calibration" in request:
            self.sets.append(load_arrays(Path(request["calibration"])))
        engine = Path(request["folder"]) / f"{request['component']}.engine"
        engine.write_bytes(b"half")
        if self.error is not None:
            raise self.error
        engine.write_bytes(b"an engine")
        (Path(request["scratch"]) / "timing.cache").write_bytes(
            self.timings[-1] + request["component"].encode()
        )
        return {"size_bytes": 9, "build_s": 1.5, "library": "fake", "timing_cache_hash": "00"}


@pytest.fixture
def pipeline(onnx_toy: Callable[..., Path]) -> Pipeline:
    return load_pipeline(onnx_toy())


@pytest.fixture
def models(pipeline: Pipeline, tmp_path: Path, shared_pool: WorkerPool) -> dict[str, OnnxModel]:
    return export_pipeline(pipeline, Cache(tmp_path / "exports"), shared_pool)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "engines")


@pytest.fixture
def fake(
    cache: Cache, pipeline: Pipeline, models: dict[str, OnnxModel], rtx: Library
) -> Callable[..., Any]:
    """Build the toy's encoder with a pool that builds nothing; gives the pool and its engine."""

    def call(
        *,
        recipe: Recipe = FP32,
        options: TensorRTOptions | None = None,
        library: Any = rtx,
        model: OnnxModel | None = None,
        declared: Pipeline = pipeline,
        pool: FakePool | None = None,
        calibration: Any = None,
        index: int = 0,
        pins_tactics: bool = False,
        series: str = "",
    ) -> Any:
        pool = pool or FakePool()
        workshop = Workshop(
            cache,
            pool,  # type: ignore[arg-type]
            calibration,
            index=index,
            pins_tactics=pins_tactics,
            series=series,
        )
        factory = EngineFactory(library, recipe, options or TensorRTOptions())
        built = factory.build(declared, {"encoder": model or models["encoder"]}, workshop)
        return SimpleNamespace(pool=pool, **vars(built["encoder"]))

    return call


def test_an_engine_is_built_once(fake: Callable[..., Any]) -> None:
    first, second = fake(), fake()

    assert (first.was_cached, second.was_cached) == (False, True)
    assert len(first.pool.requests) == 1
    assert second.pool.requests == []
    assert first.path == second.path
    assert first.path.name == "encoder.engine"
    assert (second.size_bytes, second.build_s) == (9, 1.5)


def test_what_another_engine_comes_of_is_in_its_key(
    fake: Callable[..., Any],
    models: dict[str, OnnxModel],
    onnx_toy: Callable[..., Path],
    rtx: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = [fake().path]
    changed: tuple[dict[str, Any], ...] = (
        {"tf32": True},
        {"optimization_level": 5},
        {"workspace_bytes": 1 << 30},
        {"tactic_sources": ("JIT_CONVOLUTIONS",)},
        {"builder_flags": ("STRICT_NANS",)},
        {"constraints": "none"},
        {"preview_features": ()},
    )
    paths.extend(fake(options=TensorRTOptions(**options)).path for options in changed)
    paths.append(fake(recipe=replace(FP32, precision="fp16", route="graph")).path)
    paths.append(fake(recipe=replace(FP32, accumulation="fp32")).path)
    paths.append(fake(model=replace(models["encoder"], content_hash="0" * 40)).path)
    later = SimpleNamespace(name=rtx.name, version="1.8.0.1")
    paths.append(fake(library=later).path)
    paths.append(fake(library=SimpleNamespace(name="tensorrt", version=rtx.version)).path)
    wider = load_pipeline(onnx_toy(("max = 16,", "max = 32,")))
    paths.append(fake(declared=wider).path)
    gpu = {"gpu": "NVIDIA L4", "compute_capability": "8.9"}
    monkeypatch.setattr(engines, "target_device", lambda: gpu)
    paths.append(fake().path)

    assert len(set(paths)) == len(paths) == 15


def test_how_an_engine_is_run_is_not_in_its_key(fake: Callable[..., Any]) -> None:
    fake()

    assert fake(options=TensorRTOptions(layer_times=True, nvtx=True)).was_cached


def test_nodes_that_are_pinned_are_in_the_key_of_their_component_alone(
    fake: Callable[..., Any],
) -> None:
    by_flag = Recipe("fp16", "flag+pinned", "fp32", fp16=True)

    def path(*nodes: str, recipe: Recipe = by_flag) -> Path:
        return Path(fake(recipe=recipe, options=TensorRTOptions(fp32_nodes=nodes)).path)

    assert path("encoder:a") != path("encoder:b") != path()
    assert path("decoder:a") == path()
    assert path("encoder:a", recipe=FP32) == path(recipe=FP32), "fp32 has nothing to pin"


def test_names_of_tactics_are_kept_by_library_and_device(
    fake: Callable[..., Any], cache: Cache, rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = fake(), fake(options=TensorRTOptions(tf32=True))

    (name,) = {made.pool.requests[0]["tactic_names"] for made in (first, second)}
    assert Path(name) == engines.tactics_path(cache, rtx)
    monkeypatch.setattr(engines, "target_device", lambda: {"gpu": "L4"})
    assert fake().pool.requests[0]["tactic_names"] != name


def test_a_plugin_is_what_is_in_its_file(fake: Callable[..., Any], tmp_path: Path) -> None:
    one, other = tmp_path / "one.so", tmp_path / "other.so"
    one.write_bytes(b"plugin")
    other.write_bytes(b"plugin")
    first = fake(options=TensorRTOptions(plugins=(str(one),)))
    second = fake(options=TensorRTOptions(plugins=(str(other),)))
    other.write_bytes(b"another")
    third = fake(options=TensorRTOptions(plugins=(str(other),)))

    assert second.was_cached
    assert first.path == second.path != third.path
    assert third.pool.requests[0]["options"]["plugins"] == [str(other)]


def test_a_calibration_set_is_in_the_key(fake: Callable[..., Any]) -> None:
    class Set:
        def __init__(self, digest: str) -> None:
            self.digest = digest

        def __len__(self) -> int:
            return 3

        def component_hash(self, pipeline: Pipeline, component: str) -> str:
            return self.digest

        def component_inputs(self, pipeline: Pipeline, component: str, index: int) -> Any:
            return {"signal": np.full((1, 32), index, np.float32), "gain": np.float32(0.5)}

    one = fake(recipe=CALIBRATED, calibration=Set("one"))
    other = fake(recipe=CALIBRATED, calibration=Set("other"))

    assert one.path != other.path
    assert one.pool.sets[0]["signal"].shape == (3, 1, 32)
    assert one.pool.sets[0]["gain"].tolist() == [0.5] * 3
    caches = [built.pool.requests[0]["calibration_cache"] for built in (one, other)]
    assert caches[0] != caches[1]


def test_a_calibrator_without_a_set(fake: Callable[..., Any]) -> None:
    with pytest.raises(CalibrationError, match="needs a calibration set") as caught:
        fake(recipe=CALIBRATED)

    assert (caught.value.where, caught.value.fix) == ("encoder", "give --calibration")


def test_the_sidecar_tells_what_the_engine_is(
    fake: Callable[..., Any], models: dict[str, OnnxModel]
) -> None:
    built = fake()

    told = json.loads(built.path.with_suffix(".json").read_text())
    assert told["onnx_hash"] == models["encoder"].content_hash
    assert told["device"] == engines.target_device()
    assert told["size_bytes"] == 9
    assert built.details["timing_cache_hash"] == "00"
    assert built.details["device"] == told["device"]


def test_an_engine_that_is_built_without_a_gpu_is_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "gpu_problem", lambda: "there is none")

    assert engines.target_device() == {"gpu": "none", "compute_capability": "none"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("no"), WorkerError("died")])
def test_a_build_that_is_broken_off_leaves_nothing(
    fake: Callable[..., Any], cache: Cache, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        fake(pool=FakePool(error))

    assert list(cache.entries()) == []
    assert list((cache.root / "tmp").iterdir()) == []
    assert not (cache.root / "keep").exists()
    assert not fake().was_cached, "the entry is not locked"


def test_timings_are_handed_from_one_build_to_the_next(
    fake: Callable[..., Any], models: dict[str, OnnxModel], rtx: Library
) -> None:
    pool = FakePool()
    fake(pool=pool)
    fake(pool=pool, options=TensorRTOptions(tf32=True))
    fake(pool=pool, library=SimpleNamespace(name=rtx.name, version="1.8.0.1"))

    assert pool.timings == [b"", b"encoder", b""], "those of another version are of no use"


def test_another_build_of_the_same_has_its_own_place_and_chooses_anew(
    fake: Callable[..., Any],
) -> None:
    first, second, third = (fake(index=index) for index in range(3))

    assert len({first.path, second.path, third.path}) == 3
    assert fake(index=1).was_cached
    assert first.pool.requests[0]["timing_cache"] != ""
    assert second.pool.requests[0]["timing_cache"] == ""
    assert third.pool.requests[0]["timing_cache"] == ""


def test_builds_of_two_experiments_are_not_one(fake: Callable[..., Any]) -> None:
    base, head = (fake(index=1, series=f"an experiment-{side}") for side in ("base", "head"))

    assert len({base.path, head.path, fake(index=1).path, fake().path}) == 4
    # With the timings of another they would be alike.
    assert {one.pool.requests[0]["timing_cache"] for one in (base, head)} == {""}
    assert fake(index=1, series="an experiment-head").was_cached


def test_another_build_takes_the_timings_of_the_first_where_tactics_are_pinned(
    fake: Callable[..., Any],
) -> None:
    fake()
    pinned, unpinned = fake(index=1, pins_tactics=True), fake(index=1)

    assert pinned.pool.timings == [b"encoder"]
    assert pinned.path != unpinned.path


def test_a_build_reports_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_POLL_S", 0.01)
    file, told = tmp_path / "progress", list[float]()
    with engines._told(file, told.append):
        for text in ("", "0.25", "nonsense", "0.75"):
            file.write_text(text)
            time.sleep(0.1)
    count = len(told)
    time.sleep(0.05)

    assert set(told) == {0.25, 0.75}
    assert told == sorted(told)
    assert len(told) == count, "nobody is told after the end"


def test_a_keepsake_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keepsake_path(Cache(tmp_path), "timing", "key")
    keep(path, b"first")
    keep(path, b"second")
    assert path.read_bytes() == b"second"

    def interrupted(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(path, b"third")

    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_of_keepsakes_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("in the way")

    with pytest.raises(StorageError):
        keep(keepsake_path(Cache(tmp_path), "timing", "key"), b"content")


# With the builder of TensorRT-RTX, in workers.


def test_rtx_builds_every_component_without_a_gpu(
    pipeline: Pipeline,
    models: dict[str, OnnxModel],
    cache: Cache,
    shared_pool: WorkerPool,
    rtx: Library,
) -> None:
    done: list[tuple[str, bool]] = []
    workshop = Workshop(cache, shared_pool, None, lambda n, b: done.append((n, b.was_cached)))
    factory = EngineFactory(rtx, FP32, TensorRTOptions())

    built = factory.build(pipeline, models, workshop)
    again = factory.build(pipeline, models, workshop)

    assert list(built) == ["encoder", "decoder"]
    for name, one in built.items():
        assert str(read_header(one.path)) == str(rtx)
        assert one.path.name == f"{name}.engine"
        assert one.size_bytes == one.path.stat().st_size
        assert again[name].path == one.path
    assert done == [("encoder", False), ("decoder", False), ("encoder", True), ("decoder", True)]


def test_an_error_in_the_worker_comes_back_as_itself(
    pipeline: Pipeline,
    models: dict[str, OnnxModel],
    cache: Cache,
    shared_pool: WorkerPool,
    rtx: Library,
) -> None:
    factory = EngineFactory(rtx, FP32, TensorRTOptions(builder_flags=("FP16",)))

    with pytest.raises(FeatureUnavailableError, match="has no BuilderFlag called 'FP16'") as caught:
        factory.build(pipeline, models, Workshop(cache, shared_pool, None))

    assert "TF32" in caught.value.fix
    assert list(cache.entries()) == []


def test_a_pool_that_is_closed_while_it_builds_leaves_the_cache_sound(
    pipeline: Pipeline,
    models: dict[str, OnnxModel],
    cache: Cache,
    shared_pool: WorkerPool,
    rtx: Library,
) -> None:
    pool = WorkerPool()
    factory = EngineFactory(rtx, FP32, TensorRTOptions())
    errors: list[BaseException] = []

    def build() -> None:
        try:
            factory.build(pipeline, models, Workshop(cache, pool, None))
        except WorkerError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    for _ in range(600):
        if list(cache.root.glob("tmp/engine-*")):
            break
        time.sleep(0.05)
    pool.close()
    thread.join(timeout=120)

    assert len(errors) == 1
    assert list(cache.entries()) == []
    assert list((cache.root / "tmp").iterdir()) == []
    built = factory.build(pipeline, models, Workshop(cache, shared_pool, None))
    assert not any(one.was_cached for one in built.values())


def test_rtx_builds_the_same_twice(
    pipeline: Pipeline,
    models: dict[str, OnnxModel],
    cache: Cache,
    shared_pool: WorkerPool,
    rtx: Library,
) -> None:
    factory = EngineFactory(rtx, FP32, TensorRTOptions())
    built = [
        factory.build(pipeline, models, Workshop(cache, shared_pool, None, index=index))
        for index in range(2)
    ]

    for name in models:
        first, second = (engines_of[name] for engines_of in built)
        assert not first.was_cached
        assert not second.was_cached
        assert first.path != second.path
        assert str(read_header(second.path)) == str(rtx)
        assert second.details.get("timing_cache_hash") is None
