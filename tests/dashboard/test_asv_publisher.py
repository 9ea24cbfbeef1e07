"""``asv publish`` also writes the dashboard, and is not broken by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard import asv_publisher
from harness.dashboard.asv_publisher import HarnessDashboard, link_pages
from harness.errors import StorageError
from harness.history.rebuild import rebuild
from tests.history.records import CONTEXT, keep_results, measurement, record
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from harness.dashboard.write import DashboardOrder

HREF = 'href="dashboard/index.html"'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two commits, of which there are records and asv's results."""
    root = tmp_path_factory.mktemp("asv") / "project"
    repository = Repository(root)
    commits = [repository.commit("one", {"a": "1"}), repository.commit("<b>two", {"a": "2"})]
    conf = {"version": 1, "project": "tiny", "repo": ".", "branches": ["main"]}
    conf |= {"results_dir": "results", "html_dir": "html", "environment_type": "existing"}
    conf |= {"plugins": [".harness.dashboard.asv_publisher"]}
    (root / "asv.conf.json").write_text(json.dumps(conf))
    for index, commit in enumerate(commits):
        samples = tuple(0.01 * (1 + index) + 1e-6 * i for i in range(20))
        context = replace(CONTEXT, commit=commit, commit_unix_s=1.7e9 + index)
        one = record(f"r{index}", [measurement(latency_s=samples)], context)
        keep_results(root / "results", one)
    rebuild(root / "results")
    return root


def publish(project: Path, **environment: str) -> str:
    words = [sys.executable, "-m", "asv", "publish"]
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False, env=told)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_asv_publish_writes_it_and_links_it(project: Path, tmp_path: Path) -> None:
    # What lies in html_dir is wiped by asv, and the page must come after that.
    (project / "html" / "dashboard").mkdir(parents=True)
    (project / "html" / "dashboard" / "old").touch()

    said = publish(project, TRT_HARNESS_CACHE=str(tmp_path))

    assert "warn" not in said.lower()
    html = project / "html"
    assert [path.name for path in (html / "dashboard").iterdir()] == ["index.html"]
    page = (html / "dashboard" / "index.html").read_text(encoding="utf-8")
    assert 'http-equiv="Content-Security-Policy"' in page
    assert "<b>two" not in page
    assert (html / "index.html").read_text().count(HREF) == 1
    assert (html / "error.html").read_text().count(HREF) == 1
    pages = json.loads((html / "index.json").read_text())["pages"]
    assert ["trt-harness-dashboard", "Dashboard"] in [page[:2] for page in pages]


def test_asv_publishes_its_own_pages_where_the_dashboard_cannot_be_written(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "plotly").mkdir()
    (tmp_path / "plotly" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    said = publish(project, PYTHONPATH=path, TRT_HARNESS_CACHE=str(tmp_path / "cache"))

    assert "trt-harness: the dashboard was not written: plotly is not installed" in said
    assert (project / "html" / "index.json").is_file()
    assert HREF not in (project / "html" / "index.html").read_text()


def made(tmp_path: Path, **changes: Any) -> SimpleNamespace:
    """asv's configuration, and a page as it would have made it."""
    html = tmp_path / "html"
    html.mkdir()
    (html / "index.html").write_text("<body></body>")
    conf = {"html_dir": str(html), "results_dir": "results", "repo": ".", "project": "P"}
    return SimpleNamespace(**{**conf, "show_commit_url": "#", **changes})


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[DashboardOrder]:
    found: list[DashboardOrder] = []
    monkeypatch.setattr(
        "harness.dashboard.write.write_dashboard", lambda order, folder: found.append(order)
    )
    return found


@pytest.mark.parametrize(
    ("shown", "commit_url"),
    [
        ("https://h/commit/", "https://h/commit/{hash}"),
        ("#", ""),
        ("javascript:x", ""),
        ("https://me:secret@h/", ""),
        ('https://h/"><script>', ""),
    ],
)
def test_it_is_made_of_what_asv_was_told(
    tmp_path: Path, orders: list[DashboardOrder], shown: str, commit_url: str
) -> None:
    conf = made(tmp_path, show_commit_url=shown)

    HarnessDashboard.publish(conf, SimpleNamespace(_path=str(tmp_path)), None, None, None)

    (order,) = orders
    assert (order.sources, order.title, order.repository) == (("results",), "P", tmp_path)
    assert order.commit_url == commit_url
    assert not order.refreshes
    assert HREF in Path(conf.html_dir, "index.html").read_text()


@pytest.mark.parametrize("error", [ValueError("what nobody thought of"), KeyError("a"), OSError()])
def test_no_fault_of_it_ends_asv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    said: list[str] = []
    monkeypatch.setattr(asv_publisher.log, "warning", said.append)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("harness.dashboard.write.write_dashboard", fail)

    HarnessDashboard.publish(made(tmp_path), SimpleNamespace(), None, None, None)

    (line,) = said
    assert line.startswith("trt-harness: the dashboard was not written: ")
    assert line.endswith(str(error) or type(error).__name__)
    assert HREF not in (tmp_path / "html" / "index.html").read_text()


@pytest.mark.parametrize("text", ["<html><body>other</body></html>", "no page at all"])
def test_another_page_of_asv_is_linked_from_as_well(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.html").write_text(text)

    link_pages(tmp_path)

    linked = (tmp_path / "index.html").read_text()
    assert linked.count(HREF) == 1
    assert "</p>\n</body>" in linked or "</body>" not in linked


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (Path.unlink, "No such file or directory"),
        (lambda page: (page.unlink(), page.mkdir()), "Is a directory"),
    ],
)
def test_that_it_is_not_linked_is_not_told_as_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, said: str
) -> None:
    warned: list[str] = []
    informed: list[str] = []
    monkeypatch.setattr(asv_publisher.log, "warning", warned.append)
    monkeypatch.setattr(asv_publisher.log, "info", informed.append)
    monkeypatch.setattr("harness.dashboard.write.write_dashboard", lambda *_: None)
    conf = made(tmp_path)
    spoil(Path(conf.html_dir, "index.html"))

    HarnessDashboard.publish(conf, SimpleNamespace(), None, None, None)

    (line,) = warned
    assert line.startswith("trt-harness: the dashboard is written, but not linked: ")
    assert said in line
    assert informed == [f"Dashboard: {conf.html_dir}/dashboard/index.html"]


def test_a_page_in_another_encoding_is_linked_from_and_otherwise_kept(tmp_path: Path) -> None:
    page = "<body>\r\ngr\xfc\xdf\r\n</body>".encode("latin-1")
    (tmp_path / "index.html").write_bytes(page)
    (tmp_path / "error.html").write_bytes(page)

    link_pages(tmp_path)

    for name in ("index.html", "error.html"):
        linked = (tmp_path / name).read_bytes()
        sentence = linked[linked.index(b"<p><a") : linked.index(b"</p>") + len(b"</p>\n")]
        assert linked.replace(sentence, b"") == page


def test_a_page_that_cannot_be_written_whole_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text("<body></body>")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        link_pages(tmp_path)

    assert [one.name for one in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "<body></body>"
