"""What the HIS tells: stays, changes, charges, reversals, discharges (docs/connect-a-his.md)."""

from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate

from api.fields import at_moment, on_day, said, their_number
from api.guard import current_actor, guarded
from api.routes import Routes, as_they_are
from api.surroundings import clock
from config import SHANGHAI
from journeys import his_admission, his_charges, his_discharge

blp = Routes("his-events", __name__, description="医院信息系统事件")

MOST_LINES = 1000
ID_TYPES = ("01", "04", "05", "06", "07", "08", "17", "99")
"""psn_cert_type."""


class Judged(fields.List):
    """Lines that are judged one by one later; here: 1 to 1,000 objects."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(line, dict) for line in value):
            raise ValidationError("a list of objects is needed")
        if not 1 <= len(value) <= MOST_LINES:
            raise ValidationError(f"1 to {MOST_LINES} lines")
        return value


def told_at(**about: Any) -> fields.AwareDateTime:
    """A time with its offset; without one it is Shanghai time."""
    return at_moment(format="iso", default_timezone=SHANGHAI, **about)


class Event(Schema):
    """Every event has the HIS's own number: repeated with each try, never used for anything
    else."""

    source_event_id = their_number()


class Person(Schema):
    """The patient as the HIS's index knows them; leave out what is not known."""

    his_patient_no = their_number()
    name = said(100)
    id_type = fields.String(validate=validate.OneOf(ID_TYPES))
    id_no = said(32)
    phone = fields.String(validate=validate.Regexp(r"^\+?[0-9]{5,20}\Z"))
    born_on = on_day()
    sex = fields.String(validate=validate.OneOf(["1", "2", "9"]))


class Place(Schema):
    """Where the patient lies, who treats them, and for what."""

    ward = said(64)
    ward_name = said(100)
    bed = said(32)
    department_code = said(64)
    department_name = said(100)
    doctor_code = said(64)
    doctor_name = said(100)
    diagnosis_code = said(64)
    diagnosis_name = said(200)


class AdmissionEvent(Event, Place):
    """A stay begins: the admission slip."""

    inpatient_no = their_number()
    admitted_at = told_at(required=True)
    patient = fields.Nested(Person, required=True)
    ward = said(64, required=True)
    department_code = said(64, required=True)
    department_name = said(100, required=True)
    doctor_code = said(64, required=True)
    doctor_name = said(100, required=True)
    diagnosis_code = said(64, required=True)
    diagnosis_name = said(200, required=True)


class ChangeEvent(Event, Place):
    """What has changed; only what is named is taken over, in the order of ``occurred_at``."""

    inpatient_no = their_number()
    occurred_at = told_at(required=True)
    patient = fields.Nested(Person)


class ChargeLine(Schema):
    """One charge. Money, prices and quantities are decimal strings."""

    source_line_id = said(64, required=True)
    inpatient_no = their_number()
    occurred_at = told_at(required=True)
    item_name = said(200, required=True)
    specification = said(200)
    unit = said(32)
    quantity = fields.String(required=True, metadata={"example": "2.0000"})
    unit_price = fields.String(required=True, metadata={"example": "42.730000"})
    amount = fields.String(required=True, metadata={"example": "85.46"})
    category = fields.String(required=True, metadata={"description": "med_chrgitm_type 01-14"})
    insurance_level = fields.String(required=True, metadata={"description": "chrgitm_lv 01/02/03"})
    self_pay_ratio = fields.String(allow_none=True, metadata={"example": "0.1000"})
    national_code = said(64, metadata={"description": "med_list_codg; not for 03 alone"})
    hospital_code = said(64, required=True, metadata={"description": "medins_list_codg"})
    department_code = said(64, required=True)
    department_name = said(100)
    doctor_code = said(64)
    doctor_name = said(100)


class ReversalLine(Schema):
    """So much of a line is taken back; ``quantity`` and ``amount`` are positive."""

    source_line_id = said(64, required=True)
    inpatient_no = their_number()
    reverses = said(64, required=True)
    occurred_at = told_at(required=True)
    quantity = fields.String(required=True, metadata={"example": "1.0000"})
    amount = fields.String(required=True, metadata={"example": "42.73"})


