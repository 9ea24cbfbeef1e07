"""A commit's own installed copy: the wheel of its project, in a folder of packages of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.errors import WorkerError, storage_errors
from harness.history.exports import choose_exports
from harness.history.instrument import PACKAGE
from harness.history.uv import PROJECT_FILES, build_words, reason_in, uv_environment, uv_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.ab.revisions import Revision

_TIMEOUT_S: Final = 900.0


@dataclass(frozen=True)
class Installed:
    """A commit that can be exported: its tree, and where an interpreter finds its packages.

    ``packages`` come before those of the interpreter; the last holds this very harness, for a
    project that is another. ``exports`` is the cache that it exports into.
    """

    tree: Path
    packages: tuple[Path, ...]
    exports: Path
    has_project: bool


def install(
    revision: Revision, tree: Path, folder: Path, *, python: Path, cache: Path
) -> Installed:
    """Build and install the project in ``tree``, if it is one, into ``folder``.

    Nothing is fetched, and no dependency installed: those are the interpreter's.

    Args:
        revision: for messages.
        tree: the checked out commit.
        folder: a scratch of this side.
        python: the interpreter that will export, whose build backend builds.
        cache: the folder of this command in the user's cache.

    Raises:
        WorkerError: it cannot be built or installed; the message says why.
        MissingDependencyError: uv is not installed.
    """
    shared = folder / "shared"
    with storage_errors(folder):
        shared.mkdir(parents=True)
        (shared / "harness").symlink_to(PACKAGE, target_is_directory=True)
        cache.mkdir(parents=True, exist_ok=True)
    if not any((tree / name).is_file() for name in PROJECT_FILES):
        return Installed(tree, (shared,), choose_exports(cache, []), has_project=False)
    uv, own = uv_program(), folder / "packages"
    _run([uv, *build_words(tree, python, folder / "wheels", folder / "uv")], revision, "built")
    wheels = sorted((folder / "wheels").glob("*.whl"))
    words = ["pip", "install", "--target", str(own), "--python", str(python), "--no-deps"]
    words += ["--offline", "--no-config", "--cache-dir", str(folder / "uv"), *map(str, wheels)]
    _run([uv, *words], revision, "installed")
    return Installed(tree, (own, shared), choose_exports(cache, wheels), has_project=True)


def _run(command: Sequence[str], revision: Revision, done: str) -> None:
    try:
        ended = subprocess.run(  # noqa: S603  # uv, with our own arguments
            command,
            env=uv_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
        )
        code, said = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired:
        code, said = 1, f"error: it took more than {_TIMEOUT_S:g} s"
    except OSError as error:
        code, said = 1, f"error: {error}"
    if code:
        what = f"its project cannot be {done}: {reason_in(said)}"
        fix = "nothing is measured of it"
        raise WorkerError(what, where=f"commit {revision.name}", fix=fix)
