"""What a backend is: it opens a pipeline's components, and its session launches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline
    from harness.types import NodeCounts

Arrays = dict[str, "NDArray[Any]"]


class Session(Protocol):
    """All components of a pipeline, open on one device, sharing their buffers.

    One component's output buffer is the next one's input: no copy between the stages.
    """

    @property
    def load_s(self) -> Mapping[str, float]:
        """Seconds that opening each component took."""

    def bind(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> None:
        """Allocate every tensor at ``sizes`` and upload the free inputs. Launches nothing."""

    def launch(self, component: str) -> None:
        """Run one component on what its bound inputs hold now; returns when it is done."""

    def launch_pipeline(self) -> None:
        """Run every component once, in order; returns when the last is done."""

    def read(self, component: str, output: str) -> NDArray[Any]:
        """A copy of what an output holds now."""

    def infer(self, component: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one component on the given arrays, apart from the bound buffers."""

    def close(self) -> None:
        """Free what the session holds; it cannot be used afterwards."""


@dataclass(frozen=True)
class Inspection:
    """What a backend made of one component; each is None where the backend cannot tell.

    ``memory_bytes`` is what opening it and its first inference took, and ``nodes`` the precision
    in which its convolutions and matrix products really ran.
    """

    memory_bytes: int | None
    nodes: NodeCounts | None


class Backend(Protocol):
    """Makes engines of exported graphs, and opens them.

    TensorRT's implementation, with a ``build()`` of its own, joins the two here as
    ``harness.backends.tensorrt``.
    """

    @property
    def name(self) -> str:
        """The backend's name in options, records and reports."""

    @property
    def precision(self) -> str:
        """The precision that its engines compute in, as reports name it."""

    @property
    def threads(self) -> int:
        """The CPU threads that one launch may use."""

    @property
    def needs_export(self) -> bool:
        """Whether it opens exported graphs rather than PyTorch modules."""

    def open(self, pipeline: Pipeline, models: Mapping[str, Path]) -> Session:
        """Open every component; ``models`` holds the exported graphs by component.

        Raises:
            HarnessError: a component cannot be opened.
        """

    def inspect(
        self,
        pipeline: Pipeline,
        models: Mapping[str, Path],
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
    ) -> Mapping[str, Inspection]:
        """Look into what ``open()`` makes of each component, apart from any session.

        Raises:
            HarnessError: a component cannot be opened or run.
        """
