"""The dashboard as one HTML text that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.dashboard.encode import to_page_json
from harness.dashboard.model import NEWEST_WITH_SAMPLES, QUANTILES
from harness.errors import missing_dependency
from harness.stats.changes import DEFAULT_RULE

if TYPE_CHECKING:
    from harness.dashboard.model import Dashboard

# One scope holds them all, in this order: each uses what is above it, and start.js begins.
_SCRIPTS: Final = (
    *("core", "figures", "names", "route", "tables", "charts", "choices", "changes", "pictures"),
    *("overview", "lines", "zoom", "history", "samples", "commit", "compare", "pairs", "precision"),
    *("machine", "start"),
)
# What the page consists of: the name in the address, and the heading.
SECTIONS: Final = {
    "overview": "Overview",
    "history": "History",
    "commit": "Commit",
    "compare": "Compare",
    "precision": "Precision",
    "machine": "Machine",
}


def render_page(dashboard: Dashboard) -> str:
    """``dashboard`` as one HTML text, with plotly.js, styles, scripts and all data inside.

    Its content security policy lets nothing be loaded, and no script run but its own two.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    plotly, own = _plotly(), _own_script(refreshes=dashboard.refreshes)
    environment = Environment(
        loader=PackageLoader("harness.dashboard", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    facts = {"quantiles": QUANTILES, "newest": NEWEST_WITH_SAMPLES, "fewest": DEFAULT_RULE.fewest}
    return environment.get_template("page.html.j2").render(
        dashboard=dashboard,
        sections=SECTIONS,
        policy=_policy((plotly, own), refreshes=dashboard.refreshes),
        facts=Markup(json.dumps(facts)),  # noqa: S704 (numbers)
        style=Markup(_asset("style.css")),  # noqa: S704 (ours)
        data=Markup(to_page_json(dashboard)),  # noqa: S704 (escaped for a script there)
        plotly=Markup(plotly),  # noqa: S704 (plotly's)
        script=Markup(own),  # noqa: S704 (ours)
    )


def _policy(scripts: tuple[str, ...], *, refreshes: bool) -> str:
    """What the page may do: run these scripts, and set styles, as plotly does; load nothing.

    One that refreshes may ask the server that it came from for itself.
    """
    server = "'self'" if refreshes else "'none'"
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hashes}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            f"connect-src {server}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files("harness.dashboard") / "assets" / name).read_text("utf-8")


def _own_script(*, refreshes: bool) -> str:
    names = (*_SCRIPTS, "refresh") if refreshes else _SCRIPTS
    parts = [_asset(f"{name}.js") for name in names]
    return "\n".join(('(() => {\n"use strict";', *parts, "})();"))


def _plotly() -> str:
    """plotly.js, as plotly's wheel has it; plotly itself would take a while to import."""
    spec = importlib.util.find_spec("plotly")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return _read_once(path.read_text("utf-8"))
    raise missing_dependency("plotly", "dashboard", "the dashboard")


def _read_once(plotly: str) -> str:
    """``plotly`` without the function around it that is for loaders of modules.

    A browser would skim all of that function first, and then read all of it: a quarter of the time.
    """
    head, begins, rest = plotly.partition('"use strict";var Plotly=')
    body, ends, _ = rest.rpartition("\nreturn Plotly;\n}));")
    is_known = begins and ends and head.endswith("=> {\n")
    licence = head.partition("*/")[0] + "*/\n"
    return f"{licence}{begins}{body}\n" if is_known else plotly
