"""Files are written whole, and what is no plain file is left what it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageError
from harness.files import check_writable, is_stdout, write_text, written_whole


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def break_off() -> None:
        with written_whole(path) as scratch:
            scratch.write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        break_off()
    assert path.read_text() == "old"
    write_text(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path, exists: bool) -> None:
    real, link = tmp_path / "elsewhere" / "real.json", tmp_path / "link.json"
    real.parent.mkdir()
    if exists:
        real.write_text("old")
    link.symlink_to(real)

    check_writable(link)
    write_text(link, "new")

    assert link.is_symlink()
    assert real.read_text() == "new"
    assert list(real.parent.iterdir()) == [real]


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()

    check_writable(pipe)
    write_text(pipe, "told")

    reader.join(timeout=60)
    assert read == ["told"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk"
    path.write_text("precious")
    true_stat = Path.stat

    def as_disk(self: Path, **named: Any) -> os.stat_result:
        found = true_stat(self, **named)
        if self != path:
            return found
        return os.stat_result((stat.S_IFBLK | 0o600, *tuple(found)[1:]))

    monkeypatch.setattr(Path, "stat", as_disk)

    for write in (check_writable, lambda p: write_text(p, "new")):
        with pytest.raises(StorageError, match="it is a disk"):
            write(path)
    monkeypatch.undo()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_text_goes_to_standard_output_and_nothing_else_does(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(name)

    check_writable(path, is_text=True)
    write_text(path, "told\n")

    assert is_stdout(path)
    assert capsys.readouterr().out == "told\n"
    with pytest.raises(StorageError, match="no text for standard output; name a file"):
        check_writable(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it is a folder"):
        check_writable(tmp_path)
