"""A TCP line that loses replies, cuts requests and waits: what stands between two of our processes.

One exchange is a request and its reply. Its fate is drawn when the request's first bytes come in,
from the seed, the line's name, and the numbers of connection and exchange.
"""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from random import Random
from typing import Self


@dataclass(frozen=True, slots=True)
class Weather:
    """The share of exchanges whose reply is lost, whose request is cut, and that are kept waiting
    (for ``wait_s`` seconds)."""

    lose: float = 0.0
    cut: float = 0.0
    wait: float = 0.0
    wait_s: float = 10.0


CALM = Weather()


class Fate(Enum):
    """What happens to one exchange."""

    PASSES = auto()
    REPLY_LOST = auto()
    CUT = auto()
    WAITS = auto()


class Line:
    """One listening port that leads to another, or to a socket's path. ``weather`` may be changed
    at any time."""

    def __init__(self, name: str, to: int | str, seed: int, weather: Weather = CALM) -> None:
        self.name, self.to, self.seed, self.weather = name, to, seed, weather
        self.port = 0
        self.met = dict.fromkeys(Fate, 0)
        """How many exchanges met which fate."""
        self.commits_lost = 0
        """How many of them were the COMMIT of a database."""
        self._connections = count()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> asyncio.Server:
        """Start to listen on a free port."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def draw(self, fates: Random, said: bytes) -> Fate:
        """The fate of the next exchange, that begins with these bytes."""
        met, sky = fates.random(), self.weather
        fate = Fate.PASSES
        if met < sky.lose:
            fate = Fate.REPLY_LOST
        elif met < sky.lose + sky.cut:
            fate = Fate.CUT
        elif met < sky.lose + sky.cut + sky.wait:
            fate = Fate.WAITS
        self.met[fate] += 1
        return fate

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        fates = Random(f"{self.seed} {self.name} {next(self._connections)}")
        try:
            if isinstance(self.to, str):
                far, forth = await asyncio.open_unix_connection(self.to)
            else:
                far, forth = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            back.close()
            return
        exchange = _Exchange(self, fates)
        ways = {
            asyncio.create_task(exchange.forward(near, forth)),
            asyncio.create_task(exchange.back(far, back)),
        }
        with suppress(asyncio.CancelledError):  # the lines are being taken down
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        back.close()
        forth.close()


class DatabaseLine(Line):
    """A line to PostgreSQL, in plain words. What is done and not heard of is what hurts: the fate
    of a COMMIT is drawn from five times the shares of any other exchange (a read, a write that is a
    transaction of its own, a step within one).
    """

    COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
    """The message as it goes over the wire."""
    RARER = 5

    def draw(self, fates: Random, said: bytes) -> Fate:
        """The fate of the next exchange."""
        commit = self.COMMIT in said
        if not commit and fates.random() > 1 / self.RARER:
            self.met[Fate.PASSES] += 1
            return Fate.PASSES
        fate = super().draw(fates, said)
        self.commits_lost += commit and fate == Fate.REPLY_LOST
        return fate


class _Exchange:
    """The exchange that a connection is carrying now; either way ends when the line breaks."""

    def __init__(self, line: Line, fates: Random) -> None:
        self._line, self._fates = line, fates
        self._answered, self._fate = True, Fate.PASSES

    async def forward(self, near: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await near.read(65536):
                if self._answered:
                    self._answered, self._fate = False, self._line.draw(self._fates, part)
                    if self._fate == Fate.WAITS:
                        await self._wait(self._line.weather)
                    if self._fate == Fate.CUT:
                        forth.write(part[: len(part) // 2])
                        return
                forth.write(part)
                await forth.drain()

    async def _wait(self, sky: Weather) -> None:
        """Until it was long enough, or the weather has changed."""
        until = time.monotonic() + sky.wait_s
        while time.monotonic() < until and self._line.weather is sky:
            await asyncio.sleep(min(0.1, sky.wait_s))

    async def back(self, far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await far.read(65536):
                self._answered = True
                if self._fate == Fate.REPLY_LOST:
                    return
                back.write(part)
                await back.drain()


class Lines:
    """Lines on a thread of their own: ``with Lines() as lines: line = lines.lay(Line(...))``."""

    def __enter__(self) -> Self:
        self._up = threading.Event()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), name="lines")
        self._thread.start()
        self._up.wait()
        return self

    def lay(self, line: Line) -> Line:
        """Let it listen, and return it."""
        server = asyncio.run_coroutine_threadsafe(line.listen(), self._loop).result()
        self._servers.append(server)
        return line

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._up.set()
        await self._over.wait()
        for server in self._servers:
            server.close()
        # what is still being carried then is cancelled by asyncio.run
