"""A backend's session served to a harness in another interpreter, over a socket.

A request and its answer are one line of JSON each; arrays are files in a folder that both know.
This process runs one session at a time and ends when its channel, its standard input, is closed.
What an interpreter without the harness's own dependencies lacks is imported with the request that
needs it, and told.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import socket
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError, MissingDependencyError, WorkerError
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.backends.protocol import Backend, Built, Session
    from harness.measure.clock import Clock
    from harness.measure.paced import RoundTrip
    from harness.pipeline.pipeline import Pipeline


REQUEST_ARRAYS: Final = "request.npz"
ANSWER_ARRAYS: Final = "answer.npz"


class Server:
    """What answers the requests."""

    def __init__(self) -> None:
        self._folder = Path()
        self._backend: Backend | None = None
        self._pipeline: Pipeline | None = None
        self._session: Session | None = None
        self._series: list[tuple[Mapping[str, Callable[[], None]], Clock]] = []
        self._round_trips: dict[str, RoundTrip] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a request of any kind.

        Raises:
            HarnessError: as what it asks for.
        """
        kinds = {
            "hello": self._hello,
            "check_can_run": self._check_can_run,
            "describe": self._describe,
            "inspect": self._inspect,
            "open": self._open,
            "bind": self._bind,
            "launch": self._launch,
            "launch_pipeline": self._launch_pipeline,
            "read": self._read,
            "infer": self._infer,
            "series": self._describe_series,
            "cold": self._cold,
            "time_block": self._time_block,
            "round_trips": self._describe_round_trips,
            "time_paced": self._time_paced,
            "time_hot": self._time_hot,
        }
        return kinds[request["do"]](request)

    def _hello(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Say who we are, and make the backend."""
        self._folder = Path(request["folder"])
        module, _, name = request["factory"].partition(":")
        factory = getattr(importlib.import_module(module), name)
        self._backend = factory(**request["arguments"])
        return {"harness": __version__, "python": platform.python_version()}

    def _check_can_run(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """See that the backend can be run here."""
        self._made_backend.check_can_run()
        return {}

    def _describe(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """This Python and its packages, as a record tells of its own."""
        from harness.measure.environment import describe_interpreter  # noqa: PLC0415

        return describe_interpreter()

    @property
    def _made_backend(self) -> Backend:
        if self._backend is None:
            message = "hello comes first"
            raise RuntimeError(message)
        return self._backend

    def _inspect(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the backend tells of each component, and what runs it here."""
        backend, pipeline = self._load(request)
        found = backend.inspect(pipeline, self._built(request), request["sizes"], self._arrays())
        here = {"interpreter": platform.python_version(), **_library_version(backend.name)}
        answer: dict[str, Any] = {}
        for name in pipeline.components:
            one = found.get(name)
            details = {**here, **(one.details if one else {})}
            nodes = None if one is None or one.nodes is None else asdict(one.nodes)
            memory_bytes = one.memory_bytes if one else None
            answer[name] = {"memory_bytes": memory_bytes, "nodes": nodes, "details": details}
        return answer

    def _open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Open a session."""
        backend, pipeline = self._load(request)
        self._session = backend.open(pipeline, self._built(request))
        return {"load_s": dict(self._session.load_s)}

    def _bind(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Bind the arrays that lie in the folder."""
        self._series.clear()
        self._round_trips.clear()
        self._open_session.bind(request["sizes"], self._arrays())
        return {}

    def _launch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Launch one component."""
        self._open_session.launch(request["component"])
        return {}

    def _launch_pipeline(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Launch all."""
        self._open_session.launch_pipeline()
        return {}

    def _read(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Leave an output in the folder."""
        output = request["output"]
        self._answer_arrays({output: self._open_session.read(request["component"], output)})
        return {}

    def _infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Leave a component's outputs for the arrays in the folder there."""
        self._answer_arrays(self._open_session.infer(request["component"], self._arrays()))
        return {}

    def _describe_series(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """What can be timed, by its number."""
        from harness.measure.clock import HostClock  # noqa: PLC0415

        found = self._open_session.series()
        self._series = [(one.targets, one.clock or HostClock()) for one in found]
        told = [
            {
                "launch": one.launch,
                "targets": list(one.targets),
                "clock": clock.name,
                "is_simulated": clock.is_simulated,
            }
            for one, (_, clock) in zip(found, self._series, strict=True)
        ]
        return {"series": told}

    def _cold(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The same launches by a clock that flushes caches, as a series of its own."""
        from harness.measure.clock import cold_clock  # noqa: PLC0415

        targets, clock = self._series[request["series"]]
        self._series.append((targets, cold_clock(clock)))
        return {"series": len(self._series) - 1}

    def _time_block(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Time launches by their names, here and by the series' own clock."""
        targets, clock = self._series[request["series"]]
        launches = [targets[name] for name in request["names"]]
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return {"latency_s": clock.time_block(launches)}
        finally:
            if was_enabled:
                gc.enable()

    def _describe_round_trips(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """How a whole inference can be launched."""
        self._round_trips = dict(self._open_session.round_trips())
        return {"launches": list(self._round_trips)}

    def _time_paced(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Whole inferences of chunks that come in real time here."""
        trip = self._round_trips[request["launch"]]
        chunks = trip.time_paced(request["count"], request["period_s"])
        return {"chunks": [asdict(chunk) for chunk in chunks]}

    def _time_hot(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Whole inferences back to back."""
        trip = self._round_trips[request["launch"]]
        return {"latency_s": trip.time_hot(request["count"])}

    @property
    def _open_session(self) -> Session:
        if self._session is None:
            message = "open comes first"
            raise RuntimeError(message)
        return self._session

    def _load(self, request: Mapping[str, Any]) -> tuple[Backend, Pipeline]:
        from harness.pipeline.loader import load_pipeline  # noqa: PLC0415

        if self._pipeline is None or self._pipeline.root != Path(request["root"]):
            self._pipeline = load_pipeline(Path(request["root"]))
        return self._made_backend, self._pipeline

    def _built(self, request: Mapping[str, Any]) -> dict[str, Built]:
        from harness.backends.protocol import Built  # noqa: PLC0415

        return {name: Built(Path(path)) for name, path in request["built"].items()}

    def _arrays(self) -> dict[str, Any]:
        from harness.files import load_arrays  # noqa: PLC0415

        return load_arrays(self._folder / REQUEST_ARRAYS)

    def _answer_arrays(self, arrays: Mapping[str, Any]) -> None:
        from harness.files import save_arrays  # noqa: PLC0415

        save_arrays(self._folder / ANSWER_ARRAYS, arrays)


def _library_version(backend: str) -> dict[str, str]:
    """The version of what runs models here, which is what the backend is called after."""
    library = backend.split("-", maxsplit=1)[0]
    return {library: str(importlib.import_module(library).__version__)}


def main() -> None:
    """Answer requests until the channel is closed."""
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as channel:
        # What a library prints, into the log.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        server = Server()
        with channel.makefile("r", encoding="utf-8") as requests:
            for line in requests:
                answer = _answer(server, json.loads(line))
                channel.sendall((json.dumps(answer) + "\n").encode())


def _answer(server: Server, request: Mapping[str, Any]) -> dict[str, Any]:
    error: HarnessError
    try:
        return {"result": server.answer(request)}
    except HarnessError as raised:
        error = raised
    except ModuleNotFoundError as raised:
        what = f"{sys.executable} has no {raised.name}"
        fix = f"install it there: {sys.executable} -m pip install {raised.name}"
        error = MissingDependencyError(what, where="--interpreter", fix=fix)
    except Exception as raised:  # noqa: BLE001  # whatever it was, the parent is to know
        traceback.print_exc()
        what = f"{request['do']} raised {type(raised).__name__}: {raised}"
        error = WorkerError(what, where=sys.executable, fix="this is a fault of the harness")
    told = {"what": error.what, "where": error.where, "fix": error.fix}
    return {"error": {"type": type(error).__name__, **told}}


if __name__ == "__main__":
    main()
