"""The options by which a record is held against a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import FOLDER, PERCENT, repository_option

if TYPE_CHECKING:
    from collections.abc import Callable

_baseline = click.option(
    "--baseline",
    help="What it is held against: a record's file, a folder (its newest record), or a commit or "
    "branch of which there are records.  [default: the base of the A/B that it is the head of]",
)
_records = click.option(
    "--records",
    "places",
    type=FOLDER,
    multiple=True,
    default=(Path("reports"),),
    show_default=True,
    help="Where the records of a commit are, with all below; repeat for several.",
)
_margin = click.option(
    "--margin",
    type=PERCENT,
    help="The change that is none, such as 0.2%.  [default: by this machine's calibration]",
)


def baseline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add which baseline, where its records are, and what change is none."""
    for option in (_margin, repository_option, _records, _baseline):
        command = option(command)
    return command
