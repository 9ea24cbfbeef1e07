"""``harness dashboard``: one HTML page of all records and asv results, written or served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import FILE, FOLDER, cache_option, repository_option
from harness.errors import EXIT_INTERRUPTED, EXIT_PASS, OptionError

if TYPE_CHECKING:
    from harness.dashboard.refresh import Shown
    from harness.dashboard.write import DashboardOrder, WrittenDashboard

_CONFIG = Path("asv.conf.json")
# What is measured on the same machine meanwhile goes first.
_NICENESS = 10
_NO_LINKS = "none"
_MOST_NOTES = 4


@click.command("dashboard")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder of the page, index.html.  [default: reports/dashboard]",
)
@repository_option
@click.option(
    "--commit-url",
    help="Where a commit is shown, such as https://host/project/commit/{hash}, or none.  "
    "[default: by the remote origin, if it is of GitHub or GitLab]",
)
@click.option("--title", default="", help="Of the page.")
@click.option("--json", "json_file", type=FILE, help="Write what is in it as JSON: a file, or -.")
@click.option(
    "--serve",
    is_flag=True,
    help="Serve it to this machine alone, and refresh it while a run goes on, until Ctrl-C.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="With --serve.  [default: 8642, or a free one where that is taken]",
)
@click.option("--rebuild", "is_rebuild", is_flag=True, hidden=True)
@cache_option
def dashboard(**options: Any) -> int:  # noqa: ANN401
    """Show all figures in one HTML page: within budget or not, what changed, since when, and why.

    SOURCES are files and folders of records, and asv's folders of results. The page needs no
    network and no server: it can be sent, and opened from a disk.  [default: reports, and the
    results_dir of asv.conf.json]
    """
    _check(options)
    order = _order(options)
    if options["serve"]:
        return _serve(order, options["port"])
    return _write(order, options["out"] or Path("reports/dashboard"), options["json_file"])


def _check(options: dict[str, Any]) -> None:
    """See that the options go together.

    Raises:
        OptionError: they do not.
    """
    is_served = options["serve"]
    for option, name in (("--out", "out"), ("--json", "json_file")):
        if is_served and options[name] is not None:
            what = "a page that is served is written nowhere"
            raise OptionError(what, where=option, fix="leave it out, or leave --serve out")
    if options["port"] is not None and not is_served:
        raise OptionError("nothing is served", where="--port", fix="give --serve as well")
    if not options["repository"].is_dir():
        what, fix = "there is no such folder", "name one that is under git, or leave it out"
        raise OptionError(what, where=f"--repository {options['repository']}", fix=fix)


def _order(options: dict[str, Any]) -> DashboardOrder:
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.dashboard.commit_urls import check_commit_url, find_commit_url  # noqa: PLC0415
    from harness.dashboard.write import DashboardOrder, find_sources  # noqa: PLC0415

    told, repository = options["commit_url"], options["repository"]
    if told is None:
        commit_url = find_commit_url(repository)
    else:
        commit_url = "" if told == _NO_LINKS else check_commit_url(told)
    if options["is_rebuild"]:
        import os  # noqa: PLC0415

        os.nice(_NICENESS)
    sources = options["sources"]
    # A page that is served finds them each time that it is built: they may yet come to be there.
    if not sources and not options["serve"]:
        sources = find_sources(_results())
    return DashboardOrder(
        sources=sources,
        repository=repository,
        cache=options["cache"] or default_cache_root(),
        title=options["title"],
        commit_url=commit_url,
        refreshes=options["is_rebuild"],
    )


def _results() -> Path | None:
    """The folder of asv's results that the configuration here names; None where there is none."""
    if not _CONFIG.is_file():
        return None
    try:
        from harness.history.asv_project import results_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "asv":
            raise
        return None
    return results_of(_CONFIG)


