"""JSON logs in which personal data cannot appear: only listed keys pass, and what looks like a
person is masked."""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    [
        "event",
        "level",
        "logger",
        "timestamp",
        "request_id",
        "route",
        "method",
        "status",
        "ms",
        "actor",
        "hospital",
        "code",
        "error",
        "frames",
        "machine",
        "here",
        "there",
        "state",
        "step",
        "task",
        "queue",
        "job",
        "attempt",
        "channel",
        "operation",
        "wire",
        "profile",
        "count",
        "kind",
        "key",
        "day",
        "month",
        "version",
        "path_kind",
        "permission",
        "table",
        "why",
    ]
)
"""Keys that may be logged, besides ids, amounts, counts and durations (see ``_passes``)."""

_SUFFIXES = ("_id", "_ids", "_fen", "_count", "_ms", "_s", "_at")

_OPAQUE = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID names no person and must stay whole to be found again."""

_MASKS = (
    (re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"), "******************"),
    (re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"), "1**********"),
    (re.compile(r"(?<![A-Za-z0-9_-])o[A-Za-z0-9_-]{27}(?![A-Za-z0-9_-])"), "o***"),
)

_PERHAPS = re.compile(r"\d{11}|o[A-Za-z0-9_-]{27}")
"""Whatever a mask could touch has this in it; most values have not."""

Event = MutableMapping[str, Any]


class Line:
    """Our own lines, finished, on their way to where those of the libraries go; without a record of
    `logging` for each, which costs as much again as the line."""

    out: logging.StreamHandler[Any] = logging.StreamHandler()

    def __init__(self, name: str = "") -> None:
        self.name = name

    def info(self, line: str) -> None:
        """Write it, whole."""
        out = self.out
        out.acquire()
        try:
            out.stream.write(f"{line}\n")
            out.flush()
        finally:
            out.release()

    debug = warning = error = critical = info


def configure(stream: Any = None) -> logging.Handler:
    """Send our own and every library's log lines through the same masks, one JSON object a line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [
        frames_only,
        only_listed,
        mask,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=Line,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = Line.out = logging.StreamHandler(stream or sys.stderr)
    cleaned = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=cleaned)
    )
    handler.set_name("xianzhen")
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == "xianzhen"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


def frames_only(_logger: Any, _name: str, event: Event) -> Event:
    """Where an exception was raised, without its message: messages quote the data that failed."""
    raised = event.pop("exc_info", None)
    event.pop("exception", None)
    if raised is True:
        raised = sys.exc_info()[1]
    if isinstance(raised, tuple):
        raised = raised[1]
    if isinstance(raised, BaseException):
        event["error"] = type(raised).__name__
        event["frames"] = [
            f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(raised.__traceback__)[-12:]
        ]
    return event


def only_listed(_logger: Any, _name: str, event: Event) -> Event:
    """Drop every key that is not listed; say only how many were dropped."""
    kept = {key: value for key, value in event.items() if _passes(key)}
    if len(kept) < len(event):
        kept["dropped"] = len(event) - len(kept)
    return kept


def mask(_logger: Any, _name: str, event: Event) -> Event:
    """Replace identity numbers, phones and openids wherever they stand."""
    return {key: masked(value) for key, value in event.items()}


def masked(value: Any) -> Any:
    """The value with everything that looks like a person replaced."""
    if isinstance(value, list | tuple):
        return [masked(one) for one in value]
    if isinstance(value, int | float | bool) or value is None:
        return value
    text = str(value)
    if not _PERHAPS.search(text):
        return text
    if _OPAQUE.fullmatch(text):
        return text
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def _passes(key: str) -> bool:
    return key in ALLOWED or key.endswith(_SUFFIXES)
