"""Latency of each component and of the whole pipeline, on the device's clock."""

from . import measured
from .measured import COMPONENTS, SIZES, TOLD, VARIANTS, Figure, setup_cache  # noqa: F401

timeout = measured.TIMEOUT_S


class Components:
    version = "1"
    unit = "seconds"
    less_is_better = True
    params = (COMPONENTS, VARIANTS, SIZES)
    param_names = ("component", "variant", "size")

    def track_latency(self, first: int, component: str, variant: str, size: str) -> Figure:
        name = "latency.Components.track_latency"
        return measured.samples(first, name, component, variant, size)

    track_latency.pretty_name = "Latency of a component"


class Pipeline:
    version = "1"
    unit = "seconds"
    less_is_better = True
    params = (VARIANTS, SIZES)
    param_names = ("variant", "size")

    def track_latency(self, first: int, variant: str, size: str) -> Figure:
        return measured.samples(first, "latency.Pipeline.track_latency", variant, size)

    track_latency.pretty_name = "Latency of the whole pipeline"

    def track_process_median(self, first: int, variant: str, size: str) -> Figure:
        return measured.samples(first, "latency.Pipeline.track_process_median", variant, size)

    track_process_median.pretty_name = "Latency of the whole pipeline, median of each process"

    def track_p99(self, first: int, variant: str, size: str) -> Figure:
        return measured.number(first, "latency.Pipeline.track_p99", variant, size)

    track_p99.pretty_name = "p99 of the whole pipeline"


if TOLD["budget"]:

    class Budget:
        version = "1"
        unit = "seconds"
        less_is_better = True
        params = (TOLD["budget"],)
        param_names = ("size",)

        def track_p99(self, first: int, size: str) -> Figure:
            return measured.number(first, "latency.Budget.track_p99", size)

        track_p99.pretty_name = "Budget of the p99"


if TOLD["canaries"]:

    class Canary:
        version = "1"
        unit = "seconds"
        less_is_better = True
        params = (TOLD["canaries"],)
        param_names = ("canary",)

        def track_latency(self, first: int, canary: str) -> Figure:
            return measured.samples(first, "latency.Canary.track_latency", canary)

        track_latency.pretty_name = "Frozen work: tells the machine's drift from the code's"
