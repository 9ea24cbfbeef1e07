"""A call or a pipeline held against a budget: what is measured, and what is answered."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.special import ndtri

from harness.backends.simulated import SimulationOptions
from harness.errors import OptionError
from harness.latency_budget import (
    Terms,
    check_call,
    check_pipeline,
    check_record,
    parse_seconds,
    worst_of,
)
from harness.measure.clock import HostClock
from harness.measuring import Watch
from harness.pipeline.pipeline import TRANSFERS
from harness.states import FAIL, Finding, Validity
from harness.stats.budget import Verdict
from harness.types import Budget, MissingProcess, Replication
from tests.report.devices import CPU, FLAG, FP32, make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.latency_budget import BudgetCheck

# Without telemetry, so that nothing is started.
ALONE: dict[str, Any] = {"telemetry": False}
# Its multiples are spread evenly, however many there are.
GOLDEN = 0.6180339887


class Noisy:
    """A clock by which a launch takes about ``middle_s``: samples differ, and blocks are alike.

    However many launches warm up, which goes by the machine's own clock.
    """

    name, is_simulated = "a made up host", False

    def __init__(self, middle_s: float = 1e-3, rel: float = 0.01) -> None:
        self.middle_s, self.rel = middle_s, rel
        self.count = 0

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        for launch in launches:
            launch()
        first, self.count = self.count, self.count + len(launches)
        shares = GOLDEN * np.arange(first + 1, self.count + 1) % 1
        return tuple((self.middle_s * (1.0 + self.rel * ndtri(shares))).tolist())


def nothing() -> None:
    """A call of which the clock tells the time."""


def check(limit_s: float, clock: Noisy | None = None, **terms: Any) -> BudgetCheck:
    asked = Terms(limit_s, **(ALONE | terms))
    return check_call(nothing, asked, "a call", clock or Noisy())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("100 ms", 0.1),
        ("2s", 2.0),
        (" 1.5 us ", 1.5e-6),
        ("1.5µs", 1.5e-6),
        (".5 ns", 0.5e-9),
        (3, 3.0),
        (0.25, 0.25),
    ],
)
def test_a_limit_has_a_unit_or_is_in_seconds(value: object, seconds: float) -> None:
    assert parse_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["", "100", "fast", "1 min", "-1 ms", "1e3 ms", 0, -1, math.inf, math.nan, True, None]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match=r'the limit cannot be .*; give something like "100 ms"'):
        parse_seconds(value)


@pytest.mark.parametrize(
    "terms",
    [
        {"quantile": 1.0},
        {"quantile": 99},
        {"quantile": "p99"},
        {"confidence": 0.0},
        {"samples": -1},
        {"samples": 1.5},
        {"samples": True},
        {"telemetry": "yes"},
        {"gpu": 1},
        {"simulated": "yes"},
    ],
)
def test_terms_that_cannot_be_answered_are_refused(terms: dict[str, Any]) -> None:
    (name,) = terms
    with pytest.raises(OptionError, match=f"latency_budget: {name} cannot be "):
        Terms(0.1, **terms)


def test_a_budget_is_kept_missed_or_open_by_its_interval() -> None:
    within, missed, between = (check(limit_s) for limit_s in (1.1e-3, 0.9e-3, 1.0235e-3))

    assert within.verdict is Verdict.WITHIN
    assert missed.verdict is Verdict.MISSED
    assert between.verdict is Verdict.INCONCLUSIVE
    estimate = between.judged.estimate
    assert estimate.lower <= 1.0235e-3 < estimate.upper
    assert "p99 <= 1.0235 ms: p99 is about 1.02 ms, 95 % interval 1.02 ms to " in between.line
    assert "give samples=" in between.text
    assert "it is missed beyond doubt, by a factor of 1.1 or more" in missed.text
    assert within.text.splitlines()[0].startswith("latency budget WITHIN, p99 <= 1.1 ms: p99 is")


def test_a_text_tells_the_samples_the_machine_and_the_clock() -> None:
    found = check(1.1e-3)

    assert f"n = {len(found.latency_s)}" in found.line
    assert "of: a call, median " in found.text
    assert "; clock: a made up host; machine: unknown" in found.text
    assert "Python 3." in found.machine
    assert ", load " in found.machine
    assert "SIMULATED" not in found.text


@pytest.mark.parametrize(("quantile", "count"), [(0.5, 32), (0.9, 40), (0.99, 373)])
def test_it_ends_at_the_first_look_at_which_the_quantile_is_known(
    quantile: float, count: int
) -> None:
    found = check(1.1e-3, quantile=quantile)

    assert len(found.latency_s) == count
    assert found.judged.estimate.quantile == quantile


def test_more_samples_are_taken_where_they_are_asked_for() -> None:
    assert len(check(1.1e-3, samples=1000).latency_s) == 1137


def test_the_samples_that_are_asked_for_are_no_more_than_time_allows() -> None:
    found = check(1.1e-3, samples=10**9, max_time_s=0.05)

    assert 0 < len(found.latency_s) < 10**6


def test_what_is_too_slow_for_the_time_is_open_and_says_how_long_it_takes() -> None:
    found = check(2.0, Noisy(1.0), max_time_s=1e-9)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert " ms to no bound, n = " in found.line
    assert "p99 needs 368 samples or more, which take about 36" in found.text
    assert "give a longer max_time_s than 1e-09 s" in found.text


def test_few_samples_show_that_a_budget_is_missed() -> None:
    found = check(1e-3, Noisy(1.0), max_time_s=1e-9)

    assert len(found.latency_s) <= 8
    assert found.verdict is Verdict.MISSED


def test_what_the_call_raises_is_raised() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_call(fail, Terms(1.0, **ALONE), "fail")


async def answer_later() -> int:
    return 1


@pytest.mark.parametrize(
    ("call", "kind"), [(answer_later, "coroutine"), (lambda: (n for n in "ab"), "generator")]
)
def test_what_is_still_to_be_run_is_refused(call: Callable[[], object], kind: str) -> None:
    with pytest.raises(OptionError, match=f"a call returns {kind}, which is still to be run"):
        check_call(call, Terms(1.0, **ALONE), "a call")


def test_there_is_no_answer_without_a_limit() -> None:
    with pytest.raises(OptionError, match=r"there is no limit; give one: @pytest\.mark"):
        check_call(nothing, Terms(None), "a call")


@pytest.mark.parametrize("limit_s", [1.1e-3, 0.9e-3])
def test_a_machine_that_lets_nothing_count_leaves_every_budget_open(
    monkeypatch: pytest.MonkeyPatch, limit_s: float
) -> None:
    drivers = iter(["580.1", "570.2"])

    @contextmanager
    def changing(*_: object, **__: object) -> Iterator[Watch]:
        yield Watch(tuple, "GPU-0", lambda: next(drivers))

    monkeypatch.setattr("harness.latency_budget.open_telemetry", changing)
    found = check(limit_s, telemetry=True)

    assert found.judged.verdict is not Verdict.INCONCLUSIVE
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the machine's state lets it not count, whatever the samples say" in found.text
    assert "fail: the GPU's driver changed during the run: 580.1, then 570.2" in found.text


def test_the_machine_is_read_while_a_call_is_measured() -> None:
    def work() -> int:
        return sum(range(50_000))

    class Even(HostClock):
        """The work is done, and the verdict hangs on no machine."""

        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            return tuple(1e-3 for _ in super().time_block(launches))

    # Long enough for a reading, which is made ten times a second.
    terms = Terms(60.0, quantile=0.5, samples=10**6, max_time_s=0.5)
    found = check_call(work, terms, "work", Even())

    assert found.verdict is Verdict.WITHIN
    assert (found.clock, found.simulated) == ("host", False)
    assert found.validity.status in {"valid", "flagged"}


def test_a_pipeline_is_held_against_its_own_budget_at_its_size(
    onnx_toy: Callable[..., Path], shared_cache: Cache
) -> None:
    options: dict[str, Any] = {
        "backends": ["simulated"],
        "simulation": SimulationOptions(),
        "threads": 1,
        "cache": shared_cache.root,
    }
    root = onnx_toy(("durations_s = [0.5]", "durations_s = [0.25, 0.5]"))
    (own,) = check_pipeline(root, Terms(None, simulated=True), options)
    both = options | {"durations_s": [0.25, 0.5]}
    several = check_pipeline(root, Terms(1e-6, simulated=True), both)

    assert own.verdict is Verdict.WITHIN
    assert own.subject == "toy, simulated fp32, 0.5 s, hot"
    assert own.line.startswith("WITHIN, SIMULATED, p99 <= 100 ms: p99 is about ")
    assert [one.subject for one in several] == [
        "toy, simulated fp32, 0.25 s, hot",
        "toy, simulated fp32, 0.5 s, hot",
    ]
    assert worst_of(several).verdict is Verdict.MISSED
    with pytest.raises(OptionError, match="the whole pipeline was not measured at its size"):
        check_pipeline(root, Terms(None), options | {"durations_s": [0.25]})


def test_every_variant_of_a_record_is_judged_and_the_worst_tells() -> None:
    # 576 ms and 6.4 ms.
    record = make_record(CPU, FP32)
    checks = check_record(record, Terms(0.1))

    assert [one.verdict for one in checks] == [Verdict.MISSED, Verdict.WITHIN]
    assert worst_of(checks) is checks[0]
    assert worst_of(checks[1:]).subject == "voice, tensorrt fp32, graph, 1 s, hot"
    with pytest.raises(OptionError, match="there is no limit"):
        check_record(record, Terms(None))
    budget = Budget(p99_s=0.01, duration_s=1.0, batch=1, includes="", excludes="")
    own = check_record(replace(record, budget=budget), Terms(None, quantile=0.5))
    assert {(one.terms.limit_s, one.terms.quantile) for one in own} == {(0.01, 0.99)}


@pytest.mark.parametrize("limit_s", [0.1, 1e-6])
def test_made_up_times_answer_only_where_they_are_asked_for(limit_s: float) -> None:
    record = make_record(FP32)
    made_up = tuple(replace(m, simulated=True) for m in record.measurements)
    record = replace(record, measurements=made_up)
    (open_one,) = check_record(record, Terms(limit_s))
    (taken,) = check_record(record, Terms(limit_s, simulated=True))

    assert open_one.verdict is Verdict.INCONCLUSIVE
    assert "its times are simulated, and count only with simulated=True" in open_one.line
    assert taken.verdict is taken.judged.verdict is not Verdict.INCONCLUSIVE


def test_a_simulated_clock_answers_only_where_it_is_asked_for() -> None:
    class MadeUp(Noisy):
        is_simulated = True

    assert check(1.0, MadeUp()).verdict is Verdict.INCONCLUSIVE
    assert check(1.0, MadeUp(), simulated=True).verdict is Verdict.WITHIN


def test_a_run_that_is_not_whole_answers_nothing() -> None:
    record = make_record(FP32)
    (cut_off,) = check_record(replace(record, is_complete=False), Terms(0.1))
    lost = Replication(2, 1, missing=(MissingProcess(1, 0, "it died"),))
    (one_of_two,) = check_record(replace(record, replication=lost), Terms(0.1))

    for found, reason in (
        (cut_off, "the run was interrupted"),
        (one_of_two, "1 of its processes measured nothing"),
    ):
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.line.endswith(f"; {reason}")
        assert "that does not answer it, whatever the samples say" in found.text


@pytest.mark.parametrize("component", ["pipeline", "encoder"])
@pytest.mark.parametrize(
    ("snr_db", "reason"),
    [
        (45.5, "is wrong: 45.5 dB against PyTorch fp32, the floor is 60 dB"),
        (None, "was not held against its floor of 60 dB"),
    ],
)
def test_outputs_that_are_wrong_or_unchecked_answer_nothing(
    component: str, snr_db: float | None, reason: str
) -> None:
    record = make_record(FP32, FLAG)
    series = tuple(
        replace(m, snr_db=snr_db, min_snr_db=60.0)
        if (m.variant, m.component) == (FLAG, component)
        else replace(m, min_snr_db=45.0)
        for m in record.measurements
        if m.component not in TRANSFERS
    )
    good, bad = check_record(replace(record, measurements=series), Terms(0.1))

    assert good.verdict is Verdict.WITHIN
    assert bad.verdict is Verdict.INCONCLUSIVE
    assert f"{component} (tensorrt, " in bad.line
    assert bad.line.endswith(reason)


def test_a_record_that_tells_nothing_of_the_machine_is_not_called_valid() -> None:
    (found,) = check_record(make_record(FP32), Terms(0.1))

    assert found.validity.status == "unknown"
    assert "; machine: unknown" in found.text


def test_an_invalid_record_is_open_and_processes_are_judged_apart() -> None:
    record = make_record(FP32)
    invalid = Validity((Finding(FAIL, "too hot", "cool it"),))
    (open_one,) = check_record(replace(record, validity=invalid), Terms(0.1))
    slow = tuple(
        replace(m, process=1, latency_s=tuple(0.2 for _ in m.latency_s))
        for m in record.measurements
    )
    both = replace(record, measurements=(*record.measurements, *slow))
    (found,) = check_record(both, Terms(0.1))

    assert open_one.verdict is Verdict.INCONCLUSIVE
    assert found.verdict is Verdict.MISSED
    assert (found.judged.processes, found.judged.missed_in) == (2, 1)
