"""asv's machine file."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import OptionError

pytest.importorskip("asv")

from harness.history import asv_machine
from harness.history.asv_machine import (
    check_machine_of_run,
    found_machine,
    machine_of_run,
    settle_machine,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """asv's own file, in a home of its own; a machine with a GPU."""
    monkeypatch.setenv("HOME", str(tmp_path))
    gpu = {"name": "NVIDIA H200", "driver": "570.1"}
    monkeypatch.setattr(asv_machine, "describe_gpu", lambda: dict(gpu))
    return tmp_path / ".asv-machine.json"


def _edit(path: Path, machine: str | None, **values: Any) -> None:
    content = json.loads(path.read_text())
    (content if machine is None else content[machine]).update(values)
    path.write_text(json.dumps(content))


def test_the_machine_is_described_without_a_question(own: Path, tmp_path: Path) -> None:
    values = settle_machine(tmp_path / "results", "here")

    assert values["machine"] == "here"
    assert (values["gpu"], values["driver"]) == ("NVIDIA H200", "570.1")
    assert json.loads(own.read_text())["here"] == values
    assert settle_machine(tmp_path / "results", "here") == values


def test_what_was_written_by_hand_stays_and_the_driver_is_told_anew(
    own: Path, tmp_path: Path
) -> None:
    settle_machine(tmp_path / "results", "here")
    _edit(own, "here", os="my Linux", driver="560.0")

    values = settle_machine(tmp_path / "results", "here")

    assert (values["os"], values["driver"]) == ("my Linux", "570.1")


@pytest.mark.parametrize("key", ["cpu", "gpu", "arch", "num_cpu"])
def test_a_machine_file_of_another_machine_is_refused(own: Path, tmp_path: Path, key: str) -> None:
    settle_machine(tmp_path / "results", "here")
    _edit(own, "here", **{key: "another"})

    with pytest.raises(OptionError, match=f"is of another machine: its {key} is 'another', here"):
        settle_machine(tmp_path / "results", "here")


def test_a_gpu_that_is_gone_is_another_machine(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_machine(tmp_path / "results", "here")
    before = own.read_text()
    monkeypatch.setattr(asv_machine, "describe_gpu", lambda: None)

    with pytest.raises(OptionError, match="its gpu is 'NVIDIA H200', here no gpu is found"):
        settle_machine(tmp_path / "results", "here")

    assert own.read_text() == before
    assert "gpu" not in settle_machine(tmp_path / "results", "there")


def test_a_driver_that_tells_nothing_is_not_told_from_before(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_machine(tmp_path / "results", "here")
    monkeypatch.setattr(asv_machine, "describe_gpu", lambda: {"name": "NVIDIA H200"})
    monkeypatch.setattr(sys, "argv", ["asv", "run", "--machine", "here"])

    assert "driver" not in machine_of_run()
    assert "driver" not in settle_machine(tmp_path / "results", "here")
    assert "driver" not in json.loads(own.read_text())["here"]


def test_the_machine_of_a_run_is_checked(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["asv", "run", "NEW", "--machine", "here"])
    check_machine_of_run(tmp_path / "results")
    settle_machine(tmp_path / "results", "here")
    check_machine_of_run(tmp_path / "results")
    _edit(own, "here", gpu="NVIDIA L40S")

    with pytest.raises(OptionError, match="its gpu is 'NVIDIA L40S', here it is 'NVIDIA H200'"):
        check_machine_of_run(tmp_path / "results")


def test_results_of_another_machine_are_refused_as_well(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "here"
    folder.mkdir(parents=True)
    (folder / "machine.json").write_text(json.dumps({**found_machine("here"), "cpu": "another"}))

    with pytest.raises(OptionError, match=r"machine\.json: is of another machine.*with --machine"):
        settle_machine(tmp_path / "results", "here")

    assert not own.exists()
    assert settle_machine(tmp_path / "results", "there")["machine"] == "there"


def test_a_damaged_machine_file_is_set_aside(own: Path, tmp_path: Path) -> None:
    own.write_text("{")

    settle_machine(tmp_path / "results", "here")

    assert set(json.loads(own.read_text())) == {"here", "version"}
    assert own.with_name(f"{own.name}.damaged").read_text() == "{"


def test_the_machine_of_a_run_is_that_of_its_arguments(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = settle_machine(tmp_path / "results", "here")
    settle_machine(tmp_path / "results", "there")

    for words in (["--machine", "here"], ["--machine=here"], ["-m", "here", "-a", "rounds=2"]):
        monkeypatch.setattr(sys, "argv", ["asv", "run", "NEW", *words])
        assert machine_of_run() == settled
    monkeypatch.setattr(sys, "argv", ["asv", "run", "--machine", "unknown"])
    assert machine_of_run() == {"machine": "unknown"}
