"""asv's plugin: ``asv publish`` writes the dashboard beside asv's pages, and links it from them.

``asv.conf.json`` names it: ``"plugins": [".harness.dashboard.asv_publisher"]``. asv's pages load
their scripts from other hosts; where those cannot be reached ``error.html`` is shown, which links
it as well. What goes wrong here is a warning: asv's pages are published in any case.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from asv.console import log
from asv.publishing import OutputPublisher

if TYPE_CHECKING:
    from collections.abc import Callable

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
        if _is_done("the dashboard was not written", lambda: _write(conf, repo, html / FOLDER)):
            log.info(f"Dashboard: {html / _HREF}")
            _is_done("the dashboard is written, but not linked", lambda: link_pages(html))


def _is_done(failure: str, work: Callable[[], None]) -> bool:
    """Whether that could be done; why not is a warning, which begins with ``failure``."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  # whatever it is, asv's pages are published
        log.warning(f"trt-harness: {failure}: {str(error) or type(error).__name__}")
        return False
    return True


def link_pages(html: Path) -> None:
    """Link the dashboard from asv's page, and from the one that asv shows without a network.

    Raises:
        OSError, HarnessError: a page cannot be read, or written; then it is as it was.
    """
    page = html / "index.html"
    _replace(page, _linked(_text(page)))
    failed = html / "error.html"
    if failed.is_file():
        _replace(failed, _before_end(_text(failed)))


def _text(page: Path) -> str:
    # What is no text in it stays as it is, and so do the ends of its lines.
    return page.read_bytes().decode("utf-8", "surrogateescape")


def _replace(page: Path, text: str) -> None:
    from harness.files import written_whole  # noqa: PLC0415

    with written_whole(page) as scratch:
        scratch.write_bytes(text.encode("utf-8", "surrogateescape"))


def _linked(text: str) -> str:
    if _LAST_ITEM in text:
        return text.replace(_LAST_ITEM, f"{_LAST_ITEM}\n\t{_ITEM}", 1)
    # Another version of asv, or a theme of somebody's.
    return _before_end(text)


def _before_end(text: str) -> str:
    before, end, after = text.rpartition(_END)
    return f"{before}{_SENTENCE}\n{end}{after}" if end else f"{text}{_SENTENCE}\n"


def _write(conf: Any, repo: Any, folder: Path) -> None:  # noqa: ANN401
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.dashboard.write import DashboardOrder, write_dashboard  # noqa: PLC0415

    # Where asv itself asks git: its own mirror, if the repository is at an address.
    repository = Path(getattr(repo, "_path", None) or conf.repo)
    order = DashboardOrder(
        sources=(str(conf.results_dir),),
        repository=repository,
        cache=default_cache_root(),
        title=str(conf.project),
        commit_url=_commit_url(str(conf.show_commit_url), repository),
    )
    write_dashboard(order, folder)


def _commit_url(shown: str, repository: Path) -> str:
    """As asv was told, if that is what a link may be; else by the remote."""
    from harness.dashboard.commit_urls import (  # noqa: PLC0415
        HASH,
        check_commit_url,
        find_commit_url,
    )
    from harness.errors import OptionError  # noqa: PLC0415

    try:
        return check_commit_url(f"{shown}{HASH}")
    except OptionError:
        return find_commit_url(repository)
