"""``harness doctor``: what it prints, its exit code, its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from harness.doctor import examine as module
from harness.doctor.backends import backend_lines
from harness.doctor.machine import read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Why a backend cannot be used, by name; nothing is really tried."""
    problems: dict[str, str] = {}

    def ask(name: str) -> Mapping[str, str]:
        if name in problems:
            return {"told": "", "what": problems[name], "fix": f"install {name}"}
        return {"told": f"{name} 1.0"}

    def moment(root: Path) -> Any:
        return read_moment(root, interval_s=0.01)

    monkeypatch.setattr(module, "backend_lines", lambda named: backend_lines(named, ask))
    monkeypatch.setattr(module, "read_moment", moment)
    return problems


def test_it_prints_what_to_do_and_exits_0_where_nothing_fails(
    usable: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    usable["torch"] = "torch is not installed"

    code = main(["doctor", "--cache", str(tmp_path / "cache")])

    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert code == 0
    assert "torch is not installed. To do: install torch" in words
    assert "unset NVIDIA_TF32_OVERRIDE" in words
    assert "0 fail, " in words
    assert "Nothing was changed." in words
    assert max(map(len, out.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_a_named_backend_that_cannot_run_exits_3(
    usable: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    usable["tensorrt"] = "TensorRT is broken"
    report = tmp_path / "doctor.json"

    arguments = ["--backend", "tensorrt", "--json", str(report), "--cache", str(tmp_path)]
    code = main(["doctor", *arguments])

    found = json.loads(report.read_text())
    assert code == 3
    assert (found["status"], found["exit_code"]) == ("invalid", 3)
    (line,) = [line for line in found["lines"] if line["section"] == "backends"]
    assert (line["name"], line["level"]) == ("tensorrt", "fail")
    assert line["findings"][0]["fix"] == "install tensorrt"
    assert found["environment"]["packages"]
    assert len(found["fingerprint"]) == 40
    assert "1 fail" in capsys.readouterr().out


def test_its_json_goes_to_standard_output_alone(
    usable: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "--json", "-", "--cache", str(tmp_path)]) == 0

    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 0
    assert "Nothing was changed." in " ".join(captured.err.split())


def test_a_backend_that_does_not_exist_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--backend", "cuda"]) == 2
    assert "there is no backend 'cuda'" in capsys.readouterr().err
