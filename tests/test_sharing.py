"""A second process takes half, and nothing depends on it."""

from __future__ import annotations

import os
import signal

import pytest

from harness.errors import RecordError
from harness.sharing import SecondProcess, one_by_one, second_process


def ready() -> None:
    pass


def place(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise RecordError("is no record", where=str(number), fix="leave it out")
    return number


def die_elsewhere(pid_and_number: tuple[int, int]) -> int:
    pid, number = pid_and_number
    if os.getpid() != pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_both_take_half_and_results_are_in_order() -> None:
    with second_process(ready) as second:
        told = second.each(place, [1, 2, 3, 4, 5])
    assert [number for number, _ in told] == [1, 2, 3, 4, 5]
    here = [pid == os.getpid() for _, pid in told]
    assert here == [True, True, True, False, False]


def test_what_fails_there_fails_here() -> None:
    with second_process(ready) as second, pytest.raises(RecordError, match="is no record"):
        second.each(fail_at_three, [1, 2, 3])


def test_if_it_dies_this_process_does_all() -> None:
    with second_process(ready) as second:
        items = [(os.getpid(), number) for number in range(4)]
        assert second.each(die_elsewhere, items) == [0, 1, 2, 3]
        assert second.each(place, [7, 8]) == [(7, os.getpid()), (8, os.getpid())]


def test_where_there_can_be_none_this_process_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_semaphores(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("harness.sharing.ProcessPoolExecutor", no_semaphores)
    with second_process(ready) as second:
        assert second.each(place, [1, 2]) == one_by_one(place, [1, 2])


def test_without_one_all_is_done_here() -> None:
    assert SecondProcess(None).each(str, [1, 2, 3]) == ["1", "2", "3"]
