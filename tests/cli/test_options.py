"""That an option is the same wherever it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

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


@pytest.mark.parametrize(
    "option", ["--telemetry", "--energy", "--canary", "--threads", "--precision-constraints"]
)
def test_what_an_ab_measures_is_asked_in_the_words_of_a_run(option: str) -> None:
    told = texts(option, but=set())

    assert {"ab", "bisect", "noise", "run"} <= {*told}
    assert len(set(told.values())) == 1, told
