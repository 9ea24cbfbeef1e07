"""What a report says of how far its figures can be trusted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.trust import (
    energy_sentences,
    half_width,
    state_sentences,
    unsettled_sentences,
)
from harness.states import (
    FAIL,
    FLAG,
    NOTE,
    UNKNOWN,
    Block,
    DeviceState,
    Finding,
    HostState,
    Validity,
)
from harness.stats.budget import Verdict
from harness.types import CONCURRENT, HOT, PACED, Budget, Replication
from tests.report.devices import CPU, FP32, make_record

if TYPE_CHECKING:
    from harness.types import Measurement, Record


def spread(count: int, rel: float, middle_s: float = 1e-3) -> tuple[float, ...]:
    """Evenly spread by ``rel`` about the middle, in an order in which none is like the next."""
    return tuple(
        middle_s * (1 + rel * ((index * 7 % count) / (count - 1) - 0.5)) for index in range(count)
    )


def with_verdicts(record: Record, **verdicts: dict[str, Any]) -> Record:
    """``record`` with other facts of the components that are named."""
    changed = tuple(
        replace(m, **{"verdict": "converged", **verdicts.get(m.component, {})})
        for m in record.measurements
    )
    return replace(record, measurements=changed)


def open_for(reason: str, **facts: Any) -> dict[str, Any]:
    return {"verdict": "inconclusive", "verdict_reason": reason, "rel_precision": 0.005, **facts}


def measurement(latency_s: tuple[float, ...]) -> Measurement:
    return replace(make_record(CPU).measurements[0], latency_s=latency_s)


def test_what_is_settled_needs_no_word() -> None:
    assert unsettled_sentences(figures_of(with_verdicts(make_record(CPU, FP32)))) == []


def test_a_record_without_verdicts_has_nothing_to_tell() -> None:
    assert unsettled_sentences(figures_of(make_record(CPU, FP32))) == []


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("time", "the time was spent"),
        ("samples", "the samples were spent"),
        ("bimodal", "bimodal: two modes of about equal weight"),
        ("not steady", "the warm-up ended unsteady"),
        ("interrupted", "interrupted"),
        ("blocks rejected", "blocks were rejected"),
        ("something else", "something else"),
    ],
)
def test_why_a_series_is_open_is_told_in_words(reason: str, words: str) -> None:
    noisy = spread(50, 0.3, 2e-3)
    record = with_verdicts(make_record(CPU), encoder=open_for(reason, latency_s=noisy))

    (sentence,) = unsettled_sentences(figures_of(record))

    assert sentence.startswith("INCONCLUSIVE, onnxruntime fp32, 1 s: 1 of 3 series are not known")
    assert f"to ±0.5% ({words}); the worst is encoder, whose median" in sentence
    width = half_width(replace(record.measurements[0], latency_s=noisy))
    assert 0.005 < width < 1
    assert sentence.endswith(f"ms is known to ±{width:.2%}")


def test_the_worst_of_several_is_named_and_each_cause_once() -> None:
    quiet, loud = spread(41, 0.02), spread(41, 0.2)
    record = with_verdicts(
        make_record(CPU, FP32),
        encoder=open_for("time", latency_s=quiet),
        decoder=open_for("bimodal", latency_s=loud),
        pipeline=open_for("time", latency_s=quiet),
    )

    first, second = unsettled_sentences(figures_of(record))

    assert "3 of 3 series" in first
    assert "(the time was spent; bimodal: two modes of about equal weight)" in first
    assert "the worst is decoder, whose median 1.00 ms is known to" in first
    assert second.startswith("INCONCLUSIVE, tensorrt fp32, graph, 1 s: ")


def test_too_few_samples_are_not_known_at_all() -> None:
    facts = open_for("interrupted", latency_s=(1e-3, 2e-3))
    (sentence,) = unsettled_sentences(figures_of(with_verdicts(make_record(CPU), decoder=facts)))
    assert sentence.endswith("the worst is decoder, whose median 1.50 ms is not known at all")


def test_a_precision_that_nobody_asked_for_is_not_told() -> None:
    facts = open_for("time", latency_s=(1e-3, 2e-3), rel_precision=None)
    (sentence,) = unsettled_sentences(figures_of(with_verdicts(make_record(CPU), decoder=facts)))
    assert "1 of 3 series are not known (the time was spent)" in sentence


def test_a_median_that_is_known_is_not_said_not_to_be_where_its_tail_is_waited_for() -> None:
    facts = open_for("tail: time", latency_s=spread(101, 0.001))
    record = with_verdicts(make_record(CPU), encoder=facts, decoder=facts)

    (sentence,) = unsettled_sentences(figures_of(record))

    assert "2 of 3 series have no upper bound of their p99 yet (the time was spent)" in sentence
    width = half_width(replace(record.measurements[0], latency_s=facts["latency_s"]))
    assert sentence.endswith(f"their medians are known to ±{width:.2%} or better")


def test_a_narrow_interval_does_not_mean_that_a_tail_was_waited_for() -> None:
    facts = open_for("time", latency_s=spread(101, 0.001))
    (sentence,) = unsettled_sentences(figures_of(with_verdicts(make_record(CPU), encoder=facts)))

    assert "p99" not in sentence
    assert "1 of 3 series are not known to ±0.5% (the time was spent)" in sentence
    assert "which two modes or few samples leave in doubt" in sentence


def test_several_processes_are_each_as_wide_as_their_own_samples() -> None:
    base = make_record(CPU)
    noisy = open_for("samples", latency_s=spread(150, 0.1))
    parts = tuple(
        replace(m, process=process, **(noisy if process < 3 else {"verdict": "converged"}))
        for process in range(8)
        for m in base.measurements
    )
    sentence, over = unsettled_sentences(figures_of(replace(base, measurements=parts)))

    assert "3 of 3 medians over processes are not known to ±0.5%" in over
    width = half_width(measurement(noisy["latency_s"]))
    pooled = half_width(measurement(noisy["latency_s"] * 8))
    assert pooled < width
    assert "3 of 3 series, in 3 of 8 processes, are not known to ±0.5%" in sentence
    assert sentence.endswith(f"encoder in process 0, whose median 1.00 ms is known to ±{width:.2%}")


def test_medians_and_tails_that_are_open_are_told_apart() -> None:
    record = with_verdicts(
        make_record(CPU),
        encoder=open_for("tail: samples", latency_s=spread(101, 0.001)),
        decoder=open_for("time", latency_s=spread(41, 0.2)),
    )
    median, tail = unsettled_sentences(figures_of(record))

    assert "1 of 3 series are not known to ±0.5% (the time was spent)" in median
    assert "1 of 3 series have no upper bound of their p99 yet (the samples were spent)" in tail


def test_copies_are_not_waited_for_and_not_complained_of() -> None:
    record = with_verdicts(make_record(FP32), host_to_device=open_for("not watched"))
    assert unsettled_sentences(figures_of(record)) == []


def test_half_a_width_is_infinite_where_nothing_bounds_it() -> None:
    assert half_width(measurement((1.0, 1.1, 1.2))) == math.inf
    assert half_width(measurement((0.0,) * 40)) == math.inf
    assert half_width(measurement((1.0,) * 40)) == 0.0


def test_half_a_width_grows_with_autocorrelation() -> None:
    mixed = [1.0 + 0.01 * ((index * 17) % 64) / 64 for index in range(64)]
    assert half_width(measurement(tuple(sorted(mixed)))) > half_width(measurement(tuple(mixed)))


# The machine.


def blocks(*rejected: str) -> tuple[Block, ...]:
    return tuple(Block("a", float(at), at + 0.5, 1, why) for at, why in enumerate(rejected))


def readings(count: int) -> tuple[DeviceState, ...]:
    return tuple(DeviceState(float(at), HostState()) for at in range(count))


def test_a_record_that_was_not_judged_has_nothing_to_tell() -> None:
    assert state_sentences(make_record(CPU)) == []


def test_a_good_machine_is_one_line() -> None:
    record = make_record(CPU, validity=Validity(), telemetry=readings(7), blocks=blocks("", ""))
    assert state_sentences(record) == ["Machine: valid (7 readings of the machine)"]


@pytest.mark.parametrize(
    ("levels", "status"),
    [
        ((NOTE,), "valid"),
        ((NOTE, FLAG), "flagged"),
        ((FLAG, FAIL), "invalid"),
        ((UNKNOWN, NOTE, FLAG), "unknown"),
        ((UNKNOWN, FAIL), "invalid"),
    ],
)
def test_every_finding_is_told_with_what_to_do(levels: tuple[str, ...], status: str) -> None:
    findings = tuple(Finding(level, f"{level} what", f"{level} fix") for level in levels)
    record = make_record(CPU, validity=Validity(findings), blocks=blocks("", "hot", "hot"))

    first, *rest = state_sentences(record)

    assert first == f"Machine: {status} (0 readings of the machine; 2 of 3 blocks do not count)"
    assert rest == [f"{level}: {level} what; {level} fix" for level in levels]


@pytest.mark.parametrize(("level", "inconclusive"), [(NOTE, False), (FLAG, False), (FAIL, True)])
def test_only_what_is_invalid_makes_the_figures_inconclusive(
    level: str, inconclusive: bool
) -> None:
    validity = Validity((Finding(level, "what", "fix"),))
    assert figures_of(make_record(CPU, validity=validity)).is_inconclusive is inconclusive


def test_json_has_the_verdicts_and_the_machines_state() -> None:
    validity = Validity((Finding(FLAG, "hot", "cool it"),))
    record = with_verdicts(
        make_record(CPU, validity=validity, telemetry=readings(2), blocks=blocks("", "hot")),
        decoder=open_for("time", rejected_latency_s=(1.0, 2.0)),
    )

    document = json.loads(to_json(figures_of(record)))

    told = {m["component"]: (m["verdict"], m["verdict_reason"]) for m in document["measurements"]}
    assert told["encoder"] == ("converged", "")
    assert told["decoder"] == ("inconclusive", "time")
    (decoder,) = (m for m in document["measurements"] if m["component"] == "decoder")
    assert decoder["rejected_latency_s"] == [1.0, 2.0]
    assert document["validity"] == {
        "status": "flagged",
        "findings": [{"level": "flag", "what": "hot", "fix": "cool it"}],
    }
    assert [block["rejected"] for block in document["blocks"]] == ["", "hot"]
    assert [state["monotonic_s"] for state in document["telemetry"]] == [0.0, 1.0]
    assert json.loads(to_json(figures_of(make_record(CPU))))["validity"] is None


# Energy.


def test_energy_is_that_of_whole_pipelines_with_the_idle_power_beside_it() -> None:
    record = with_verdicts(make_record(CPU, FP32), pipeline={"energy_j": 0.12345})

    (sentence,) = energy_sentences(figures_of(replace(record, idle_power_w=76.4)))

    assert sentence == (
        "Energy of one inference, idle power included (the GPU takes 76 W when idle): "
        "onnxruntime fp32, 1 s: 0.123 J; tensorrt fp32, graph, 1 s: 0.123 J"
    )
    (bare,) = energy_sentences(figures_of(record))
    assert "when idle" not in bare


def test_energy_that_was_not_measured_is_not_told() -> None:
    assert energy_sentences(figures_of(make_record(CPU, FP32, idle_power_w=76.0))) == []


@pytest.mark.parametrize(("passes", "is_open"), [((), False), ((50,) * 8, True)])
def test_a_tail_that_blocks_leave_open_has_no_bound_in_any_figure(
    passes: tuple[int, ...], is_open: bool
) -> None:
    """The blocks have levels of their own, which neighbours hardly show."""
    rng = np.random.default_rng(1)
    levels = np.repeat(rng.standard_normal(8), 50)
    latency_s = tuple(1e-3 + 2e-6 * levels + 4e-6 * rng.standard_normal(400))
    record = with_verdicts(
        make_record(CPU), pipeline={"latency_s": latency_s, "block_passes": passes}
    )
    budget = Budget(1.0, record.measurements[-1].duration_s, 1, "", "")

    figures = figures_of(replace(record, budget=budget))

    (judged,) = figures.budgets
    assert judged.verdict is not None
    assert math.isinf(judged.verdict.estimate.upper) == is_open
    assert math.isinf(figures.groups[0].pipeline.latency.p99.upper) == is_open
    assert judged.verdict.verdict is (Verdict.INCONCLUSIVE if is_open else Verdict.WITHIN)


def _processes(medians_s: list[float], asked: int) -> Record:
    base = make_record(CPU)
    parts = tuple(
        replace(m, process=process, verdict="converged", rel_precision=0.005, latency_s=(s,) * 50)
        for process, s in enumerate(medians_s)
        for m in base.measurements
    )
    return replace(base, measurements=parts, replication=Replication(asked, 1))


def test_a_median_over_few_processes_is_not_known_however_well_each_knows_its_own() -> None:
    (three,) = unsettled_sentences(figures_of(_processes([1e-3] * 3, 3)))
    assert three == (
        "INCONCLUSIVE, onnxruntime fp32, 1 s: over 3 processes no median has an interval; it takes "
        "6 (--processes 6)"
    )
    assert unsettled_sentences(figures_of(_processes([1e-3] * 6, 6))) == []


def test_a_median_over_processes_that_differ_is_not_known() -> None:
    record = _processes([1e-3] * 3 + [1.1e-3] * 3, 6)
    (sentence,) = unsettled_sentences(figures_of(record))
    assert "3 of 3 medians over processes are not known to ±0.5%; the worst is" in sentence
    assert "known to ±4.76%; more --processes can tell" in sentence


def test_what_arrived_in_two_ways_is_open_under_two_names() -> None:
    (whole,) = (m for m in make_record(CPU).measurements if m.component == "pipeline")
    open_ones = {**open_for("time", latency_s=spread(50, 0.3))}
    for other, names in (
        (
            [replace(whole, mode=CONCURRENT, streams=n, **open_ones) for n in (1, 4)],
            ("1 stream:", "4 streams:"),
        ),
        (
            [replace(whole, mode=mode, **open_ones) for mode in (PACED, HOT)],
            ("paced:", "hot:"),
        ),
    ):
        record = replace(make_record(CPU), measurements=tuple(other))
        sentences = unsettled_sentences(figures_of(record))
        for sentence, name in zip(sentences, names, strict=True):
            assert sentence.startswith(f"INCONCLUSIVE, onnxruntime fp32, 1 s, {name} 1 of 1 series")
