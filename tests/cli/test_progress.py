"""What is shown while a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.progress import ProgressObserver

if TYPE_CHECKING:
    import pytest


def test_a_message_is_shown_as_it_is_and_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = "waiting 15 s for the machine to calm down, then measuring again: [1, 2] were there"
    with ProgressObserver() as observer:
        observer.phase("Measuring", 1)
        observer.message(text)
        assert capsys.readouterr().err == f"{text}\n"


def test_a_title_with_brackets_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressObserver() as observer:
        observer.phase("Preparing HEAD^{/[/red] it}", 1)
    assert capsys.readouterr().err.startswith("Preparing HEAD^{/[/red] it}: ")
