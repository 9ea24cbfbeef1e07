"""The cache of built files: built once, whole or not at all, and checked when read."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.cache import Cache, Entry, default_cache_root
from harness.errors import StorageError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DAY_S = 86_400.0


@pytest.fixture(autouse=True)
def short_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that can be read; test_prune.py holds prune to those of real entries."""
    monkeypatch.setattr("harness.artifacts.cache._KEY", re.compile(r"\w+"))
    monkeypatch.setattr("harness.artifacts.cache.KINDS", ("onnx", "reference", "engine"))


class Builder:
    """Writes two files, and counts how often it was asked to."""

    def __init__(self, content: str = "weights") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        self.calls += 1
        (folder / "model.onnx").write_text(self.content)
        (folder / "data").mkdir()
        (folder / "data" / "weights.bin").write_bytes(b"\x00\x01\x02")
        return {"parameters": 3, "call": self.calls}


class FailingBuilder:
    """Writes half of a file, then fails."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        (folder / "half").write_text("half of the f")
        raise self.failure


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def get(cache: Cache, build: Callable[[Path], Mapping[str, Any]]) -> tuple[Entry, bool]:
    return cache.get_or_build("onnx", "key", "encoder", build)


def files_below(folder: Path) -> list[str]:
    """Relative paths of the files, but for the locks."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def change_manifest(entry: Entry, **changes: object) -> None:
    path = entry.file("manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_entry_is_built_once_and_then_found(cache: Cache) -> None:
    build = Builder()
    built, was_there = get(cache, build)
    assert not was_there
    found, was_there = get(cache, build)
    assert was_there
    assert build.calls == 1
    assert found == built == cache.find("onnx", "key")


def test_entry_has_what_the_builder_wrote_and_said(cache: Cache) -> None:
    before = time.time()
    entry, _ = get(cache, Builder())
    assert entry.file("model.onnx").read_text() == "weights"
    assert (entry.path / "data" / "weights.bin").read_bytes() == b"\x00\x01\x02"
    assert (entry.kind, entry.key, entry.label) == ("onnx", "key", "encoder")
    assert entry.info == {"parameters": 3, "call": 1}
    assert entry.size_bytes == len("weights") + 3
    assert before <= entry.created_unix_s <= time.time()
    assert entry.build_s >= 0.0
    assert list((cache.root / "tmp").iterdir()) == []


def test_entries_of_other_keys_and_kinds_are_their_own(cache: Cache) -> None:
    build = Builder()
    for kind, key in (("onnx", "a"), ("onnx", "b"), ("engine", "a")):
        entry, was_there = cache.get_or_build(kind, key, "x", build)
        assert not was_there
        assert (entry.kind, entry.key) == (kind, key)
    assert build.calls == 3
    assert cache.find("engine", "b") is None


def test_cache_is_not_made_by_looking_into_it(cache: Cache) -> None:
    assert cache.find("onnx", "key") is None
    assert list(cache.entries()) == []
    assert cache.prune() == (0, 0)
    assert not cache.root.exists()


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("the export failed"),
        KeyboardInterrupt(),
        SystemExit(1),
        StorageError("cannot write: the disk is full"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_failing_build_leaves_nothing_and_can_be_repeated(
    cache: Cache, failure: BaseException
) -> None:
    with pytest.raises((type(failure), StorageError)) as caught:
        get(cache, FailingBuilder(failure))
    assert failure in {caught.value, caught.value.__cause__}
    assert cache.find("onnx", "key") is None
    assert list(cache.entries()) == []
    assert list((cache.root / "tmp").iterdir()) == []
    assert files_below(cache.root) == []

    _, was_there = get(cache, Builder())
    assert not was_there


def test_information_that_is_no_json_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(TypeError):
        get(cache, lambda folder: {"path": folder})
    assert files_below(cache.root) == []
    assert list((cache.root / "tmp").iterdir()) == []


def test_failing_rebuild_keeps_the_entry_that_was_there(cache: Cache) -> None:
    before, _ = get(cache, Builder())
    with pytest.raises(KeyboardInterrupt):
        cache.get_or_build(
            "onnx",
            "key",
            "encoder",
            FailingBuilder(KeyboardInterrupt()),
            is_current=lambda _: False,
        )
    assert cache.find("onnx", "key") == before


def flip_a_byte(entry: Entry) -> None:
    path = entry.file("model.onnx")
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def shorten_a_file(entry: Entry) -> None:
    path = entry.file("data") / "weights.bin"
    path.write_bytes(path.read_bytes()[:-1])


def remove_a_file(entry: Entry) -> None:
    entry.file("model.onnx").unlink()


def truncate_the_manifest(entry: Entry) -> None:
    path = entry.file("manifest.json")
    path.write_bytes(path.read_bytes()[:-20])


def empty_the_manifest(entry: Entry) -> None:
    entry.file("manifest.json").write_bytes(b"")


def remove_the_manifest(entry: Entry) -> None:
    entry.file("manifest.json").unlink()


def replace_the_manifest(entry: Entry) -> None:
    entry.file("manifest.json").write_text("[]")


def spoil_the_encoding(entry: Entry) -> None:
    path = entry.file("manifest.json")
    path.write_bytes(path.read_bytes().replace(b"encoder", b"enc\xffder"))


def change_the_format(entry: Entry) -> None:
    change_manifest(entry, format=999)


def change_the_list_of_files(entry: Entry) -> None:
    change_manifest(entry, files=["model.onnx"])


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        shorten_a_file,
        remove_a_file,
        truncate_the_manifest,
        empty_the_manifest,
        remove_the_manifest,
        replace_the_manifest,
        spoil_the_encoding,
        change_the_format,
        change_the_list_of_files,
    ],
)
def test_damaged_entry_is_told_of_and_built_again(
    cache: Cache, caplog: pytest.LogCaptureFixture, damage: Callable[[Entry], None]
) -> None:
    build = Builder()
    entry, _ = get(cache, build)
    damage(entry)
    with caplog.at_level(logging.WARNING, logger="harness.cache"):
        rebuilt, was_there = get(cache, build)
    assert not was_there
    assert build.calls == 2
    assert rebuilt.info["call"] == 2
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert str(entry.path) in warning.getMessage()
    assert "built again" in warning.getMessage()

    caplog.clear()
    assert get(cache, build) == (rebuilt, True)
    assert caplog.records == []


