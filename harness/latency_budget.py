"""Hold a call, or a pipeline, against a latency budget: what the pytest plugin is made of."""

from __future__ import annotations

import functools
import inspect
import math
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from harness.api import benchmark_end_to_end_latency
from harness.budget_doubts import SIMULATED, RecordDoubts
from harness.errors import OptionError
from harness.measure.clock import HostClock
from harness.measure.environment import describe_environment
from harness.measure.sampler import Group, SamplingPlan
from harness.measuring import CaseMeasuring, Watch
from harness.pipeline.loader import load_pipeline
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.words import bare_milliseconds, milliseconds
from harness.states import UNKNOWN, Finding, Validity
from harness.stats.budget import BudgetVerdict, Verdict, judge_budget, judge_processes
from harness.stats.stopping import TAIL, Decision, Status, give_up, next_look
from harness.stats.validity import RetryPolicy
from harness.types import Case
from harness.watching import describe_gpu, open_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.measure.clock import Clock
    from harness.types import Measurement, Record

WHERE: Final = "latency_budget"
_UNREAD: Final = Validity(
    (Finding(UNKNOWN, "the record tells nothing of the machine", "measure it again"),)
)
_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s)\s*")


def parse_seconds(value: object, name: str = "the limit") -> float:
    """The seconds that ``value`` means: a number of them, or a text such as ``100 ms``.

    Raises:
        OptionError: it means none, or not more than 0.
    """
    seconds = math.nan
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        seconds = float(found[1]) * _UNITS_S[found[2]] if found else math.nan
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    if not 0.0 < seconds < math.inf:
        fix = 'give something like "100 ms", or a number of seconds'
        raise OptionError(f"{name} cannot be {value!r}", where=WHERE, fix=fix)
    return seconds


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0.0 < value < 1.0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class Terms:
    """What is asked: that the ``quantile`` of the latency is at most ``limit_s`` (seconds).

    It is answered from its two-sided interval of ``confidence``. Measuring ends where that is known
    and there are ``samples`` of them, or after ``max_time_s``. ``telemetry`` has the machine read
    meanwhile, its GPU as well with ``gpu``. Without a limit a pipeline's own budget is taken. Times
    that are made up answer only with ``simulated``.
    """

    limit_s: float | None
    quantile: float = 0.99
    confidence: float = 0.95
    samples: int = 0
    max_time_s: float = 10.0
    telemetry: bool = True
    gpu: bool = False
    simulated: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be answered."""
        # A mark may hold anything.
        given: dict[str, Any] = vars(self)
        for name, is_good, fix in (
            ("quantile", _is_share(given["quantile"]), "give a share such as 0.99"),
            ("confidence", _is_share(given["confidence"]), "give a share such as 0.95"),
            ("samples", _is_count(given["samples"]), "give a whole number"),
            ("telemetry", isinstance(given["telemetry"], bool), "give True or False"),
            ("gpu", isinstance(given["gpu"], bool), "give True or False"),
            ("simulated", isinstance(given["simulated"], bool), "give True or False"),
        ):
            if not is_good:
                raise OptionError(f"{name} cannot be {given[name]!r}", where=WHERE, fix=fix)

    def __str__(self) -> str:
        """For messages: ``p99 <= 100 ms``."""
        return f"{self.name} <= {bare_milliseconds(self.limit_s or math.nan)} ms"

    def judge(
        self, latency_s: Sequence[float], limit_s: float, passes: Sequence[int] = ()
    ) -> BudgetVerdict:
        """Hold samples of one process, in blocks of ``passes``, against ``limit_s`` (seconds)."""
        return judge_budget(
            latency_s, limit_s, passes, quantile=self.quantile, confidence=self.confidence
        )

    @property
    def name(self) -> str:
        """The quantile's: ``p99``, ``p99.9``."""
        return f"p{100 * self.quantile:.6g}"


