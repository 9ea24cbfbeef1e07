"""One ONNX file to one engine, with TensorRT-RTX's own builder in a worker of its own."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

import harness
from harness.backends.tensorrt import standalone
from harness.backends.tensorrt.engines import target_device
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.library import TENSORRT, TENSORRT_RTX
from harness.backends.tensorrt.options import TensorRTOptions
from harness.backends.tensorrt.standalone import TensorRTConverter
from harness.errors import (
    CalibrationError,
    ContractError,
    EngineError,
    FeatureUnavailableError,
    HarnessError,
    OptionError,
    StorageError,
)
from harness.files import load_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.artifacts.worker import WorkerPool
    from harness.backends.tensorrt.library import Library

PROFILES = {"x": [(1, 1, 5), (1, 1, 8), (2, 1, 16)]}


@pytest.fixture
def lent(shared_pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's workers in place of its own, which take seconds to start."""

    class Lent:
        def __enter__(self) -> WorkerPool:
            return shared_pool

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(standalone, "WorkerPool", Lent)


class FakePool:
    """Notes what a worker would be asked, and leaves an engine."""

    def __init__(self, error: Exception | None = None) -> None:
        self.request: dict[str, Any] = {}
        self.arrays: dict[str, Any] = {}
        self.error = error

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, _function: str, request: dict[str, Any], *, threads: int) -> dict[str, Any]:
        self.request = json.loads(json.dumps(request))
        if "calibration" in request:
            self.arrays = load_arrays(Path(request["calibration"]))
        assert Path(request["scratch"]).is_dir()
        (Path(request["folder"]) / f"{request['component']}.engine").write_bytes(b"an engine")
        if self.error is not None:
            raise self.error
        return {"size_bytes": 9}


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[TensorRTConverter, FakePool]]:
    """A converter of a TensorRT that has flags and calibrators, and who is asked to build."""

    def call(
        *, has_calibrators: bool = True, error: Exception | None = None, **options: Any
    ) -> tuple[TensorRTConverter, FakePool]:
        pool = FakePool(error)
        library = SimpleNamespace(
            name=TENSORRT,
            version="8.5.3.1",
            is_weakly_typed=True,
            has_calibrators=has_calibrators,
            has=lambda *_: False,
        )
        monkeypatch.setattr(standalone, "find_library", lambda *_, **__: library)
        monkeypatch.setattr(standalone, "WorkerPool", lambda: pool)
        return TensorRTConverter(options=TensorRTOptions(**options)), pool

    return call


def test_an_engine_and_what_it_is_are_written_beside_the_graph(conv: Path, rtx: Library) -> None:
    """With workers of its own, by the name that the package gives it."""
    target = harness.TensorRTConverter("tensorrt-rtx").convert(conv, profiles=PROFILES)

    assert target == conv.parent / "conv.engine"
    header = read_header(target)
    assert (header.library, str(header)) == (TENSORRT_RTX, str(rtx))
    facts = json.loads((conv.parent / "conv.json").read_text())
    assert (facts["library"], facts["version"]) == (rtx.name, rtx.version)
    assert facts["size_bytes"] == target.stat().st_size
    assert facts["inputs"] == {"x": ["float32", [-1, 1, -1]]}
    assert facts["profile"] == {"x": {"min": [1, 1, 5], "opt": [1, 1, 8], "max": [2, 1, 16]}}
    assert facts["recipe"]["strong"]
    assert facts["device"] == target_device()
    assert {path.name for path in conv.parent.iterdir()} == {
        *("conv.onnx", "conv.engine", "conv.json")
    }


