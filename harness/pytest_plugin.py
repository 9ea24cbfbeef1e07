"""The pytest plugin: ``@pytest.mark.latency_budget("100 ms")`` and the fixture of that name.

Loading it imports nothing but pytest: every pytest where the harness is installed loads it. What
measures is imported when a test asks for it. docs/pytest.md tells how it is used.

It has no assertions, and may be there before another pytest in the same process asks for it:
PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.latency_budget import BudgetCheck, Terms
    from harness.types import Record

_Found = TypeVar("_Found")
_NAME: Final = "latency_budget"
_FAIL, _SKIP, _XFAIL = "fail", "skip", "xfail"
_WITHIN, _INCONCLUSIVE = "within", "inconclusive"
_CHOICES: Final = (_FAIL, _SKIP, _XFAIL)
_OPTION: Final = "latency_budget_inconclusive"
_MARKER: Final = (
    f"{_NAME}(limit, *, quantile=0.99, confidence=0.95, samples=0, max_time_s=10, telemetry=True, "
    "gpu=False, simulated=False, inconclusive='fail'): the latency that the fixture of this name "
    "measures is at most limit, such as '100 ms'"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting of what an inconclusive budget does."""
    told = "what a latency budget does that is neither kept nor missed beyond doubt"
    parser.getgroup("harness").addoption(
        "--latency-budget-inconclusive",
        choices=_CHOICES,
        default=None,
        help=f"{told} [fail, or what the test or the setting {_OPTION} says]",
    )
    parser.addini(_OPTION, f"{told}: {', '.join(_CHOICES)}", default=_FAIL)


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail a test that passes, and measured nothing or caught what its budget had to say.

    It comes after the test itself, and is not reached where that has failed.
    """
    if item.get_closest_marker(_NAME) is None:
        return
    budget = getattr(item, "funcargs", {}).get(_NAME)
    if budget is None or not budget.checks:
        what = f"it has a {_NAME} and measured nothing"
        pytest.fail(f"{what}: call the fixture {_NAME}, or take the mark away", pytrace=False)
    for check in budget.checks:
        if check.verdict.value != _WITHIN:
            pytest.fail(check.text, pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, of the tests that pass as well.

    It is taken from the reports, which pytest-xdist brings from other processes.
    """
    lines = [
        f"{report.nodeid}: {line}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == _NAME
    ]
    if lines:
        terminalreporter.section("latency budgets")
        for line in lines:
            terminalreporter.line(line)


class LatencyBudget:
    """What the fixture gives: holds calls and pipelines against the budget of the test's mark.

    Each returns where the budget is kept, with what was measured; else it ends the test.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._item = request.node
        self.checks: list[BudgetCheck] = []
        self._terms, self._inconclusive = _read(request.node, request.config)

    def __call__(
        self, function: Callable[..., object], *arguments: object, **options: object
    ) -> BudgetCheck:
        """Time ``function(*arguments, **options)``, which must return when its work is done."""
        from harness.latency_budget import check_call  # noqa: PLC0415

        __tracebackhide__ = True
        subject = getattr(function, "__qualname__", type(function).__qualname__)
        found = _told(check_call, lambda: function(*arguments, **options), self._terms, subject)
        return self._settle([found])

    def pipeline(self, pipeline: str | Path, **options: Any) -> BudgetCheck:  # noqa: ANN401
        """Measure a pipeline; ``options`` are those of ``harness.benchmark_end_to_end_latency``."""
        from harness.latency_budget import check_pipeline  # noqa: PLC0415

        return self._settle(_told(check_pipeline, pipeline, self._terms, options))

    def record(self, record: Record) -> BudgetCheck:
        """What a record has measured already."""
        from harness.latency_budget import check_record  # noqa: PLC0415

        return self._settle(_told(check_record, record, self._terms))

    def _settle(self, found: Sequence[BudgetCheck]) -> BudgetCheck:
        from harness.latency_budget import worst_of  # noqa: PLC0415

        self.checks.extend(found)
        self._item.user_properties += [(_NAME, check.line) for check in found]
        worst = worst_of(found)
        verdict = worst.verdict.value
        if verdict == _WITHIN:
            return worst
        if verdict == _INCONCLUSIVE and self._inconclusive == _SKIP:
            pytest.skip(worst.line)
        if verdict == _INCONCLUSIVE and self._inconclusive == _XFAIL:
            pytest.xfail(worst.line)
        pytest.fail(worst.text, pytrace=False)


@pytest.fixture
def latency_budget(request: pytest.FixtureRequest) -> LatencyBudget:
    """Holds a call, ``latency_budget(f, *args)``, or a pipeline against the mark's budget."""
    return LatencyBudget(request)


def _read(item: pytest.Item, config: pytest.Config) -> tuple[Terms, str]:
    """What the mark asks for, and what is done where it cannot be told."""
    from harness.errors import HarnessError, OptionError  # noqa: PLC0415
    from harness.latency_budget import Terms, parse_seconds  # noqa: PLC0415

    marker = item.get_closest_marker(_NAME)
    if marker is None:
        fix = f'mark the test: @pytest.mark.{_NAME}("100 ms")'
        pytest.fail(f"{_NAME}: there is no budget; {fix}", pytrace=False)
    given = dict(marker.kwargs)
    chosen = config.getoption(_OPTION) or given.pop("inconclusive", None) or config.getini(_OPTION)
    given.pop("inconclusive", None)
    try:
        if chosen not in _CHOICES:
            what, fix = f"inconclusive cannot be {chosen!r}", f"choose of: {', '.join(_CHOICES)}"
            raise OptionError(what, where=_NAME, fix=fix)
        limit = _limit(marker, given)
        limit_s = None if limit is None else parse_seconds(limit)
        if "max_time_s" in given:
            given["max_time_s"] = parse_seconds(given["max_time_s"], "max_time_s")
        return Terms(limit_s, **given), chosen
    except (HarnessError, TypeError) as error:
        words = str(error).replace("Terms.__init__()", f"the mark {_NAME}")
        pytest.fail(words, pytrace=False)


def _limit(marker: pytest.Mark, given: dict[str, Any]) -> object:
    """What the mark gives first, or by name; None for nothing."""
    if len(marker.args) + ("limit" in given) > 1:
        message = f"{_NAME} takes one limit, and all else by name"
        raise TypeError(message)
    return marker.args[0] if marker.args else given.pop("limit", None)


def _told(check: Callable[..., _Found], *arguments: object) -> _Found:
    """What ``check`` finds; an error of the harness fails the test without a traceback."""
    from harness.errors import HarnessError  # noqa: PLC0415

    __tracebackhide__ = True
    try:
        return check(*arguments)
    except HarnessError as error:
        pytest.fail(str(error), pytrace=False)
