"""The command ``harness``: turns errors into one line and an exit code."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

from harness.cli.app import app
from harness.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _WarningLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"harness: {record.levelname.lower()}: {record.getMessage()}", err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code.

    0 pass, 1 missed, 2 bad input, 3 inconclusive, 130 interrupted.
    """
    logger = logging.getLogger("harness")
    handler = _WarningLines(logging.WARNING)
    logger.addHandler(handler)
    try:
        code = app.main(
            args=list(sys.argv[1:] if arguments is None else arguments),
            prog_name="harness",
            standalone_mode=False,
        )
    except HarnessError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"; see '{context.command_path} --help'" if context else ""
        return _fail(f"{error.format_message().rstrip('.')}{hint}", EXIT_BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was already in the cache stays there", EXIT_INTERRUPTED)
    finally:
        logger.removeHandler(handler)
    return int(code or 0)


def _fail(message: str, code: int) -> int:
    click.echo(f"harness: {' '.join(message.split())}", err=True)
    return code
