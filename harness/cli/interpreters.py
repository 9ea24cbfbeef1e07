"""What ``--interpreter`` means."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_interpreters(texts: Sequence[str]) -> dict[str, Path]:
    """The Python of each backend, of texts such as ``torch-cuda=/path/python``.

    Raises:
        OptionError: one is no such text, names no program, or a backend twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        backend, separator, program = text.partition("=")
        if not (backend and separator and program):
            fix = "write BACKEND=PYTHON, such as torch-cuda=/opt/torch/bin/python"
            raise OptionError(f"{text!r} names no Python", where="--interpreter", fix=fix)
        if backend in found:
            what = f"two are given for {backend}"
            raise OptionError(what, where="--interpreter", fix="leave one out")
        path = shutil.which(program)
        if path is None:
            what = f"there is no program {program}"
            raise OptionError(what, where="--interpreter", fix="give the path of a Python")
        # Not resolved: what a link of a virtual environment leads to is not that environment.
        found[backend] = Path(path).absolute()
    return found
