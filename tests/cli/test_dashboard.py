"""``harness dashboard`` on the command line."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.dashboard import dashboard
from harness.errors import OptionError, WorkerError
from harness.sharing import one_by_one
from tests.dashboard.small import RUN, small_dashboard

if TYPE_CHECKING:
    from collections.abc import Callable

    Harness = Callable[..., tuple[int, str, str]]


class Fakes:
    """What reads and what draws, and what they were asked for."""

    def __init__(self) -> None:
        self.found: Any = small_dashboard()
        self.asked: list[tuple[Any, dict[str, Any]]] = []

    def gather(self, sources: Any, **told: Any) -> Any:
        self.asked.append((sources, told))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def render(self, shown: Any) -> str:
        return f"<head></head>{shown.title}"


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fakes:
    made = Fakes()
    monkeypatch.setattr("harness.dashboard.gather.gather", made.gather)
    monkeypatch.setattr("harness.dashboard.page.render_page", made.render)
    monkeypatch.chdir(tmp_path)
    return made


def test_the_page_is_made_of_what_the_harness_leaves(harness: Harness, fakes: Fakes) -> None:
    Path("reports").mkdir()
    Path("asv.conf.json").write_text(
        '{"version": 1, "repo": ".", // a comment\n "results_dir": "kept", "plugins": [".none"]}'
    )
    Path("kept").mkdir()
    fakes.found = small_dashboard(skipped=("b: is damaged",), notes=("by \x1bdates",))

    code, out, err = harness("dashboard", "--title", "T", "--cache", "c")

    assert (code, err) == (0, "")
    told = {"repository": Path(), "cache": Path("c"), "title": "T", "commit_url": ""}
    # Of so few records no other process takes a part.
    assert fakes.asked == [(("reports", "kept"), {**told, "each": one_by_one})]
    lines = out.splitlines()
    assert lines[:3] == [
        "0 series, 1 commit, 0 environments, 0 changes",
        "note: by \\x1bdates",
        "skipped: 1 file, named on the page",
    ]
    assert re.fullmatch(
        r"Dashboard: reports/dashboard/index\.html \(0\.0 MB, in \d+\.\d s\)", lines[3]
    )
    assert Path("reports/dashboard/index.html").read_text() == "<head></head>"


def test_of_many_notes_the_page_tells_the_rest(harness: Harness, fakes: Fakes) -> None:
    for count, rest in ((4, []), (5, ["and 1 more note, on the page"])):
        fakes.found = small_dashboard(notes=tuple(f"n{one}" for one in range(count)))

        _, out, _ = harness("dashboard", "some")

        lines = out.splitlines()[1:-1]
        assert lines == [*(f"note: n{one}" for one in range(4)), *rest]


def test_json_says_what_is_in_it(harness: Harness, fakes: Fakes) -> None:
    fakes.found = small_dashboard(runs=(replace(RUN, simulated=True),), skipped=("b: why",))

    code, out, err = harness("dashboard", "some", "--out", "there", "--json", "-")

    assert code == 0
    assert err.startswith("SIMULATED: some of the times are made up\n")
    told = json.loads(out)
    assert told["path"] == "there/index.html"
    assert told["is_simulated"]
    assert told["skipped"] == ["b: why"]
    assert (told["commits"], told["runs"], told["changes"]) == (1, 1, 0)
    assert told["size_bytes"] == Path("there/index.html").stat().st_size


@pytest.mark.parametrize(
    ("words", "commit_url"),
    [
        ((), "https://gitlab.com/a/b/-/commit/{hash}"),
        (("--commit-url", "none"), ""),
        (("--commit-url", "https://h/{hash}"), "https://h/{hash}"),
    ],
)
def test_commits_are_linked_as_told_or_by_the_remote(
    harness: Harness, fakes: Fakes, words: tuple[str, ...], commit_url: str
) -> None:
    subprocess.run(["git", "init", "-q", "r"], check=True)
    remote = "https://me:secret@gitlab.com/a/b.git"
    subprocess.run(["git", "-C", "r", "remote", "add", "origin", remote], check=True)

    code, out, _ = harness("dashboard", "some", "--repository", "r", *words)

    assert code == 0
    assert fakes.asked[0][1]["commit_url"] == commit_url
    assert "secret" not in out


def test_an_empty_history_says_what_to_run(harness: Harness, fakes: Fakes) -> None:
    code, out, err = harness("dashboard")
    assert (code, out) == (2, "")
    assert err.startswith("harness: reports, reports/asv/results: there are neither records nor")
    assert "measure something first: 'harness run PIPELINE'" in err

    assert fakes.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--commit-url", "javascript:{hash}"), "--commit-url: is no address of the web; write"),
        (("--serve", "--out", "x"), "--out: a page that is served is written nowhere; leave"),
        (("--serve", "--json", "-"), "--json: a page that is served is written nowhere; leave"),
        (("--port", "1"), "--port: nothing is served; give --serve as well"),
        (("--repository", "none"), "--repository none: there is no such folder; name one that"),
        (("--commit-url", "https://a:b@h/{hash}"), "--commit-url: has a user name or a password"),
        (("--serve", "--port", "65536"), "65536 is not in the range 0<=x<=65535"),
        (("--out", "file"), "'file' is a file"),
        (("--out", "file/x"), "file/x: cannot write"),
        (("--json", "none/x/y.json", "--out", "file/x"), "file/x: cannot write"),
    ],
)
def test_bad_options_are_told(
    harness: Harness, fakes: Fakes, words: tuple[str, ...], said: str
) -> None:
    Path("file").touch()

    code, out, err = harness("dashboard", "some", *words)

    assert (code, out) == (2, "")
    assert said in err
    assert fakes.asked == []


def test_a_configuration_that_is_cut_off_is_told(harness: Harness, fakes: Fakes) -> None:
    Path("reports").mkdir()
    Path("asv.conf.json").write_text("{")

    code, _, err = harness("dashboard")

    assert code == 2
    assert err.startswith("harness: asv.conf.json: is no JSON that asv takes: ")
    # It is not asked where sources are named.
    assert harness("dashboard", "reports")[0] == 0


def test_without_asv_its_usual_folder_is_looked_into(
    harness: Harness, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("reports").mkdir()
    Path("asv.conf.json").write_text("{")
    monkeypatch.setitem(sys.modules, "asv", None)
    monkeypatch.delitem(sys.modules, "harness.history.asv_project", raising=False)

    assert harness("dashboard")[0] == 0
    assert fakes.asked[0][0] == ("reports",)


def test_what_is_wrong_with_a_source_is_the_readers_to_tell(harness: Harness, fakes: Fakes) -> None:
    fakes.found = OptionError("there is no such record", where="none", fix="name another")

    code, _, err = harness("dashboard", "none")

    assert (code, err) == (2, "harness: none: there is no such record; name another\n")


def test_a_page_that_cannot_be_built_is_not_served(
    harness: Harness, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bytes:
        raise WorkerError("there is nothing to show")

    monkeypatch.setattr("harness.dashboard.rebuild.ChildBuilder.build", fail)

    code, out, err = harness("dashboard", "some", "--serve", "--port", 0)

    assert (code, out, err) == (2, "", "harness: there is nothing to show\n")


def test_the_page_about_it_names_its_options_and_no_others() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text(encoding="utf-8")
    table = docs.partition("| option |")[2].partition("\n\n")[0]
    options = [option for one in dashboard.params for option in one.opts if option[:2] == "--"]

    assert set(re.findall(r"`(--[a-z-]+)", table)) == {*options} - {"--rebuild"}


# The whole command, over a folder whose "records" are texts.
SERVED = """
import sys
import harness.dashboard.rebuild as rebuild
import harness.dashboard.refresh as refresh
from harness.cli import main
from harness.errors import WorkerError
from pathlib import Path

