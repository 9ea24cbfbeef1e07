"""How far the outputs are from PyTorch fp32: the inverse of the signal-to-noise ratio.

asv takes only an upward step for a regression, and this goes up as accuracy goes down.
"""

from . import measured
from .measured import COMPONENTS, SIZES, VARIANTS, Figure, setup_cache  # noqa: F401

timeout = measured.TIMEOUT_S


class Components:
    version = "1"
    unit = "1"
    less_is_better = True
    params = (COMPONENTS, VARIANTS, SIZES)
    param_names = ("component", "variant", "size")

    def track_relative_error(self, first: int, component: str, variant: str, size: str) -> Figure:
        name = "accuracy.Components.track_relative_error"
        return measured.number(first, name, component, variant, size)

    track_relative_error.pretty_name = "Relative L2 error of a component"


class Pipeline:
    version = "1"
    unit = "1"
    less_is_better = True
    params = (VARIANTS, SIZES)
    param_names = ("variant", "size")

    def track_relative_error(self, first: int, variant: str, size: str) -> Figure:
        return measured.number(first, "accuracy.Pipeline.track_relative_error", variant, size)

    track_relative_error.pretty_name = "Relative L2 error of the whole pipeline"