def _write(order: DashboardOrder, folder: Path, json_file: Path | None) -> int:
    from harness.cli.output import tell  # noqa: PLC0415
    from harness.dashboard.write import write_dashboard  # noqa: PLC0415
    from harness.files import check_writable, is_stdout, write_text  # noqa: PLC0415

    if json_file is not None:
        check_writable(json_file, is_text=True)
    written = write_dashboard(order, folder)
    lines = _told(written)
    if json_file is not None:
        write_text(json_file, f"{json.dumps(written.to_json(), indent=1)}\n")
        lines.append(f"JSON: {'standard output' if is_stdout(json_file) else json_file}")
    tell("\n".join(lines), beside=json_file)
    return EXIT_PASS


def _told(written: WrittenDashboard) -> list[str]:
    from harness.report.escaping import visible  # noqa: PLC0415

    counts = (
        (written.series, "series"),
        (written.commits, "commits"),
        (written.environments, "environments"),
        (written.changes, "changes"),
    )
    lines = ["SIMULATED: some of the times are made up"] if written.is_simulated else []
    lines.append(", ".join(f"{count} {_counted(count, name)}" for count, name in counts))
    lines += [f"note: {visible(note)}" for note in written.notes[:_MOST_NOTES]]
    more = len(written.notes) - _MOST_NOTES
    if more > 0:
        lines.append(f"and {more} more {_counted(more, 'notes')}, on the page")
    count = len(written.skipped)
    if count:
        lines.append(f"skipped: {count} {_counted(count, 'files')}, named on the page")
    size_mb = written.size_bytes / 1e6
    lines.append(f"Dashboard: {written.path} ({size_mb:.1f} MB, in {written.spent_s:.1f} s)")
    return lines


def _counted(count: int, name: str) -> str:
    return name.removesuffix("s") if count == 1 and name != "series" else name


def _serve(order: DashboardOrder, port: int | None) -> int:
    """Serve until that is interrupted."""
    from contextlib import closing  # noqa: PLC0415

    from harness.cli.output import tell  # noqa: PLC0415
    from harness.dashboard.looking import look_at  # noqa: PLC0415
    from harness.dashboard.rebuild import ChildBuilder  # noqa: PLC0415
    from harness.dashboard.refresh import WAITING, FreshPage, Refreshing  # noqa: PLC0415
    from harness.dashboard.serve import DashboardServer  # noqa: PLC0415

    watched, is_early = _watched(order)
    try:
        with closing(ChildBuilder(order)) as builder, DashboardServer(port) as server:
            waiting = WAITING if is_early else None
            page = FreshPage(builder.build, lambda: look_at(watched), waiting)
            server.shown = lambda: page.shown
            tell(f"Dashboard: {server.url} (to this machine alone, until Ctrl-C)")
            if page.shown.problem:
                _tell_refreshed(page.shown, "waiting for the first figures")
            with Refreshing(page, _tell_refreshed, builder.close):
                server.serve_forever()
    except KeyboardInterrupt:
        click.echo("harness: interrupted; nothing is served any more", err=True)
        return EXIT_INTERRUPTED
    return EXIT_PASS


def _watched(order: DashboardOrder) -> tuple[DashboardOrder, bool]:
    """What is watched for ``order``, and whether it is no error that there is nothing yet.

    What was named is expected to be there.
    """
    from dataclasses import replace  # noqa: PLC0415

    from harness.dashboard.looking import look_at  # noqa: PLC0415
    from harness.dashboard.write import DashboardOrder, named_sources  # noqa: PLC0415

    if order.sources:
        return order, False
    watched = replace(order, sources=named_sources(_results()))
    try:
        return watched, not look_at(DashboardOrder(watched.sources))
    except OSError:
        # Building tells what is wrong with them.
        return watched, False


def _tell_refreshed(shown: Shown, otherwise: str = "not refreshed") -> None:
    from harness.report.escaping import visible  # noqa: PLC0415

    what = f"{otherwise}: {visible(shown.problem)}" if shown.problem else "refreshed"
    click.echo(f"harness: {what}", err=True)
