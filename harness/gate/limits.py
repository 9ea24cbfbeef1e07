"""What a gate is asked to hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.errors import OptionError


@dataclass(frozen=True)
class Limits:
    """What is asked beside what the pipeline declares.

    The rises are fractions of the baseline's energy and memory, None where nothing is asked. Times
    that are made up count only with ``takes_simulated``, and what is slower than a baseline that it
    took no turns with only with ``without_turns``. ``skipped`` names checks not to be asked.
    """

    max_energy_rise: float | None = None
    max_memory_rise: float | None = None
    takes_simulated: bool = False
    skipped: tuple[str, ...] = ()
    without_turns: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name in ("max_energy_rise", "max_memory_rise"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                option = f"--{name.replace('_', '-')}"
                fix = "give a share of 0 or more, such as 5%"
                raise OptionError(f"{value:g} is no rise", where=option, fix=fix)
