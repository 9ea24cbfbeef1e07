"""``harness cache``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from harness.artifacts.cache import Cache, default_cache_root
from harness.errors import EXIT_PASS

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
        click.echo(
            f"{created:%Y-%m-%d %H:%M}  {entry.kind:10}  {entry.size_bytes / 1e6:9.2f} MB  "
            f"{entry.build_s:6.1f} s  {entry.key[:12]}  {entry.label}"
        )
        total_bytes += entry.size_bytes
    click.echo(f"{len(entries)} entries, {total_bytes / 1e6:.2f} MB in {store.root}")
    return EXIT_PASS


def prune_command(*, cache: Path | None, older_than_days: float) -> int:
    """Remove entries and say how many."""
    store = Cache(cache or default_cache_root())
    count, freed_bytes = store.prune(older_than_s=older_than_days * _DAY_S)
    click.echo(f"removed {count} entries, {freed_bytes / 1e6:.2f} MB, from {store.root}")
    return EXIT_PASS
