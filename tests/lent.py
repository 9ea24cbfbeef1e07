"""Processes that one session starts once, for whoever would start their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from harness.artifacts.worker import WorkerPool
from harness.errors import WorkerError
from harness.pipeline.fingerprint import hash_file

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.backends.protocol import Inspection
    from harness.pipeline.pipeline import Pipeline


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


class SeenGraphs:
    """What looks into graphs, and remembers what it saw of the same bytes at the same sizes."""

    def __init__(self, inspect: Callable[..., dict[str, Inspection]]) -> None:
        self._inspect = inspect
        self._seen: dict[object, dict[str, Inspection]] = {}

    def __call__(
        self,
        pipeline: Pipeline,
        models: Mapping[str, Path],
        sizes: Mapping[str, int],
        inputs: Mapping[str, Any],
        *,
        threads: int,
    ) -> dict[str, Inspection]:
        key = (
            pipeline.declaration.model_dump_json(),
            *((name, hash_file(path)) for name, path in models.items()),
            *sorted(sizes.items()),
            *((name, array.shape, array.dtype.str) for name, array in inputs.items()),
            threads,
        )
        if key not in self._seen:
            self._seen[key] = self._inspect(pipeline, models, sizes, inputs, threads=threads)
        return dict(self._seen[key])
