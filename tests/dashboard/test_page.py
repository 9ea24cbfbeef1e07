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
    # 15 figures, of which three bytes differ at most; base64 makes four of three.
    packed = 4 / 3 * 3 * (15 * figures + samples)
    assert data < packed + 250 * len(kept) + 2_000 * len(dashboard.series)


def test_without_plotly_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingDependencyError, match="plotly is not installed"):
        render_page(made.empty())
