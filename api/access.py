"""Staying logged in and leaving: /v1/sessions, the same for patients and staff."""

from typing import Any

from flask import g, request
from marshmallow import Schema, fields, validate

from api import limits, tokens
from api.guard import guarded, public
from api.proofs import proven_key, thumbprint
from api.routes import Routes
from api.surroundings import clock
from journeys import login
from journeys.login import LoggedIn

EVERYBODY = ("ward:read", "hospital:read", "staff:manage", "audit:read", "kpi:read")
"""Permissions of which each role of the staff grants one: everybody leaves and has a password."""

blp = Routes("sessions", __name__, description="登录会话：续期与退出")


class Tokens(Schema):
    """What a client keeps: ``access_token`` for ten minutes, ``refresh_token`` to be used once."""

    access_token = fields.String(required=True)
    token_type = fields.String(required=True, validate=validate.OneOf(["Bearer", "DPoP"]))
    expires_in = fields.Integer(required=True, metadata={"description": "秒"})
    refresh_token = fields.String(required=True)
    password_due = fields.Boolean(
        required=True, metadata={"description": "true：须先修改口令，其他操作都会被拒绝"}
    )


class Refresh(Schema):
    """The newest refresh token."""

    refresh_token = fields.String(required=True, validate=validate.Length(max=4096))


def tokens_of(opened: LoggedIn) -> dict[str, Any]:
    """Render a session as tokens."""
    kind: tokens.Kind = "staff" if opened.thumbprint else "patient"
    return {
        "access_token": tokens.access_token(kind, opened.session_id, opened.thumbprint),
        "token_type": "DPoP" if opened.thumbprint else "Bearer",
        "expires_in": int(tokens.ACCESS_LIFE.total_seconds()),
        "refresh_token": tokens.refresh_token(opened.session_id, opened.secret, opened.ends_at),
        "password_due": opened.password_due,
    }


@blp.route("/v1/sessions/refresh", methods=["POST"])
@public("the refresh token is the credential; staff add their device's proof")
@blp.arguments(Refresh)
@blp.response(200, Tokens)
def refresh(asked: dict[str, str]) -> dict[str, Any]:
    """Exchange a refresh token

    Each is good once. One that was exchanged before ends the whole session, unless it comes within
    ten seconds, as after a lost answer.
    """
    limits.count_address("refresh-address")
    said = tokens.read(asked["refresh_token"], "refresh")
    shown = thumbprint(proven_key()) if "DPoP" in request.headers else None
    return tokens_of(login.refresh(said.session_id, said.jti, shown, clock()))


@blp.route("/v1/sessions/current", methods=["DELETE"])
@guarded("own:read", *EVERYBODY, even_if_password_due=True)
@blp.response(204)
def log_out() -> None:
    """Log out

    In force with the next request.
    """
    login.log_out(g.session_id, clock())
