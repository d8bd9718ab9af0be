"""That a patient wants to store money, and no longer wants it (GZ-6)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.guard import current_actor, guarded
from api.outpatient import Agreement, Wording
from api.routes import Routes
from api.surroundings import counterparts
from journeys import prepay_consents
from policies.signed_consent import SignedConsent

blp = Routes("prepay_consents", __name__, description="门诊预交金自愿同意（第六条）")


class ConsentIn(Agreement):
    """What was agreed to, and who signed; on the own phone it is always the patient."""

    signer = fields.String(
        load_default="PATIENT", validate=validate.OneOf(["PATIENT", "GUARDIAN", "RELATIVE"])
    )


class ConsentOut(Schema):
    """A consent; withdrawn ones name the refund of what was left."""

    id = fields.UUID(required=True)
    text_version = fields.String(required=True)
    given_at = fields.AwareDateTime(required=True)
    channel = fields.String(required=True)
    signer = fields.String(required=True)
    witness = fields.String(required=True, allow_none=True)
    withdrawn_at = fields.AwareDateTime(required=True, allow_none=True)
    refund_id = fields.UUID(required=True, allow_none=True)


class ConsentView(Schema):
    """The text to show and agree to, and the newest consent."""

    wording = fields.Nested(Wording, required=True)
    consent = fields.Nested(ConsentOut, required=True, allow_none=True)


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-prepay/consent")
@guarded("own:read", "hospital:read")
@blp.response(200, ConsentView)
def look(patient_id: UUID) -> dict[str, Any]:
    """Look at the consent to store money"""
    return prepay_consents.view_consent(current_actor(), patient_id)


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-prepay/consent", methods=["PUT"])
@guarded("own:act", "outpatient:act")
@blp.arguments(ConsentIn)
@blp.response(200, ConsentView)
def give(said: dict[str, Any], patient_id: UUID) -> dict[str, Any]:
    """Agree to store money"""
    signer = said.pop("signer")
    consent = SignedConsent(**said)
    return prepay_consents.give_consent(
        current_actor(), counterparts(), patient_id, consent, signer
    )


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-prepay/consent", methods=["DELETE"])
@guarded("own:act", "outpatient:act")
@blp.response(200, ConsentView)
def withdraw(patient_id: UUID) -> dict[str, Any]:
    """Withdraw the consent and ask the money back"""
    return prepay_consents.withdraw_consent(current_actor(), counterparts(), patient_id)
