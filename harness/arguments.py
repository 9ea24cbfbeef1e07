"""Errors that name an option of the command line, in the words of the Python function called."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_OPTION: Final = re.compile(r"--(?:no-)?([a-z][a-z0-9-]*)")
# Options that are not called as their argument is.
_ARGUMENTS: Final = {
    "backend": ("backends",),
    "batch": ("batches",),
    "calibration_method": ("clipping",),
    "duration": ("durations_s",),
    "interpreter": ("interpreters",),
    "launch": ("launches",),
    "max_time": ("max_time_s",),
    "percentile": ("clipping",),
    "precision": ("precisions",),
    "samples": ("max_samples",),
}


def names_arguments(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """``function``, whose :class:`OptionError` names its arguments in place of options."""
    known = inspect.signature(function).parameters

    def argument_of(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        candidates = (name, *_ARGUMENTS.get(name, ()))
        return next((c for c in candidates if c in known), match[0])

    @functools.wraps(function)
    def wrapped(*arguments: _Given.args, **named: _Given.kwargs) -> _Result:
        try:
            return function(*arguments, **named)
        except OptionError as error:
            what, where, fix = (
                _OPTION.sub(argument_of, text) for text in (error.what, error.where, error.fix)
            )
            raise type(error)(what, where=where, fix=fix) from error

    return wrapped
