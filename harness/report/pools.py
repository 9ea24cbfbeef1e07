"""Series that several processes measured, as one: what a row of a report shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.errors import RecordError
from harness.stats.summary import LatencySummary, summarize, summarize_processes
from harness.types import Case

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.types import Measurement, Record


@dataclass(frozen=True)
class Pool:
    """The series of one component by one variant at one case, from every process.

    ``wanted`` is how many processes were asked for: of several, one that is left is still a sample
    of them.
    """

    parts: tuple[Measurement, ...]
    wanted: int = 1

    @property
    def builds(self) -> int:
        """Of how many builds the processes were."""
        return len({part.build for part in self.parts})

    def measurement(self) -> Measurement:
        """One series of all: all samples, the worst accuracy and verdict, times at their median.

        Its ``process`` and ``build`` are those of the worst accuracy, and mean nothing for the
        rest.
        """
        if len(self.parts) == 1:
            return self.parts[0]
        parts = self.parts
        known = [part for part in parts if part.snr_db is not None]
        worst = min(known, key=lambda part: part.snr_db or 0.0, default=parts[0])
        # What ended without a verdict is told, whichever process it was.
        open_ones = [part for part in parts if part.verdict == "inconclusive"]
        verdict = (open_ones or parts)[0]
        missed = [p.missed_deadlines for p in parts if p.missed_deadlines is not None]
        energies = [part.energy_j for part in parts if part.energy_j is not None]
        correlations = [p.autocorrelation for p in parts if p.autocorrelation is not None]
        return replace(
            worst,
            load_s=median(part.load_s for part in parts),
            first_s=median(part.first_s for part in parts),
            latency_s=tuple(value for part in parts for value in part.latency_s),
            rejected_latency_s=tuple(v for part in parts for v in part.rejected_latency_s),
            lateness_s=tuple(value for part in parts for value in part.lateness_s),
            block_passes=tuple(passes for part in parts for passes in part.block_passes),
            block_wall_s=tuple(value for part in parts for value in part.block_wall_s),
            verdict=verdict.verdict,
            verdict_reason=verdict.verdict_reason,
            rel_precision=verdict.rel_precision,
            missed_deadlines=sum(missed) if missed else None,
            energy_j=fmean(energies) if energies else None,
            autocorrelation=median(correlations) if correlations else None,
        )

    def summary(self) -> LatencySummary:
        """Its order statistics; of several processes, as :func:`summarize_processes` gives them."""
        if max(len(self.parts), self.wanted) == 1:
            return summarize(self.parts[0].latency_s, self.parts[0].passes)
        return summarize_processes([part.latency_s for part in self.parts])


def pool(record: Record) -> tuple[Pool, ...]:
    """The measurements of ``record`` in their order, those of several processes together.

    Raises:
        RecordError: a process has measured something twice.
    """
    found: dict[object, list[Measurement]] = {}
    for measured in record.measurements:
        parts = found.setdefault(_kind(measured), [])
        if any(part.process == measured.process for part in parts):
            case = Case(measured.duration_s, measured.batch)
            what = f"{measured.component} at {case} by {measured.variant} is there twice"
            raise RecordError(what, where=record.record_id, fix="measure it again")
        parts.append(measured)
    asked = record.replication
    wanted = 1 if asked is None else asked.processes * asked.builds
    return tuple(Pool(tuple(parts), wanted) for parts in found.values())


def pool_sizes(pools: Iterable[Pool]) -> tuple[int, int]:
    """How many processes, and builds, the largest of ``pools`` are of."""
    held = [(len(pool.parts), pool.builds) for pool in pools]
    return max((n for n, _ in held), default=1), max((n for _, n in held), default=1)


def _kind(measured: Measurement) -> tuple[object, ...]:
    """What makes two measurements of one series."""
    case = (measured.duration_s, measured.batch)
    return (measured.variant, *case, measured.mode, measured.streams, measured.component)
