"""asv's plugin: ``asv publish`` writes the dashboard beside asv's pages, and links it from them.

``asv.conf.json`` names it: ``"plugins": [".harness.dashboard.asv_publisher"]``. asv's pages load
their scripts from other hosts; where those cannot be reached ``error.html`` is shown, which links
it as well. What goes wrong here is a warning: asv's pages are published in any case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

from asv.console import log
from asv.publishing import OutputPublisher

FOLDER: Final = "dashboard"
_LABEL: Final = "Dashboard"
_HREF: Final = f"{FOLDER}/index.html"
_ITEM: Final = f'<li id="nav-li-{FOLDER}"><a href="{_HREF}">{_LABEL}</a></li>'
_SENTENCE: Final = f'<p><a href="{_HREF}">{_LABEL}</a>: needs no connection.</p>'
# The last of the links in the bar of asv's page.
_LAST_ITEM: Final = '<a href="#/regressions">Regressions</a></li>'
_END: Final = "</body>"


class HarnessDashboard(OutputPublisher):  # type: ignore[misc]  # asv has no types
    """Writes ``html_dir/dashboard/index.html`` of the records and results in ``results_dir``."""

    name: ClassVar[str] = "trt-harness-dashboard"
    button_label: ClassVar[str] = _LABEL
    description: ClassVar[str] = "Budgets, percentiles and changes, in one page without a network"

    @classmethod
    def publish(
        cls,
        conf: Any,  # noqa: ANN401  # asv's own configuration
        repo: Any,  # noqa: ANN401
        benchmarks: object,  # noqa: ARG003  # as asv calls it
        graphs: object,  # noqa: ARG003
        revisions: object,  # noqa: ARG003
    ) -> None:
        """Write it and link it."""
        html = Path(conf.html_dir)
        try:
            _write(conf, repo, html / FOLDER)
            link_pages(html)
        except Exception as error:  # noqa: BLE001  # whatever it is, asv's pages are published
            reason = str(error) or type(error).__name__
            log.warning(f"trt-harness: the dashboard was not written: {reason}")
        else:
            log.info(f"Dashboard: {html / _HREF}")


def link_pages(html: Path) -> None:
    """Link the dashboard from asv's page, and from the one that asv shows without a network."""
    page = html / "index.html"
    text = page.read_text(encoding="utf-8")
    if _LAST_ITEM in text:
        text = text.replace(_LAST_ITEM, f"{_LAST_ITEM}\n\t{_ITEM}", 1)
    else:
        # Another version of asv, or a theme of somebody's.
        text = _before_end(text)
    page.write_text(text, encoding="utf-8")
    failed = html / "error.html"
    if failed.is_file():
        text = failed.read_text(encoding="utf-8")
        failed.write_text(_before_end(text), encoding="utf-8")


def _before_end(text: str) -> str:
    before, end, after = text.rpartition(_END)
    return f"{before}{_SENTENCE}\n{end}{after}" if end else f"{text}{_SENTENCE}\n"


def _write(conf: Any, repo: Any, folder: Path) -> None:  # noqa: ANN401
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.dashboard.commit_urls import HASH, find_commit_url  # noqa: PLC0415
    from harness.dashboard.write import DashboardOrder, write_dashboard  # noqa: PLC0415

    # Where asv itself asks git: its own mirror, if the repository is at an address.
    repository = Path(getattr(repo, "_path", None) or conf.repo)
    shown = str(conf.show_commit_url)
    is_web = shown.startswith(("https://", "http://"))
    order = DashboardOrder(
        sources=(str(conf.results_dir),),
        repository=repository,
        cache=default_cache_root(),
        title=str(conf.project),
        commit_url=f"{shown}{HASH}" if is_web else find_commit_url(repository),
    )
    write_dashboard(order, folder)