@pytest.mark.usefixtures("lent")
def test_an_engine_is_written_where_it_is_wanted_and_named_so(conv: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "made" / "here" / "vocoder.v2.engine"

    target = TensorRTConverter(TENSORRT_RTX).convert(str(conv), str(wanted), profiles=PROFILES)

    assert target == wanted
    assert {path.name for path in wanted.parent.iterdir()} == {
        *("vocoder.v2.engine", "vocoder.v2.json")
    }
    assert read_header(wanted).library == TENSORRT_RTX


@pytest.mark.usefixtures("lent")
def test_a_graph_of_fixed_shapes_needs_no_profile_and_brings_its_data_along(
    save_graph: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "in" / "fixed.onnx"
    path.parent.mkdir()
    save_graph(
        path,
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (onnx.TensorProto.FLOAT, [2, 300])},
        {"y": (onnx.TensorProto.FLOAT, [2, 4])},
        w=np.ones((300, 4), np.float32),
    )
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights")
    assert (path.parent / "weights").stat().st_size == 4800

    target = TensorRTConverter(TENSORRT_RTX).convert(path, tmp_path / "fixed.engine")

    facts = json.loads(target.with_suffix(".json").read_text())
    assert facts["inputs"] == {"x": ["float32", [2, 300]]}
    assert facts["profile"] == {}


@pytest.mark.parametrize("name", ["vocoder.trt", "vocoder.plan", "vocoder"])
def test_what_is_no_name_of_an_engine_is_refused(conv: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError) as caught:
        TensorRTConverter(TENSORRT_RTX).convert(conv, tmp_path / "out" / name, profiles=PROFILES)

    assert caught.value.what == f"{name} is no engine's name"
    assert caught.value.fix == "call it vocoder.engine"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("lent")
@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        (None, r"conv: x: is dynamic \(\[-1, 1, -1\]\) and the profile has no shapes for it"),
        ({"y": PROFILES["x"]}, "the profile has 'y', which is no input of the graph"),
        ({"x": [(1, 5), (1, 8), (2, 16)]}, r"min is \[1, 5\], the graph's rank is 3"),
        ({"x": [(1, 2, 5), (1, 2, 8), (2, 2, 16)]}, "but axis 1 is frozen at 1"),
        ({"x": [(1, 1, 9), (1, 1, 8), (2, 1, 16)]}, "axis 2 is 9, 8, 16 at min, opt and max"),
        ({"x": [(1, 1, -1), (1, 1, 8), (2, 1, 16)]}, r"min is \[1, 1, -1\]: axis 2 is -1"),
        # A convolution of 5.
        ({"x": [(1, 1, 4), (1, 1, 8), (2, 1, 16)]}, "the input is shorter than what the network"),
    ],
)
def test_profiles_that_do_not_fit_are_refused_before_anything_is_built(
    conv: Path, profiles: Any, message: str
) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        TensorRTConverter(TENSORRT_RTX).convert(conv, profiles=profiles)

    assert caught.value.fix
    assert {path.name for path in conv.parent.iterdir()} == {"conv.onnx"}


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_profile_is_three_shapes(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]], count: int
) -> None:
    converter, pool = older()

    with pytest.raises(OptionError, match=f"x has {count} shapes; give three: min, opt and max"):
        converter.convert(conv, profiles={"x": [(1, 1, 8)] * count})

    assert pool.request == {}


def test_a_profile_that_decreases_is_refused_before_any_process_is_started(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]]
) -> None:
    converter, pool = older()

    with pytest.raises(ContractError, match="x: axis 2 is 9, 8, 16 at min, opt and max"):
        converter.convert(conv, profiles={"x": [(1, 1, 9), (1, 1, 8), (2, 1, 16)]})

    assert pool.request == {}


@pytest.mark.parametrize("wanted", ["fp16", "int8"])
def test_rtx_takes_the_precision_from_the_graph_alone(conv: Path, wanted: str) -> None:
    converter = TensorRTConverter(TENSORRT_RTX)

    with pytest.raises(FeatureUnavailableError, match=f"takes {wanted} from the graph") as caught:
        converter.convert(conv, profiles=PROFILES, **{wanted: True})  # type: ignore[arg-type]

    assert caught.value.where == wanted
    assert caught.value.fix.endswith(f"harness build PIPELINE --precision {wanted}")
    assert {path.name for path in conv.parent.iterdir()} == {"conv.onnx"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file; mend the path"),
        (b"", "is no valid ONNX model"),
        (b"no graph at all", "is no valid ONNX model"),
        (b"vtrt" + bytes(60), "is an engine of TensorRT, no ONNX model; give the graph"),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ContractError, match=message) as caught:
        TensorRTConverter(TENSORRT_RTX).convert(path)

    assert caught.value.where == str(path)
    assert not path.with_suffix(".engine").exists()


