"""What building each component takes, and what it gives."""

from . import measured
from .measured import COMPONENTS, VARIANTS, Figure, setup_cache  # noqa: F401

timeout = measured.TIMEOUT_S


class Components:
    version = "1"
    less_is_better = True
    params = (COMPONENTS, VARIANTS)
    param_names = ("component", "variant")

    def track_seconds(self, first: int, component: str, variant: str) -> Figure:
        return measured.number(first, "build.Components.track_seconds", component, variant)

    track_seconds.unit = "seconds"
    track_seconds.pretty_name = "Seconds to build an engine"

    def track_bytes(self, first: int, component: str, variant: str) -> Figure:
        return measured.number(first, "build.Components.track_bytes", component, variant)

    track_bytes.unit = "bytes"
    track_bytes.pretty_name = "Size of an engine, or of its graph"

    def track_memory(self, first: int, component: str, variant: str) -> Figure:
        return measured.number(first, "build.Components.track_memory", component, variant)

    track_memory.unit = "bytes"
    track_memory.pretty_name = "Memory that opening it and its first inference take"
