"""Outpatient prepayment: top-up, account, transfer (GZ-2, GZ-3)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, said, seen, sha256
from api.guard import current_actor, guarded
from api.payments import PaymentWish, payment_of
from api.routes import Routes
from api.surroundings import counterparts
from journeys import outpatient, stop_report
from journeys import top_up as storing
from journeys.top_up import Ground
from policies.filed_exception import Scene
from policies.signed_consent import SignedConsent

GROUND = ("scene", "group", "group_proof", "order_ids", "surgery_no")

blp = Routes("outpatient", __name__, description="门诊预交金")


class TopUp(PaymentWish):
    """How much and how; and why the patient needs to store money, as the window saw it.

    ``group`` is one of the filing's, ``group_proof`` the paper that was seen. Money for something
    that is ordered or appointed (``order_ids``, ``surgery_no``) is no prepayment.
    """

    scene = fields.Enum(Scene, by_value=True, load_default=None)
    group = said(40, load_default=None)
    group_proof = seen(100, least=0, load_default="")
    order_ids = fields.List(said(64), load_default=list, validate=validate.Length(max=100))
    surgery_no = seen(64, least=0, load_default="")


class Warned(Schema):
    """A rule that does not bind this institution but is recommended to it."""

    code = fields.String(required=True)
    say = fields.String(required=True)


class TopUpOut(Schema):
    """The top-up and what the account holds now."""

    id = fields.UUID(required=True)
    amount_fen = fields.Integer(required=True)
    state = fields.String(required=True)
    receipt_no = fields.String(required=True, allow_none=True)
    held_fen = fields.Integer(required=True)
    filing_id = fields.UUID(required=True, allow_none=True)
    warnings = fields.List(fields.Nested(Warned), required=True)


class LotOut(Schema):
    """One top-up that is not used up."""

    id = fields.UUID(required=True)
    channel = fields.String(required=True)
    paid_at = fields.AwareDateTime(required=True)
    amount_fen = fields.Integer(required=True)
    remaining_fen = fields.Integer(required=True)


class Wording(Schema):
    """What the patient must agree to before a transfer; show the text, send the version."""

    version = fields.String(required=True)
    text = fields.String(required=True)


class AccountOut(Schema):
    """A patient's outpatient account."""

    patient_id = fields.UUID(required=True)
    held_fen = fields.Integer(required=True)
    lots = fields.List(fields.Nested(LotOut), required=True)
    transfer_consent = fields.Nested(Wording, required=True)


class GroundTotal(Schema):
    """How many top-ups rest on one ground, and their sum."""

    ground = fields.String(required=True)
    top_ups = fields.Integer(required=True)
    fen = fields.Integer(required=True)


class LateTopUp(Schema):
    """A top-up that was paid after the stop; ``after`` is the stop that held on its day.

    Taken here it has an order; on an old card, its import and its line in the file of top-ups.
    """

    order_id = fields.UUID(required=True, allow_none=True)
    import_id = fields.UUID(required=True, allow_none=True)
    row_no = fields.Integer(required=True, allow_none=True)
    paid_at = fields.AwareDateTime(required=True)
    amount_fen = fields.Integer(required=True)
    route = fields.String(required=True)
    after = fields.Date(required=True)
    ground = fields.String(required=True, metadata={"description": "FILED, ADVISED, NONE"})
    filing_id = fields.UUID(required=True, allow_none=True)


class AfterStop(Schema):
    """Everything that was taken after the stop."""

    since = fields.Date(required=True, allow_none=True)
    by_ground = fields.List(fields.Nested(GroundTotal), required=True)
    top_ups = fields.List(fields.Nested(LateTopUp), required=True)


class Agreement(Schema):
    """What was agreed to; the signature may be left out on the patient's own phone only."""

    text_version = said(20, required=True)
    signature_sha256 = sha256(load_default=None)


class Transfer(Schema):
    """How much goes over, and the consent."""

    amount_fen = fen(least=1, required=True)
    consent = fields.Nested(Agreement, load_default=None, allow_none=True)


class TransferOut(Schema):
    """What both accounts hold after the transfer."""

    admission_id = fields.UUID(required=True)
    amount_fen = fields.Integer(required=True)
    outpatient_fen = fields.Integer(required=True)
    deposit_fen = fields.Integer(required=True)


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-prepay/top-ups", methods=["POST"])
@guarded("own:act", "outpatient:act")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(TopUp)
@blp.response(200, TopUpOut)
def top_up(headers: dict[str, Any], wish: dict[str, Any], patient_id: UUID) -> dict[str, Any]:
    """Top up an outpatient account

    Only under a filed, approved and published exception and with the patient's consent. ``id`` is
    the payment order: where it is WAITING, ``/v1/payments/{id}`` has what the payer needs.
    """
    ground = {name: wish.pop(name) for name in GROUND}
    payment = payment_of(wish, headers)
    why = Ground(**ground | {"order_ids": tuple(ground["order_ids"])})
    return storing.top_up(current_actor(), counterparts(), patient_id, payment, why)


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-prepay")
@guarded("own:read", "hospital:read")
@blp.response(200, AccountOut)
def account(patient_id: UUID) -> dict[str, Any]:
    """Look at an outpatient account"""
    return outpatient.view_account(current_actor(), patient_id)


@blp.route("/v1/outpatient-prepay/after-stop")
@guarded("ledger:read")
@blp.response(200, AfterStop)
def after_stop() -> dict[str, Any]:
    """List top-ups taken after the stop"""
    return stop_report.top_ups_after_stop(current_actor())


@blp.route("/v1/admissions/<uuid:admission_id>/prepay-transfers", methods=["POST"])
@guarded("own:act", "outpatient:act")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(Transfer)
@blp.response(200, TransferOut)
def transfer(headers: dict[str, Any], wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Move outpatient money to a deposit"""
    said_yes = wish["consent"]
    return outpatient.transfer_to_deposit(
        current_actor(),
        counterparts(),
        admission_id,
        amount_fen=wish["amount_fen"],
        key=headers["idempotency_key"],
        consent=SignedConsent(**said_yes) if said_yes else None,
    )
