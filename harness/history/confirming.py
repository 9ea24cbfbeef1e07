"""What a history suspects, measured: the two commits of each slowdown side by side."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.children import ended_in_order
from harness.errors import EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_MISSED, EXIT_PASS
from harness.history.instrument import harness_command, own_reason
from harness.percent import signed_percent
from harness.report.escaping import visible
from harness.stats.changes import ChangeKind
from harness.stats.fingerprint import fingerprint
from harness.stats.pairs import PairStatus
from harness.types import Case, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.history.detect import ChangeCandidate

_DONE: Final = frozenset({EXIT_PASS, EXIT_MISSED, EXIT_INCONCLUSIVE})
_SHOWN: Final = 8
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True)
class Confirmation:
    """What an A/B of ``base`` and ``head`` (full hashes) says of one candidate.

    ``ratio`` is head's time over base's, with its interval; all None where nothing was measured of
    the series. ``reason`` says why it is inconclusive.
    """

    candidate: ChangeCandidate
    base: str
    head: str
    status: PairStatus
    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    reason: str = ""
    is_simulated: bool = False

    def __str__(self) -> str:
        """One line: what was suspected, and what came of it."""
        told = {
            PairStatus.SLOWER: "confirmed",
            PairStatus.INCONCLUSIVE: "open",
        }.get(self.status, "refuted")
        size = "" if self.ratio is None else f" {_percent(self.ratio)}"
        if self.lower is not None and self.upper is not None:
            size += f" ({_percent(self.lower)} to {_percent(self.upper)})"
        text = f"{told}: {self.candidate.points.name}, {self.base[:_SHOWN] or '(start)'} against "
        text += f"{self.head[:_SHOWN]}: "
        text += f"{self.status.value}{size}{': ' if self.reason else ''}{self.reason}"
        return visible(f"{text} (simulated)" if self.is_simulated else text)

    def to_json(self) -> dict[str, Any]:
        """It as JSON: which series, the commits, and the ratio of head over base."""
        return {
            **asdict(self.candidate.points.name),
            "base": self.base,
            "head": self.head,
            "status": self.status.value,
            "ratio": self.ratio,
            "lower": self.lower,
            "upper": self.upper,
            "reason": self.reason,
            "simulated": self.is_simulated,
        }


def commits_of(candidate: ChangeCandidate) -> tuple[str, str]:
    """The two commits to measure: without it, and with it; of a drift, with all of it."""
    is_drift = candidate.change.kind is ChangeKind.DRIFT
    return candidate.good, candidate.bad if is_drift else candidate.commit


def confirm(
    candidates: Sequence[ChangeCandidate], repository: Path, records: Path
) -> Iterator[Confirmation]:
    """Measure the two commits of each slowdown that is still there, each two of them once.

    What has no commit before it, or was measured elsewhere than the history, or in a state of the
    machine that makes it invalid, stays open.

    What is measured, and how, is in the repository's plan. The records of each A/B go to
    ``records``.

    Raises:
        KeyboardInterrupt: it was interrupted; the measuring process is ended in order first.
    """
    by_commits: dict[tuple[str, str], list[ChangeCandidate]] = {}
    for one in candidates:
        if one.change.is_open_slowdown and not one.good:
            base, head = commits_of(one)
            yield _open(one, base, head, "nothing is known from before it")
        elif one.change.is_open_slowdown:
            by_commits.setdefault(commits_of(one), []).append(one)
    for (base, head), its in by_commits.items():
        document, failure = _measure(base, head, repository, records)
        for one in its:
            yield _judged(one, base, head, document, failure)


def exit_code_of(confirmations: Sequence[Confirmation]) -> int:
    """1 where a slowdown is confirmed, 3 where one is open, else 0."""
    found = {one.status for one in confirmations}
    if PairStatus.SLOWER in found:
        return EXIT_MISSED
    return EXIT_INCONCLUSIVE if PairStatus.INCONCLUSIVE in found else EXIT_PASS


def _measure(
    base: str, head: str, repository: Path, records: Path
) -> tuple[dict[str, Any] | None, str]:
    """The A/B's JSON, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="harness-confirm-") as folder:
        out = Path(folder, "comparison.json")
        command = [*harness_command(), "ab", base, head, "--committed"]
        command += [f"--repository={repository}", f"--out={records}", f"--json={out}"]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(  # noqa: S603  # our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches this process alone, which then ends the other in order.
                start_new_session=True,
            )
            with ended_in_order(process, _PATIENCE_S):
                code = process.wait()
            log.seek(0)
            said = log.read().decode(errors="replace")
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code in _DONE and out.is_file():
            return json.loads(out.read_text(encoding="utf-8")), ""
    lines = [line for line in said.splitlines() if line.strip()] or ["it wrote nothing"]
    return None, f"'harness ab' ended with {code}: {own_reason(said) or lines[-1]}"


def _judged(
    candidate: ChangeCandidate,
    base: str,
    head: str,
    document: dict[str, Any] | None,
    failure: str,
) -> Confirmation:
    for row in document["rows"] if document else ():
        series, name = row["series"], candidate.points.name
        labels = (series["component"], str(Variant(**series["variant"])), series["mode"])
        is_it = labels == (name.component, name.variant, name.mode)
        is_it = is_it and series["streams"] == name.streams
        if is_it and str(Case(**series["case"])) == name.size:
            doubt = _doubt(candidate, document or {}, row)
            figures = {key: row["time"][key] for key in ("ratio", "lower", "upper")}
            # It was asked for by name: however little it matters to the whole.
            status = PairStatus(row["time"]["status"] if row["slight"] else row["status"])
            return Confirmation(
                *(candidate, base, head),
                PairStatus.INCONCLUSIVE if doubt else status,
                **figures,
                reason=doubt or (row["reason"] if status.value == row["status"] else ""),
                is_simulated=bool(document and document["is_simulated"]),
            )
    return _open(
        *(candidate, base, head), failure or "the repository's plan measures nothing of it"
    )


def _doubt(candidate: ChangeCandidate, document: dict[str, Any], row: dict[str, Any]) -> str:
    """Why the A/B of that document decides nothing of the history; empty where it does."""
    wanted = candidate.points.name.timing
    if row["how"] != wanted:
        return f"timed otherwise: {row['how']}, the history's {wanted}"
    of_history = candidate.points.environment.fingerprint
    for name in ("base", "head"):
        side = document[name]
        if side["invalid"]:
            return f"the machine's state makes the {name} invalid: {side['invalid']}"
        own = fingerprint(side["environment"])
        if own != of_history:
            prints = f"fingerprint {own[:_SHOWN]}, the history's {of_history[:_SHOWN]}"
            return f"measured in another environment: {prints}"
    return ""


def _open(candidate: ChangeCandidate, base: str, head: str, reason: str) -> Confirmation:
    return Confirmation(candidate, base, head, PairStatus.INCONCLUSIVE, reason=reason)


def _percent(ratio: float) -> str:
    return f"{signed_percent(ratio)} %"
