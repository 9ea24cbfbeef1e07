"""Serve the dashboard to this machine alone, and tell the page when there is a newer one.

Whatever else runs in a browser must not read it: only the loopback interface is listened on, only
requests that name it are answered (a name of somebody's that leads here is refused), nothing is
allowed to other origins, and there is nothing but the page and its version.
"""

from __future__ import annotations

import errno
import json
import re
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.dashboard.refresh import Shown

ADDRESS: Final = "127.0.0.1"
USUAL_PORT: Final = 8642
_NAMES: Final = (ADDRESS, "localhost")
_WEB_PORT: Final = 80
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HTML: Final = "text/html; charset=utf-8"
_HEAD: Final = re.compile(rb"<head[^>]*>")


class DashboardServer(ThreadingHTTPServer):
    """Listens on the loopback interface.

    Args:
        port: of it; None for the usual one, or any free one where that is taken.

    Raises:
        OptionError: the port is taken, or may not be used.
    """

    daemon_threads = True

    def __init__(self, port: int | None = None) -> None:
        self.shown: Callable[[], Shown] | None = None
        try:
            super().__init__((ADDRESS, USUAL_PORT if port is None else port), _Handler)
        except OSError as error:
            if port is None and error.errno == errno.EADDRINUSE:
                super().__init__((ADDRESS, 0), _Handler)
                return
            is_taken = error.errno == errno.EADDRINUSE
            what = f"port {port} is taken" if is_taken else f"port {port}: {error.strerror}"
            fix = "name another, or leave it out for a free one"
            raise OptionError(what, where="--port", fix=fix) from error

    def server_bind(self) -> None:
        """Take the port, without a look for the machine's name: that may wait for a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """What a browser that was sent here may call it."""
        names = [f"{name}:{self.server_port}" for name in _NAMES]
        return frozenset([*names, *(_NAMES if self.server_port == _WEB_PORT else ())])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A browser that has left is no error, and no other is worth a page of traceback."""


def answer_for(path: str, shown: Shown) -> tuple[HTTPStatus, str, bytes]:
    """What is answered for ``path``: the status, the kind and the body."""
    if path in {"/", "/index.html"}:
        return HTTPStatus.OK, _HTML, marked(shown)
    if path == "/version":
        told = {
            "version": shown.version,
            "problem": shown.problem,
            "is_building": shown.is_building,
        }
        return HTTPStatus.OK, "application/json", json.dumps(told).encode()
    return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"There is nothing here.\n"


def marked(shown: Shown) -> bytes:
    """The page with its version in its head, for ``assets/refresh.js``."""
    mark = f'<meta name="dashboard-version" content="{shown.version}">'.encode()
    return _HEAD.sub(lambda head: head[0] + mark, shown.page, count=1)


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    server_version = "trt-harness"
    sys_version = ""
    # A browser that says nothing holds no thread for ever.
    timeout = 30.0

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _refuse(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _refuse  # noqa: N815  # as http.server calls them

    def _answer(self, *, has_body: bool) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "Not a name of this server")
            return
        if self.server.shown is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "There is no page yet")
            return
        status, kind, body = answer_for(self.path.partition("?")[0], self.server.shown())
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:  # noqa: ANN401
        """Nothing: a page that asks every other second would fill the terminal."""
