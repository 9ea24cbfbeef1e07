"""The command ``harness``: turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING

import click

from harness.cli.app import app
from harness.errors import EXIT_BAD_INPUT, EXIT_FAULT, EXIT_INTERRUPTED, EXIT_PASS, HarnessError
from harness.files import reader_has_left, reader_may_leave
from harness.report.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence


class _WarningLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = visible(" ".join(record.getMessage().split()))
        click.echo(f"harness: {record.levelname.lower()}: {message}", err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code.

    0 pass, 1 missed, 2 bad input, 3 inconclusive, 70 a fault of the harness's own, 130 interrupted.
    """
    try:
        return _run(arguments)
    except Exception:  # noqa: BLE001  # Python would exit with 1, which says that something is missed
        traceback.print_exc()
        what = "this is a fault of the harness, and no verdict; report it with what is above"
        return _fail(what, EXIT_FAULT)


def _run(arguments: Sequence[str] | None) -> int:
    logger = logging.getLogger("harness")
    handler = _WarningLines(logging.WARNING)
    logger.addHandler(handler)
    if threading.current_thread() is threading.main_thread():
        # As Ctrl-C: what is complete is kept, and no worker is left behind.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app.main(
            args=list(given),
            # For a command that starts itself again in other processes.
            obj=given,
            prog_name="harness",
            standalone_mode=False,
        )
    except HarnessError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        return _usage(error)
    except OSError as error:
        if error.filename is not None or not _is_output_error(error):
            raise
        return _fail(f"standard output: {error.strerror}; nothing else is lost", EXIT_BAD_INPUT)
    except SystemExit as error:
        # So click and rich end where the reader of the output has left, such as ``head``: by 1,
        # which would say that a budget is missed.
        if not (isinstance(error.__context__, BrokenPipeError) or reader_has_left()):
            raise
        with reader_may_leave():
            code = EXIT_PASS
    except (KeyboardInterrupt, click.Abort) as error:
        return _interrupted(error, given)
    finally:
        logger.removeHandler(handler)
    return int(code or 0)


def _interrupted(error: BaseException, given: Sequence[str]) -> int:
    from harness.replicate import REPLICA_OPTION  # noqa: PLC0415

    if REPLICA_OPTION in given:
        # Who started this process tells of it.
        return EXIT_INTERRUPTED
    # Click raises its own in place of an interruption.
    when = f"interrupted {error.__cause__ or error}".strip()
    return _fail(f"{when}; what was already in the cache stays there", EXIT_INTERRUPTED)


def _usage(error: click.ClickException) -> int:
    # A group of commands without a command: its help, as it is laid out. Not of click 8.1, which
    # prints it by itself.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        click.echo(error.format_message(), err=True)
        return EXIT_BAD_INPUT
    context = getattr(error, "ctx", None)
    hint = f"; see '{context.command_path} --help'" if context else ""
    return _fail(f"{error.format_message().rstrip('.')}{hint}", EXIT_BAD_INPUT)


def _is_output_error(error: OSError) -> bool:
    return error.errno in {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF}


def _fail(message: str, code: int) -> int:
    click.echo(f"harness: {visible(' '.join(message.split()))}", err=True)
    return code
