"""What one side is made of: a checked out, installed and exported commit, as arguments of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.ab.checkout import check_out
from harness.ab.install import install
from harness.ab.revisions import run_git
from harness.errors import DeclarationError, FeatureUnavailableError, HarnessError, WorkerError
from harness.history.checkout import check_checkout
from harness.history.exporting import Exporter, ExportSizes, export_with
from harness.report.figures import REFERENCE_BACKEND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.ab.revisions import Revision
    from harness.observer import Observer

_FOLDER: Final = "ab"
_MANIFEST: Final = "pipeline.toml"


@dataclass(frozen=True)
class Workplace:
    """Where sides are made, and how: the same for both.

    ``pipeline`` is a folder within ``repository``; ``words`` are the options of ``harness run``,
    ``backends`` the names in them; ``cache`` is the user's, and ``python`` what exports.
    """

    repository: Path
    pipeline: str
    words: tuple[str, ...]
    backends: tuple[str, ...]
    sizes: ExportSizes
    cache: Path
    python: Path


def make_side(
    revision: Revision, place: Workplace, folder: Path, observer: Observer
) -> tuple[str, ...]:
    """Check out, install and export ``revision``; gives the arguments that measure it.

    Args:
        revision: which commit, or the working tree.
        place: where everything lies, and what is measured.
        folder: a scratch of this side.
        observer: told of the export.

    Raises:
        HarnessError: it cannot be had, installed or exported; the message names the commit.
    """
    from harness.pipeline.loader import load_pipeline  # noqa: PLC0415  # loads pydantic

    observer.phase(f"Installing {revision.name}", 1)
    tree = check_out(revision, place.repository, folder / "tree")
    root = tree / place.pipeline
    if not (root / _MANIFEST).is_file():
        raise _no_pipeline(revision, place)
    installed = install(revision, tree, folder, python=place.python, cache=place.cache / _FOLDER)
    observer.step("")
    _refuse_peers(place.backends, has_project=installed.has_project)
    try:
        pipeline = load_pipeline(root)
        exporter = Exporter(revision.name, place.python, installed.exports, installed.packages)
        exports = export_with(exporter, place.sizes, pipeline, observer)
    except WorkerError:
        raise
    except HarnessError as error:
        where = f"commit {revision.name}: {error.where}".replace(f"{tree}/", "")
        raise type(error)(error.what, where=where, fix=error.fix) from error
    if not revision.is_worktree:
        # What was exported, and what is read from now on, must be of the commit.
        check_checkout(tree, revision.commit, place.pipeline)
    words = ["run", str(root), "--cache", str(place.cache), *place.words]
    return tuple(words if exports is None else [*words, "--artifacts", str(exports)])


def _no_pipeline(revision: Revision, place: Workplace) -> DeclarationError:
    _, found, _ = run_git(place.repository, "ls-tree", "-r", "--name-only", revision.commit)
    files = (name for name in found.splitlines() if f"/{name}".endswith(f"/{_MANIFEST}"))
    folders = [name.rpartition("/")[0] or "." for name in files]
    there = f"name one of: {', '.join(folders)}" if folders else "it has no pipeline at all"
    what = f"there is no {_MANIFEST} in its folder {place.pipeline!r}"
    return DeclarationError(what, where=f"commit {revision.name}", fix=f"--pipeline: {there}")


def _refuse_peers(backends: Sequence[str], *, has_project: bool) -> None:
    """Refuse what would run the pipeline's own modules here, where the commit is not installed."""
    peers = [name for name in backends if name.startswith(REFERENCE_BACKEND)]
    if peers and has_project:
        what = "runs the models here, where what they import is not the commit's own project"
        fix = "leave it out; accuracy is told without it"
        raise FeatureUnavailableError(what, where=f"--backend {peers[0]}", fix=fix)
