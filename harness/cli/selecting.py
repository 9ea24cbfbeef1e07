"""Which series of the records of a history are meant, for every command that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from pathlib import Path

    from harness.history.query import Selection

DEFAULT_SOURCE: Final = "reports"
_OPTIONS = (
    click.option("--pipeline", "pipelines", multiple=True, help="Of this pipeline."),
    click.option(
        "--component", "components", multiple=True, help="Of this one; the whole is 'pipeline'."
    ),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        help="Whole ('tensorrt fp16 by flag, graph'), or a backend, a precision or "
        "backend/precision.",
    ),
    click.option("--size", "sizes", multiple=True, help="At this size: '1 s', '1 s, batch 2'."),
    click.option("--machine", "machines", multiple=True, help="On this machine."),
    click.option(
        "--commits",
        metavar="RANGE",
        help="A branch, or a range as v1..v2 or HEAD~10..HEAD, as git rev-list takes it.",
    ),
)


def selection_options(command: Any) -> Any:  # noqa: ANN401
    """The options of which series are meant."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_selection(options: dict[str, Any], repository: Path) -> Selection:
    """Take those options out of a command's ``options``; ``repository`` knows the commits.

    Raises:
        OptionError: git does not know the commits, or there is no git.
    """
    from harness.history.commits import resolve_commits  # noqa: PLC0415
    from harness.history.query import Selection  # noqa: PLC0415

    commits = options.pop("commits")
    return Selection(
        pipelines=options.pop("pipelines"),
        components=options.pop("components"),
        variants=options.pop("variants"),
        sizes=options.pop("sizes"),
        machines=options.pop("machines"),
        commits=None if commits is None else resolve_commits(commits, repository),
    )
