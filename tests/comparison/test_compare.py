"""Records held against each other: what is judged, what is refused, and what is told."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.comparison.compare import check_valid, compare_records
from harness.comparison.model import CHANGES, Figure
from harness.errors import ComparisonError, RecordError
from harness.states import FAIL, FLAG, Finding, Validity
from harness.stats.pairs import PairRule, PairStatus, judge_pairs, judge_unpaired
from harness.types import CONCURRENT, Replication
from tests.comparison.made import NOISE, side
from tests.history.records import measurement, record

if TYPE_CHECKING:
    from harness.comparison.model import Comparison, SeriesComparison
    from harness.types import Record

RULE = PairRule()
SLOWER, FASTER, SAME, INCONCLUSIVE = (
    PairStatus.SLOWER,
    PairStatus.FASTER,
    PairStatus.SAME,
    PairStatus.INCONCLUSIVE,
)


def of(comparison: Comparison, component: str) -> SeriesComparison:
    (row,) = (row for row in comparison.rows if row.series.component == component)
    return row


def medians(record: Record, component: str) -> list[float]:
    return [median(m.latency_s) for m in record.measurements if m.component == component]


def test_each_series_is_judged_and_named() -> None:
    base = side("a", processes=16)
    head = side("b", {"decoder": 1.05, "encoder": 1 / 1.05}, processes=16, seed=1)

    found = compare_records([base], [head], RULE)

    assert [row.series.component for row in found.rows] == ["encoder", "decoder", "pipeline"]
    assert of(found, "decoder").status is SLOWER
    assert of(found, "decoder").time.ratio == pytest.approx(1.05, abs=3 * NOISE)
    assert of(found, "encoder").status is FASTER
    assert of(found, "pipeline").status is SAME
    assert found.status is SLOWER
    assert (found.is_paired, found.differences, found.findings) == (False, (), ())
    assert (found.base.label, found.head.label) == ("a", "b")
    row = of(found, "decoder")
    assert row.change_s == pytest.approx(0.05 * 4e-3, rel=0.1)
    assert row.cycles is None


def test_records_of_one_experiment_are_compared_by_pairs() -> None:
    # A drift that is larger than the change, and the same for both of a pair.
    drift = [1.0 + 0.01 * place for place in range(16)]
    base, head = (
        drifting(side(name, ratios, processes=16, seed=seed, experiment="x"), drift)
        for name, ratios, seed in (("a", {}, 0), ("b", {"decoder": 1.01}, 1))
    )

    paired = compare_records([base], [head], RULE)
    others = compare_records([base], [replace_experiment(head, "y")], RULE)

    row = of(paired, "decoder")
    assert (paired.is_paired, others.is_paired) == (True, False)
    assert row.status is SLOWER
    expected = judge_pairs(medians(base, "decoder"), medians(head, "decoder"), RULE)
    assert row.time == expected
    assert of(others, "decoder").status is INCONCLUSIVE
    expected = judge_unpaired(medians(base, "decoder"), medians(head, "decoder"), RULE)
    assert of(others, "decoder").time == expected


def drifting(one: Record, drift: list[float]) -> Record:
    moved = tuple(
        replace(m, latency_s=tuple(value * drift[m.process] for value in m.latency_s))
        for m in one.measurements
    )
    return replace(one, measurements=moved)


def replace_experiment(one: Record, experiment: str) -> Record:
    assert one.replication is not None
    return replace(one, replication=replace(one.replication, experiment=experiment))


def test_a_pair_without_one_of_its_processes_is_left_out() -> None:
    base = side("a", experiment="x", missing=[3])
    head = side("b", {"decoder": 1.05}, seed=1, experiment="x", missing=[5])

    found = compare_records([base], [head], RULE)

    kept = [place for place in range(12) if place not in {3, 5}]
    whole = [side("a"), side("b", {"decoder": 1.05}, seed=1)]
    expected = ([medians(one, "decoder")[place] for place in kept] for one in whole)
    assert of(found, "decoder").time == judge_pairs(*expected, RULE)
    assert found.findings == (
        "1 processes of a measured nothing",
        "1 processes of b measured nothing",
    )


def test_an_odd_process_keeps_its_number() -> None:
    base = side("a", experiment="x", missing=[3])
    head = drifting(side("b", seed=1, experiment="x"), [*[1.0] * 8, 0.98, *[1.0] * 3])

    assert of(compare_records([base], [head], RULE), "decoder").time.odd_head == (8,)


def test_processes_of_one_build_are_one_draw() -> None:
    def built(name: str, seed: int) -> Record:
        made = side(name, processes=12, seed=seed)
        moved = tuple(replace(m, build=m.process % 2) for m in made.measurements)
        return replace(made, measurements=moved, replication=Replication(6, 2))

    row = of(compare_records([built("a", 0)], [built("b", 1)], RULE), "decoder")

    assert row.time.pairs == 2
    assert row.time.reason == "too few for an interval at 98 %: 2 processes a side"


def test_rounds_of_a_commit_are_processes_of_its_side() -> None:
    base, head = (
        [side(f"{name}{place}", ratio, processes=1, seed=10 * place + n) for place in range(6)]
        for n, (name, ratio) in enumerate((("a", {}), ("b", {"decoder": 1.05})))
    )

    found = compare_records(base, head, RULE)

    assert of(found, "decoder").time.pairs == 6
    assert of(found, "decoder").status is SLOWER
    assert found.base.record_ids == tuple(f"a{place}" for place in range(6))
    assert found.base.label == "a0 and 5 more"


def test_one_process_a_side_tells_nothing() -> None:
    found = compare_records([record("a")], [record("b")], RULE)

    assert found.status is INCONCLUSIVE
    assert {row.reason for row in found.rows} == {
        "too few for an interval at 98 %: 1 process a side"
    }


def test_a_change_that_is_one_of_many_series_by_luck_does_not_stand() -> None:
    # Eight pairs cannot give a p value that stands among forty.
    names = [f"part{place}" for place in range(40)]
    base, head = (side(name, processes=8, seed=n, experiment="x") for n, name in enumerate("ab"))
    base, head = (
        replace(
            one,
            measurements=tuple(
                replace(
                    m,
                    component=name,
                    latency_s=tuple(
                        value * (1.02 if one is head and name == "part7" else 1.0)
                        for value in m.latency_s
                    ),
                )
                for m in one.measurements
                if m.component == "decoder"
                for name in names
            ),
        )
        for one in (base, head)
    )

    found = compare_records([base], [head], RULE)
    alone = compare_records([base], [head], RULE, components=["part7"])

    row = of(found, "part7")
    assert (row.time.status, row.is_discovery, row.status) == (SLOWER, False, INCONCLUSIVE)
    assert row.reason.startswith("slower by itself (p 0.02), but one of so many series is by")
    assert all(other.is_discovery for other in found.rows if other is not row)
    assert found.status is INCONCLUSIVE
    assert of(alone, "part7").status is SLOWER


def test_accuracy_energy_memory_and_size_stand_beside_it() -> None:
    base = side("a", changes={"snr_db": 40.0})
    head = side("b", changes={"snr_db": 35.0})

    found = compare_records([base], [head], RULE)

    assert of(found, "encoder").figures == (
        Figure("snr_db", 40.0, 35.0),
        Figure("memory_bytes", 5e6, 5e6),
        Figure("size_bytes", 1e6, 1e6),
    )
    # The pipeline's engines together; its energy alone was measured.
    assert of(found, "pipeline").figures == (
        Figure("snr_db", 40.0, 35.0),
        Figure("energy_j", 0.5, 0.5),
        Figure("memory_bytes", 1e7, 1e7),
        Figure("size_bytes", 2e6, 2e6),
    )


def test_memory_that_is_not_known_of_every_engine_is_not_known() -> None:
    base, head = side("a"), side("b")
    unknown = replace(head.engines[0], memory_bytes=None)

    found = compare_records([base], [replace(head, engines=(unknown, *head.engines[1:]))], RULE)

    assert Figure("memory_bytes", 5e6, None) in of(found, "encoder").figures
    assert Figure("memory_bytes", 5e6, 5e6) in of(found, "decoder").figures
    assert Figure("memory_bytes", 1e7, None) in of(found, "pipeline").figures


def test_canaries_are_no_series_of_the_pipeline() -> None:
    base, head = (
        replace(one, measurements=(*one.measurements, measurement("canary")))
        for one in (side("a"), side("b"))
    )

    found = compare_records([base], [head], RULE)

    assert [row.series.component for row in found.rows] == ["encoder", "decoder", "pipeline"]
    assert found.findings == ()


def test_another_environment_is_refused_or_told() -> None:
    base, head = side("a"), side("b", environment={"cpu": "other", "gpu": None})

    expected = "a and b: not the same environment: cpu some / other; compare records of one"
    with pytest.raises(ComparisonError, match=expected):
        compare_records([base], [head], RULE)
    found = compare_records([base], [head], RULE, across=True)
    assert found.differences == ("cpu some / other",)


def test_another_version_of_the_harness_is_no_other_environment() -> None:
    base, head = (
        side(name, environment={"cpu": "some", "harness_version": name}) for name in ("a", "b")
    )
    assert compare_records([base], [head], RULE).differences == ()


def test_a_side_of_several_environments_is_refused() -> None:
    mixed = [side("a"), side("b", environment={"cpu": "other", "gpu": None})]
    with pytest.raises(ComparisonError, match="its records are of several environments: cpu"):
        compare_records(mixed, [side("c")], RULE, across=True)


def test_other_pipelines_are_refused() -> None:
    with pytest.raises(ComparisonError, match="records of tiny and voice are of different pipel"):
        compare_records([side("a")], [side("b", pipeline="voice")], RULE)


def test_sides_without_a_common_series_are_refused() -> None:
    other = side("b", changes={"precision": "fp16"})
    expected = (
        "no series is common to both: a has encoder, onnxruntime fp32, 1 s, hot and 2 more, b has "
        "encoder, onnxruntime fp16, 1 s, hot and 2 more"
    )
    with pytest.raises(ComparisonError, match=expected):
        compare_records([side("a")], [other], RULE)
    with pytest.raises(ComparisonError, match="no series of vocoder is common to both"):
        compare_records([side("a")], [side("b")], RULE, components=["vocoder"])
    with pytest.raises(ComparisonError, match="b has nothing"):
        compare_records([side("a")], [replace(side("b"), measurements=())], RULE)


def test_what_one_side_alone_has_is_told() -> None:
    base, head = side("a"), side("b")
    more = measurement("vocoder", mode=CONCURRENT, streams=2)
    base = replace(base, measurements=(*base.measurements, more))
    head = replace(
        head, measurements=tuple(m for m in head.measurements if m.component != "encoder")
    )

    found = compare_records([base], [head], RULE)

    assert [row.series.component for row in found.rows] == ["decoder", "pipeline"]
    assert found.findings == (
        "only of the base: onnxruntime fp32, 1 s, hot: encoder",
        "only of the base: onnxruntime fp32, 1 s, concurrent, 2 streams: vocoder",
    )
    assert found.unjudged == (
        "encoder, onnxruntime fp32, 1 s, hot",
        "vocoder, onnxruntime fp32, 1 s, concurrent, 2 streams",
    )
    assert found.status is INCONCLUSIVE
    assert compare_records([base], [head], RULE, components=["decoder"]).unjudged == ()


def test_what_vanished_is_not_passed_and_what_is_new_is_only_told() -> None:
    whole = side("a", processes=32, experiment="x")
    less = side("b", processes=32, seed=1, experiment="x")
    kept = tuple(m for m in less.measurements if m.component != "encoder")
    rule = PairRule(margin=0.005)

    vanished = compare_records([whole], [replace(less, measurements=kept)], rule)
    new = compare_records([replace(less, measurements=kept)], [whole], rule)

    assert {row.status for row in vanished.rows} == {row.status for row in new.rows} == {SAME}
    assert (vanished.status, new.status) == (INCONCLUSIVE, SAME)
    assert new.findings == ("only of the head: onnxruntime fp32, 1 s, hot: encoder",)


def test_what_was_slowed_on_purpose_is_told() -> None:
    head = side("b", seed=1)
    assert head.replication is not None
    slow = replace(head, replication=replace(head.replication, slowed_by=0.1))

    found = compare_records([side("a")], [slow], RULE)

    assert (found.base.slowed_by, found.head.slowed_by) == (0.0, 0.1)
    assert found.findings == ("b was made 10 % slower on purpose: it is of no commit",)


def test_what_was_not_timed_alike_is_not_compared() -> None:
    head = side("b")
    moved = tuple(
        replace(m, threads=1) if m.component == "encoder" else m for m in head.measurements
    )

    found = compare_records([side("a")], [replace(head, measurements=moved)], RULE)

    assert [row.series.component for row in found.rows] == ["decoder", "pipeline"]
    assert found.findings == (
        (
            "not timed alike, and not compared: encoder, onnxruntime fp32, 1 s, hot "
            "(perf_counter, 2 threads / perf_counter, 1 thread)"
        ),
    )
    assert found.unjudged == ("encoder, onnxruntime fp32, 1 s, hot",)
    assert found.status is INCONCLUSIVE


def test_what_a_reader_must_know_is_told() -> None:
    flagged = Validity((Finding(FLAG, "others were busy", "wait"),))
    invalid = Validity((Finding(FAIL, "it was hot", "cool it"),))
    base = side("a", validity=flagged, is_complete=False)
    head = side("b", validity=invalid, inputs={"kind": "audio"}, changes={"simulated": True})

    found = compare_records([base], [head], RULE)

    assert found.findings == (
        "a was interrupted",
        "a is flagged: others were busy",
        "b is invalid: it was hot",
        "the sides were fed different inputs",
    )
    assert (found.base.is_simulated, found.head.is_simulated, found.is_simulated) == (
        *(False, True),
        True,
    )
    assert (found.base.invalid, found.head.invalid) == ("", "it was hot")
    assert found.status is INCONCLUSIVE
    with pytest.raises(ComparisonError, match="b: the machine's state makes it invalid: it was h"):
        check_valid([base, head])
    check_valid([base])


@pytest.mark.parametrize("wrong", [0.0, float("nan"), float("inf")])
def test_what_is_no_latency_is_refused(wrong: float) -> None:
    bad = replace(record("b"), measurements=(measurement("encoder", latency_s=(wrong,)),))
    with pytest.raises(ComparisonError, match="b: encoder, onnxruntime fp32, 1 s, hot took"):
        compare_records([record("a")], [bad], RULE)


def test_a_series_that_is_there_twice_is_damage() -> None:
    bad = record("b", [measurement("encoder"), measurement("encoder")])
    with pytest.raises(RecordError, match="b: encoder, onnxruntime fp32, 1 s, hot is there twice"):
        compare_records([record("a")], [bad], RULE)


def test_commits_are_told_where_all_records_are_of_one() -> None:
    of_commit = {"cpu": "some", "pipeline_commit": {"commit": "ab" * 20}}
    base = side("a", environment=of_commit)
    head = [side("b", environment=of_commit), record("c", environment={"cpu": "some"})]

    found = compare_records([base], head, RULE, labels=("main", "topic"))

    assert (found.base.commit, found.head.commit) == ("ab" * 20, "")
    assert (found.base.label, found.head.label) == ("main", "topic")


RATIOS = st.fixed_dictionaries(
    {name: st.sampled_from([0.98, 0.999, 1.0, 1.003, 1.02]) for name in ("encoder", "decoder")}
)


@settings(max_examples=30)
@given(RATIOS, st.integers(1, 16), st.booleans())
def test_with_sides_changed_over_every_verdict_is_the_other(
    ratios: dict[str, float], processes: int, is_paired: bool
) -> None:
    experiment = "x" if is_paired else ""
    base = side("a", processes=processes, experiment=experiment)
    head = side("b", ratios, processes=processes, seed=1, experiment=experiment)

    there, back = (compare_records([a], [b], RULE) for a, b in ((base, head), (head, base)))

    mirror = {SLOWER: FASTER, FASTER: SLOWER}
    for row, other in zip(there.rows, back.rows, strict=True):
        assert other.status is mirror.get(row.status, row.status)
        assert row.time.ratio * other.time.ratio == pytest.approx(1.0, rel=1e-9)
        assert row.is_discovery == other.is_discovery
        assert (row.status in CHANGES) <= (row.time.status in CHANGES)


@settings(max_examples=20)
@given(st.integers(1, 32), st.booleans())
def test_a_record_is_never_slower_than_itself(processes: int, is_paired: bool) -> None:
    experiment = "x" if is_paired else ""
    base = side("a", processes=processes, experiment=experiment)

    found = compare_records([base], [replace(base, record_id="b")], RULE)

    assert all(row.status in {SAME, INCONCLUSIVE} for row in found.rows)


def test_engines_that_were_built_by_other_options_are_told() -> None:
    def built(one: Record, **options: Any) -> Record:
        details = {"options": {"tf32": False, "nvtx": bool(options), **options}}
        return replace(one, engines=tuple(replace(e, details=details) for e in one.engines[:1]))

    base = built(side("a"), optimization_level=3, plugins=[])
    head = built(side("b"), optimization_level=5, workspace_bytes=None)
    same = built(side("b"), optimization_level=3)

    assert compare_records([base], [head], RULE).findings == (
        (
            "built by other options, which may be all: encoder, onnxruntime fp32: "
            "optimization_level 3 / 5"
        ),
    )
    assert compare_records([base], [same], RULE).findings == ()
    (told,) = compare_records([base], [built(side("b"))], RULE).findings
    assert told.endswith("optimization_level 3 / not set")


def test_engines_that_were_given_are_told_by_their_files() -> None:
    def given(one: Record, file: str) -> Record:
        details = {"given": file}
        return replace(one, engines=tuple(replace(e, details=details) for e in one.engines[:1]))

    base, same, other = (
        given(side(n), file)
        for n, file in (("a", "x.engine"), ("b", "x.engine"), ("c", "y.engine"))
    )

    assert compare_records([base], [same], RULE).findings == ()
    (told,) = compare_records([base], [other], RULE).findings
    assert told.endswith("encoder, onnxruntime fp32: file x.engine / y.engine")


def test_what_was_asked_for_by_name_is_judged_as_if_it_were_not_slight() -> None:
    # An encoder of next to nothing, in noise of a tenth.
    def tiny(name: str, seed: int) -> Record:
        off = [1e-3 * (1.0 + 0.1 * (seed * place % 5)) for place in range(12)]
        one = side(name, experiment="x")
        moved = tuple(
            replace(m, latency_s=tuple(value * off[m.process] for value in m.latency_s))
            if m.component == "encoder"
            else m
            for m in one.measurements
        )
        return replace(one, measurements=moved)

    base, head = tiny("a", 7), tiny("b", 3)

    every = compare_records([base], [head], RULE)
    named = compare_records([base], [head], RULE, components=("encoder", "pipeline"))
    alone = compare_records([base], [head], RULE, components=("encoder",))

    assert of(every, "encoder").slight
    assert every.status is SAME
    for found in (named, alone):
        assert of(found, "encoder").slight == ""
        assert found.status is INCONCLUSIVE
