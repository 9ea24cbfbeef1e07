"""How far a build is, where the library tells (``IProgressMonitor``, not in 8.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from harness.backends.tensorrt.library import Library


def make_monitor(library: Library, file: Path) -> Any:  # noqa: ANN401
    """A monitor that writes the fraction done into ``file``; it must outlive the build."""
    base = library.module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc,valid-type]
        """Writes how much of the outermost phase is done into a file that the parent reads."""

        def __init__(self) -> None:
            base.__init__(self)
            self._outer = ""
            self._steps = 1

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if not parent:
                self._outer, self._steps = name, max(1, steps)

        def phase_finish(self, name: str) -> None:
            pass

        def step_complete(self, name: str, step: int) -> bool:
            if name == self._outer:
                file.write_text(f"{min(1.0, (step + 1) / self._steps):.3f}", encoding="utf-8")
            return True

    return Monitor()
