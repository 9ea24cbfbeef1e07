"""What commands print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.files import is_stdout, reader_may_leave

if TYPE_CHECKING:
    from pathlib import Path


def tell(text: str, *, beside: Path | None = None) -> None:
    """Print ``text``; to standard error where the file ``beside`` it is standard output.

    A reader that has left, such as ``head``, changes no exit code.
    """
    is_taken = beside is not None and is_stdout(beside)
    with reader_may_leave():
        click.echo(text, file=sys.stderr if is_taken else None)
