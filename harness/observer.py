"""Who is told how a run goes on."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Is told how the run goes on; the command line shows it as progress."""

    def phase(self, title: str, steps: int) -> None:
        """A phase of ``steps`` steps begins; the last one is over."""

    def step(self, text: str) -> None:
        """One step of the phase is done."""

    def fraction(self, done: float) -> None:
        """How much of the present step is done, from 0 to 1."""

    def message(self, text: str) -> None:
        """Something that is to be known now, such as why it waits."""


class SilentObserver:
    """Says nothing."""

    def phase(self, title: str, steps: int) -> None:
        """Say nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def fraction(self, done: float) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""
