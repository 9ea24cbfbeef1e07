"""What the options of graphs mean, for every command that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.precision import ClippingRule, needs_calibration
from harness.errors import OptionError
from harness.prepare import BuildOptions

if TYPE_CHECKING:
    from pathlib import Path


def build_options(
    precisions: tuple[str, ...],
    calibration_file: Path | None,
    method: str | None,
    percentile: float | None,
    opset: int,
    artifacts: Path | None = None,
) -> BuildOptions:
    """How graphs are made; an option that would change nothing is refused.

    Raises:
        OptionError: naming it.
    """
    given = {
        "--calibration": calibration_file,
        "--calibration-method": method,
        "--percentile": percentile,
    }
    for option, value in given.items():
        if value is not None and not any(needs_calibration(p) for p in precisions):
            what = "nothing is calibrated without an INT8 precision"
            raise OptionError(what, where=option, fix="add --precision int8, or leave it out")
    default = ClippingRule()
    rule = ClippingRule(
        method or default.method, default.percentile if percentile is None else percentile
    )
    return BuildOptions(
        opset=opset, rule=rule, calibration_file=calibration_file, artifacts=artifacts
    )
