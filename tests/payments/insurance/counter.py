"""A small gateway of the tests' own: it notes every request and answers by a script."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class HangUp:
    """Close the line; with ``half`` after half an answer."""

    half: bool = False


@dataclass
class Slow:
    """Answer after so many seconds."""

    seconds: float
    then: Any


@dataclass
class Raw:
    """Exactly this status and body."""

    status: int
    body: bytes


def yes(**output: Any) -> dict[str, Any]:
    return {"infcode": 0, "inf_refmsgid": "R1", "err_msg": None, "output": output}


def no(said: str, code: Any = "-1") -> dict[str, Any]:
    return {"infcode": code, "err_msg": said}


@dataclass
class Counter:
    """The gateway: ``script[infno]`` is a list of answers, the last one for ever, or a function."""

    url: str
    script: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def asked(self, infno: str) -> list[dict[str, Any]]:
        """The envelopes of this transaction, oldest first."""
        return [body for _, _, body in self.seen if body["infno"] == infno]

    def answer(self, body: dict[str, Any]) -> Any:
        planned = self.script[body["infno"]]
        if callable(planned):
            return planned(body)
        return planned.pop(0) if len(planned) > 1 else planned[0]


@contextmanager
def standing() -> Iterator[Counter]:
    """A counter on a free port of the loopback address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    counter = Counter(f"http://127.0.0.1:{server.server_port}")
    server.counter = counter  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield counter
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        counter: Counter = self.server.counter  # type: ignore[attr-defined]
        counter.seen.append((self.path, dict(self.headers), body))
        with suppress(ConnectionError):  # a client that waits no longer
            self._send(counter.answer(body))

    def _send(self, answer: Any) -> None:
        if isinstance(answer, Slow):
            time.sleep(answer.seconds)
            answer = answer.then
        if isinstance(answer, HangUp):
            if answer.half:
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"infcode":')
            self.close_connection = True
            return
        if not isinstance(answer, Raw):
            answer = Raw(200, json.dumps(answer).encode())
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


Answer = Callable[[dict[str, Any]], Any]
