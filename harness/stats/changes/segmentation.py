"""Binary segmentation: the strongest change of a stretch, and then those of what is left of it.

Vostrikova, *Detecting disorder in multidimensional random processes*, 1981. A stretch that rises
and falls again hides both of its steps from a search for one, and a drift looks like a step to it;
so two steps and a drift are looked for as well, and what has the most evidence beyond what its kind
needs is taken. That also tells a drift from a staircase: of the two steps and the drift that fit
best, only one is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.candidates import Beside, best_drift, best_pair, best_step
from harness.stats.changes.model import FEWEST, LEAST_AFTER, LEAST_BEFORE, ChangeKind
from harness.stats.changes.whitening import whiten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from harness.stats.changes.candidates import Candidate, Noise
    from harness.stats.changes.model import ChangeRule
    from harness.stats.changes.whitening import Whitened

    Values = NDArray[np.float64]


# A history with more changes than that has none that is worth looking for.
_MOST: Final = 40
# So many are taken together, where each alone has at least that share of what it needs too little.
_AHEAD: Final = 3
_HOPELESS: Final = -0.75


@dataclass(frozen=True)
class Found:
    """A step that begins at ``begin`` (and ``end``), or a drift with increments from one to other.

    ``first`` and ``last`` bound where a step may begin; ``size`` is in logs. ``excess`` is
    its evidence beyond what it needs.
    """

    kind: ChangeKind
    begin: int
    end: int
    first: int
    last: int
    size: float
    error: float
    evidence: float
    excess: float = 0.0


def segment(values: Values, rule: ChangeRule) -> tuple[Found, ...]:
    """All changes of ``values`` (logs, shape ``(n,)``), the first one first.

    What was found while the rest was not is weighed again in the noise of the whole, with all of it
    taken out, and is dropped, the weakest first, where its evidence is not enough.
    """
    found: list[Found] = []
    while len(found) < _MOST and (more := _next(values, found, rule)):
        found = _sorted(found, more)
    while found:
        noise = noise_about(values, found, rule)
        found = [_refined(values, found, index, rule, noise) for index in range(len(found))]
        weakest = min(found, key=lambda one: one.excess)
        if weakest.excess > 0.0:
            break
        found.remove(weakest)
    return tuple(found)


def fit_levels(values: Values, found: Sequence[Found]) -> Values:
    """The levels of ``values`` by least squares: they step, and grow evenly along drifts."""
    if not found:
        return np.full_like(values, values.mean())
    times = np.arange(values.size)
    grown = [
        np.clip((times - one.begin + 1.0) / (one.end - one.begin + 1.0), 0.0, 1.0) for one in found
    ]
    regressors = np.column_stack([np.ones(values.size), *grown])
    sizes, *_ = np.linalg.lstsq(regressors, values)
    return np.asarray(regressors @ sizes)


def noise_about(values: Values, found: Sequence[Found], rule: ChangeRule) -> Noise:
    """The noise between the changes that were ``found``, and about the lines of drifts."""
    return _sums(values, found, rule).noise()


def _sums(values: Values, found: Sequence[Found], rule: ChangeRule) -> Beside:
    flat = [whiten(values[part], rule.least_noise) for part in _stretches(values, found)]
    return Beside.of([*flat, *_drifts(values, found, rule)])


def _stretches(values: Values, found: Sequence[Found]) -> list[slice]:
    """Between the changes, where there are at least two values: one is its own level."""
    starts = [0, *(one.end for one in found)]
    stops = [*(one.begin for one in found), values.size]
    return [slice(a, b) for a, b in zip(starts, stops, strict=True) if b - a > 1]


def _drifts(values: Values, found: Sequence[Found], rule: ChangeRule) -> list[Whitened]:
    """What is left of the values along drifts."""
    drifts = [one for one in found if one.begin < one.end]
    if not drifts:
        return []
    left = values - fit_levels(values, found)
    return [whiten(left[one.begin : one.end], rule.least_noise) for one in drifts]


def _sorted(found: Sequence[Found], more: Sequence[Found]) -> list[Found]:
    return sorted((*found, *more), key=lambda one: one.begin)


def _next(values: Values, found: Sequence[Found], rule: ChangeRule) -> tuple[Found, ...]:
    """What comes to the changes that were ``found``; nothing if nothing has enough evidence.

    A drift and a step, say, may each hide the other. So where one alone has not enough, up to
    ``_AHEAD`` are taken one after the other, and count if together they have what all need.
    """
    before = _sums(values, found, rule)
    taken: tuple[Found, ...] = ()
    needed = 0.0
    for _ in range(_AHEAD):
        excess, more = _strongest(values, _sorted(found, taken), rule)
        if excess > 0.0 and not taken:
            return more
        if not more or excess < _HOPELESS * rule.threshold:
            return ()
        taken = (*taken, *more)
        needed += more[0].evidence - excess
        after = _sums(values, _sorted(found, taken), rule)
        if after.noise().evidence((before.rss - after.rss)[:, None])[0] > needed:
            return taken
    return ()


def _strongest(
    values: Values, found: Sequence[Found], rule: ChangeRule
) -> tuple[float, tuple[Found, ...]]:
    """What has the most evidence beyond what it needs, in any stretch, and how much that is.

    The noise is what it leaves, in its own stretch and in all others.
    """
    parts = _stretches(values, found)
    flat = [whiten(values[part], rule.least_noise) for part in parts]
    drifts = _drifts(values, found, rule)
    best: tuple[float, tuple[Found, ...]] = (-math.inf, ())
    for index, (part, white) in enumerate(zip(parts, flat, strict=True)):
        if white.bank.count < FEWEST:
            continue
        beside = Beside.of([*flat[:index], *flat[index + 1 :], *drifts])
        for more, kind, look in _looks(white, beside, _least_before(part.start), rule):
            needed = rule.threshold + more
            # What has less is of no use, and need not be looked for.
            candidate = look(max(best[0], _HOPELESS * rule.threshold) + needed)
            if candidate is None or not is_large(candidate, rule):
                continue
            excess = candidate.evidence - needed
            if excess > best[0]:
                best = (excess, _found(kind, candidate, part.start))
    return best


def _looks(
    white: Whitened, beside: Beside, least_before: int, rule: ChangeRule
) -> Iterator[tuple[float, ChangeKind, Callable[[float], Candidate | None]]]:
    """What a kind needs beyond the threshold, and what looks for more of it than some evidence."""
    yield 0.0, ChangeKind.STEP, lambda _: best_step(white, beside, least_before=least_before)
    yield (
        rule.second_more,
        ChangeKind.STEP,
        lambda least: best_pair(white, beside, least_before=least_before, least=least),
    )
    yield rule.drift_more, ChangeKind.DRIFT, lambda least: best_drift(white, beside, least=least)


def _least_before(start: int) -> int:
    """How many values must be before a step in a stretch that begins there."""
    return LEAST_AFTER if start else LEAST_BEFORE


def _found(kind: ChangeKind, candidate: Candidate, start: int) -> tuple[Found, ...]:
    begins = tuple(start + begin for begin in candidate.begins)
    is_drift = kind is ChangeKind.DRIFT
    bounds = [(begins[0], begins[-1])] if is_drift else [(begin, begin) for begin in begins]
    return tuple(
        Found(kind, *bound, *bound, size, error, candidate.evidence)
        for bound, size, error in zip(bounds, candidate.sizes, candidate.errors, strict=True)
    )


def is_large(candidate: Candidate, rule: ChangeRule) -> bool:
    """Whether each of its sizes is worth telling."""
    least = max(np.log1p(rule.least_ratio), rule.least_noises * candidate.noise.deviation)
    return all(abs(size) >= least for size in candidate.sizes)


def _refined(
    values: Values, found: list[Found], index: int, rule: ChangeRule, noise: Noise
) -> Found:
    """A change again, between its neighbours: where it may begin, how large it is, how sure."""
    one = found[index]
    start = found[index - 1].end if index else 0
    stop = found[index + 1].begin if index + 1 < len(found) else values.size
    is_step = one.kind is ChangeKind.STEP
    white = whiten(values[start:stop], rule.least_noise)
    before = _least_before(start)
    again = (
        best_step(white, noise=noise, least_before=before)
        if is_step
        else best_drift(white, noise=noise)
    )
    least = rule.threshold + (0.0 if is_step else rule.drift_more)
    if again is None or again.evidence <= 0.0:
        return replace(one, excess=-math.inf)
    excess = again.evidence - least if is_large(again, rule) else -math.inf
    first, last = (start + begin for begin in (again.begins[0], again.begins[-1]))
    range_ = (first, last)
    if again.losses is not None:
        lower, upper = _where(again.losses, rule.confidence)
        range_ = (start + lower, start + upper)
    (size,), (error,) = again.sizes, again.errors
    return Found(one.kind, first, last, *range_, size, error, again.evidence, excess)


def _where(losses: Values, confidence: float) -> tuple[int, int]:
    """The first and the last place of the smallest set that holds ``confidence`` of the weight."""
    weights = np.exp(-0.5 * losses)
    order = np.argsort(-weights, kind="stable")
    share = weights[order].cumsum() / weights.sum()
    chosen = order[: int(np.searchsorted(share, confidence)) + 1]
    return int(chosen.min()) + 1, int(chosen.max()) + 1
