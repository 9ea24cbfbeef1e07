"""An algorithm selector (8.5 to 10) that bars kernels which sum products in fp16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.backends.tensorrt.library import Library
    from harness.backends.tensorrt.tactics import TacticNames


class Selection:
    """Chooses among tactics by what is known of their names, and keeps what went wrong.

    The library prints an exception in a selector, and then fails without saying of what: it is
    kept here, all choices are left, and it must be raised after the build. A tactic without a known
    name is left as well: it may be the only one there is, and it may sum in fp16.
    """

    def __init__(self, names: TacticNames) -> None:
        self._names = names
        self._offered: dict[str, set[int]] = {}
        self._chosen: dict[str, int] = {}
        self.error: BaseException | None = None

    def choose(self, layer: str, tactics: Sequence[int]) -> list[int]:
        """The positions in ``tactics`` that are left: all of them, where none would be."""
        self._offered.setdefault(layer, set()).update(tactics)
        left = [i for i, tactic in enumerate(tactics) if not self._names.are_fp16_sums(tactic)]
        return left or list(range(len(tactics)))

    def report(self, layer: str, tactic: int) -> None:
        """Note what the library has chosen for ``layer``."""
        self._chosen[layer] = tactic

    @property
    def layer_count(self) -> int:
        """How many layers the library has asked for; what a fused block holds is not asked for."""
        return len(self._offered)

    def missed(self) -> list[str]:
        """Layers that got a kernel which is barred by now, where another one was offered."""
        return [
            layer
            for layer, tactic in self._chosen.items()
            if self._names.are_fp16_sums(tactic) and not self._has_none(layer)
        ]

    def without_choice(self) -> list[str]:
        """Layers that were offered nothing else than kernels which sum in fp16."""
        return [layer for layer in self._offered if self._has_none(layer)]

    def _has_none(self, layer: str) -> bool:
        return all(map(self._names.are_fp16_sums, self._offered.get(layer, ())))


def make_selector(library: Library, selection: Selection) -> Any:  # noqa: ANN401
    """An ``IAlgorithmSelector`` that asks ``selection``; it must outlive the build."""
    base = library.module.IAlgorithmSelector

    class Selector(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def select_algorithms(self, context: Any, choices: Sequence[Any]) -> list[int]:  # noqa: ANN401
            try:
                tactics = [int(choice.algorithm_variant.tactic) for choice in choices]
                return selection.choose(str(context.name), tactics)
            except BaseException as error:  # noqa: BLE001  # raised again after the build
                selection.error = selection.error or error
                return list(range(len(choices)))

        def report_algorithms(self, contexts: Sequence[Any], choices: Sequence[Any]) -> None:
            try:
                for context, choice in zip(contexts, choices, strict=True):
                    selection.report(str(context.name), int(choice.algorithm_variant.tactic))
            except BaseException as error:  # noqa: BLE001  # raised again after the build
                selection.error = selection.error or error

    return Selector()
