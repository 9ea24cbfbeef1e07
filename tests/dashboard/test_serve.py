"""What is served, and to whom: this machine's own browser, under this machine's own name."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard.refresh import Shown
from harness.dashboard.serve import DashboardServer, answer_for, marked
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = Shown(b"<!DOCTYPE html><html><head><title>T</title></head><body>\xc3\xbc</body>", "s-1")


class Served:
    """A server on a free port of the loopback interface."""

    def __init__(self, server: DashboardServer) -> None:
        self.server, self.port = server, server.server_port
        self.shown: Shown | None = SHOWN

    def ask(
        self, path: str = "/", method: str = "GET", host: str | None = None, body: bytes = b""
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60.0)
        name = f"127.0.0.1:{self.port}" if host is None else host
        try:
            connection.request(method, path, body=body or None, headers={"Host": name})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def raw(self, request: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60.0) as connection:
            connection.sendall(request.encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with DashboardServer(0) as server:
        served = Served(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.001,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def served(running: Served) -> Served:
    running.shown = SHOWN
    running.server.shown = lambda: running.shown  # type: ignore[assignment,return-value]
    return running


def test_the_page_is_served_with_its_version(served: Served) -> None:
    for path in ("/", "/index.html", "/?a=1"):
        answer, body = served.ask(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert body == marked(SHOWN)
    assert b'<head><meta name="dashboard-version" content="s-1"><title>' in body
    assert body.endswith(b"\xc3\xbc</body>")


def test_only_the_first_head_is_marked() -> None:
    page = replace(SHOWN, page=b'<head lang="en"><script>"<head>"</script>')

    assert marked(page).count(b"dashboard-version") == 1
    assert marked(page).startswith(b'<head lang="en"><meta')
    assert marked(replace(SHOWN, page=b"no page")) == b"no page"


def test_the_version_is_told_with_what_keeps_it_from_being_newer(served: Served) -> None:
    served.shown = replace(SHOWN, problem="<gone>", is_building=True)

    answer, body = served.ask("/version")

    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"version": "s-1", "problem": "<gone>", "is_building": True}


def test_nothing_else_is_there(served: Served) -> None:
    for path in ("/etc/passwd", "/../index.html", "/version/", "/%2e%2e/x"):
        answer, body = served.ask(path)
        assert (answer.status, body) == (404, b"There is nothing here.\n")
    assert answer_for("", SHOWN)[0] == 404


def test_a_head_has_no_body(served: Served) -> None:
    answer, body = served.ask("/", "HEAD")

    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(marked(SHOWN))


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "BREW"]
)
def test_nothing_can_be_done_but_read(served: Served, method: str) -> None:
    answer, _ = served.ask("/version", method, body=b"x" * 10)

    assert answer.status == (501 if method == "BREW" else 405)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:{port}",
            "127.0.0.1",
            "127.0.0.1:1",
            "localhost:{port}.evil",
        ),
        *("127.0.0.1:{port}@evil", "0.0.0.0:{port}", "[::1]:{port}", ""),
    ],
)
def test_another_name_that_leads_here_is_refused(served: Served, host: str) -> None:
    """A page of somebody's may have a name that is made to mean this machine."""
    for path in ("/", "/version"):
        answer, body = served.ask(path, host=host.format(port=served.port))
        assert answer.status == 421
        assert b"s-1" not in body


def test_this_machine_may_be_called_by_name(served: Served) -> None:
    answer, _ = served.ask(host=f"LocalHost:{served.port}")

    assert answer.status == 200


@pytest.mark.parametrize(
    "hosts",
    ["", "Host: 127.0.0.1:{port}\r\nHost: evil\r\n", "Host: evil\r\nHost: 127.0.0.1:{port}\r\n"],
)
def test_no_name_and_two_names_are_refused(served: Served, hosts: str) -> None:
    said = served.raw(f"GET / HTTP/1.1\r\n{hosts.format(port=served.port)}\r\n")

    assert said.split()[1] == "421"
    assert "s-1" not in said


def test_every_answer_keeps_others_out(served: Served) -> None:
    for path, method in (("/", "GET"), ("/version", "GET"), ("/none", "GET"), ("/", "POST")):
        headers = served.ask(path, method)[0].headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Python" not in headers["Server"]


def test_before_there_is_a_page_that_is_said(served: Served) -> None:
    served.server.shown = None

    assert served.ask()[0].status == 503


def test_only_the_loopback_interface_is_listened_on(served: Served) -> None:
    assert served.server.socket.getsockname()[0] == "127.0.0.1"
    assert served.server.url == f"http://127.0.0.1:{served.port}/"


def test_a_browser_that_leaves_is_no_error(served: Served, capsys: Any) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"GET / HTT")
    assert served.ask()[0].status == 200

    assert capsys.readouterr().err == ""


def test_a_port_that_is_taken_is_told_and_the_usual_one_gives_way(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match=f"--port: port {served.port} is taken; name another"):
        DashboardServer(served.port)

    monkeypatch.setattr("harness.dashboard.serve.USUAL_PORT", served.port)
    with DashboardServer() as other:
        assert other.server_port not in {0, served.port}
