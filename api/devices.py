"""Handhelds and desks: announce, enrol, list, revoke."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api import limits
from api.fields import said
from api.guard import current_actor, guarded, public
from api.proofs import proven_key, thumbprint
from api.routes import Routes
from api.surroundings import clock
from journeys import devices
from models.staff import DeviceKind
from policies.refusals import Unauthenticated

blp = Routes("devices", __name__, description="手持终端和电脑：登记、启用、停用")


class NewDevice(Schema):
    """A handheld of a ward, or a desk; a desk with ``window`` is a cashier's window."""

    name = said(60, required=True)
    kind = fields.String(required=True, validate=validate.OneOf(list(DeviceKind)))
    ward = said(32, least=0, load_default="")
    window = said(32, least=0, load_default="")


class Announced(Schema):
    """The code to type on the device, good once."""

    id = fields.UUID(required=True)
    code = fields.String(required=True)
    expires_at = fields.AwareDateTime(required=True)


class PublicKey(Schema):
    """An EC public key on P-256 as a JWK (RFC 7517)."""

    kty = fields.String(required=True, validate=validate.Equal("EC"))
    crv = fields.String(required=True, validate=validate.Equal("P-256"))
    x = fields.String(required=True, validate=validate.Length(equal=43))
    y = fields.String(required=True, validate=validate.Length(equal=43))


class Enrolment(Schema):
    """The code, and the device's own key, which also signed this request (DPoP)."""

    hospital = said(64, required=True)
    code = said(32, least=4, required=True)
    jwk = fields.Nested(PublicKey, required=True)


class DeviceOut(Schema):
    """One device."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    ward = fields.String(required=True)
    window = fields.String(required=True)
    enrolled_at = fields.AwareDateTime(required=True, allow_none=True)
    revoked_at = fields.AwareDateTime(required=True, allow_none=True)


@blp.route("/v1/devices/enrolments", methods=["POST"])
@guarded("device:manage")
@blp.arguments(NewDevice)
@blp.response(201, Announced)
def announce(new: dict[str, str]) -> dict[str, Any]:
    """Announce a device and get the code that enrols it"""
    id_, code, expires_at = devices.announce(current_actor(), now=clock(), **new)
    return {"id": id_, "code": code, "expires_at": expires_at}


@blp.route("/v1/devices", methods=["POST"])
@public("the one-time code is the credential, and the request is signed by the key it brings")
@blp.arguments(Enrolment)
@blp.response(201, DeviceOut)
def enrol(asked: dict[str, Any]) -> Any:
    """Enrol this device with its own key"""
    limits.count_address("enrolment-address")
    key = proven_key()
    if key != asked["jwk"]:
        raise Unauthenticated("PROOF_INVALID")
    return devices.enrol(asked["hospital"], asked["code"], key, thumbprint(key), clock())


@blp.route("/v1/devices", methods=["GET"])
@guarded("device:manage")
@blp.response(200, DeviceOut(many=True))
def list_devices() -> list[dict[str, Any]]:
    """List the hospital's devices"""
    return devices.device_list(current_actor())


@blp.route("/v1/devices/<uuid:device_id>", methods=["DELETE"])
@guarded("device:manage")
@blp.response(204)
def revoke(device_id: UUID) -> None:
    """Revoke a device, at once"""
    devices.revoke(current_actor(), device_id, clock())
