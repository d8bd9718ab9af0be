"""Patients and relatives come in: mini-program login, real-name binding, and consents."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api import limits
from api.access import Tokens, tokens_of
from api.fields import said
from api.guard import current_actor, guarded, public
from api.routes import Routes
from api.surroundings import clock, counterparts
from journeys import binding, consents, login
from models.consent import Consent
from models.patient import Patient
from models.sealing import blind_index

blp = Routes("patient access", __name__, description="患者与亲属：登录、实名绑定、亲属授权")

AT_THE_WINDOW = "工作人员当面核对证件，不需要微信账号"


class MiniProgramLogin(Schema):
    """A code of wx.login at this hospital's mini-program."""

    hospital = said(64, required=True)
    code = said(128, required=True)


class RealName(Schema):
    """Who the holder of the phone says to be."""

    name = said(60, required=True)
    id_no = said(30, required=True)


class Bound(Schema):
    """Who this WeChat account is; ``name`` masked, ``patient_id`` for the paths of one's own."""

    bound = fields.Boolean(required=True)
    patient_id = fields.UUID(required=True, allow_none=True)
    name = fields.String(required=True)


class Offer(Schema):
    """What a relative may do, and how long."""

    scopes = fields.List(
        fields.String(validate=validate.OneOf(["VIEW_BILL", "PAY"])),
        required=True,
        validate=validate.Length(1, 2),
    )
    relation = said(20, required=True)
    days = fields.Integer(required=True, strict=True, validate=validate.Range(1, 365))


class PaperOffer(Offer):
    """A sheet signed on paper."""

    paper = said(
        60,
        required=True,
        metadata={"description": "纸质授权书的存档号"},
    )


class Code(Schema):
    """A one-time code."""

    code = said(32, least=4, required=True)


class ConsentOut(Schema):
    """One consent. ``given``: by the asker; otherwise to the asker."""

    id = fields.UUID(required=True)
    scopes = fields.List(fields.String(), required=True)
    relation = fields.String(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(["OFFERED", "LIVE", "WITHDRAWN", "ENDED", "LAPSED"]),
    )
    given = fields.Boolean(required=True)
    text_version = fields.String(required=True)
    given_at = fields.AwareDateTime(required=True)
    ends_at = fields.AwareDateTime(required=True)


class ConsentGiven(ConsentOut):
    """A new consent, the code for the relative, and the text that was agreed to."""

    code = fields.String(required=True)
    text = fields.String(required=True)


@blp.route("/v1/patient/sessions", methods=["POST"])
@public("this is where patients log in")
@blp.arguments(MiniProgramLogin)
@blp.response(201, Tokens)
def log_in(asked: dict[str, str]) -> dict[str, Any]:
    """Log in from the mini-program"""
    limits.count_address("patient-login-address")
    outside = counterparts(asked["hospital"])
    opened = login.log_in_patient(asked["hospital"], asked["code"], outside.mini_program, clock())
    return tokens_of(opened)


@blp.route("/v1/patient/binding", methods=["GET"])
@guarded("own:read", at_window=AT_THE_WINDOW)
@blp.response(200, Bound)
def bound() -> dict[str, Any]:
    """Show who this WeChat account is"""
    return _bound(binding.bound_patient(current_actor()))


@blp.route("/v1/patient/binding", methods=["PUT"])
@guarded("own:act", at_window=AT_THE_WINDOW)
@blp.arguments(RealName)
@blp.response(200, Bound)
def bind(asked: dict[str, str]) -> dict[str, Any]:
    """Bind this WeChat account to a patient by name and identity number"""
    limits.count("binding-account", current_actor().name)
    limits.count("binding-identity", blind_index(asked["id_no"]).hex())
    return _bound(binding.bind(current_actor(), asked["name"], asked["id_no"], clock()))


@blp.route("/v1/patient/binding", methods=["DELETE"])
@guarded("own:act", at_window=AT_THE_WINDOW)
@blp.response(204)
def unbind() -> None:
    """Let this WeChat account act for nobody again"""
    binding.unbind(current_actor(), clock())


@blp.route("/v1/patient/consents", methods=["POST"])
@guarded("own:act", at_window="patient access.give_on_paper")
@blp.arguments(Offer)
@blp.response(201, ConsentGiven)
def give(offer: dict[str, Any]) -> dict[str, Any]:
    """Let a relative see or pay the bill

    The code is good once, for 24 hours; the relative redeems it from the relative's own WeChat.
    """
    return _given(*consents.give(current_actor(), now=clock(), **offer))


@blp.route("/v1/patient/consents/redeem", methods=["POST"])
@guarded("own:act", at_window="亲属本人到窗口即可代缴，不需要授权码")
@blp.arguments(Code)
@blp.response(200, ConsentOut)
def redeem(asked: dict[str, str]) -> dict[str, Any]:
    """Redeem a relative's code"""
    limits.count("consent-code-account", current_actor().name)
    return _shown(consents.redeem(current_actor(), asked["code"], clock()))


@blp.route("/v1/patient/consents", methods=["GET"])
@guarded("own:read", at_window="patient access.consents_of_stay")
@blp.response(200, ConsentOut(many=True))
def list_consents() -> list[dict[str, Any]]:
    """List the consents given by and to me"""
    return [_shown(consent) for consent in consents.consents_of(current_actor())]


@blp.route("/v1/patient/consents/<uuid:consent_id>", methods=["DELETE"])
@guarded("own:act", at_window="patient access.withdraw_on_paper")
@blp.response(204)
def withdraw(consent_id: UUID) -> None:
    """Withdraw a consent, at once"""
    consents.withdraw(current_actor(), consent_id, clock())


@blp.route("/v1/admissions/<uuid:admission_id>/consents", methods=["POST"])
@guarded("admission:register")
@blp.arguments(PaperOffer)
@blp.response(201, ConsentGiven)
def give_on_paper(offer: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Record the paper consent of a patient without a phone"""
    given = consents.give_on_paper(current_actor(), admission_id, now=clock(), **offer)
    return _given(*given)


@blp.route("/v1/admissions/<uuid:admission_id>/consents", methods=["GET"])
@guarded("admission:register")
@blp.response(200, ConsentOut(many=True))
def consents_of_stay(admission_id: UUID) -> list[dict[str, Any]]:
    """List the consents of a stay's patient"""
    found = consents.consents_of(current_actor(), admission_id)
    return [_shown(consent) for consent in found]


@blp.route("/v1/admissions/<uuid:admission_id>/consents/<uuid:consent_id>", methods=["DELETE"])
@guarded("admission:register")
@blp.response(204)
def withdraw_on_paper(admission_id: UUID, consent_id: UUID) -> None:
    """Withdraw a consent for a patient without a phone"""
    consents.withdraw(current_actor(), consent_id, clock(), admission_id)


def _bound(patient: Patient | None) -> dict[str, Any]:
    if patient is None:
        return {"bound": False, "patient_id": None, "name": ""}
    return {"bound": True, "patient_id": patient.id, "name": patient.masked_name}


def _shown(consent: Consent) -> dict[str, Any]:
    seen = {name: getattr(consent, name) for name in ConsentOut().fields if hasattr(consent, name)}
    actor = current_actor()
    given = consent.patient_id == actor.patient_id or "PATIENT" not in actor.roles
    return seen | {"state": consents.state_of(consent, clock()()), "given": given}


def _given(consent: Consent, code: str) -> dict[str, Any]:
    return _shown(consent) | {"code": code, "text": consents.consent_text()["text"]}
