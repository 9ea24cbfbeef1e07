"""How this very harness is started in another process, whatever that process could import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from harness.errors import OptionError

# The interpreter that exports, where it is not that of the environment: one with PyTorch.
EXPORT_PYTHON: Final = "TRT_HARNESS_EXPORT_PYTHON"
# What its errors begin with.
_OWN_LINE: Final = "harness: "
PACKAGE: Final = Path(__file__).resolve().parents[1]
# Its folder is looked into for this one package: what lies beside it, or in the working directory,
# must shadow nothing.
_OWN: Final = (
    "import sys; sys.path[:] = [*filter(None, sys.path)]; "
    f"sys.path.insert(0, {str(PACKAGE.parent)!r}); import {{modules}}; del sys.path[0]; "
)


def harness_command() -> list[str]:
    """The start of a command line of ``harness``, in this interpreter."""
    script = "from harness.cli import main; sys.exit(main())"
    return [sys.executable, "-c", _OWN.format(modules="harness") + script]


def own_reason(said: str) -> str | None:
    """Why ``harness`` failed, of all that it wrote: its own last line; None where it has none."""
    lines = (line.strip() for line in said.splitlines())
    own = [line.removeprefix(_OWN_LINE) for line in lines if line.startswith(_OWN_LINE)]
    return own[-1] if own else None


def find_python(path: Path | None) -> Path | None:
    """The interpreter at ``path``, or of that name; None for None.

    Raises:
        OptionError: there is none.
    """
    if path is None:
        return None
    found = shutil.which(path)
    if found is None:
        fix = "give the path of a Python that has PyTorch"
        raise OptionError(f"there is no program {path}", where="--export-python", fix=fix)
    # Not resolved: what a link of a virtual environment leads to is not that environment.
    return Path(found).absolute()


def version_in(python: Path, package: str) -> str | None:
    """The version of ``package`` that ``python`` has; None where it has none, or does not run."""
    script = f"import importlib.metadata as m; print(m.version({package!r}))"
    command = [str(python), "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None


def asv_command() -> list[str]:
    """The start of a command line of asv in this interpreter, with the environment type of here.

    asv looks for its plugins in the working directory first: there may lie another harness.
    """
    script = "from asv.main import main; sys.exit(main())"
    modules = "harness, harness.history.asv_environment"
    return [sys.executable, "-c", _OWN.format(modules=modules) + script]
