"""Progress on standard error: bars on a terminal, one line a phase elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID
    from typing_extensions import Self


class ProgressObserver:
    """An observer of a run that shows each phase; use it as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._title = ""
        self._started = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_phase()
        self._progress.stop()

    def phase(self, title: str, steps: int) -> None:
        """Begin a phase of ``steps`` steps."""
        self._end_phase()
        self._title, self._started = title, time.monotonic()
        self._task = self._progress.add_task(title, total=float(steps), note="")

    def step(self, text: str) -> None:
        """Advance the phase by a step."""
        if self._task is not None:
            completed = int(self._progress.tasks[self._task].completed) + 1
            self._progress.update(self._task, completed=completed, note=text)

    def fraction(self, done: float) -> None:
        """Set the progress within the present step."""
        if self._task is not None:
            completed = int(self._progress.tasks[self._task].completed)
            # Just short of the whole, so that the step itself is still to come.
            self._progress.update(self._task, completed=completed + min(done, 0.999))

    def message(self, text: str) -> None:
        """Print ``text``, above the bars where there are any."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _end_phase(self) -> None:
        if self._task is None:
            return
        if not self._console.is_terminal:
            spent = time.monotonic() - self._started
            self._console.print(f"{self._title}: {spent:.1f} s", soft_wrap=True, markup=False)
        self._task = None
