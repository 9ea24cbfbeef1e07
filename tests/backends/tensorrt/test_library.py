"""Which TensorRT is taken, and what it is asked for by name."""

from __future__ import annotations

import ctypes.util
import enum
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt.library import AUTO, TENSORRT, TENSORRT_RTX, Library, find_library
from harness.errors import EngineError, FeatureUnavailableError, MissingDependencyError


class ILogger:
    def __init__(self) -> None:
        self.is_made = True


def _module(name: str, version: str = "8.5.3.1", **members: Any) -> ModuleType:
    module = ModuleType(name)
    module.__version__ = version  # type: ignore[attr-defined]
    module.ILogger = ILogger  # type: ignore[attr-defined]
    for member, value in members.items():
        setattr(module, member, value)
    return module


@pytest.fixture(autouse=True)
def own_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of fake modules must not be there for the next test."""
    monkeypatch.setattr(libraries, "_loggers", dict(libraries._loggers))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module into the place of ``tensorrt`` or ``tensorrt_rtx``; None for nothing there."""

    def put(name: str, module: ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]

    put("tensorrt", _module("tensorrt", Builder=object))
    put("tensorrt_rtx", _module("tensorrt_rtx", "1.7.1.116", Builder=object))
    return put


def test_each_is_found_by_its_name(installed: Any) -> None:
    full, rtx = (find_library(name, has_gpu=True) for name in (TENSORRT, TENSORRT_RTX))

    assert (full.name, full.version, str(full)) == ("tensorrt", "8.5.3.1", "TensorRT 8.5.3.1")
    assert (rtx.name, rtx.version, str(rtx)) == (
        "tensorrt-rtx",
        "1.7.1.116",
        "TensorRT-RTX 1.7.1.116",
    )


@pytest.mark.parametrize(
    ("name", "module"), [(TENSORRT, "tensorrt"), (TENSORRT_RTX, "tensorrt_rtx")]
)
def test_one_that_is_not_installed(installed: Any, name: str, module: str) -> None:
    installed(module, None)

    with pytest.raises(MissingDependencyError) as caught:
        find_library(name, has_gpu=True)

    assert caught.value.what.startswith(f"{module} cannot be imported: ")
    assert caught.value.where == f"--backend {name}"
    assert caught.value.fix == f"pip install 'trt-harness[{name}]', or use --backend onnxruntime"


