"""Every failure that the harness raises, as one tree.

HarnessError                     exit 2
├── DeclarationError             pipeline.toml, or what it names, is wrong
├── ModelError                   a factory, its weights or its forward() is wrong
├── ContractError                an ONNX graph is not what the declaration says
├── VerificationError            an ONNX graph does not compute what PyTorch computes
├── InputDataError               generated inputs or a recording cannot be used
├── CalibrationError             a calibration set does not fit, or cannot be made
├── EngineError                  an engine cannot be built, read or run
├── MeasurementError             exit 3: what was timed is not what was to be timed
├── OptionError                  a command-line option or argument is out of range
├── MissingDependencyError       an optional package is not installed
├── FeatureUnavailableError      the harness cannot do this here, or not yet
├── StorageError                 the disk is full, or a path cannot be written
├── RecordError                  a record is damaged or of another schema
│   └── DamagedResultsError      a file of asv's results is cut off, or not what asv writes
├── ComparisonError              records cannot be held against each other
└── WorkerError                  a child process died without an answer

Each carries what was wrong, where (file, key, tensor) and what to do about it; the command line
prints the three on one line and exits with the class's code.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXIT_PASS: Final = 0
EXIT_MISSED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_INCONCLUSIVE: Final = 3
# As sysexits.h has it for a fault of the program itself.
EXIT_FAULT: Final = 70
EXIT_INTERRUPTED: Final = 130


class HarnessError(Exception):
    """What went wrong, where, and what to do; the root of every error of the harness.

    Args:
        what: the problem, in one clause.
        where: the file, key, tensor or option that it was found in.
        fix: what the reader can do about it.
    """

    exit_code: int = EXIT_BAD_INPUT

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """The three parts on one line: ``where: what; fix``."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.fix:
            text = f"{text}; {self.fix}"
        return " ".join(text.split())


class DeclarationError(HarnessError):
    """``pipeline.toml``, or a file that it names, is wrong."""


class ModelError(HarnessError):
    """A component's factory, weights or ``forward()`` is wrong."""


class ContractError(HarnessError):
    """An ONNX graph's inputs or outputs are not those of the declaration."""


class VerificationError(HarnessError):
    """An ONNX graph does not compute what its PyTorch module computes."""


class InputDataError(HarnessError):
    """Generated inputs or a recording cannot be fed to the pipeline."""


class CalibrationError(HarnessError):
    """A calibration set is damaged, does not fit the pipeline, or cannot be made."""


class EngineError(HarnessError):
    """An engine cannot be built, is damaged, of another version or device, or failed to run."""


class MeasurementError(HarnessError):
    """The clock cannot time what it was to time."""

    exit_code = EXIT_INCONCLUSIVE


class OptionError(HarnessError):
    """An option or argument has a value that cannot be used."""


class MissingDependencyError(HarnessError):
    """An optional package is needed and not installed."""


class FeatureUnavailableError(HarnessError):
    """The harness cannot do this on this machine, or not in this version."""


class StorageError(HarnessError):
    """A file or folder cannot be written."""


class RecordError(HarnessError):
    """A stored record is damaged, or of a schema that this version cannot read."""


class DamagedResultsError(RecordError):
    """A file of asv's results is cut off, or not what asv writes; it can be made again."""


class ComparisonError(HarnessError):
    """Records cannot be held against each other."""


class WorkerError(HarnessError):
    """A child process ended without an answer."""


_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error while writing ``path`` into a :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            what, fix = "the disk is full", "free some space or choose another folder"
        elif isinstance(error, FileExistsError):
            what, fix = "it exists already", "choose another name"
        else:
            what = error.strerror or type(error).__name__
            fix = "choose a folder that can be written"
        raise StorageError(f"cannot write: {what}", where=str(path), fix=fix) from error


def missing_dependency(package: str, extra: str, purpose: str) -> MissingDependencyError:
    """The error for ``package`` of the optional group ``extra``, needed for ``purpose``."""
    return MissingDependencyError(
        f"{package} is not installed, and {purpose} needs it",
        fix=f"pip install 'trt-harness[{extra}]'",
    )
