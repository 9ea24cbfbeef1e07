"""Dashboards made by hand, for what renders them; the figures are made up, and marked so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from harness.dashboard.model import (
    QUANTILES,
    BlockSpan,
    BudgetStatus,
    ChangePoint,
    Commit,
    Dashboard,
    Difference,
    Environment,
    NoiseRow,
    PairedComparison,
    PairedSeries,
    PairPoint,
    Part,
    RooflinePoint,
    Run,
    Samples,
    Series,
    Trade,
)

SCRIPT: Final = "<script>window.hacked=1</script>"
# What a name or a commit message may hold: each would do harm where it is not escaped.
HOSTILE: Final = (
    f"{SCRIPT} faster",
    "</script><script>window.hacked=1</script><!--",
    "\"quotes\" 'and' `ticks` & ampersands &lt;",
    '<img src=x onerror="window.hacked=1"> <b>bold</b>',
    '=HYPERLINK("http://example.org"), \'%{x} {{ 7 * 7 }} ${window.hacked=1}',
    "\u202egnitset \u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e \U0001f680",
    "line\u2028separator\x00nul\ttab",
)
COMPONENTS: Final = {
    "content_encoder": 0.22,
    "pitch_encoder": 0.05,
    "conditioner": 0.01,
    "flow_decoder": 0.27,
    "latent_to_mel": 0.02,
    "vocoder": 0.41,
}
SLOWER_AT: Final = 30


def commits(count: int, *, subjects: tuple[str, ...] = ()) -> tuple[Commit, ...]:
    return tuple(
        Commit(
            hash=f"{place * 2654435761 % 2**32:08x}{place:032x}",
            date_utc=str(np.datetime64("2026-03-01T09:00:00") + np.timedelta64(place * 7, "h")),
            subject=subjects[place] if place < len(subjects) else f"Change number {place}",
            author="A. Author",
            url=f"https://example.org/commit/{place}",
        )
        for place in range(count)
    )


def environment(number: int = 0, **changes: Any) -> Environment:
    facts = {"cpu.model": f"CPU {number}", "gpu.name": "H200", "driver": f"57{number}.1"}
    labels = ("H200 (simulated)", "two cores")
    made = Environment(
        number, f"box-{number}", labels[number % 2], f"{number}f" * 32, facts, simulated=number == 0
    )
    return replace(made, **changes)


def series(
    number: int,
    places: np.ndarray,
    *,
    level_s: float = 2e-3,
    step: float = 1.06,
    seed: int = 0,
    **changes: Any,
) -> Series:
    """One that is slower by ``step`` since the commit :data:`SLOWER_AT`, if it has that one."""
    random = np.random.default_rng(seed + number)
    count = len(places)
    at = int(np.searchsorted(places, SLOWER_AT))
    has_step = 0 < at < count
    levels = np.where(np.arange(count) >= at, level_s * step, level_s) if has_step else level_s
    levels = np.full(count, levels) if np.ndim(levels) == 0 else levels
    medians = levels * (1 + 0.006 * random.standard_normal(count))
    shape = np.array([0.965, 0.972, 0.982, 0.987, 0.994, 1.0, 1.008, 1.02, 1.03, 1.06, 1.16])
    quantiles = medians[:, None] * (1 + (shape - 1) * random.uniform(0.7, 1.3, (count, 1)))
    made = Series(
        id=number,
        environment=0,
        pipeline="voice_conversion",
        component="pipeline",
        variant="tensorrt fp16 by flag, graph",
        backend="tensorrt",
        precision="fp16",
        route="flag",
        launch="graph",
        size="1 s",
        mode="hot",
        streams=1,
        threads=1,
        clock="cuda",
        options="",
        simulated=True,
        source="records",
        unit="seconds",
        commits=places.astype(np.int32),
        counts=np.full(count, 400, np.float32),
        quantiles=quantiles.astype(np.float32),
        median_s=medians.astype(np.float32),
        lower_s=(medians * 0.995).astype(np.float32),
        upper_s=(medians * 1.005).astype(np.float32),
        levels_s=levels.astype(np.float32),
        energy_j=(medians * 350).astype(np.float32),
        snr_db=np.full(count, 41.1, np.float32),
        changes=(_change(at),) if has_step else (),
        canary_note="The machine's own drift, by its canary, is at most 0.2 %.",
    )
    return replace(made, **changes)


def _change(at: int) -> ChangePoint:
    made = commits(SLOWER_AT + 1)
    return ChangePoint(
        kind="step",
        direction="slower",
        at=at,
        first=at,
        last=at,
        ratio=1.06,
        lower=1.054,
        upper=1.066,
        confidence=0.999,
        recovered=False,
        is_open=True,
        good=made[SLOWER_AT - 1].hash,
        bad=made[SLOWER_AT].hash,
    )


def samples(of: Series, at: int, *, count: int = 200) -> Samples:
    random = np.random.default_rng(at)
    values = of.median_s[at] * (1 + 0.01 * random.gamma(2.0, 1.0, count) - 0.02)
    process = np.arange(count, dtype=np.int32) // (count // 4)
    return Samples(at, 3 * count, values.astype(np.float32), process)


def full() -> Dashboard:
    """Something of everything, half of it simulated."""
    places = np.arange(60)
    listed = commits(60, subjects=HOSTILE)
    listed = (*listed[:SLOWER_AT], replace(listed[SLOWER_AT], subject=HOSTILE[0]))
    listed += commits(60)[SLOWER_AT + 1 :]
    whole = series(0, places, budget_s=2.4e-3)
    whole = replace(whole, samples=tuple(samples(whole, at) for at in (29, 30, 58, 59)))
    found = [whole, *_parts_of(places), *_others(places)]
    return Dashboard(
        title="voice_conversion",
        created_utc="2026-11-29T01:00:00Z",
        harness_version="0.0.0",
        sources=("reports", "reports/asv/results"),
        commits=listed,
        environments=(environment(0), environment(1)),
        differences=(
            Difference(0, 1, "cpu.model", "CPU 0", "CPU 1"),
            Difference(0, 1, "gpu.name", "H200", ""),
        ),
        series=tuple(found),
        budgets=(_missed(), _within(), _not_measured()),
        runs=(_run(59), _run(30)),
        comparisons=(_paired(),),
        trades=_trades(),
        roofline=_roofline(),
        noise=(_noise(0), _noise(1)),
        skipped=(f"reports/{SCRIPT}.parquet: a record of schema 9, this harness reads up to 6",),
        notes=("Records slowed on purpose are left out: 2.",),
    )


def _parts_of(places: np.ndarray) -> list[Series]:
    return [
        series(
            number,
            places,
            level_s=2e-3 * part,
            step=1.15 if name == "vocoder" else 1.0,
            component=name,
            changes=() if name != "vocoder" else series(0, places).changes,
        )
        for number, (name, part) in enumerate(COMPONENTS.items(), start=1)
    ]


def _others(places: np.ndarray) -> list[Series]:
    measured = {"environment": 1, "simulated": False, "clock": "host", "launch": "call"}
    nothing = np.full(20, np.nan, np.float32)
    cpu = series(
        20,
        places[::3],
        level_s=0.064,
        step=0.9,
        variant="onnxruntime fp32",
        backend="onnxruntime",
        precision="fp32",
        route="",
        energy_j=nothing,
        snr_db=nothing,
        budget_s=0.1,
        canary_note="",
        **measured,
    )
    faster = replace(cpu.changes[0], direction="faster", ratio=0.9, lower=0.88, upper=0.92)
    cpu = replace(cpu, changes=(replace(faster, is_open=False),))
    paced = series(21, places[places % 11 != 7], mode="paced", size="0.1 s", level_s=9e-4, step=1)
    size = series(
        22,
        places[::3],
        level_s=3.1e7,
        step=1.0,
        component="engine size",
        source="asv",
        unit="bytes",
        energy_j=nothing,
        snr_db=nothing,
        **measured,
    )
    return [cpu, replace(paced, changes=()), replace(size, changes=())]


def _missed() -> BudgetStatus:
    medians = {name: 2.12e-3 * part for name, part in COMPONENTS.items()}
    parts = [Part(name, "component", time_s) for name, time_s in medians.items()]
    parts += [Part("gaps", "gaps", 4e-5), Part("p99 above the median", "tail", 3.2e-4)]
    return BudgetStatus(
        environment=0,
        pipeline="voice_conversion",
        variant="tensorrt fp16 by flag, graph",
        size="1 s",
        arrival="",
        limit_s=2.4e-3,
        verdict="missed",
        reason="",
        p99_s=2.48e-3,
        lower_s=2.44e-3,
        upper_s=2.53e-3,
        median_s=2.12e-3,
        parts=(*parts, Part("headroom", "headroom", -8e-5)),
        beside=(Part("copies to the device", "copy", 4e-6),),
        trend="p99 rises by 0.21 % a commit over 60 commits",
        commit=59,
        series=0,
        record_id="voice_conversion-20261128T203505Z-4d3fe6",
        created_utc="2026-11-28T20:35:05Z",
        validity="flagged",
        sentences=("other processes took 5 % of all cores' time (median)", HOSTILE[3]),
        simulated=True,
    )


def _within() -> BudgetStatus:
    return replace(
        _missed(),
        environment=1,
        variant="onnxruntime fp32",
        limit_s=0.1,
        verdict="within",
        p99_s=0.0718,
        lower_s=0.0702,
        upper_s=0.0741,
        median_s=0.0576,
        parts=(
            Part("the whole pipeline", "component", 0.0576),
            Part("p99 above the median", "tail", 0.0142),
            Part("headroom", "headroom", 0.0282),
        ),
        beside=(),
        trend="",
        commit=57,
        series=20,
        validity="valid",
        sentences=(),
        simulated=False,
    )


def _not_measured() -> BudgetStatus:
    return replace(
        _within(),
        variant="torch fp32",
        verdict="not measured",
        reason="nothing was measured at 1 s",
        p99_s=None,
        lower_s=None,
        upper_s=None,
        median_s=None,
        parts=(),
        series=None,
        commit=None,
    )


def _run(commit: int) -> Run:
    time_s = np.linspace(0, 40, 200)
    random = np.random.default_rng(commit)
    names = ("pipeline", "vocoder", "flow_decoder")
    blocks = [
        BlockSpan(
            names[turn % 3],
            2.0 + turn,
            2.9 + turn,
            2.1e-3 / (1 + turn % 3) * random.uniform(0.99, 1.01),
            "clocks moved" if turn == 7 else "",
        )
        for turn in range(36)
    ]
    readings = {
        "time_s": time_s,
        "sm_clock_mhz": np.where(time_s < 3, 345.0, 1980.0),
        "power_w": 380 + 12 * random.standard_normal(200),
        "temperature_c": 38 + 12 * (1 - np.exp(-time_s / 10)),
        "others_busy": random.uniform(0, 0.03, 200),
    }
    return Run(
        record_id=f"voice_conversion-20261128T2035{commit}Z-4d3fe6",
        environment=0,
        commit=commit,
        created_utc=f"2026-11-28T20:35:{commit}Z",
        pipeline="voice_conversion",
        command="harness run voice_conversion --backend simulated",
        validity="flagged",
        sentences=("other processes took 5 % of all cores' time (median)",),
        readings={name: values.astype(np.float32) for name, values in readings.items()},
        blocks=tuple(blocks),
        simulated=True,
    )


def _paired() -> PairedComparison:
    rows = []
    for label, ratio in (("pipeline", 1.06), ("vocoder", 1.15), ("pitch_encoder", 1.001)):
        random = np.random.default_rng(len(label))
        pairs = tuple(
            PairPoint(
                base_s=2e-3 * random.uniform(0.997, 1.003),
                head_s=2e-3 * ratio * random.uniform(0.997, 1.003),
                base_turn=2 * pair + pair % 2,
                head_turn=2 * pair + 1 - pair % 2,
            )
            for pair in range(8)
        )
        status = "slower" if ratio > 1.01 else "same"
        rows.append(PairedSeries(label, status, "", ratio, ratio - 0.003, ratio + 0.003, pairs))
    return PairedComparison(
        experiment="ab-1a2b3c",
        pipeline="voice_conversion",
        environment=0,
        base="main",
        head=HOSTILE[4],
        base_commit=29,
        head_commit=30,
        margin=0.005,
        status="slower",
        created_utc="2026-11-28T21:00:00Z",
        findings=("Both sides were exported by their own code.",),
        rows=tuple(rows),
        simulated=True,
    )


def _trades() -> tuple[Trade, ...]:
    figures = (
        ("tensorrt fp32", "fp32", 4.27e-3, 98.3, 40.0, 1.9, 142_000_000),
        ("tensorrt fp16 by flag, graph", "fp16", 1.46e-3, 39.1, 40.0, 0.61, 71_000_000),
        ("tensorrt int8 by calibrator", "int8", 1.50e-3, 15.8, 12.0, 0.58, 38_000_000),
        ("torch fp32", "fp32", 4.98e-3, 105.1, 40.0, 2.4, None),
        ("torch fp16", "fp16", 2.49e-3, 47.2, 40.0, None, None),
    )
    return tuple(
        Trade(0, "voice_conversion", variant, precision, "1 s", 59, *rest, simulated=True)
        for variant, precision, *rest in figures
    )


def _roofline() -> tuple[RooflinePoint, ...]:
    work = {"vocoder": (9.1e9, 6.2e7), "flow_decoder": (2.4e9, 4.9e7), "pitch_encoder": (2e7, 9e5)}
    return tuple(
        RooflinePoint(
            environment=0,
            component=name,
            variant=f"tensorrt {precision}",
            precision=precision,
            size="1 s",
            commit=59,
            median_s=3.0 * max(macs / rate, moved / 4.1e12) + 2e-5,
            macs=int(macs),
            moved_bytes=int(moved),
            least_s=max(macs / rate, moved / 4.1e12),
            bound="products" if macs / rate > moved / 4.1e12 else "copies",
            macs_per_s=rate,
            bytes_per_s=4.1e12,
            simulated=True,
        )
        for precision, rate in (("fp32", 2.6e13), ("fp16", 3.4e14))
        for name, (macs, moved) in work.items()
    )


def _noise(number: int) -> NoiseRow:
    return NoiseRow(
        pipeline="voice_conversion",
        fingerprint=f"{number}f" * 32,
        environment=number if number == 0 else None,
        series=("pipeline", "vocoder")[number],
        within_sd=0.0021,
        process_sd=0.0034,
        margin=0.005,
        false_alarms=0,
        trials=100,
        false_alarm_upper=0.0295,
        smallest_caught=0.01 if number == 0 else None,
        created_utc="2026-11-27T10:00:00Z",
        simulated=number == 0,
    )


def empty() -> Dashboard:
    """Nothing was measured yet, and something could not be read."""
    return Dashboard(
        "", "2026-11-29T01:00:00Z", "0.0.0", ("reports",), skipped=("a.parquet: torn",)
    )


def one_commit() -> Dashboard:
    made = full()
    first = np.zeros(1, np.int64)
    return replace(
        made,
        commits=made.commits[:1],
        series=(series(0, first, budget_s=2.4e-3),),
        budgets=(replace(_missed(), commit=0),),
        runs=(replace(_run(30), commit=0),),
        comparisons=(),
        trades=(),
        roofline=(),
        noise=(),
    )


def holes() -> Dashboard:
    """A component without figures at commits where the pipeline has some, and NaN at another."""
    places = np.arange(20)
    whole = series(0, places)
    kept = np.array([*range(5), *range(8, 20)])
    part = series(1, kept, component="vocoder")
    medians = part.median_s.copy()
    medians[10] = np.nan
    made = (whole, replace(part, median_s=medians, quantiles=part.quantiles))
    return replace(full(), commits=commits(20), series=made, budgets=(), comparisons=(), runs=())


def many(count: int = 1000, commits_count: int = 5) -> Dashboard:
    """So many benchmarks, of hostile names among them."""
    places = np.arange(commits_count)
    made = tuple(
        series(number, places, component=f"benchmark {number} {HOSTILE[number % len(HOSTILE)]}")
        for number in range(count)
    )
    return replace(one_commit(), commits=commits(commits_count), series=made, budgets=())


def large(commits_count: int = 1000, series_count: int = 100) -> Dashboard:
    """A long history of many series, of which nothing repeats: what a page must bear."""
    places = np.arange(commits_count)
    names = list(COMPONENTS)
    made = []
    for number in range(series_count):
        one = series(number, places, component=(["pipeline", *names])[number % 7], streams=number)
        near = (SLOWER_AT - 2, SLOWER_AT + 2, *range(commits_count - 20, commits_count))
        made.append(replace(one, samples=tuple(samples(one, at, count=100) for at in near)))
    assert made[0].quantiles.shape == (commits_count, len(QUANTILES))
    return replace(full(), commits=commits(commits_count), series=tuple(made))


def long() -> Dashboard:
    """300 commits, and a component without figures on both sides of one of them."""
    whole = series(0, np.arange(300))
    part = series(1, np.array([*range(100), 101, *range(103, 300)]), component="vocoder")
    return replace(full(), commits=commits(300), series=(whole, part), budgets=(), comparisons=())
