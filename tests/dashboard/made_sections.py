"""What a dashboard shows beside its series, made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.dashboard.model import (
    BlockSpan,
    BudgetStatus,
    PairedComparison,
    PairedSeries,
    PairPoint,
    Part,
    RooflinePoint,
    Run,
    Trade,
)
from harness.dashboard.model_rows import NoiseRow
from tests.dashboard.made_series import COMPONENTS, HOSTILE


def missed() -> BudgetStatus:
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


def within() -> BudgetStatus:
    return replace(
        missed(),
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


def not_measured() -> BudgetStatus:
    return replace(
        within(),
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


def run(commit: int) -> Run:
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


def paired() -> PairedComparison:
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


def trades() -> tuple[Trade, ...]:
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


def roofline() -> tuple[RooflinePoint, ...]:
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


def noise(number: int) -> NoiseRow:
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
