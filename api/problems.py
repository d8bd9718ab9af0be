"""Every failure leaves by one door: an RFC 9457 problem document with a stable code, plain words
and the next step."""

import re
from typing import Any

import sqlalchemy.exc
import structlog
from flask import Flask, Response, g, json, request
from werkzeug.exceptions import HTTPException

from models.machine import ForbiddenMove
from policies import outcome
from policies.refusal_texts import words_of
from policies.refusals import (
    Busy,
    Conflict,
    Forbidden,
    NotFound,
    Refusal,
    Refused,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[Refusal], tuple[int, str]] = {
    Refused: (422, "按规定不能办理"),
    NotFound: (404, "没有找到"),
    Conflict: (409, "与已有的办理冲突"),
    Forbidden: (403, "没有权限"),
    Unauthenticated: (401, "身份没有通过验证"),
    Busy: (503, "暂时办不了"),
}
HTTP: dict[int, tuple[str, str]] = {
    400: ("REQUEST_MALFORMED", "请求读不懂"),
    404: ("ADDRESS_UNKNOWN", "没有这个地址"),
    405: ("METHOD_NOT_ALLOWED", "这个地址不能这样用"),
    413: ("BODY_TOO_LARGE", "内容太大"),
    415: ("MEDIA_TYPE_UNSUPPORTED", "内容格式不支持"),
    422: ("FIELDS_INVALID", "填写的内容有误"),
    429: ("TOO_MANY_REQUESTS", "操作太频繁"),
}
"""HTTP's own refusals -> our code and title; any other status of 4xx counts as 400."""

RETRY_AFTER_S = 5

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}|[0-9]{1,6}")
"""A field, or a place in a list."""

log = structlog.get_logger("problems")


def install(app: Flask) -> None:
    """Register the door."""
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(ForbiddenMove, _forbidden_move)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(sqlalchemy.exc.TimeoutError, _pool_exhausted)
    app.register_error_handler(sqlalchemy.exc.OperationalError, _database_down)
    app.register_error_handler(sqlalchemy.exc.InterfaceError, _database_down)
    for answer in (outcome.NotNow, outcome.NoAnswer):
        app.register_error_handler(answer, _counterpart_away)
    app.register_error_handler(outcome.Declined, _counterpart_declined)
    app.register_error_handler(Exception, _unexpected)


def problem(
    status: int,
    title: str,
    code: str,
    facts: dict[str, Any] | None = None,
    *,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """The document. ``errors`` names each field that was wrong."""
    words = words_of(code, facts or {})
    body: dict[str, Any] = {
        "type": f"urn:xianzhen:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "clause": words.clause,
        "detail": words.say,
        "next_step": words.next,
        "request_id": g.get("request_id", ""),
    }
    if errors is not None:
        body["errors"] = errors
    g.problem_code = code
    answer = Response(json.dumps(body), status=status, content_type=MEDIA_TYPE)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer, DPoP algs="ES256"'
    if status in (429, 503):
        answer.headers["Retry-After"] = str((facts or {}).get("retry_after_s", RETRY_AFTER_S))
    return answer


def _refusal(refusal: Refusal) -> Response:
    status, title = next(found for kind, found in STATUS.items() if isinstance(refusal, kind))
    errors = refusal.facts.get("errors")
    return problem(status, title, refusal.code, refusal.facts, errors=errors)


def _forbidden_move(move: ForbiddenMove) -> Response:
    log.info("forbidden_move", machine=move.machine, here=move.here, there=move.there)
    return problem(409, STATUS[Conflict][1], "STATE_CHANGED")


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400 or status >= 500:
        return _unexpected(error) if status >= 500 else Response(status=status)
    code, title = HTTP.get(status, HTTP[400])
    facts = {"retry_after_s": getattr(error, "retry_after_s", RETRY_AFTER_S)}
    answer = problem(status, title, code, facts, errors=_field_errors(error))
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def _field_errors(error: HTTPException) -> list[dict[str, str]] | None:
    """webargs' messages by location, flattened to ``lines.3.amount_fen``: reason.

    A name that no field can have is not repeated: somebody's name may stand in its place.
    """
    messages = getattr(error, "data", {}).get("messages")
    if messages is None:
        return None
    found: list[dict[str, str]] = []

    def walk(path: tuple[str, ...], node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk((*path, str(key) if FIELD_NAME.fullmatch(str(key)) else "?"), value)
        else:
            reasons = node if isinstance(node, list) else [node]
            found.extend({"field": ".".join(path), "message": str(reason)} for reason in reasons)

    for location in messages.values() if isinstance(messages, dict) else [messages]:
        walk((), location)
    return found


def _pool_exhausted(error: Exception) -> Response:
    return _away("POOL_EXHAUSTED", error)


def _database_down(error: Exception) -> Response:
    return _away("DATABASE_AWAY", error)


def _counterpart_away(error: Exception) -> Response:
    return _away("COUNTERPART_AWAY", error)


def _away(code: str, error: Exception) -> Response:
    log.warning("away", code=code, error=type(error).__name__)
    return problem(503, STATUS[Busy][1], code)


def _counterpart_declined(declined: outcome.Declined) -> Response:
    log.warning("counterpart_declined", code=declined.code)
    return problem(422, STATUS[Refused][1], "COUNTERPART_DECLINED", {"their_code": declined.code})


def _unexpected(error: Exception) -> Response:
    log.error("unexpected", error=type(error).__name__, exc_info=error)
    return problem(500, "系统出错", "UNEXPECTED")
