"""A scratch repository of 30 commits of the tiny pipeline, in which ``models.py`` really changes.

A filter inside the vocoder, 16 channels at 500 Hz, gets longer and shorter: each of its taps is
8,000 multiply-accumulates a second of audio, so that the work of every commit is known before it is
measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE: Final = "pipeline"
# The component that changes.
CHANGING: Final = "vocoder"
DRIFT: Final = "drift"
# Multiply-accumulates of one second of audio without the filter, and those of one of its taps.
BASE_MACS: Final = 2_796_800
TAP_MACS: Final = 8_000
_FIRST_COMMIT_UNIX_S: Final = 1_767_261_600  # 2026-01-01T10:00:00Z
_DAY_S: Final = 86_400

_LAYER: Final = "        self.first = nn.ConvTranspose1d(20, 16, 10, 10)\n"
_CALL: Final = "        x = functional.leaky_relu(self.first(mel_input), 0.1)\n"


@dataclass(frozen=True)
class Commit:
    """One commit: what its message says, how many taps the filter has, whether it can be built."""

    message: str
    taps: int = 0
    is_broken: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one second of audio."""
        return BASE_MACS + self.taps * TAP_MACS


def odd_taps(share: float, before: int = 0) -> int:
    """The odd number of taps that makes the work of ``before`` taps about ``share`` more."""
    taps = before + share * (BASE_MACS + before * TAP_MACS) / TAP_MACS
    return 2 * round((taps - 1) / 2) + 1


def plan_commits() -> tuple[Commit, ...]:
    """The 30 commits: a 10 % step, a 3 % step, a spike, one that fails, and a slow drift."""
    high = odd_taps(0.10)
    higher = odd_taps(0.03, high)
    spiked = odd_taps(0.08, higher)
    drifting = [odd_taps(0.005 * step, higher) for step in range(1, 7)]
    return (
        Commit("Add the pipeline"),
        *(Commit(f"Notes, part {part}") for part in range(1, 8)),
        Commit("Smooth the vocoder's output (10 % more work)", high),
        *(Commit(f"Notes, part {part}", high) for part in range(8, 13)),
        Commit("Smooth it more (3 % more work)", higher),
        *(Commit(f"Notes, part {part}", higher) for part in range(13, 16)),
        Commit("Try a much longer filter (8 % more work)", spiked),
        Commit('Revert "Try a much longer filter"', higher),
        Commit("Rename a function, and forget a caller", higher, is_broken=True),
        Commit("Rename the caller as well", higher),
        *(
            Commit(f"A slightly longer filter, {step} of 6 (0.5 %)", taps)
            for step, taps in enumerate(drifting, 1)
        ),
        *(Commit(f"Notes, part {part}", drifting[-1]) for part in range(16, 18)),
    )


def plan_changes() -> tuple[tuple[int, str], ...]:
    """What is to be found in the history of :func:`plan_commits`: from which commit on, and what.

    A drift begins with its first increment.
    """
    return ((8, "step"), (14, "step"), (18, "spike"), (22, DRIFT))


def make_repository(folder: Path, tiny: Path) -> tuple[Commit, ...]:
    """Make ``folder`` a repository of :func:`plan_commits`; ``tiny`` is the fixture's folder.

    The commits have the same names every time: their dates and author are fixed.

    Raises:
        FileExistsError: there is something at ``folder``.
    """
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    shutil.copytree(tiny, folder / PIPELINE, ignore=shutil.ignore_patterns("__pycache__"))
    original = (tiny / "models.py").read_text(encoding="utf-8")
    commits = plan_commits()
    for index, commit in enumerate(commits):
        (folder / PIPELINE / "models.py").write_text(_models(original, commit), encoding="utf-8")
        (folder / "notes.md").write_text(f"{index}: {commit.message}\n", encoding="utf-8")
        _git(folder, "add", "--all")
        date = f"{_FIRST_COMMIT_UNIX_S + index * _DAY_S} +0000"
        _git(folder, "commit", "--quiet", "--message", commit.message, date=date)
    return commits


def commit_names(folder: Path) -> list[str]:
    """The names of all commits, the first one first."""
    return _git(folder, "rev-list", "--reverse", "main").splitlines()


def commit_with(folder: Path, taps: int, message: str) -> str:
    """Commit the pipeline with a filter of ``taps`` to the repository; gives the commit's name."""
    models = folder / PIPELINE / "models.py"
    first = _git(folder, "rev-list", "--max-parents=0", "HEAD")
    original = _git(folder, "show", f"{first}:{PIPELINE}/models.py") + "\n"
    models.write_text(_models(original, Commit(message, taps)), encoding="utf-8")
    (folder / "notes.md").write_text(f"{message}\n", encoding="utf-8")
    _git(folder, "add", PIPELINE, "notes.md")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return _git(folder, "rev-parse", "HEAD")


def _models(original: str, commit: Commit) -> str:
    """``models.py`` at ``commit``."""
    assert _LAYER in original
    assert _CALL in original
    text = original
    if commit.taps:
        filter_ = f"nn.Conv1d(16, 16, {commit.taps}, padding={commit.taps // 2}, groups=16)"
        text = text.replace(_LAYER, f"{_LAYER}        self.smooth = {filter_}\n")
        text = text.replace(_CALL, f"{_CALL}        x = self.smooth(x)\n")
    if commit.is_broken:
        text = text.replace("def _build(", "def _build_and_fit(")
    return text


def _git(folder: Path, *arguments: str, date: str = "") -> str:
    who = {"NAME": "Demo", "EMAIL": "demo@example.org", "DATE": date}
    names = {
        f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()
    }
    # The user's own settings, such as signing, are left out.
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(  # noqa: S603  # git, with our own arguments
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | alone | {name: value for name, value in names.items() if value},
    )
    return done.stdout.strip()
