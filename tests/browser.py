"""The browser that tests of the dashboard look with, and that ``.ci/run`` insists on."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from typing import NoReturn, TypeVar

    Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# With it, a test that would be skipped for want of a browser fails.
NEEDS_BROWSER: Final = "TRT_HARNESS_NEEDS_BROWSER"
FOLDER: Final = "tests/dashboard/browser/"
_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The program that CHROMIUM names, else the system's: playwright must fetch none."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _PROGRAMS)), None)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test; fail it where a browser is needed."""
    if os.environ.get(NEEDS_BROWSER):
        pytest.fail(reason)
    pytest.skip(reason)


def insist(report: Report) -> Report:
    """``report``, as a failure if a test of the browser was skipped where one is needed."""
    is_browser = report.nodeid.startswith(FOLDER)
    if os.environ.get(NEEDS_BROWSER) and is_browser and report.skipped:
        why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and {NEEDS_BROWSER} is set: {why}"
    return report
