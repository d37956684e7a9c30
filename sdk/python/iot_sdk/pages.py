"""Pages of an application: a small threaded HTTP server."""

from __future__ import annotations

import http.server
import json
import logging
import select
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from .actions import Fenced, Interrupted
from .messages import Binding
from .settings import Parameters, Settings

if TYPE_CHECKING:
    from .runner import Runner

log = logging.getLogger("iot_sdk")

LARGEST_BODY = 1024 * 1024
MOST_LIVE = 64
"""Live connections at once; each holds a thread."""
SILENT_PEER_MS = 30_000
"""After so long without a sign from a browser's host, what was sent to it counts as lost."""


@dataclass
class Request:
    """What a browser asked for."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    prefix: str
    """Where the platform serves this application: `/<something>`, or empty."""
    state: dict[str, Any]
    """A copy of the state."""
    parameters: Parameters
    binding: Binding
    location: str

    def url(self, path: str = "") -> str:
        """Returns the full path of a page of this application."""
        return f"{self.prefix}/{path.lstrip('/')}"

    def json(self) -> Any:
        """Reads the body as JSON."""
        return json.loads(self.body or b"null")


@dataclass
class Response:
    """What to answer when text, bytes or JSON alone do not say enough."""

    body: str | bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _Route:
    handler: Callable[[Request], Any]
    methods: tuple[str, ...]
    every: float | None = None


class Pages:
    """The routes, and the server once it runs."""

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}
        self._server: http.server.ThreadingHTTPServer | None = None

    def add(self, path: str, methods: tuple[str, ...]) -> Callable[[Any], Any]:
        """Adds a page."""
        return self._add(path, lambda handler: _Route(handler, tuple(method.upper() for method in methods)))

    def add_live(self, path: str, every: float) -> Callable[[Any], Any]:
        """Adds live data."""
        return self._add(path, lambda handler: _Route(handler, ("GET",), every))

    def _add(self, path: str, make: Callable[[Any], _Route]) -> Callable[[Any], Any]:
        if not path.startswith("/"):
            raise ValueError(f"`{path}` must begin with /")
        if path in self._routes:
            raise ValueError(f"there is already a page at {path}")

        def add(handler: Any) -> Any:
            self._routes[path] = make(handler)
            return handler

        return add

    def serve(self, settings: Settings, runner: Runner) -> int:
        """Starts the server in the background; returns its port."""
        routes = self._routes
        live = threading.BoundedSemaphore(MOST_LIVE)

        class Handler(_Handler):
            pass

        Handler.routes, Handler.runner, Handler.live = routes, runner, live
        self._server = http.server.ThreadingHTTPServer(("0.0.0.0", settings.port or 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="pages", daemon=True).start()
        return self._server.server_address[1]

    def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written apart: without this the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True
    timeout = 60
    routes: dict[str, _Route]
    runner: Runner
    live: threading.BoundedSemaphore

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(address.path) or "/"
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > LARGEST_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send(Response(f"a body may have {LARGEST_BODY} bytes", 413, "text/plain; charset=utf-8"))
            return
        body = self.rfile.read(int(length))
        route = self.routes.get(path) or self.routes.get(path.rstrip("/") or "/")
        if route is None and path == "/healthz":
            self._send(self._health())
        elif route is None:
            self._send(Response("there is no such page", 404, "text/plain; charset=utf-8"))
        elif self.command not in route.methods and not (self.command == "HEAD" and "GET" in route.methods):
            allowed = {"Allow": ", ".join(route.methods)}
            self._send(Response("this page does not take that", 405, "text/plain; charset=utf-8", allowed))
        else:
            self._answer(route, path, dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True)), body)

    def _answer(self, route: _Route, path: str, query: dict[str, str], body: bytes) -> None:
        try:
            if route.every is not None and "once" not in query:
                self._stream(route, path, query)
                return
            response = _response(route.handler(self._request(path, query, body)))
        except ConnectionError:
            self.close_connection = True
            return
        except (Fenced, Interrupted):
            response = Response("this copy is about to end", 503, "text/plain; charset=utf-8")
        except Exception:
            log.exception("the page %s failed", path)
            response = Response("the page failed, its log says why", 500, "text/plain; charset=utf-8")
        self._send(response)

    def _request(self, path: str, query: dict[str, str], body: bytes) -> Request:
        context = self.runner.context
        prefix = self.headers.get("X-Forwarded-Prefix") or ""
        return Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            prefix="/" + prefix.strip("/") if prefix.strip("/") else "",
            state=context.snapshot(),
            parameters=context.parameters,
            binding=context.binding,
            location=context.location,
        )

    def _health(self) -> Response:
        runner = self.runner
        health = {"ok": not runner.stopping, "session": runner.actions.session, "standby": runner.standby}
        response = _response(health)
        response.status = 503 if runner.stopping else 200
        return response

    def _stream(self, route: _Route, path: str, query: dict[str, str]) -> None:
        """Sends an event when the data has changed, and a comment now and then to notice a host that has gone."""
        if not self.live.acquire(blocking=False):
            self._send(Response("too many live connections", 503, "text/plain; charset=utf-8", {"Retry-After": "5"}))
            return
        try:
            self.close_connection = True
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_PEER_MS)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Accel-Buffering", "no")
            self.send_header("Connection", "close")
            self.end_headers()
            last, spoke = None, time.monotonic()
            gone = False
            while not gone and not self.runner.stopping:
                data = json.dumps(route.handler(self._request(path, query, b"")), ensure_ascii=False)
                now = time.monotonic()
                if data != last:
                    self.wfile.write(f"data: {data}\n\n".encode())
                    last, spoke = data, now
                elif now - spoke > 10:
                    self.wfile.write(b": still here\n\n")
                    spoke = now
                gone = self._leaves_within(route.every or 1.0)
        except OSError:
            pass  # the browser has gone
        except Exception:
            log.exception("live data of %s failed", path)
        finally:
            self.live.release()

    def _leaves_within(self, seconds: float) -> bool:
        """Waits; ends early when the browser closes the connection, which it has no other reason to write to."""
        watch = select.poll()
        watch.register(self.connection, select.POLLIN)
        if not watch.poll(seconds * 1000):
            return False
        if not self.connection.recv(1, socket.MSG_PEEK):
            return True
        time.sleep(seconds)
        return False

    def _send(self, response: Response) -> None:
        body = response.body.encode() if isinstance(response.body, str) else response.body
        try:
            self.send_response(response.status)
            headers = {"Content-Type": response.content_type, "Cache-Control": "no-store", **response.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not the application's log."""


def _response(result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, (str, bytes)):
        return Response(result)
    return Response(json.dumps(result, ensure_ascii=False), 200, "application/json")
