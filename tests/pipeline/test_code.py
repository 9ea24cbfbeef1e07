"""A pipeline's Python files are what they are now, and nothing is left beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2]
LOAD = """
import sys
from pathlib import Path
from types import SimpleNamespace
from harness.pipeline.code import load_function

root = Path(sys.argv[1])
pipeline = SimpleNamespace(root=root, manifest=root / "pipeline.toml")
print(load_function(pipeline, "models.py:make", key="test")())
"""


def _write(path: Path, text: str) -> None:
    """A file of one and the same second, whenever it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def _load(root: Path) -> str:
    variables = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-c", LOAD, str(root)],
        capture_output=True,
        text=True,
        check=True,
        env={**variables, "PYTHONPATH": str(PACKAGE)},
    ).stdout.strip()


@pytest.mark.parametrize("changed", ["models.py", "parts/layers.py"])
def test_a_file_that_was_changed_within_the_second_is_read_anew(
    tmp_path: Path, changed: str
) -> None:
    make = "from .parts.layers import FLOWS\n\ndef make(): return FLOWS, 1\n"
    _write(tmp_path / "models.py", make)
    _write(tmp_path / "parts" / "layers.py", "FLOWS = 4\n")
    # As if Python itself had imported it: with bytecode beside it.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tmp_path)], check=True)
    assert _load(tmp_path) == "(4, 1)"

    was = (tmp_path / changed).read_text(encoding="utf-8")
    _write(tmp_path / changed, was.replace("FLOWS, 1", "FLOWS, 2").replace("= 4", "= 5"))

    assert _load(tmp_path) == ("(4, 2)" if changed == "models.py" else "(5, 1)")


def test_nothing_is_written_beside_a_pipeline(tmp_path: Path) -> None:
    _write(tmp_path / "models.py", "def make(): return 1\n")

    assert _load(tmp_path) == "1"

    assert [path.name for path in tmp_path.iterdir()] == ["models.py"]


def test_what_was_compiled_of_a_source_is_taken_in_its_place(tmp_path: Path) -> None:
    """As Python does: an extension that cannot be loaded is not passed over without a word."""
    _write(tmp_path / "models.py", "def make(): return 1\n")
    _write(tmp_path / f"models{EXTENSION_SUFFIXES[0]}", "no library")

    with pytest.raises(subprocess.CalledProcessError) as caught:
        _load(tmp_path)

    assert "models" in caught.value.stderr
    assert "cannot be imported" in caught.value.stderr


def test_files_beside_code_can_be_read_as_resources(tmp_path: Path) -> None:
    make = (
        "from importlib import resources\n\n"
        "def make(): return resources.files(__package__ + '.data').joinpath('a.txt').read_text()\n"
    )
    _write(tmp_path / "models.py", make)
    _write(tmp_path / "data" / "a.txt", "here")

    assert _load(tmp_path) == "here"
