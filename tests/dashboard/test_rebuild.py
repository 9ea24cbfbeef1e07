"""A served page is built by a process of its own, which tells what was wrong."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.rebuild import ChildBuilder, words_of
from harness.dashboard.write import DashboardOrder
from harness.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = DashboardOrder(("a b", "--b"), Path("here"), Path("c"), "-t", "https://h/{hash}")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ChildBuilder]:
    """A builder whose process runs this instead; it is told the folder as ``out``."""

    def make(script: str) -> ChildBuilder:
        begin = "import sys; out = sys.argv[sys.argv.index('--out') + 1]; "
        command = [sys.executable, "-S", "-c", begin + script]
        monkeypatch.setattr("harness.dashboard.rebuild.harness_command", lambda: command)
        return ChildBuilder(ORDER)

    return make


def test_its_words_say_what_the_order_does() -> None:
    assert words_of(ORDER) == [
        *("--repository=here", "--cache=c", "--title=-t", "--commit-url=https://h/{hash}"),
        *("--", "a b", "--b"),
    ]
    assert words_of(DashboardOrder(("a",))) == ["--commit-url=none", "--", "a"]


def test_the_page_is_what_it_writes(child: Callable[[str], ChildBuilder]) -> None:
    builder = child("open(out + '/index.html', 'w').write(' '.join(sys.argv[1:]))")

    page = builder.build().decode().split()

    assert page[:3] == ["dashboard", "--rebuild", "--out"]
    assert not Path(page[3]).exists()


def test_ctrl_c_in_the_terminal_is_not_for_it(child: Callable[[str], ChildBuilder]) -> None:
    builder = child("import os; open(out + '/index.html', 'w').write(str(os.getsid(0)))")

    assert int(builder.build()) != os.getsid(0)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('harness: warning: x\\nharness: there is none', file=sys.stderr); sys.exit(2)",
         "there is none"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("sys.exit(3)", "ended with 3"),
        ("pass", "cannot be built: .*index.html"),
    ],
)  # fmt: skip
def test_why_there_is_no_page_is_told(
    child: Callable[[str], ChildBuilder], script: str, reason: str
) -> None:
    with pytest.raises(WorkerError, match=f"^{reason}"):
        child(script).build()


def test_closing_ends_what_is_being_built(
    child: Callable[[str], ChildBuilder], tmp_path: Path
) -> None:
    builder = child(f"open({str(tmp_path / 'begun')!r}, 'w'); import time; time.sleep(600)")
    said: list[str] = []

    def build() -> None:
        with pytest.raises(WorkerError) as caught:
            builder.build()
        said.append(str(caught.value))

    thread = threading.Thread(target=build)
    thread.start()
    while not (tmp_path / "begun").exists():
        thread.join(0.01)
    builder.close()
    thread.join(60.0)

    assert said == ["ended with -9"]
    with pytest.raises(WorkerError, match="it is over"):
        builder.build()
