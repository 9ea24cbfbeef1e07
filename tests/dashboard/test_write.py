"""The page is written whole or not at all, and nothing is no page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard.write import DashboardOrder, find_sources, write_dashboard
from harness.errors import OptionError, RecordError, StorageError
from tests.dashboard.small import RUN, small_dashboard

if TYPE_CHECKING:
    from harness.dashboard.model import Dashboard

ORDER = DashboardOrder(("reports",))


def never(*_: object, **__: object) -> Any:
    message = "nothing is to be read, where it cannot be written"
    raise AssertionError(message)


def test_all_that_is_asked_for_comes_to_the_one_who_reads(tmp_path: Path) -> None:
    asked: list[Any] = []
    shown: list[Dashboard] = []

    def gather(*sources: Any, **told: Any) -> Dashboard:
        asked.append((sources, told))
        return small_dashboard(skipped=("b: is damaged",), notes=("a note",))

    def render(dashboard: Dashboard) -> str:
        shown.append(dashboard)
        return "a page"

    order = DashboardOrder(("a", "b"), tmp_path, tmp_path / "cache", "T", "https://h/{hash}")
    written = write_dashboard(order, tmp_path / "new" / "folder", gather=gather, render=render)

    told = {"repository": tmp_path, "cache": tmp_path / "cache"}
    assert asked == [((("a", "b"),), {**told, "title": "T", "commit_url": "https://h/{hash}"})]
    assert not shown[0].refreshes
    assert written.path == tmp_path / "new" / "folder" / "index.html"
    assert written.path.read_text() == "a page"
    assert (written.size_bytes, written.commits, written.series, written.runs) == (6, 1, 0, 1)
    assert (written.skipped, written.notes) == (("b: is damaged",), ("a note",))
    assert not written.is_simulated
    assert written.to_json()["path"] == str(written.path)


def test_a_page_that_is_served_is_told_so(tmp_path: Path) -> None:
    shown: list[bool] = []

    def render(dashboard: Dashboard) -> str:
        shown.append(dashboard.refreshes)
        return ""

    order = replace(ORDER, refreshes=True)
    write_dashboard(order, tmp_path, gather=lambda *_, **__: small_dashboard(), render=render)

    assert shown == [True]


def test_where_it_fails_the_page_of_before_stays(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("before")

    def fail(_: Dashboard) -> str:
        raise RecordError("this cannot be drawn")

    with pytest.raises(RecordError, match="this cannot be drawn"):
        write_dashboard(ORDER, tmp_path, gather=lambda *_, **__: small_dashboard(), render=fail)

    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "before"


def test_a_name_that_is_no_text_does_not_cost_the_page(tmp_path: Path) -> None:
    written = write_dashboard(
        *(ORDER, tmp_path),
        gather=lambda *_, **__: small_dashboard(),
        render=lambda _: "Grüße 声 \udce9",
    )

    assert written.path.read_text(encoding="utf-8") == "Grüße 声 ?"


def test_what_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_dashboard(ORDER, tmp_path / "file", gather=never, render=never)
    (tmp_path / "index.html").mkdir()
    with pytest.raises(StorageError, match=r"index\.html: cannot write: it is a folder"):
        write_dashboard(ORDER, tmp_path, gather=never, render=never)


def test_made_up_times_are_told(tmp_path: Path) -> None:
    made_up = small_dashboard(runs=(replace(RUN, simulated=True),))

    written = write_dashboard(ORDER, tmp_path, gather=lambda *_, **__: made_up, render=lambda _: "")

    assert written.is_simulated


def test_sources_are_those_that_the_harness_writes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=r"neither records nor results.*'harness run PIPELINE'"):
        find_sources()

    Path("elsewhere").mkdir()
    assert find_sources(Path("elsewhere")) == ("elsewhere",)
    Path("reports/asv/results").mkdir(parents=True)
    assert find_sources(Path("elsewhere")) == ("reports", "reports/asv/results", "elsewhere")
    assert find_sources(Path("reports/asv/results")) == ("reports", "reports/asv/results")
