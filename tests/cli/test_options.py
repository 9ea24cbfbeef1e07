"""That an option is the same wherever it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

# These take the commits out of it, and measure them.
MEASURE_ITS_COMMITS = {"ab", "bisect", "noise"}


def commands(of: click.Group = app, name: str = "") -> Iterator[tuple[str, click.Command]]:
    for key, command in of.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}{key} ")
        else:
            yield f"{name}{key}", command


def texts(option: str, but: set[str]) -> dict[str, str | None]:
    """What each command says of an option, by the command's name."""
    return {
        name: param.help
        for name, command in commands()
        if name not in but
        for param in command.params
        if isinstance(param, click.Option) and option in param.opts
    }


def test_where_git_knows_commits_is_asked_in_the_same_words() -> None:
    told = texts("--repository", MEASURE_ITS_COMMITS)

    assert {"compare", "dashboard", "gate", "history detect", "history query", "report"} <= {*told}
    assert len(set(told.values())) == 1, told
