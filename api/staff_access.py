"""Staff come in and are administered: login, own password, accounts, roles, wards."""

from typing import Any

from flask import g
from marshmallow import Schema, fields, validate

from api import limits
from api.access import EVERYBODY, Tokens, tokens_of
from api.fields import said
from api.guard import current_actor, guarded, public
from api.proofs import proven_key, thumbprint
from api.routes import Routes
from api.surroundings import clock
from journeys import login, password, staff_admin

blp = Routes("staff access", __name__, description="工作人员：登录、口令、账号、角色、病区")

STAFF_NO = validate.Regexp(r"[A-Za-z0-9_-]{1,32}\Z", error="工号只能用字母、数字、- 和 _")


class StaffLogin(Schema):
    """Staff number and password; the DPoP header is the second factor."""

    hospital = said(64, required=True)
    staff_no = fields.String(required=True, validate=STAFF_NO)
    password = said(256, required=True, load_only=True)


class NewPassword(Schema):
    """The password in use and its successor."""

    old = said(256, required=True, load_only=True)
    new = said(256, required=True, load_only=True)


class Roles(Schema):
    """Roles of policies/access.py."""

    roles = fields.List(
        fields.String(validate=validate.OneOf(sorted(staff_admin.GRANTABLE))), required=True
    )


class Wards(Schema):
    """Codes of the wards in which somebody works now."""

    wards = fields.List(
        said(32),
        required=True,
        validate=validate.Length(max=100),
    )


class NewStaff(Roles, Wards):
    """Somebody new."""

    staff_no = fields.String(required=True, validate=STAFF_NO)
    name = said(60, required=True)


class FirstPassword(Schema):
    """Shown this once; must be changed at the first login."""

    staff_no = fields.String(required=True)
    first_password = fields.String(required=True)


class StaffOut(Roles, Wards):
    """Somebody who works here."""

    staff_no = fields.String(required=True)
    name = fields.String(required=True)
    disabled_at = fields.AwareDateTime(required=True, allow_none=True)


class Me(Roles, Wards):
    """What the session means at this moment."""

    hospital = fields.String(required=True)
    name = fields.String(required=True, metadata={"description": "staff:工号"})
    channel = fields.String(required=True)


@blp.route("/v1/staff/sessions", methods=["POST"])
@public("this is where staff log in; the device's proof is checked before the password")
@blp.arguments(StaffLogin)
@blp.response(201, Tokens)
def log_in(asked: dict[str, str]) -> dict[str, Any]:
    """Log in on an enrolled device

    Five wrong passwords lock the number for 15 minutes. An unknown number answers like a known one.
    """
    limits.count_address("staff-login-address")
    limits.count("staff-login-number", f"{asked['hospital']} {asked['staff_no']}")
    shown = thumbprint(proven_key())
    opened = login.log_in_staff(thumbprint=shown, now=clock(), **asked)
    return tokens_of(opened)


@blp.route("/v1/staff/me", methods=["GET"])
@guarded(*EVERYBODY, even_if_password_due=True)
@blp.response(200, Me)
def me() -> dict[str, Any]:
    """Show who I am here and now"""
    actor = current_actor()
    return {
        "hospital": g.hospital_code,
        "name": actor.name,
        "channel": actor.channel,
        "roles": sorted(actor.roles),
        "wards": sorted(actor.wards),
    }


@blp.route("/v1/staff/me/password", methods=["PUT"])
@guarded(*EVERYBODY, even_if_password_due=True)
@blp.arguments(NewPassword)
@blp.response(204)
def change_password(asked: dict[str, str]) -> None:
    """Set a new password

    The rules are the hospital's setting ``password_rules``: MLPS or ASVS.
    """
    password.change_password(current_actor(), g.session_id, now=clock(), **asked)


@blp.route("/v1/staff", methods=["POST"])
@guarded("staff:manage")
@blp.arguments(NewStaff)
@blp.response(201, FirstPassword)
def create(new: dict[str, Any]) -> dict[str, str]:
    """Create a staff member"""
    first = staff_admin.create_staff(current_actor(), now=clock(), **new)
    return {"staff_no": new["staff_no"], "first_password": first}


@blp.route("/v1/staff", methods=["GET"])
@guarded("staff:manage")
@blp.response(200, StaffOut(many=True))
def list_staff() -> list[dict[str, Any]]:
    """List the staff"""
    return staff_admin.staff_list(current_actor())


@blp.route("/v1/staff/<staff_no>/roles", methods=["PUT"])
@guarded("staff:manage")
@blp.arguments(Roles)
@blp.response(200, Roles)
def set_roles(asked: dict[str, list[str]], staff_no: str) -> dict[str, Any]:
    """Replace a staff member's roles

    In force with their next request. Nobody changes their own.
    """
    return {"roles": staff_admin.set_roles(current_actor(), staff_no, asked["roles"], clock())}


@blp.route("/v1/staff/<staff_no>/wards", methods=["PUT"])
@guarded("staff:manage")
@blp.arguments(Wards)
@blp.response(200, Wards)
def set_wards(asked: dict[str, list[str]], staff_no: str) -> dict[str, Any]:
    """Replace the wards a staff member works in"""
    return {"wards": staff_admin.set_wards(current_actor(), staff_no, asked["wards"], clock())}


@blp.route("/v1/staff/<staff_no>", methods=["DELETE"])
@guarded("staff:manage")
@blp.response(204)
def disable(staff_no: str) -> None:
    """Stop a staff member, at once"""
    staff_admin.disable(current_actor(), staff_no, clock())


@blp.route("/v1/staff/<staff_no>/password", methods=["DELETE"])
@guarded("staff:manage")
@blp.response(200, FirstPassword)
def reset_password(staff_no: str) -> dict[str, str]:
    """Reset a staff member's password

    Also lets somebody back in who was stopped.
    """
    first = staff_admin.reset_password(current_actor(), staff_no, clock())
    return {"staff_no": staff_no, "first_password": first}
