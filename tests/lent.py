"""Processes that one session starts once and lends to whoever would start their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from unittest.mock import patch

from harness.artifacts.worker import WorkerPool
from harness.errors import WorkerError

if TYPE_CHECKING:
    import socket


class SessionPool(WorkerPool):
    """A pool whose server starts in the environment that the session began with.

    The test that happens to need it first may have changed its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._environment = dict(os.environ)

    def _connect(self) -> socket.socket:
        with patch.dict(os.environ, self._environment, clear=True):
            return super()._connect()


class LentPool(WorkerPool):
    """A pool with a server that is another's: its close ends nothing, but takes no more jobs."""

    def __init__(self, lender: WorkerPool) -> None:
        super().__init__()
        self._lender = lender

    def _connect(self) -> socket.socket:
        if self.is_closed:
            raise WorkerError("the pool was closed", where="tests/lent.py")
        return self._lender._connect()
