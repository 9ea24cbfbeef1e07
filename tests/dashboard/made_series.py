"""Commits, environments and series made by hand; the figures are made up, and marked so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from harness.dashboard.model import (
    ChangePoint,
    Commit,
    Environment,
    Samples,
    Series,
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
        changes=(change(at),) if has_step else (),
        canary_note="The machine's own drift, by its canary, is at most 0.2 %.",
    )
    return replace(made, **changes)


def change(at: int) -> ChangePoint:
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


def parts_of(places: np.ndarray) -> list[Series]:
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


def others(places: np.ndarray) -> list[Series]:
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
