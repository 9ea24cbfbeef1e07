"""Where a history of times changed: steps in both directions, spikes that recover, slow drifts."""

from harness.stats.changes.canary import MachineDrift, machine_drift
from harness.stats.changes.finding import DEFAULT_RULE, find_changes
from harness.stats.changes.model import Change, ChangeKind, ChangeRule, Direction, Findings

__all__ = [
    "DEFAULT_RULE",
    "Change",
    "ChangeKind",
    "ChangeRule",
    "Direction",
    "Findings",
    "MachineDrift",
    "find_changes",
    "machine_drift",
]
