"""The group ``harness history``."""

from __future__ import annotations

import click

from harness.cli.history_records import COMMANDS


@click.group()
def history() -> None:
    """Figures across commits: query records, and make asv's results of them or records of those."""


for _command in COMMANDS:
    history.add_command(_command)
