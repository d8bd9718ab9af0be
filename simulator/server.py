"""The HTTP/1.1 server: keeps connections alive, logs no request, and lets an answer be cut off."""

import io
import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.types import WSGIApplication

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class Connection(WSGIRequestHandler):
    """One client's connection. Reading the whole body first is what makes keep-alive safe."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def run_wsgi(self) -> None:
        """Answer one request and keep the connection for the next."""
        environ = self.make_environ()
        for name, value in self.headers.items():
            # werkzeug drops names with underscores, and those are what a CSB gateway is given
            if name.startswith("_api_"):
                environ["HTTP_" + name.upper()] = value
        environ["wsgi.input"] = io.BytesIO(
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        )
        environ["wsgi.input_terminated"] = True
        sent: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], problem: object = None) -> Any:
            sent[:] = [status, headers]
            return None

        chunks: Iterable[bytes] = self.server.app(environ, start)
        try:
            body = b"".join(chunks)
        finally:
            if close := getattr(chunks, "close", None):
                close()
        self._send(sent[0], sent[1], body)

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in names and code != "204":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log(self, kind: str, message: str, *args: object) -> None:
        """Write only errors: a request line would carry numbers that belong to persons."""
        if kind == "error":
            sys.stderr.write(f"{message % args if args else message}\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def serve(app: WSGIApplication, port: int) -> BaseWSGIServer:
    """A server bound to the loopback address, one thread a connection, not yet serving."""
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=Connection)
