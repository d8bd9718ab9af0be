"""Finding the person at the window or on the telephone (GZ-7)."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from journeys import patient_lookup

blp = Routes("patient lookup", __name__, description="窗口和电话：找到患者")


class Known(Schema):
    """What the person shows: an identity number, or the number of an old card."""

    id_no = said(30, least=0, load_default="")
    card_no = said(64, least=0, load_default="")

    @validates_schema
    def either(self, data: dict[str, str], **_: Any) -> None:
        """One of the two."""
        if bool(data["id_no"]) == bool(data["card_no"]):
            raise ValidationError("Give id_no or card_no.")


class FoundAccount(Schema):
    """One of the person's balances."""

    account_id = fields.UUID(required=True)
    card = fields.String(required=True)
    last_activity_on = fields.Date(required=True)


class FoundPatient(Schema):
    """A row of the patient index, masked."""

    patient_id = fields.UUID(required=True)
    name = fields.String(required=True)
    born_on = fields.Date(required=True, allow_none=True)
    has_phone = fields.Boolean(required=True)
    accounts = fields.List(fields.Nested(FoundAccount), required=True)


@blp.route("/v1/patient-lookups", methods=["POST"])
@guarded("refund:request", "refund:review", "holder:contact")
@blp.arguments(Known)
@blp.response(200, FoundPatient(many=True))
def look_up(known: dict[str, str]) -> list[dict[str, Any]]:
    """Find a patient by identity number or old card

    Every look is in the audit trail.
    """
    return patient_lookup.look_up(current_actor(), clock(), **known)