def test_one_whose_own_libraries_cannot_be_loaded(
    installed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.8: cannot open')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt")

    with pytest.raises(MissingDependencyError, match=r"libnvinfer.so.8: cannot open"):
        find_library(TENSORRT, has_gpu=True)


def test_a_package_without_the_library_in_it(installed: Any) -> None:
    """Stubs, or a lean runtime under that name: the import succeeds."""
    installed("tensorrt", _module("tensorrt"))

    with pytest.raises(MissingDependencyError, match="it has no Builder") as caught:
        find_library(TENSORRT, has_gpu=True)

    assert "lean and dispatch runtimes cannot build" in caught.value.fix


def test_an_empty_package_need_not_even_have_a_version(installed: Any) -> None:
    installed("tensorrt", ModuleType("tensorrt"))

    with pytest.raises(MissingDependencyError, match="it has no Builder"):
        find_library(TENSORRT, has_gpu=True)


@pytest.mark.parametrize("is_installed", [True, False])
def test_tensorrt_needs_a_gpu_whether_it_is_installed_or_not(
    installed: Any, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    monkeypatch.setattr(libraries, "gpu_problem", lambda: "there is no driver")
    if not is_installed:
        installed("tensorrt", None)

    with pytest.raises(FeatureUnavailableError) as caught:
        find_library(TENSORRT, has_gpu=False)

    assert caught.value.what == (
        "TensorRT builds and runs engines on an NVIDIA GPU, and there is none here "
        "(there is no driver)"
    )
    assert "install" not in caught.value.fix
    assert "--backend tensorrt-rtx" in caught.value.fix
    assert "--backend onnxruntime" in caught.value.fix


def test_rtx_builds_without_one(installed: Any) -> None:
    assert find_library(TENSORRT_RTX, has_gpu=False).builds_without_gpu


@pytest.mark.parametrize(("has_gpu", "name"), [(True, TENSORRT), (False, TENSORRT_RTX)])
def test_auto_takes_the_first_that_can_build_here(installed: Any, has_gpu: bool, name: str) -> None:
    assert find_library(AUTO, has_gpu=has_gpu).name == name


def test_auto_passes_over_what_is_not_installed(installed: Any) -> None:
    installed("tensorrt", None)

    assert find_library(AUTO, has_gpu=True).name == TENSORRT_RTX


def test_auto_says_why_it_takes_none(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "gpu_problem", lambda: "there is no driver")
    installed("tensorrt_rtx", None)

    with pytest.raises(MissingDependencyError) as caught:
        find_library(AUTO, has_gpu=False)

    assert "there is none here (there is no driver); tensorrt_rtx cannot be" in caught.value.what
    assert caught.value.where == "--backend auto"


class OldFlags(enum.IntEnum):
    FP16 = 0
    INT8 = 1
    TF32 = 7


class NewFlags(enum.IntEnum):
    REFIT = 0
    TF32 = 1


@pytest.fixture
def old() -> Library:
    kinds = enum.IntEnum("kinds", {"EXPLICIT_BATCH": 0})
    module = _module(
        "old_trt",
        BuilderFlag=OldFlags,
        NetworkDefinitionCreationFlag=kinds,
        IInt8EntropyCalibrator2=1,
    )
    return Library(TENSORRT, module)


@pytest.fixture
def new() -> Library:
    kinds = enum.IntEnum("kinds", {"STRONGLY_TYPED": 0})
    module = _module(
        "new_trt", "11.1.0.4", BuilderFlag=NewFlags, NetworkDefinitionCreationFlag=kinds
    )
    return Library(TENSORRT, module)


def test_a_feature_is_asked_for_by_its_name_whatever_its_bit_is(old: Library, new: Library) -> None:
    assert (old.member("BuilderFlag", "TF32"), new.member("BuilderFlag", "TF32")) == (7, 1)
    names = ("EXPLICIT_BATCH", "STRONGLY_TYPED")
    kind = "NetworkDefinitionCreationFlag"
    # Bit 0 is one flag there and another here.
    assert old.flag_bits(kind, *names) == new.flag_bits(kind, *names) == 1
    assert old.flag_bits(kind, "STRONGLY_TYPED") == new.flag_bits(kind, "EXPLICIT_BATCH") == 0


def test_bits_of_several_flags_are_put_together(old: Library) -> None:
    assert old.flag_bits("BuilderFlag", "INT8", "TF32", "REFIT") == 0b1000_0010


def test_what_a_version_has(old: Library, new: Library) -> None:
    assert (old.is_weakly_typed, new.is_weakly_typed) == (True, False)
    assert (old.has_calibrators, new.has_calibrators) == (True, False)
    assert old.has("BuilderFlag")
    assert not old.has("BuilderFlag", "REFIT")
    assert not old.has("IProgressMonitor")


def test_a_name_that_a_version_has_not_is_told_with_those_that_it_has(new: Library) -> None:
    with pytest.raises(FeatureUnavailableError) as caught:
        new.member("BuilderFlag", "FP16")

    assert str(caught.value) == (
        "tensorrt: TensorRT 11.1.0.4 has no BuilderFlag called 'FP16'; it has: REFIT, TF32"
    )


def test_a_kind_that_a_version_has_not(new: Library) -> None:
    with pytest.raises(FeatureUnavailableError, match="it has: none"):
        new.member("PreviewFeature", "ANY")


def test_only_members_of_an_enum_are_its_names(rtx: Library) -> None:
    """What Python's classes have by themselves is no flag."""
    for name in ("__doc__", "name", "__members__"):
        with pytest.raises(FeatureUnavailableError):
            rtx.member("BuilderFlag", name)


def test_a_process_has_one_logger() -> None:
    module = _module("one_trt")

    first, second = Library(TENSORRT, module), Library(TENSORRT, module)

    assert first.logger is second.logger
    assert first.logger.is_made


def test_errors_are_collected_and_told_once(old: Library) -> None:
    severities = [SimpleNamespace(name=n) for n in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO")]
    for severity in severities:
        text = f"[{severity.name}]\n  of the  builder"
        old.logger.log(severity, text)
    old.logger.log(severities[1], "[ERROR] of the builder")

    assert old.problem() == "[INTERNAL_ERROR] of the builder | [ERROR] of the builder"
    assert old.problem() == ""


def test_only_the_last_errors_are_kept(old: Library) -> None:
    for number in range(100):
        text = f"error {number}."
        old.logger.log(SimpleNamespace(name="ERROR"), text)

    problem = old.problem()

    assert "error 99." in problem
    assert "error 80." not in problem


def test_what_is_missing_to_run_an_engine_is_named(rtx: Library) -> None:
    rtx.check_runtime()
    lacking = Library(TENSORRT, _module("lacking_trt", "8.4.0.1", Runtime=object))

    with pytest.raises(
        FeatureUnavailableError, match=r"lacks Runtime.deserialize_cuda_engine, ICu"
    ):
        lacking.check_runtime()


def test_plugins_are_loaded(rtx: Library, tmp_path: Path) -> None:
    # Any shared library will do.
    name = ctypes.util.find_library("z")
    assert name is not None
    rtx.open_plugins((name,))
    broken = tmp_path / "libplugin.so"
    broken.write_bytes(b"no library")

    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        rtx.open_plugins((str(broken),))

    assert caught.value.where == str(broken)


def test_importing_the_package_imports_no_tensorrt() -> None:
    script = (
        "import sys, harness.api, harness.cli.app, harness.backends.tensorrt.backend\n"
        "print([n for n in sys.modules if n.startswith(('tensorrt', 'pycuda', 'cuda'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )

    assert done.stdout.strip() == "[]"
