"""Write the dashboard: read the sources, render the page, and put it in place whole."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import OptionError
from harness.files import check_folder, check_writable, written_whole
from harness.sharing import one_by_one, second_process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.dashboard.model import Dashboard

PAGE: Final = "index.html"
# From so many records on two processes are faster than one.
_MANY: Final = 150
# Where records and asv's results go unless told otherwise.
DEFAULT_SOURCES: Final = ("reports", "reports/asv/results")
_MEASURE_FIRST: Final = (
    "measure something first: 'harness run PIPELINE' leaves a record in reports, "
    "'harness history run' one for each commit"
)


@dataclass(frozen=True)
class DashboardOrder:
    """What a dashboard is made of.

    Args:
        sources: files and folders of records, and folders of asv's results; for the command, none
            stands for those that it finds itself.
        repository: where git knows the commits; None where none does.
        cache: where the calibrations of gates lie; None for the user's.
        title: of the page; empty for its own.
        commit_url: where a commit is shown, with ``{hash}`` for its hash; empty for nowhere.
        refreshes: whether it is served, and asks for a newer one.
    """

    sources: tuple[str, ...]
    repository: Path | None = None
    cache: Path | None = None
    title: str = ""
    commit_url: str = ""
    refreshes: bool = False


@dataclass(frozen=True)
class WrittenDashboard:
    """What was written, and what is in it; ``skipped`` says of each file left out why."""

    path: Path
    size_bytes: int
    spent_s: float
    commits: int
    series: int
    environments: int
    runs: int
    changes: int
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    is_simulated: bool

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {**asdict(self), "path": str(self.path)}


def named_sources(results: Path | None = None) -> tuple[str, ...]:
    """The folders that the harness writes to, and asv's ``results``, there or not."""
    return tuple(dict.fromkeys([*DEFAULT_SOURCES, *([] if results is None else [str(results)])]))


def find_sources(results: Path | None = None) -> tuple[str, ...]:
    """Those that are there of the folders that the harness writes to, and asv's ``results``.

    Raises:
        OptionError: there are none.
    """
    named = named_sources(results)
    found = tuple(name for name in named if Path(name).is_dir())
    if not found:
        what = "there are neither records nor results here"
        raise OptionError(what, where=", ".join(named), fix=_MEASURE_FIRST)
    return found


def _gather(sources: Sequence[str], **told: Any) -> Dashboard:  # noqa: ANN401
    # It loads what it needs while this process does the same.
    with second_process(_load) if _is_long(sources) else nullcontext(None) as second:
        from harness.dashboard.gather import gather  # noqa: PLC0415

        return gather(sources, **told, each=second.each if second else one_by_one)


def _is_long(sources: Sequence[str]) -> bool:
    """Whether another process is worth its start, about a second of a processor's time."""
    files = chain.from_iterable(Path(source).rglob("*.parquet") for source in sources)
    return next(islice(files, _MANY, None), None) is not None


def _load() -> None:
    """Load what reading headers and looking for changes needs."""
    import harness.dashboard.series  # noqa: F401, PLC0415


def _render(dashboard: Dashboard) -> str:
    from harness.dashboard.page import render_page  # noqa: PLC0415

    return render_page(dashboard)


def write_dashboard(
    order: DashboardOrder,
    folder: Path,
    *,
    gather: Callable[..., Dashboard] = _gather,
    render: Callable[[Dashboard], str] = _render,
) -> WrittenDashboard:
    """Write ``index.html`` of ``order`` into ``folder``, which is made if it is not there.

    Args:
        order: what it is made of.
        folder: where it goes.
        gather: reads the sources.
        render: makes the page.

    Raises:
        OptionError: a source is not there.
        RecordError: there is nothing in them that could be shown.
        StorageError: it cannot be written.
        MissingDependencyError: what reads or draws is not installed.
    """
    path = folder / PAGE
    check_folder(folder)
    check_writable(path)
    started = time.perf_counter()
    dashboard = gather(
        order.sources,
        repository=order.repository,
        cache=order.cache,
        title=order.title,
        commit_url=order.commit_url,
    )
    text = render(replace(dashboard, refreshes=order.refreshes))
    with written_whole(path) as scratch:
        # A name that is no UTF-8 must not cost the whole page.
        scratch.write_text(text, encoding="utf-8", errors="replace")
    return WrittenDashboard(
        path=path,
        size_bytes=path.stat().st_size,
        spent_s=time.perf_counter() - started,
        commits=len(dashboard.commits),
        series=len(dashboard.series),
        environments=len(dashboard.environments),
        runs=len(dashboard.runs),
        changes=sum(len(one.changes) for one in dashboard.series),
        skipped=dashboard.skipped,
        notes=dashboard.notes,
        is_simulated=dashboard.is_simulated,
    )
