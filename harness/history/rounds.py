"""Which round comes next, where a run goes on with one that was interrupted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from harness.history.places import Progress, read_progress, short

if TYPE_CHECKING:
    from pathlib import Path

# Set by ``harness history run`` where it has asv append to what is there.
APPENDING: Final = "TRT_HARNESS_HISTORY_APPEND"


def first_round(records: Path, environment_name: str, commit: str) -> int:
    """The first round of this run of asv: 0, or what follows on those that are appended to."""
    if not os.environ.get(APPENDING):
        return 0
    progress = read_progress(records, environment_name)
    return progress.get(short(commit), Progress()).rounds
