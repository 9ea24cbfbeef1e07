"""The page as text: nothing in it is loaded, and nothing in the data can become code."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.dashboard.encode import to_page_json
from harness.dashboard.page import SECTIONS, render_page
from harness.errors import MissingDependencyError
from tests.dashboard import made

SCRIPTS = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(made.full())


def scripts_of(page: str) -> list[tuple[str, str]]:
    return SCRIPTS.findall(page)


def test_its_scripts_are_ours_and_plotlys_whatever_the_data_hold(page: str) -> None:
    found = scripts_of(page)

    kinds = [attributes for attributes, _ in found]
    assert kinds == [
        ' type="application/json" id="facts"',
        ' type="application/json" id="data"',
        ' type="text/plain" id="plotly"',
        "",
    ]
    assert "plotly.js" in found[2][1][:100]
    assert "window.hacked=1</script>" not in page
    assert page.count("</script>") == len(found)
    # Nothing of the data is in the markup but the title and the sources.
    assert "window.hacked" not in SCRIPTS.sub("", page)


def test_hostile_titles_and_sources_are_text() -> None:
    page = render_page(replace(made.empty(), title=made.HOSTILE[1], sources=made.HOSTILE))

    markup = SCRIPTS.sub("", page)
    assert "<script>window" not in markup
    assert html.escape(made.HOSTILE[1], quote=False) in markup
    assert "<img" not in markup


def test_the_data_come_back_as_they_were(page: str) -> None:
    data = json.loads(scripts_of(page)[1][1])

    assert data["commits"][1]["subject"] == made.HOSTILE[1]
    assert [one["verdict"] for one in data["budgets"]] == ["missed", "within", "not measured"]
    assert data["budgets"][2]["p99_s"] is None


def test_its_policy_lets_nothing_be_loaded_and_no_other_script_run(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))

    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    hashes = {f"'sha256-{digest_of(text)}'" for _, text in scripts_of(page)[2:]}
    assert set(rules["script-src"].split()) == hashes


def digest_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_only_a_served_page_may_ask_its_server() -> None:
    page = render_page(replace(made.empty(), refreshes=True))

    assert "connect-src &#39;self&#39;" in page


def test_it_refers_to_nothing_outside_itself(page: str) -> None:
    markup = SCRIPTS.sub("", page)

    assert not re.findall(r'(?:src|href|action|srcset)="(?!#|data:,)[^"]*"', markup)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", markup)
    # What our own script names is no address but SVG's namespace.
    own = scripts_of(page)[3][1]
    assert set(re.findall(r"https?://[\w./]+", own)) == {"http://www.w3.org/2000/svg"}


def test_the_page_has_each_section_and_a_link_to_it(page: str) -> None:
    for name, heading in SECTIONS.items():
        assert f'<a href="#{name}">{heading}</a>' in page
        assert f'id="section-{name}"' in page


def test_made_up_times_are_said_to_be() -> None:
    banner = '<aside class="banner"'
    measured = replace(made.empty(), series=(made.series(0, np.arange(3), simulated=False),))

    assert banner in render_page(made.full())
    assert banner not in render_page(measured)


def test_our_script_never_writes_markup(page: str) -> None:
    own = scripts_of(page)[3][1]

    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert name not in own


def test_a_long_history_fits_a_file() -> None:
    """40 commits of 50 series, without plotly: a thousand of a hundred are 50 times as much."""
    dashboard = made.large(40, 50)
    data = len(scripts_of(render_page(dashboard))[1][1])

    figures = 40 * 50
    kept = [one for of in dashboard.series for one in of.samples]
    samples = sum(len(one.latency_s) for one in kept)
    # A sketch of 11 in three bytes, four more figures in four; base64 makes four of three.
    packed = 4 / 3 * ((11 * 3 + 4 * 4) * figures + 2 * samples)
    assert data < packed + 250 * len(kept) + 2_000 * len(dashboard.series)


def test_without_plotly_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingDependencyError, match="plotly is not installed"):
        render_page(made.empty())


def unpacked(packed: dict[str, object]) -> np.ndarray:
    """What the page does, in numpy: core.js."""

    def data(key: str) -> bytes:
        return base64.b64decode(str(packed[key]))

    if "h" in packed:
        steps = np.frombuffer(data("h"), "<u2")
        return float(packed["a"]) + (float(packed["b"]) - float(packed["a"])) * steps / 65535
    if "t" in packed:
        three = np.frombuffer(data("t"), np.uint8).reshape(-1, 3)
        return np.pad(three, ((0, 0), (1, 0))).view("<f4").ravel()
    kind = "i" if "i" in packed else "f"
    values = np.frombuffer(data(kind), f"<{kind}4")
    if "n" in packed:
        values = np.repeat(values, np.frombuffer(data("n"), "<i4"))
    return np.cumsum(values) if "s" in packed else values


@pytest.mark.parametrize(
    "values",
    [
        np.array([], np.float32),
        np.array([2.5e-3], np.float32),
        np.full(100, np.nan, np.float32),
        np.array([1e-3, np.nan, np.nan, -0.0, 0.0, 3e8, 1e-12], np.float32),
        np.repeat(np.array([1.1e-3, 1.2e-3, 1.1e-3], np.float32), 30),
    ],
)
def test_figures_are_kept_and_sketches_to_a_65536th(values: np.ndarray) -> None:
    sketch = np.stack([values, values * 2])
    one = replace(made.series(0, np.arange(3)), energy_j=values, quantiles=sketch)
    packed = json.loads(to_page_json(replace(made.empty(), series=(one,))))["series"][0]

    np.testing.assert_array_equal(unpacked(packed["energy_j"]), values)
    found = unpacked(packed["quantiles"]).reshape(sketch.shape)
    np.testing.assert_allclose(found, sketch, rtol=1 / 65536)


@pytest.mark.parametrize("places", [[0], [0, 1, 2, 3, 4, 5], [3, 5, 900, 901], [*range(9, 200)]])
def test_places_are_kept(places: list[int]) -> None:
    one = made.series(0, np.array(places))
    packed = json.loads(to_page_json(replace(made.empty(), series=(one,))))["series"][0]

    assert unpacked(packed["commits"]).tolist() == places


def test_samples_are_kept_to_a_step_of_their_range() -> None:
    one = made.series(0, np.arange(3))
    raw = made.samples(one, 2)
    one = replace(one, samples=(raw, replace(raw, latency_s=np.full(5, 2e-3, np.float32))))
    packed = json.loads(to_page_json(replace(made.empty(), series=(one,))))["series"][0]

    found = unpacked(packed["samples"][0]["latency_s"])
    assert np.abs(found - raw.latency_s).max() <= np.ptp(raw.latency_s) / 65535
    assert unpacked(packed["samples"][1]["latency_s"]) == pytest.approx(2e-3)
    assert unpacked(packed["samples"][0]["process"]).tolist() == raw.process.tolist()
