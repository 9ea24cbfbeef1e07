"""Energy of one inference, where a counter of the device tells it."""

from . import measured
from .measured import SIZES, TOLD, VARIANTS, Figure, setup_cache  # noqa: F401

timeout = measured.TIMEOUT_S

if TOLD["energy"]:

    class Pipeline:
        version = "1"
        unit = "joules"
        less_is_better = True
        params = (VARIANTS, SIZES)
        param_names = ("variant", "size")

        def track_energy(self, first: int, variant: str, size: str) -> Figure:
            return measured.number(first, "energy.Pipeline.track_energy", variant, size)

        track_energy.pretty_name = "Energy of one inference, idle power included"
