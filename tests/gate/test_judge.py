"""What passes a gate, what misses it, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.comparison.model import Figure
from harness.errors import OptionError
from harness.gate.judge import judge
from harness.gate.limits import Limits
from harness.report.gate_model import Status
from harness.states import FAIL, FLAG, Finding, Validity
from harness.types import MissingProcess, Replication, Variant
from tests.gate.made import (
    FASTER,
    INCONCLUSIVE,
    MOVED,
    SAME,
    SLOWER,
    comparison,
    found,
    head,
    row,
    samples,
)
from tests.history.records import measurement, record

if TYPE_CHECKING:
    from harness.stats.pairs import PairStatus
    from harness.types import Record

HOT = Validity((Finding(FAIL, "thermal slowdown", "cool it"),))
SPOILT = (
    {"is_complete": False},
    {"validity": HOT},
    {"replication": Replication(2, 1, missing=(MissingProcess(1, 0, "it died"),))},
)


def test_what_keeps_its_budget_passes() -> None:
    report = judge(head(), Limits())
    assert (report.status, report.exit_code) == (Status.PASS, 0)
    assert "WITHIN" in found(report, "budget").sentence
    asked = {check.name: check.status for check in report.checks}
    assert asked["regression"] is asked["accuracy"] is asked["energy"] is Status.NOT_ASKED


def test_what_is_over_its_budget_misses_it() -> None:
    report = judge(head(ms=60.0), Limits())
    assert (found(report, "budget").status, report.exit_code) == (Status.MISSED, 1)


def test_too_few_samples_are_inconclusive() -> None:
    report = judge(head(count=20), Limits())
    assert (found(report, "budget").status, report.exit_code) == (Status.INCONCLUSIVE, 3)


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("ms", [10.0, 60.0])
def test_no_time_of_a_record_that_is_not_whole_or_valid_counts(
    spoilt: dict[str, object], ms: float
) -> None:
    report = judge(head(ms, **spoilt), Limits(), comparison())
    assert report.exit_code == 3
    statuses = {found(report, name).status for name in ("record", "budget", "regression")}
    assert statuses == {Status.INCONCLUSIVE}


def test_a_floor_that_is_missed_stays_so_on_a_machine_that_is_too_hot() -> None:
    wrong = measurement(snr_db=10.0, min_snr_db=40.0)
    report = judge(head(validity=HOT, measurements=(wrong,)), Limits())
    assert (found(report, "accuracy").status, report.exit_code) == (Status.MISSED, 1)


def test_floors_are_kept_missed_or_open() -> None:
    def status(**scores: float | None) -> tuple[Status, str]:
        check = found(judge(record("a", [measurement(**scores)]), Limits()), "accuracy")
        return check.status, check.sentence

    assert status(snr_db=45.0, min_snr_db=40.0)[0] is Status.PASS
    assert "45.0 dB, floor 40 dB" in status(snr_db=45.0, min_snr_db=40.0)[1]
    assert status(snr_db=39.99, min_snr_db=40.0)[0] is Status.MISSED
    assert status(snr_db=None, min_snr_db=40.0)[0] is Status.INCONCLUSIVE
    assert status(snr_db=float("nan"), min_snr_db=40.0)[0] is Status.MISSED
    assert "exact, floor 40 dB" in status(snr_db=float("inf"), min_snr_db=40.0)[1]


def test_flags_pass_and_are_told() -> None:
    flagged = Validity((Finding(FLAG, "others worked", "end them"),))
    check = found(judge(head(validity=flagged), Limits()), "record")
    assert (check.status, "others worked" in check.sentence) == (Status.PASS, True)


@pytest.mark.parametrize(
    ("status", "is_discovery", "expected", "code"),
    [
        (SAME, True, Status.PASS, 0),
        (FASTER, True, Status.PASS, 0),
        (FASTER, False, Status.PASS, 0),
        (SLOWER, True, Status.MISSED, 1),
        (SLOWER, False, Status.INCONCLUSIVE, 3),
        (INCONCLUSIVE, True, Status.INCONCLUSIVE, 3),
    ],
)
def test_a_regression_is_one_of_the_whole_pipeline(
    status: PairStatus, is_discovery: bool, expected: Status, code: int
) -> None:
    whole = row("pipeline", status, 1.03, is_discovery=is_discovery, reason="too few")
    report = judge(head(), Limits(), comparison((row("vocoder", SLOWER, 1.5, 0.1), whole)))
    assert (found(report, "regression").status, report.exit_code) == (expected, code)


def test_what_is_missed_wins_over_what_is_open() -> None:
    report = judge(head(count=20), Limits(), comparison())
    assert found(report, "budget").status is Status.INCONCLUSIVE
    assert (report.status, report.exit_code) == (Status.MISSED, 1)


def test_another_machine_as_baseline_is_inconclusive_and_says_what_differs() -> None:
    rows = (*MOVED[:-1], row("pipeline", SLOWER, 1.05, figures=(Figure("energy_j", 1.0, 2.0),)))
    compared = comparison(rows, differences=("cpu some / other", "driver 1 / 2"))
    report = judge(head(), Limits(max_energy_rise=0.1), compared)
    assert report.exit_code == 3
    for name in ("regression", "energy"):
        check = found(report, name)
        assert check.status is Status.INCONCLUSIVE
        assert "not the same environment: cpu some / other, driver 1 / 2" in check.sentence
    assert found(report, "budget").status is Status.PASS


def test_a_baseline_that_is_invalid_is_inconclusive() -> None:
    report = judge(head(), Limits(), comparison(), [record("b", validity=HOT)])
    check = found(report, "regression")
    assert check.status is Status.INCONCLUSIVE
    assert "the baseline b: the machine's state makes it invalid (thermal slowdown)" in (
        check.sentence
    )


def test_times_that_are_made_up_count_only_where_they_are_asked_for() -> None:
    made_up = tuple(replace(one, simulated=True) for one in head(60.0).measurements)
    made = head(measurements=made_up)
    assert judge(made, Limits()).exit_code == 3
    report = judge(made, Limits(takes_simulated=True))
    assert (report.exit_code, report.is_simulated) == (1, True)


def test_what_is_skipped_is_not_asked_and_still_told() -> None:
    report = judge(head(60.0), Limits(skipped=("budget",)))
    check = found(report, "budget")
    assert (check.status, report.exit_code) == (Status.NOT_ASKED, 0)
    assert "MISSED" in check.sentence


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, Status.NOT_ASKED), (0.05, Status.MISSED), (0.1, Status.PASS), (0.2, Status.PASS)],
)
@pytest.mark.parametrize("name", ["energy", "memory"])
def test_rises_of_energy_and_memory(name: str, limit: float | None, expected: Status) -> None:
    figures = (Figure("energy_j", 1.0, 1.1), Figure("memory_bytes", 1e6, 1.1e6))
    limits = Limits(**{f"max_{name}_rise": limit})
    report = judge(head(), limits, comparison((row(figures=figures),)))
    check = found(report, name)
    assert check.status is expected
    assert "+10.00 %" in check.sentence


@pytest.mark.parametrize("figures", [(), (Figure("energy_j", None, 1.0),)])
def test_energy_that_was_asked_for_and_not_measured_is_inconclusive(
    figures: tuple[Figure, ...],
) -> None:
    rows = comparison((row(figures=figures),))
    assert found(judge(head(), Limits(), rows), "energy").status is Status.NOT_ASKED
    asked = judge(head(), Limits(max_energy_rise=0.1), rows)
    assert (found(asked, "energy").status, asked.exit_code) == (Status.INCONCLUSIVE, 3)
    no_baseline = judge(head(), Limits(max_energy_rise=0.1))
    assert found(no_baseline, "energy").status is Status.INCONCLUSIVE


@pytest.mark.parametrize("name", ["energy", "memory"])
@pytest.mark.parametrize(
    ("base", "head_has", "told"),
    [
        (None, 1.0, "of the baseline is not known"),
        (1.0, None, "of the head is not known"),
        (None, None, "of the baseline and the head is not known"),
        (0.0, 2.0, "no ratio can be made of 0 to"),
    ],
)
def test_one_figure_that_is_known_does_not_answer_for_another(
    name: str, base: float | None, head_has: float | None, told: str
) -> None:
    figure = {"energy": "energy_j", "memory": "memory_bytes"}[name]
    rows = (
        row(figures=(Figure(figure, 1.0, 1.0),)),
        row(figures=(Figure(figure, base, head_has),), variant=Variant("onnxruntime", "fp16")),
        # The peer does not ship.
        row(variant=Variant("torch", "fp32")),
    )
    report = judge(head(), Limits(**{f"max_{name}_rise": 0.1}), comparison(rows))
    checks = {c.subject: c for c in report.checks if c.name == name}
    assert {subject: check.status for subject, check in checks.items()} == {
        "onnxruntime fp32, 1 s, hot": Status.PASS,
        "onnxruntime fp16, 1 s, hot": Status.INCONCLUSIVE,
    }
    assert told in checks["onnxruntime fp16, 1 s, hot"].sentence
    assert report.exit_code == 3
    unasked = [c for c in judge(head(), Limits(), comparison(rows)).checks if c.name == name]
    assert [check.status for check in unasked] == [Status.NOT_ASKED]


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_rise_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(OptionError, match="is no rise") as caught:
        Limits(max_memory_rise=value)
    assert caught.value.where == "--max-memory-rise"


def test_a_variant_that_the_baseline_has_not_is_inconclusive() -> None:
    more = (*head().measurements, measurement(precision="fp16"))
    report = judge(head(measurements=more), Limits(skipped=("budget",)), comparison())
    checks = {c.subject: c.status for c in report.checks if c.name == "regression"}
    assert checks == {
        "onnxruntime fp32, 1 s, hot": Status.MISSED,
        "onnxruntime fp16, 1 s, hot": Status.INCONCLUSIVE,
    }


def test_what_the_baseline_has_and_the_head_lacks_is_inconclusive() -> None:
    names = ("encoder", "vocoder", "decoder", "gone", "pipeline")
    fp16 = [measurement(name, precision="fp16") for name in ("vocoder", "pipeline")]
    base = record("b", [*(measurement(name) for name in names), *fp16])
    report = judge(head(), Limits(), comparison((row(),)), [base])
    told = {c.subject: (c.status, c.sentence) for c in report.checks if c.name == "regression"}
    lacks = "the head has nothing measured of it, and the baseline has"
    alike = "no pair of processes has measured it"
    assert told == {
        "onnxruntime fp32, 1 s, hot": (Status.PASS, told["onnxruntime fp32, 1 s, hot"][1]),
        "encoder, vocoder, decoder, onnxruntime fp32, 1 s, hot": (Status.INCONCLUSIVE, alike),
        "gone, onnxruntime fp32, 1 s, hot": (Status.INCONCLUSIVE, lacks),
        "onnxruntime fp16, 1 s, hot": (
            Status.INCONCLUSIVE,
            f"{lacks}; so it is with vocoder",
        ),
    }
    assert report.exit_code == 3
    assert judge(head(), Limits(skipped=("regression",)), comparison(), [base]).exit_code == 0


def test_what_was_timed_otherwise_says_how() -> None:
    base = record("b", [measurement(threads=8)])
    other = row("pipeline", variant=Variant("onnxruntime", "fp16"))
    checks = judge(head(), Limits(), comparison((other,)), [base]).checks
    told = {c.subject: c.sentence for c in checks if c.name == "regression"}
    sentence = told["onnxruntime fp32, 1 s, hot"]
    assert sentence == "it was not timed alike: perf_counter, 8 threads / perf_counter, 2 threads"


def test_a_peer_that_is_gone_is_no_check_unless_it_was_alone() -> None:
    def subjects(base: Record) -> list[str]:
        checks = judge(head(), Limits(), comparison(MOVED), [base]).checks
        return [c.subject for c in checks if c.name == "regression"]

    peer, own = measurement(backend="torch"), measurement()
    assert subjects(record("b", [own, peer])) == ["onnxruntime fp32, 1 s, hot"]
    torch = tuple(replace(one, backend="torch") for one in head().measurements)
    compared = comparison((row(variant=Variant("torch", "fp32")),))
    base = record("b", [peer, replace(peer, precision="fp16")])
    report = judge(head(measurements=torch[-1:]), Limits(skipped=("budget",)), compared, [base])
    assert [c.subject for c in report.checks if c.name == "regression"] == [
        "torch fp32, 1 s, hot",
        "torch fp16, 1 s, hot",
    ]
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("status", "without_turns", "expected"),
    [
        (SLOWER, False, Status.INCONCLUSIVE),
        (SLOWER, True, Status.MISSED),
        (SAME, False, Status.PASS),
        (FASTER, False, Status.PASS),
        (INCONCLUSIVE, True, Status.INCONCLUSIVE),
    ],
)
def test_what_is_slower_and_took_no_turns_may_be_a_drift(
    status: PairStatus, without_turns: bool, expected: Status
) -> None:
    limits = Limits(without_turns=without_turns)
    rows = (row("pipeline", status, 1.05),)
    report = judge(head(), limits, comparison(rows, is_paired=False))
    check = found(report, "regression")
    assert check.status is expected
    is_doubt = status is SLOWER and not without_turns
    assert ("--without-turns" in check.sentence) is is_doubt
    assert "took no turns" in report.remarks[0]
    assert ("as asked (--without-turns)" in report.remarks[0]) is without_turns
    # Of an A/B the option changes nothing.
    paired = judge(head(), limits, comparison((row("pipeline", SLOWER, 1.05),)))
    assert (paired.exit_code, paired.remarks) == (1, ())


def test_streams_are_series_of_their_own() -> None:
    many = [measurement(mode="concurrent", streams=n, latency_s=samples()) for n in (1, 4)]
    one = row("pipeline", SAME, mode="concurrent")
    report = judge(record("a", many), Limits(skipped=("budget",)), comparison((one,)))
    checks = {c.subject: c.status for c in report.checks if c.name == "regression"}
    assert checks == {
        "onnxruntime fp32, 1 s, concurrent": Status.PASS,
        "onnxruntime fp32, 1 s, concurrent, 4 streams": Status.INCONCLUSIVE,
    }


def test_the_peer_is_held_against_nothing_unless_it_is_alone() -> None:
    peer = row("pipeline", SLOWER, 1.5, variant=Variant("torch", "fp32"))
    made: Record = head()
    both = judge(made, Limits(), comparison((row(), peer)))
    assert found(both, "regression").status is Status.PASS
    torch = tuple(replace(one, backend="torch") for one in made.measurements)
    alone = judge(replace(made, measurements=torch), Limits(), comparison((peer,)))
    assert found(alone, "regression").status is Status.MISSED


def test_deadlines_are_checked_where_work_was_paced() -> None:
    def status(missed: int) -> Status:
        paced = measurement(mode="paced", period_s=0.1, missed_deadlines=missed)
        return found(judge(record("a", [paced]), Limits()), "deadlines").status

    assert (status(0), status(3)) == (Status.PASS, Status.MISSED)
    assert not [c for c in judge(head(), Limits()).checks if c.name == "deadlines"]


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [
        (SAME, Status.INCONCLUSIVE),
        (FASTER, Status.INCONCLUSIVE),
        (SLOWER, Status.MISSED),
        (INCONCLUSIVE, Status.MISSED),
    ],
)
def test_what_is_slower_in_time_and_not_in_cycles_is_the_clocks(
    cycles: PairStatus, expected: Status
) -> None:
    whole = row("pipeline", SLOWER, 1.03)
    whole = replace(whole, cycles=row("pipeline", cycles, 1.0).time)
    check = found(judge(head(), Limits(), comparison((whole,))), "regression")
    assert check.status is expected
    assert ("it is the clock's" in check.sentence) is (expected is Status.INCONCLUSIVE)


def test_what_the_checks_say_of_the_head_is_not_said_again() -> None:
    findings = ("a is flagged: others worked", "b is flagged: others worked", "only of the head: x")
    assert judge(head(), Limits(), comparison(findings=findings)).remarks == findings[1:]


def test_a_record_of_nothing_is_inconclusive() -> None:
    report = judge(head(measurements=()), Limits())
    assert (found(report, "record").status, report.exit_code) == (Status.INCONCLUSIVE, 3)
    assert "nothing was measured" in found(report, "record").sentence
