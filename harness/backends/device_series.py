"""What every session on a GPU is timed on, in which order, and by which clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.backends.protocol import Series
from harness.measure.device_clock import EnqueueClock, HandOverClock, QueuedClock
from harness.pipeline.pipeline import (
    DEVICE_TO_HOST,
    HOST_ENQUEUE,
    HOST_TO_DEVICE,
    WHOLE_PIPELINE,
)
from harness.types import GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.measure.device_clock import EventDevice


def device_series(
    device: EventDevice,
    launch: str,
    components: Mapping[str, Callable[[], None]],
    whole: Callable[[], None],
    copies: tuple[Callable[[], None], Callable[[], None]] | None = None,
) -> list[Series]:
    """The components and the whole, launched in one way; then the host's part of handing it over.

    Args:
        device: whose events time them.
        launch: ``graph`` or ``enqueue``.
        components: what queues each component, in the order of the data.
        whole: what queues the whole pipeline.
        copies: what queues the copies to the device, which come before the components, and those
            back, which come after them; one way of launching has them, as they do not depend on it.
    """
    targets = {**components, WHOLE_PIPELINE: whole}
    if copies is not None:
        to_device, to_host = copies
        targets = {
            HOST_TO_DEVICE: to_device,
            **components,
            DEVICE_TO_HOST: to_host,
            WHOLE_PIPELINE: whole,
        }
    clock = (QueuedClock if launch == GRAPH else EnqueueClock)(device)
    return [
        Series(launch, targets, clock),
        Series(launch, {HOST_ENQUEUE: whole}, HandOverClock(device)),
    ]
