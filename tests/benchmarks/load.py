"""A client that costs little: prepared requests over a few kept connections, one thread, epoll.

Everything is built and signed before the clock starts; while it runs, the client only writes bytes,
finds the end of each answer and looks at its status.
"""

import select
import socket
from collections.abc import Iterable, Iterator
from time import perf_counter

HEAD_END = b"\r\n\r\n"


class WrongAnswer(AssertionError):
    """The server said something else than it must: there is no figure without right answers."""


def request(
    method: str, target: str, headers: dict[str, str], body: bytes = b"", host: str = "127.0.0.1"
) -> bytes:
    """One HTTP/1.1 request as it goes over the wire."""
    told = {"Host": host, **headers, "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body


def fire(
    port: int, requests: Iterable[bytes], *, connections: int = 4, status: int = 200
) -> tuple[float, list[bytes]]:
    """Send all, each connection its next one when it has its answer; seconds, and the answers."""
    pending, answers = iter(requests), []
    lines = [_Line(port, status) for _ in range(connections)]
    poll = select.epoll()
    started = perf_counter()
    busy = {line.socket.fileno(): line for line in lines if line.send_next(pending)}
    for number in busy:
        poll.register(number, select.EPOLLIN)
    while busy:
        for number, _ in poll.poll():
            line = busy[number]
            if (answer := line.read()) is None:
                continue
            answers.append(answer)
            if not line.send_next(pending):
                poll.unregister(number)
                del busy[number]
    took = perf_counter() - started
    poll.close()
    for line in lines:
        line.socket.close()
    return took, answers


class _Line:
    """One connection with at most one request under way."""

    def __init__(self, port: int, status: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expected = f"HTTP/1.1 {status}".encode()
        self._got = b""

    def send_next(self, pending: Iterator[bytes]) -> bool:
        """Whether there was one to send."""
        if (wish := next(pending, None)) is None:
            return False
        self.socket.sendall(wish)
        return True

    def read(self) -> bytes | None:
        """The whole answer (head and body), or None while something is missing."""
        more = self.socket.recv(262_144)
        if not more:
            raise WrongAnswer("the server hung up")
        self._got += more
        head_end = self._got.find(HEAD_END)
        if head_end < 0 or len(self._got) < head_end + 4 + _body_length(self._got[:head_end]):
            return None
        answer, self._got = self._got, b""
        if not answer.startswith(self._expected):
            raise WrongAnswer(answer[:2000].decode(errors="replace"))
        return answer


def _body_length(head: bytes) -> int:
    place = head.lower().find(b"\r\ncontent-length:")
    return int(head[place + 17 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
