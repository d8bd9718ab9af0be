"""The gate of WeChat Pay: admits a signed request, lets one operation work, signs the answer."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from .faults import Fault
from .wechat_signing import Doorkeeper, Merchant, NotSigned, signature_headers, spoiled
from .world import World, guarded

NO_NUMBER = 268435456


class Problem(Exception):
    """WeChat Pay says no: HTTP status, code and the number at the end of Request-ID."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        number: int = NO_NUMBER,
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.number, self.detail = number, detail


@dataclass(frozen=True)
class Answer:
    """What an operation answers; a body of None is 204."""

    body: dict[str, Any] | None
    status: int = 200
    about: str = ""
    outcome: str = ""


class Gate:
    """The entrance to all operations of one blueprint."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._door = world.shared("wechat door", lambda: Doorkeeper(world))

    def run(self, operation: str, work: Callable[[Merchant], Answer]) -> Response:
        """Answer the current request by ``work``, under the planned faults of this operation."""
        return guarded(
            self._world,
            "wxpay",
            operation,
            lambda: self._answer(operation, work),
            self._refuse,
            lambda: said(Problem(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用")),
        )

    def admitted(self) -> Merchant:
        """Who asks, proven; for answers that are not signed (bill downloads)."""
        merchant: Merchant = self._door.admit(request)
        return merchant

    def _answer(self, operation: str, work: Callable[[Merchant], Answer]) -> Response:
        try:
            merchant = self._door.admit(request)
        except NotSigned as error:
            self._world.log("wxpay", operation, error.issue, "401 SIGN_ERROR")
            return unauthorized(error)
        try:
            key_name = self._key_asked_for(merchant)
            check_headers()
            answer = work(merchant)
        except Problem as problem:
            self._world.log(
                "wxpay",
                operation,
                f"{merchant.code} {problem.message}",
                f"{problem.status} {problem.code}",
            )
            return self._signed(operation, merchant, said(problem), "platform")
        outcome = answer.outcome or str(answer.status if answer.body else 204)
        self._world.log("wxpay", operation, f"{merchant.code} {answer.about}", outcome)
        return self._signed(operation, merchant, written(answer), key_name)

    def _key_asked_for(self, merchant: Merchant) -> str:
        serial = request.headers.get("Wechatpay-Serial")
        if serial not in (None, merchant.keys["public_key_id"]):
            raise Problem(400, "PARAM_ERROR", "Wechatpay-Serial 不是该商户的微信支付公钥ID")
        return "platform" if serial else "certificate"

    def _signed(
        self, operation: str, merchant: Merchant, response: Response, key_name: str
    ) -> Response:
        body = response.get_data()
        headers = signature_headers(self._world, merchant.keys, body, key_name=key_name)
        if fault := self._world.faults.take(
            "wxpay", operation, ("bad_signature", "signature_probe")
        ):
            headers = spoiled(headers, fault.name)
        response.headers.update(headers)
        return response

    def _refuse(self, fault: Fault) -> Response:
        options = fault.options
        problem = Problem(
            options.get("status", 403),
            options.get("code", "REQUEST_BLOCKED"),
            options.get("message", "请求被拦截"),
            number=options.get("number", NO_NUMBER),
        )
        return said(problem)


def check_headers() -> None:
    """Refuse what the front door refuses: no Accept, no User-Agent, a body that is not JSON."""
    if not any(kind in request.headers.get("Accept", "") for kind in ("application/json", "*/*")):
        raise Problem(400, "PARAM_ERROR", "Http头缺少Accept或其值不是application/json")
    if not request.headers.get("User-Agent"):
        raise Problem(400, "PARAM_ERROR", "Http头缺少User-Agent")
    if request.method == "POST" and request.get_data() and request.mimetype != "application/json":
        raise Problem(415, "PARAM_ERROR", "Content-Type必须是application/json")


def body_of_request() -> dict[str, Any]:
    """The JSON object of the request."""
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise Problem(400, "PARAM_ERROR", "请求报文不是合法的JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "PARAM_ERROR", "请求报文不是JSON对象")
    return body


def written(answer: Answer) -> Response:
    """The answer as bytes; 204 has no body and no content type."""
    if answer.body is None:
        response = Response(status=204)
        del response.headers["Content-Type"]
    else:
        response = as_json(answer.body, answer.status)
    response.headers["Request-ID"] = request_id(0)
    return response


def said(problem: Problem) -> Response:
    """A refusal in WeChat's words."""
    content: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.detail:
        content["detail"] = problem.detail
    response = as_json(content, problem.status)
    response.headers["Request-ID"] = request_id(problem.number)
    return response


def unauthorized(error: NotSigned) -> Response:
    """401 with WeChat's hints, not signed: nobody knows whose key it should be."""
    detail = {
        "issue": error.issue,
        "field": "signature",
        "location": "authorization",
        **error.detail,
    }
    return said(Problem(401, "SIGN_ERROR", "签名错误，请检查后再试", detail=detail))


def as_json(content: dict[str, Any], status: int) -> Response:
    """JSON with the content type that WeChat really sends."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, content_type="application/json; charset=utf-8")


def request_id(number: int) -> str:
    """Hex, a dash, and WeChat's own error number."""
    return f"{secrets.token_hex(20).upper()}-{number}"