def build(_):
    found = [path.read_text() for path in sorted(Path().glob("re*/*.parquet"))]
    if not found:
        raise WorkerError("there is nothing to show")
    return f"<head></head>{found}".encode()

rebuild.ChildBuilder.build = build
refresh.keep_fresh.__defaults__ = (*refresh.keep_fresh.__defaults__[:-1], 0.01)
refresh.POLL_S = 0.01
sys.exit(main(["dashboard", *sys.argv[1:], "--serve", "--port", "0"]))
"""


def serve(folder: Path, *sources: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVED, *sources],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def port_of(process: subprocess.Popen[str]) -> int:
    """As it is told."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(
        r"Dashboard: http://127\.0\.0\.1:(\d+)/ \(to this machine alone.*\)\n", line
    )
    assert match, line
    return int(match[1])


def test_it_is_served_refreshed_and_ended_by_ctrl_c(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    (records / "a.parquet").write_text("first")
    with serve(tmp_path, "records") as process:
        try:
            assert process.stderr is not None
            port = port_of(process)
            first = ask(port, "/version")
            assert b"['first']" in ask(port, "/")

            (records / "b.parquet").write_text("second")
            assert process.stderr.readline() == "harness: refreshed\n"
            assert b"['first', 'second']" in ask(port, "/")
            newer = ask(port, "/version")
            assert newer != first

            records.rename(tmp_path / "gone")
            said = process.stderr.readline()
            assert said == "harness: not refreshed: there is nothing to show\n"
            told = json.loads(ask(port, "/version"))
            assert told["problem"] == "there is nothing to show"
            assert b"['first', 'second']" in ask(port, "/")

            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60.0)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.strip() == "harness: interrupted; nothing is served any more"


def test_it_may_be_served_before_there_is_anything_to_show(tmp_path: Path) -> None:
    with serve(tmp_path) as process:
        try:
            assert process.stderr is not None
            port = port_of(process)
            said = process.stderr.readline()
            assert said == "harness: waiting for the first figures: there is nothing to show\n"
            assert b"Nothing has been measured here yet" in ask(port, "/")
            assert json.loads(ask(port, "/version"))["problem"] == "there is nothing to show"

            (tmp_path / "reports").mkdir()
            (tmp_path / "reports" / "a.parquet").write_text("first")
            assert process.stderr.readline() == "harness: refreshed\n"
            assert b"['first']" in ask(port, "/")
        finally:
            process.kill()


def ask(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
