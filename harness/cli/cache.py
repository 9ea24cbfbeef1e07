"""``harness cache``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from harness.artifacts.cache import Cache, default_cache_root
from harness.cli.output import tell
from harness.errors import EXIT_PASS, OptionError

if TYPE_CHECKING:
    from pathlib import Path

_DAY_S = 86_400.0


def list_command(*, cache: Path | None) -> int:
    """Print a line an entry."""
    store = Cache(cache or default_cache_root())
    total_bytes = 0
    entries = sorted(store.entries(), key=lambda entry: entry.created_unix_s)
    for entry in entries:
        created = dt.datetime.fromtimestamp(entry.created_unix_s).astimezone()
        tell(
            f"{created:%Y-%m-%d %H:%M}  {entry.kind:10}  {entry.size_bytes / 1e6:9.2f} MB  "
            f"{entry.build_s:6.1f} s  {entry.key[:12]}  {entry.label}"
        )
        total_bytes += entry.size_bytes
    tell(f"{len(entries)} entries, {total_bytes / 1e6:.2f} MB in {store.root}")
    return EXIT_PASS


def prune_command(*, cache: Path | None, older_than_days: float | None, is_all: bool) -> int:
    """Remove entries and say how many.

    Raises:
        OptionError: it is not said which, or twice.
    """
    if is_all == (older_than_days is not None):
        what = "everything and a part of it" if is_all else "nothing says what is to be removed"
        fix = "give --older-than DAYS, or --all for everything"
        raise OptionError(what, where="harness cache prune", fix=fix)
    store = Cache(cache or default_cache_root())
    count, freed_bytes = store.prune(older_than_s=(older_than_days or 0.0) * _DAY_S)
    tell(f"removed {count} entries, {freed_bytes / 1e6:.2f} MB, from {store.root}")
    return EXIT_PASS
