"""What the doctor says of backends and libraries, and what its probes answer."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.gpu import has_gpu
from harness.doctor import backends, probe
from harness.doctor.backends import BACKENDS, backend_lines, run_probe

if TYPE_CHECKING:
    from collections.abc import Mapping


def ask(name: str) -> Mapping[str, str]:
    if name in {"torch", "tensorrt", "pycuda"}:
        told = "PyTorch 2.13" if name == "torch" else ""
        return {"told": told, "what": f"no {name}", "fix": f"install {name}"}
    return {"told": f"{name} 1.0, runs"}


def test_every_backend_and_library_has_a_line() -> None:
    lines = backend_lines((), ask)

    assert [line.name for line in lines] == [*BACKENDS, *probe.LIBRARIES]
    assert {line.name: line.level for line in lines if line.findings} == {
        "torch": "note",
        "tensorrt": "note",
        "pycuda": "note",
    }
    assert next(line for line in lines if line.name == "torch").told == "PyTorch 2.13; cannot run"


def test_a_named_backend_that_cannot_run_fails() -> None:
    lines = backend_lines(("tensorrt", "onnxruntime", "tensorrt"), ask)

    assert [line.name for line in lines if line.section == "backends"] == [
        "tensorrt",
        "onnxruntime",
    ]
    assert lines[0].level == "fail"
    assert lines[0].findings[0].fix == "install tensorrt"


def test_the_default_backend_is_needed_without_being_named() -> None:
    def broken(name: str) -> Mapping[str, str]:
        return {"told": "", "what": "it is broken", "fix": "install it"}

    assert {line.name for line in backend_lines((), broken) if line.level == "fail"} == {
        "onnxruntime"
    }


def test_onnxruntime_really_runs_a_graph() -> None:
    answer = run_probe("onnxruntime")

    assert answer.keys() == {"told"}
    assert answer["told"].startswith("ONNX Runtime ")
    assert answer["told"].endswith("), runs")


@pytest.mark.skipif(has_gpu(), reason="is about a machine without a GPU")
@pytest.mark.parametrize("name", ["torch-cuda", "torch-cuda-compile", "tensorrt"])
def test_a_backend_of_a_gpu_says_that_there_is_none(name: str) -> None:
    answer = probe.probe(name)

    assert "libcuda" in answer["what"] or "GPU" in answer["what"]
    assert answer["fix"]


def test_a_library_that_is_not_installed_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probe.LIBRARIES, "nvtx", ("no_such_module_of_ours", "marking", "cuda"))

    answer = probe.probe("nvtx")

    assert answer["what"] == "nvtx is not installed, and marking needs it"
    assert answer["fix"] == "pip install 'trt-harness[cuda]'"


def test_a_library_that_breaks_on_import_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libfoo.so: cannot open shared object file")

    monkeypatch.setattr("harness.doctor.probe.importlib.import_module", broken)

    answer = probe.probe("pycuda")

    assert answer["what"] == "OSError: libfoo.so: cannot open shared object file"


def process(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    done = SimpleNamespace(**{"returncode": 0, "stdout": "", "stderr": "", **facts})
    monkeypatch.setattr(backends.subprocess, "run", lambda *_, **__: done)


def test_a_process_that_dies_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    process(monkeypatch, returncode=-11, stderr="loading\nSegmentation fault\n")
    assert run_probe("torch")["what"] == "trying it ended the process with -11: Segmentation fault"
    process(monkeypatch, returncode=1)
    assert "it says nothing" in run_probe("torch")["what"]


def test_what_a_library_prints_before_the_answer_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process(monkeypatch, stdout='a banner\n{"told": "1.0"}\n')

    assert run_probe("torch") == {"told": "1.0"}


def test_a_process_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 1.0)

    monkeypatch.setattr(backends.subprocess, "run", hang)

    assert "took more than" in run_probe("torch")["what"]


def test_a_probe_imports_no_torch_of_its_own() -> None:
    code = "import harness.doctor.probe, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
