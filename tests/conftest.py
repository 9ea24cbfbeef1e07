"""What many tests need: the toy pipeline in a folder of its own, edited at will, and a cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from harness.artifacts.cache import Cache
from harness.artifacts.worker import WorkerPool
from harness.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOY = Path(__file__).parent / "toy"
REPOSITORY = Path(__file__).parent.parent


class ToyFactory(Protocol):
    def __call__(self, *edits: tuple[str, str], file: str = ...) -> Path: ...


@pytest.fixture
def toy(tmp_path: Path) -> ToyFactory:
    """Copy the toy pipeline and replace texts in one of its files; each must occur in it."""
    root = tmp_path / "toy"

    def make(*edits: tuple[str, str], file: str = "pipeline.toml") -> Path:
        if not root.exists():
            shutil.copytree(TOY, root, ignore=shutil.ignore_patterns("__pycache__"))
        path = root / file
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, f"{old!r} is not in {file}"
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
        return root

    return make


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """One cache for the whole session, so that what is exported once is not exported again."""
    return Cache(tmp_path_factory.mktemp("shared-cache"))


@pytest.fixture(scope="session")
def shared_pool() -> Iterator[WorkerPool]:
    """One server of worker processes for the whole session."""
    with WorkerPool() as pool:
        yield pool


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; gives exit code, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