@dataclass(frozen=True)
class BudgetCheck:
    """The answer, and what it is answered from.

    ``verdict`` is ``inconclusive`` also where the machine's state lets nothing count, and where
    there are ``doubts``: why the samples do not answer. ``subject`` is what was measured, by
    ``clock``, on ``machine``.
    """

    terms: Terms
    subject: str
    latency_s: tuple[float, ...]
    judged: BudgetVerdict
    validity: Validity
    clock: str
    machine: str
    simulated: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether the budget is kept, missed, or neither can be told."""
        if self.doubts or self.validity.status == "invalid":
            return Verdict.INCONCLUSIVE
        return self.judged.verdict

    @property
    def line(self) -> str:
        """On one line: ``WITHIN, p99 <= 100 ms: p99 3.2 ms (3.1 to 3.4), n = 373``."""
        simulated = ", SIMULATED" if self.simulated else ""
        told = "; ".join((self._evidence, *self.doubts))
        return f"{self.verdict.name}{simulated}, {self.terms}: {told}"

    @property
    def text(self) -> str:
        """With the interval, the environment, and what can be done where it is not kept."""
        lines = [f"latency budget {self.line}"]
        lines += [f"  of: {self.subject}, median {milliseconds(median(self.latency_s))} ms"]
        lines += [f"  {self._advice}"] if self.verdict is not Verdict.WITHIN else []
        lines += [f"  on: {self.machine}; clock: {self.clock}; machine: {self.validity.status}"]
        lines += [f"  {f.level}: {f.what}; {f.fix}" for f in self.validity.findings]
        return "\n".join(lines)

    @property
    def _evidence(self) -> str:
        found = self.judged.estimate
        bounds = [
            f"{milliseconds(bound)} ms" if math.isfinite(bound) else "no bound"
            for bound in (found.lower, found.upper)
        ]
        return (
            f"{self.terms.name} is about {milliseconds(found.value)} ms, "
            f"{100 * self.terms.confidence:g} % interval {' to '.join(bounds)}, n = {found.count}"
        )

    @property
    def _advice(self) -> str:
        found, terms = self.judged.estimate, self.terms
        if self.validity.status == "invalid":
            return "the machine's state lets it not count, whatever the samples say"
        if self.doubts:
            return "that does not answer it, whatever the samples say"
        if self.judged.verdict is Verdict.MISSED:
            factor = found.lower / self.judged.limit_s
            return f"it is missed beyond doubt, by a factor of {factor:.2g} or more"
        if found.is_finite:
            return f"the limit lies within the interval: give samples={4 * found.count} or more"
        need, each_s = self.judged.samples_needed, median(self.latency_s)
        return (
            f"{terms.name} needs {need} samples or more, which take about {need * each_s:.3g} s "
            f"here: give a longer max_time_s than {terms.max_time_s:g} s, or a lower quantile"
        )


@dataclass(frozen=True)
class _Enough:
    """Stop where the quantile has both bounds, and there are as many samples as were asked for."""

    terms: Terms

    def next_look(self, count: int) -> int:
        """As of the other rules: each look is one more chance to stop on luck."""
        return next_look(count)

    def decide(self, samples: Sequence[float], passes: Sequence[int] = ()) -> Decision:
        """Converged, or to go on; the estimate is the quantile's."""
        found = self.terms.judge(samples, math.inf, passes).estimate
        is_enough = found.is_finite and found.count >= self.terms.samples
        return Decision(Status.CONVERGED if is_enough else Status.GO_ON, TAIL, found, 0.0)

    def give_up(self, decision: Decision, cause: str) -> Decision:
        """See :func:`harness.stats.stopping.give_up`."""
        return give_up(decision, cause)


@dataclass(frozen=True)
class _Plan(SamplingPlan):
    """Measures until the terms can be answered."""

    terms: Terms = field(default_factory=lambda: Terms(None))

    def rule(self, tick_s: float) -> _Enough:  # noqa: ARG002
        """The same for every clock."""
        return _Enough(self.terms)


def check_call(
    call: Callable[[], object], terms: Terms, subject: str, clock: Clock | None = None
) -> BudgetCheck:
    """Call again and again, and hold what each took against ``terms``.

    The call must return when its work is done: what it leaves to a device is not measured.

    Raises:
        OptionError: there is no limit, or the call returns what is still to be run.
        Exception: whatever the call raises.
    """
    limit_s, clock = _limit(terms), clock or HostClock()
    _check_done(call(), subject)

    def launch() -> None:
        call()

    group = Group({WHERE: launch}, clock, name=subject)
    plan = _Plan(max_time_s=terms.max_time_s, terms=terms)
    environment = _environment(has_gpu=terms.gpu) | {"load_average_1min": os.getloadavg()[0]}
    if terms.telemetry and not clock.is_simulated:
        with open_telemetry(environment, uses_gpu=terms.gpu) as watch:
            measuring = _measured(group, plan, watch)
    else:
        measuring = _measured(group, plan, Watch(tuple))
    result = measuring.series[WHERE].result
    return BudgetCheck(
        terms=terms,
        subject=subject,
        latency_s=result.latency_s,
        judged=terms.judge(result.latency_s, limit_s, result.block_passes),
        validity=measuring.validity,
        clock=clock.name,
        machine=_machine(environment) + _disturbing(),
        simulated=clock.is_simulated,
        doubts=(SIMULATED,) if clock.is_simulated and not terms.simulated else (),
    )


def _check_done(made: object, subject: str) -> None:
    """Refuse a coroutine and a generator: making one is quick, whatever it would do."""
    if inspect.iscoroutine(made):
        made.close()
    elif not inspect.isawaitable(made) and not inspect.isgenerator(made):
        return
    what = f"{subject} returns {type(made).__name__}, which is still to be run"
    raise OptionError(what, where=WHERE, fix="measure a call that runs it to its end")