def test_a_folder_that_cannot_be_written_is_noticed_before_anything_is_built(
    conv: Path, tmp_path: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]]
) -> None:
    converter, pool = older()
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.engine").mkdir()

    for output in (tmp_path / "file" / "a.engine", tmp_path / "folder.engine"):
        with pytest.raises(StorageError):
            converter.convert(conv, output)

    assert pool.request == {}


def test_a_build_that_fails_leaves_the_engine_of_before(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]]
) -> None:
    engine, sidecar = conv.with_suffix(".engine"), conv.with_suffix(".json")
    engine.write_bytes(b"that of before")
    sidecar.write_text("{}")

    with pytest.raises(EngineError, match="no tactic"):
        older(error=EngineError("no tactic"))[0].convert(conv)

    assert (engine.read_bytes(), sidecar.read_text()) == (b"that of before", "{}")
    older()[0].convert(conv)
    assert engine.read_bytes() == b"an engine"
    assert json.loads(sidecar.read_text())["size_bytes"] == 9


# With a TensorRT that has flags.


def test_options_reach_the_worker(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]]
) -> None:
    converter, pool = older(tf32=True, workspace_bytes=1 << 20)

    converter.convert(conv, profiles=PROFILES)

    assert (pool.request["library"], pool.request["component"]) == (TENSORRT, "conv")
    assert pool.request["graph"] == str(conv)
    assert pool.request["options"]["tf32"] is True
    assert pool.request["options"]["workspace_bytes"] == 1 << 20
    assert pool.request["profile"] == {"x": [[1, 1, 5], [1, 1, 8], [2, 1, 16]]}
    assert pool.arrays == {}


@pytest.mark.parametrize(
    ("fp16", "int8"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_precisions_are_flags_where_there_are_flags(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]], fp16: bool, int8: bool
) -> None:
    converter, pool = older()
    stack = {"x": np.arange(24, dtype=np.float32).reshape(3, 1, 1, 8)}

    converter.convert(conv, fp16=fp16, int8=int8, calibration=stack if int8 else None)

    recipe = pool.request["recipe"]
    assert (recipe["fp16"], recipe["int8"], recipe["calibrator"]) == (fp16, int8, int8)
    assert not recipe["strong"]
    assert list(pool.arrays) == (["x"] if int8 else [])
    if int8:
        np.testing.assert_array_equal(pool.arrays["x"], stack["x"])


@pytest.mark.parametrize("calibration", [None, {}])
def test_int8_without_data_is_refused(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]], calibration: Any
) -> None:
    converter, pool = older()

    with pytest.raises(CalibrationError, match="int8 by the calibrator needs calibration data"):
        converter.convert(conv, profiles=PROFILES, int8=True, calibration=calibration)

    assert pool.request == {}


def test_int8_needs_a_library_that_calibrates(
    conv: Path, older: Callable[..., tuple[TensorRTConverter, FakePool]]
) -> None:
    with pytest.raises(FeatureUnavailableError, match="takes int8 from the graph alone"):
        older(has_calibrators=False)[0].convert(conv, int8=True, calibration={"x": np.ones(1)})


@pytest.mark.parametrize("library", ["trt", "", "TensorRT", "model.onnx"])
def test_there_are_two_libraries(library: str) -> None:
    with pytest.raises(HarnessError, match="choose one of: auto, tensorrt, tensorrt-rtx"):
        TensorRTConverter(library)