class ChargeBatch(Event):
    """Up to 1,000 charges, of one or many stays."""

    lines = Judged(fields.Nested(ChargeLine), required=True)


class ReversalBatch(Event):
    """Up to 1,000 reversals."""

    lines = Judged(fields.Nested(ReversalLine), required=True)


class DischargeOrder(Event):
    """The signed order; ``left_at``: the bed was released, now or in a later event. Ways:
    dscg_way."""

    inpatient_no = their_number()
    ordered_at = told_at()
    left_at = told_at()
    leaving_way = fields.String(validate=validate.OneOf(["1", "2", "3", "4", "5", "9"]))


class DischargeCancel(Event):
    """The patient stays."""

    inpatient_no = their_number()


class Stay(Schema):
    """Where the stay stands now."""

    admission_id = fields.String(required=True)
    patient_id = fields.String(required=True)
    state = fields.String(required=True)


class Changed(Stay):
    """``outdated``: fields about which a later event was heard before."""

    changed = fields.List(fields.String(), required=True)
    outdated = fields.List(fields.String(), required=True)


class Leaving(Schema):
    """What is known of the discharge."""

    admission_id = fields.String(required=True)
    state = fields.String(required=True)
    ordered_at = fields.String(required=True, allow_none=True)
    left_at = fields.String(required=True, allow_none=True)
    leaving_way = fields.String(required=True)


class LineVerdict(Schema):
    """What became of one line; ``place`` counts from 0."""

    place = fields.Integer(required=True)
    source_line_id = fields.String(required=True, allow_none=True)
    verdict = fields.String(required=True)
    field = fields.String(required=True)
    reason = fields.String(required=True)


class BatchVerdict(Schema):
    """The batch line by line; a line that is refused does not stop the others."""

    accepted = fields.Integer(required=True)
    duplicate = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    lines = fields.List(fields.Nested(LineVerdict), required=True)


@blp.route("/v1/his/events/admission", methods=["POST"])
@guarded("his:report")
@blp.arguments(AdmissionEvent)
@blp.response(200, Stay)
def admission(facts: dict[str, Any]) -> dict[str, Any]:
    """Announce a stay"""
    return his_admission.announce(current_actor(), facts, clock())


@blp.route("/v1/his/events/admission-change", methods=["POST"])
@guarded("his:report")
@blp.arguments(ChangeEvent)
@blp.response(200, Changed)
def admission_change(facts: dict[str, Any]) -> dict[str, Any]:
    """Report a change of ward, bed, doctor, diagnosis or patient"""
    return his_admission.change(current_actor(), facts, clock())


@blp.route("/v1/his/events/charge-batch", methods=["POST"])
@guarded("his:report")
@blp.arguments(ChargeBatch)
@blp.response(200, BatchVerdict)
def charge_batch(facts: dict[str, Any]) -> Response:
    """Report charges"""
    return as_they_are(his_charges.take_charges(current_actor(), facts, clock()))


@blp.route("/v1/his/events/charge-reversal", methods=["POST"])
@guarded("his:report")
@blp.arguments(ReversalBatch)
@blp.response(200, BatchVerdict)
def charge_reversal(facts: dict[str, Any]) -> Response:
    """Take charges back"""
    return as_they_are(his_charges.take_reversals(current_actor(), facts, clock()))


@blp.route("/v1/his/events/discharge-order", methods=["POST"])
@guarded("his:report")
@blp.arguments(DischargeOrder)
@blp.response(200, Leaving)
def discharge_order(facts: dict[str, Any]) -> dict[str, Any]:
    """Report a discharge order or a released bed"""
    return his_discharge.order(current_actor(), facts, clock())


@blp.route("/v1/his/events/discharge-cancel", methods=["POST"])
@guarded("his:report")
@blp.arguments(DischargeCancel)
@blp.response(200, Leaving)
def discharge_cancel(facts: dict[str, Any]) -> dict[str, Any]:
    """Take a discharge order back"""
    return his_discharge.cancel(current_actor(), facts, clock())
