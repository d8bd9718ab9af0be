"""OpenAPI 3.1 at /openapi.json and a page to read it at /documents, its scripts served by us: no
internet is needed."""

import re
from pathlib import Path
from typing import Any

import flask_swagger_ui
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response, current_app, jsonify, send_from_directory
from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields

from api.guard import public
from api.problems import MEDIA_TYPE

PAGES = Path(__file__).parent / "pages"
ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
READABLE_BY_BROWSERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
}

SECURITY: dict[str, dict[str, str]] = {
    "patient": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "小程序登录后得到的访问令牌：Authorization: Bearer …",
    },
    "staff": {
        "type": "http",
        "scheme": "DPoP",
        "description": "工作人员访问令牌 Authorization: DPoP …，并由本设备密钥对每个请求签名"
        "（RFC 9449 的 DPoP 头，另含 bh：请求体 SHA-256 的 base64url）",
    },
    "his": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Signature",
        "description": "HMAC-SHA256，逐行：方法、路径（含查询）、X-Timestamp、X-Nonce、"
        "请求体 SHA-256（十六进制）；另带 X-Hospital、X-Key-Id",
    },
}


class FieldError(Schema):
    """One field that was wrong."""

    field = fields.String(required=True)
    message = fields.String(required=True)


class Problem(Schema):
    """RFC 9457 problem details."""

    type = fields.String(required=True, metadata={"description": "urn:xianzhen:problem:CODE"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, metadata={"description": "稳定的代码"})
    clause = fields.String(required=True, metadata={"description": "依据的条款，如 GZ-17；可为空"})
    detail = fields.String(required=True, metadata={"description": "一句大白话"})
    next_step = fields.String(required=True, metadata={"description": "下一步怎么办"})
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldError))


def schema_name(schema: Any) -> str:
    """``admissions.Stay``: two resources may use one word for two things."""
    kind = schema if isinstance(schema, type) else type(schema)
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


class Documented(Api):
    """flask-smorest's Api, less its own door for errors (api/problems.py is the only one)."""

    def _register_error_handlers(self) -> None:
        pass


def install(app: Flask, resources: list[Blueprint]) -> None:
    """Register every resource and document it."""
    app.config |= {
        "API_TITLE": "先诊 Xianzhen",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
    }
    names = MarshmallowPlugin(schema_name_resolver=schema_name)
    api = Documented(app, spec_kwargs={"marshmallow_plugin": names})
    api.spec.components.schema(schema_name(Problem), schema=Problem)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/documents.Problem"}}}
    answer = {"description": "没有办成：代码、依据、大白话、下一步", "content": content}
    api.spec.components.response("Problem", answer)
    for name, scheme in SECURITY.items():
        api.spec.components.security_scheme(name, scheme)
    for blueprint in resources:
        api.register_blueprint(blueprint)
    app.extensions["documents"] = api.spec
    app.add_url_rule("/openapi.json", "openapi", specification)
    app.add_url_rule("/documents", "documents", page)
    app.add_url_rule("/documents/<path:name>", "documents_asset", asset)


@public("whoever connects to us reads how", media="*")
def specification() -> Response:
    """Send the OpenAPI document"""
    spec = current_app.extensions["documents"].to_dict()
    return jsonify(_with_ecma_patterns(spec))


@public("whoever connects to us reads how", media="*")
def page() -> Response:
    """Send the page that shows the document"""
    answer = send_from_directory(PAGES, "documents.html")
    answer.headers.update(READABLE_BY_BROWSERS)
    return answer


@public("scripts of the page", media="*")
def asset(name: str) -> Response:
    """Send a script or style of the page"""
    own = (PAGES / name).name == name and (PAGES / name).is_file()
    answer = send_from_directory(PAGES if own else ASSETS, name, max_age=86400)
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def _with_ecma_patterns(node: Any) -> Any:
    """OpenAPI's patterns are JavaScript's: ``$`` for Python's ``\\Z``, and escapes instead of odd
    characters."""
    if isinstance(node, list):
        return [_with_ecma_patterns(each) for each in node]
    if not isinstance(node, dict):
        return node
    known = {key: _with_ecma_patterns(value) for key, value in node.items()}
    if isinstance(pattern := known.get("pattern"), str):
        pattern = pattern.removeprefix("^").removesuffix("\\Z")
        odd = re.sub("[\x00\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", pattern)
        known["pattern"] = f"^{odd}$"
    return known