def test_corrupt_file_is_named(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    entry, _ = get(cache, Builder())
    flip_a_byte(entry)
    assert cache.find("onnx", "key") is None
    assert "model.onnx is corrupt" in caplog.text


def test_entry_that_is_no_longer_current_is_built_again(cache: Cache) -> None:
    old, _ = get(cache, Builder("old"))
    asked: list[Entry] = []

    def is_current(entry: Entry) -> bool:
        asked.append(entry)
        return False

    new, was_there = cache.get_or_build(
        "onnx", "key", "encoder", Builder("new"), is_current=is_current
    )
    assert not was_there
    assert asked
    assert all(entry == old for entry in asked)
    assert new.file("model.onnx").read_text() == "new"


def test_files_of_the_old_entry_are_gone_after_a_rebuild(cache: Cache) -> None:
    get(cache, Builder())

    def build(folder: Path) -> Mapping[str, Any]:
        (folder / "other").write_text("")
        return {}

    entry, _ = cache.get_or_build("onnx", "key", "encoder", build, is_current=lambda _: False)
    assert files_below(entry.path) == ["manifest.json", "other"]


def test_entry_that_was_not_there_is_not_asked_whether_it_is_current(cache: Cache) -> None:
    def is_current(entry: Entry) -> bool:
        raise AssertionError(entry)

    _, was_there = cache.get_or_build("onnx", "key", "x", Builder(), is_current=is_current)
    assert not was_there


def test_processes_that_ask_at_the_same_time_build_once(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from harness.artifacts.cache import Cache

folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def build(scratch):
    with (folder / "builds").open("a") as file:
        file.write(name + "\\n")
    give_up = time.monotonic() + 120
    while len(list(folder.glob("ready-*"))) < count and time.monotonic() < give_up:
        time.sleep(0.01)
    time.sleep(0.3)  # the others are about to ask: without a lock they would build as well
    (scratch / "file").write_text(name)
    return {"by": name}

(folder / ("ready-" + name)).touch()
entry, was_there = Cache(folder / "cache").get_or_build("onnx", "key", "x", build)
print(was_there, entry.info["by"], entry.file("file").read_text())
"""
    names = ["a", "b", "c"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), name, str(len(names))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    outcomes = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outcomes
    answers = [answer.split() for answer, _ in outcomes]
    (builder,) = (tmp_path / "builds").read_text().split()
    assert sorted(answer[0] for answer in answers) == ["False", "True", "True"]
    assert [answer[1:] for answer in answers] == [[builder, builder]] * 3


def test_threads_that_ask_at_the_same_time_build_once(cache: Cache) -> None:
    count = 4
    barrier = threading.Barrier(count)
    calls: list[int] = []

    def build(folder: Path) -> Mapping[str, Any]:
        calls.append(threading.get_ident())
        time.sleep(0.2)  # the others are waiting: without a lock they would build as well
        (folder / "file").write_text("content")
        return {"by": threading.get_ident()}

    def ask(_: int) -> tuple[Entry, bool]:
        barrier.wait(timeout=60)
        return get(cache, build)

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(ask, range(count)))
    assert len(calls) == 1
    assert sorted(was_there for _, was_there in answers) == [False, True, True, True]
    assert all(entry == answers[0][0] for entry, _ in answers)


def test_different_entries_are_built_at_the_same_time(cache: Cache) -> None:
    barrier = threading.Barrier(2)

    def build(folder: Path) -> Mapping[str, Any]:
        barrier.wait(timeout=60)  # passes only if the other build has begun as well
        return {}

    def ask(key: str) -> bool:
        return cache.get_or_build("onnx", key, "x", build)[1]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["a", "b"])) == [False, False]


def test_entries_are_listed_with_what_is_known_of_them(cache: Cache) -> None:
    expected = [
        cache.get_or_build(kind, key, f"{kind} {key}", Builder())[0]
        for kind, key in (("engine", "c"), ("onnx", "a"), ("onnx", "b"))
    ]
    assert list(cache.entries()) == expected


def test_scratch_of_a_running_build_is_not_listed(cache: Cache) -> None:
    def build(folder: Path) -> Mapping[str, Any]:
        manifest = {"label": "", "created_unix_s": 0, "build_s": 0, "files": {}, "info": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert list(cache.entries()) == []
        return {}

    get(cache, build)


def test_unreadable_entry_is_told_of_and_does_not_hide_the_others(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    bad, _ = cache.get_or_build("onnx", "a", "x", Builder())
    good, _ = cache.get_or_build("onnx", "b", "x", Builder())
    truncate_the_manifest(bad)
    assert list(cache.entries()) == [good]
    assert str(bad.path) in caplog.text


def test_prune_removes_every_entry_and_tells_what_that_freed(cache: Cache) -> None:
    for key in ("a", "b", "c"):
        cache.get_or_build("onnx", key, "x", Builder())
    assert cache.prune() == (3, 3 * (len("weights") + 3))
    assert list(cache.entries()) == []
    assert files_below(cache.root) == []


def test_prune_keeps_entries_that_are_younger_than_asked(cache: Cache) -> None:
    old, _ = cache.get_or_build("onnx", "old", "x", Builder())
    young, _ = cache.get_or_build("onnx", "young", "x", Builder())
    change_manifest(old, created_unix_s=time.time() - 3 * DAY_S)
    assert cache.prune(older_than_s=4 * DAY_S) == (0, 0)
    assert cache.prune(older_than_s=2 * DAY_S) == (1, old.size_bytes)
    assert list(cache.entries()) == [young]
    assert not old.path.exists()


def test_prune_removes_what_an_interrupted_build_left_once_it_is_a_day_old(cache: Cache) -> None:
    get(cache, Builder())
    abandoned, running = cache.root / "tmp" / "onnx-1", cache.root / "tmp" / "onnx-2"
    for folder, age_s in ((abandoned, 1.1 * DAY_S), (running, 0.9 * DAY_S)):
        folder.mkdir()
        (folder / "half").write_text("half")
        os.utime(folder, (time.time() - age_s, time.time() - age_s))
    cache.prune(older_than_s=DAY_S)
    assert not abandoned.exists()
    assert (running / "half").exists()


def test_pruned_entry_is_built_again(cache: Cache) -> None:
    build = Builder()
    get(cache, build)
    cache.prune()
    assert get(cache, build)[1] is False
    assert build.calls == 2


@pytest.mark.parametrize("below", ["", "cache"])
def test_root_that_cannot_be_made_is_refused_before_building(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    build = Builder()
    with pytest.raises(StorageError) as caught:
        get(Cache(file / below), build)
    assert caught.value.where == str(file / below)
    assert build.calls == 0
    assert file.read_text() == "in the way"


def test_full_disk_at_the_manifest_is_refused_and_leaves_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.write_text

    def write_text(path: Path, text: str, *arguments: Any, **options: Any) -> int:
        if path.name == "manifest.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(path, text, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(StorageError, match="the disk is full"):
        get(cache, Builder())
    assert files_below(cache.root) == []
    assert list((cache.root / "tmp").iterdir()) == []


def test_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRT_HARNESS_CACHE", str(tmp_path))
    assert default_cache_root() == tmp_path
    monkeypatch.setenv("TRT_HARNESS_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of the user"))
    assert default_cache_root() == tmp_path / "of the user" / "trt-harness"


def test_waiting_for_another_build_can_be_cancelled(tmp_path: Path) -> None:
    cache, key = Cache(tmp_path), "a" * 40
    (tmp_path / "locks").mkdir()
    with (
        cache._locked("onnx", key),
        pytest.raises(WorkerError, match="cancelled while waiting"),
    ):
        cache.get_or_build("onnx", key, "label", lambda _: {}, is_cancelled=lambda: True)


def test_a_whole_cache_may_be_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, key = Cache(tmp_path), "b" * 40
    cache.get_or_build("onnx", key, "label", lambda _: {})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)

    assert cache.get_or_build("onnx", key, "label", lambda _: {})[1]
