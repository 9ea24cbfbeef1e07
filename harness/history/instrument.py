"""How this very harness is started in another process, whatever that process could import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

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


def asv_command() -> list[str]:
    """The start of a command line of asv in this interpreter, with the environment type of here.

    asv looks for its plugins in the working directory first: there may lie another harness.
    """
    script = "from asv.main import main; sys.exit(main())"
    modules = "harness, harness.history.asv_environment"
    return [sys.executable, "-c", _OWN.format(modules=modules) + script]
