"""Figures as a real browser unpacks them, and with how many digits it writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import harness.dashboard
from tests.dashboard.test_encode import ODD, assert_same_bits, packed_as

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.dashboard.browser.conftest import Opener

# On the page it is in a function, so that it shares no name with plotly.
CORE = Path(harness.dashboard.__path__[0], "assets", "core.js").read_text(encoding="utf-8")
SKETCH = np.sort(np.random.default_rng(0).lognormal(-6.0, 0.1, (50, 11)), axis=1)
SKETCH[7] = np.nan
SKETCH[9, :5] = np.nan


def of_core(page: Page, expression: str, given: Any) -> Any:
    """What an expression of ``given`` is, among the functions of core.js."""
    return page.evaluate(f"given => {{ {CORE}\nreturn {expression}; }}", given)


@pytest.mark.parametrize(
    "values",
    [
        SKETCH.astype(np.float32),
        np.stack([ODD, ODD[::-1]]),
        SKETCH[:, 3].astype(np.float32),
        np.repeat(np.float32([1e-3, np.nan, 2e-3]), 20),
        np.array([], np.float32),
    ],
)
def test_the_page_has_each_figure_to_its_last_bit(opened: Opener, values: np.ndarray) -> None:
    page = opened("full").page

    packed = packed_as(values, "quantiles")
    bits = of_core(page, "[...new Int32Array(unpacked(given).buffer)]", packed)

    assert_same_bits(np.array(bits, np.int32).view(np.float32), values.ravel())


@pytest.mark.parametrize("value", [0.002111583249643445, 1e-3, 0.1, 3.0, 1e-12, 3.4e38, 1 / 3])
def test_a_figure_is_written_with_the_digits_that_it_has(opened: Opener, value: float) -> None:
    page = opened("full").page
    held = float(np.float32(value))

    written = of_core(page, "String(shortest(given))", held)

    assert float(written) == float(str(np.float32(value)))
    # A double that is no such figure is left alone.
    assert of_core(page, "shortest(given)", value) in {value, float(written)}
    assert of_core(page, "String(shortest(NaN))", None) == "NaN"
