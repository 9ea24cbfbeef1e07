"""What is loaded when, and the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness
from harness.errors import EngineError, HarnessError, OptionError

HEAVY = ("torch", "onnxruntime", "onnx", "pandas", "pyarrow", "scipy", "numpy", "pydantic", "rich")


def _loaded(code: str) -> list[str]:
    script = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules: list[str] = eval(done.stdout.splitlines()[-1])  # noqa: S307  # our own list
    return modules


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded("import harness") == []


def test_help_loads_nothing_heavy() -> None:
    assert _loaded("from harness.cli import main\nmain(['--help'])\nmain(['run', '--help'])") == []


def test_measuring_an_exported_pipeline_loads_no_torch() -> None:
    code = "import harness.runner, harness.cli.run, harness.report.terminal"

    assert "torch" not in _loaded(code)


def test_the_public_names_are_all_there() -> None:
    assert {name for name in harness.__all__ if getattr(harness, name) is None} == set()
    assert set(dir(harness)) == set(harness.__all__)
    with pytest.raises(AttributeError, match="no attribute 'converter'"):
        harness.converter  # noqa: B018


def test_what_is_no_library_and_what_is_no_engine_are_errors_of_the_tree() -> None:
    with pytest.raises(OptionError, match=r"there is no library 'model\.onnx'") as caught:
        harness.TensorRTConverter("model.onnx")
    assert caught.value.fix == "choose one of: auto, tensorrt, tensorrt-rtx"

    with pytest.raises(EngineError, match=r"cannot be read: No such file"):
        harness.TensorRTEngine("vocoder.engine")


def test_converting_needs_no_torch() -> None:
    code = "import harness; harness.TensorRTConverter('tensorrt-rtx'); harness.TensorRTEngine"

    assert "torch" not in _loaded(code)


def test_every_error_is_of_one_tree_and_has_an_exit_code() -> None:
    from harness import errors  # noqa: PLC0415

    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]

    assert len(classes) > 10
    for error in classes:
        assert issubclass(error, HarnessError)
        assert error("what", where="where", fix="fix").exit_code == (
            # A time that cannot be taken is no bad input: nothing is known, as with few samples.
            3 if error is errors.MeasurementError else 2
        )
        assert str(error("what\nmore", where="where", fix="fix")) == "where: what more; fix"
        assert error.__name__ in (errors.__doc__ or "")