def _measured(group: Group[str], plan: SamplingPlan, watch: Watch) -> CaseMeasuring[str]:
    # A test is not to wait for a machine to cool down.
    measuring = CaseMeasuring([group], plan, watch, RetryPolicy(max_retries=0))
    measuring.run()
    return measuring


def check_pipeline(
    pipeline: str | Path, terms: Terms, options: dict[str, Any] | None = None
) -> tuple[BudgetCheck, ...]:
    """Measure a pipeline, and hold every variant at every case against ``terms``.

    ``options`` are those of :func:`harness.benchmark_end_to_end_latency`. Unless they name
    durations or batches, those of the pipeline's budget are measured, if it declares one.

    Raises:
        OptionError: there is no limit, neither in the terms nor in the pipeline.
        HarnessError: it cannot be measured.
    """
    loaded, chosen = load_pipeline(pipeline), dict(options or {})
    budget = loaded.declaration.budget
    if terms.limit_s is None and budget is None:
        _limit(terms)
    if budget is not None and not {"durations_s", "batches"} & chosen.keys():
        chosen["durations_s"] = [budget.duration_s] if loaded.time_dimension else None
        chosen["batches"] = [budget.batch]
    chosen = {"max_time_s": terms.max_time_s, "tail": True, **chosen}
    record = benchmark_end_to_end_latency(loaded, **chosen)
    found = check_record(record, terms)
    return tuple(replace(check, machine=check.machine + _disturbing()) for check in found)


def check_record(record: Record, terms: Terms) -> tuple[BudgetCheck, ...]:
    """Hold every whole pipeline of ``record`` against ``terms``, or its own budget where that is.

    Raises:
        OptionError: there is no limit, or nothing was measured that it is of.
    """
    only, budget = None, record.budget
    if terms.limit_s is None and budget is not None:
        only = Case(budget.duration_s, budget.batch)
        terms = replace(terms, limit_s=budget.p99_s, quantile=0.99)
    limit_s = _limit(terms)
    series: dict[str, list[Measurement]] = {}
    for measured in record.measurements:
        case = Case(measured.duration_s, measured.batch)
        if measured.component == WHOLE_PIPELINE and only in {None, case}:
            streams = f", {measured.streams} streams" if measured.streams > 1 else ""
            subject = f"{record.pipeline}, {measured.variant}, {case}, {measured.mode}{streams}"
            series.setdefault(subject, []).append(measured)
    if not series:
        what, fix = "the whole pipeline was not measured at its size", "measure it there"
        raise OptionError(what, where=WHERE, fix=fix)
    doubts = RecordDoubts(record, takes_simulated=terms.simulated)
    return tuple(
        BudgetCheck(
            terms=terms,
            subject=subject,
            latency_s=tuple(sample for part in parts for sample in part.latency_s),
            judged=judge_processes(
                {index: part.latency_s for index, part in enumerate(parts)},
                limit_s,
                {index: part.passes for index, part in enumerate(parts)},
                quantile=terms.quantile,
                confidence=terms.confidence,
            ),
            validity=record.validity or _UNREAD,
            clock=parts[0].clock,
            machine=_machine(record.environment),
            simulated=any(part.simulated for part in parts),
            doubts=doubts.of(parts),
        )
        for subject, parts in series.items()
    )


def worst_of(checks: Iterable[BudgetCheck]) -> BudgetCheck:
    """That which the answer to all hangs on: one that misses, or is open, comes first."""
    order = (Verdict.MISSED, Verdict.INCONCLUSIVE, Verdict.WITHIN)
    return min(checks, key=lambda check: order.index(check.verdict))


def _limit(terms: Terms) -> float:
    if terms.limit_s is None:
        fix = 'give one: @pytest.mark.latency_budget("100 ms")'
        raise OptionError("there is no limit", where=WHERE, fix=fix)
    return terms.limit_s


@functools.lru_cache(maxsize=2)
def _environment(*, has_gpu: bool) -> dict[str, Any]:
    return describe_environment(Path.cwd(), gpu=describe_gpu() if has_gpu else None)


def _machine(environment: Mapping[str, Any]) -> str:
    """The machine in words."""
    gpu, cores = environment.get("gpu"), environment.get("cores_available")
    parts = [gpu["name"]] if gpu else []
    is_virtual = " (virtual machine)" if environment["is_virtual_machine"] else ""
    told = "" if cores is None else f", {cores} cores"
    load = environment["load_average_1min"]
    parts.append(f"{environment['cpu']}{is_virtual}{told}, load {load:.1f}")
    return "; ".join([*parts, f"Python {environment['python']}"])


def _disturbing() -> str:
    """What of pytest is in the way, in words; empty where nothing is known."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    told = f"; beside other workers of pytest-xdist ({worker})" if worker else ""
    is_traced = sys.gettrace() is not None or sys.getprofile() is not None
    return f"{told}; with a tracer or profiler on" if is_traced else told
