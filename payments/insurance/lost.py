"""What to ask about a lost call, transaction by transaction: ask what can be asked, else take it
back, else a person.
"""

from collections.abc import Callable
from datetime import timedelta

from models.db import ReadSession, Session
from models.insurance import CallState, Encounter, EncounterState, InsuranceCall, UploadedFee
from payments.insurance import amounts
from payments.insurance.amounts import AmountsDisagree, SettlementAmounts
from payments.insurance.calls import Calls
from payments.insurance.codec import Row
from payments.insurance.encounters import (
    Settled,
    all_withdrawn,
    moved,
    papers,
    registered,
    undone,
)
from policies.access import Actor
from policies.refusals import Refused

ALL_FEES = "0000"
_UNDONE = "1"
_AFTER = {
    "2402": EncounterState.DISCHARGED,
    "2404": EncounterState.CANCELLED,
    "2405": EncounterState.REGISTERED,
}


def reverse(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2601 with the stored msgid. «Not found» means that the call never arrived: it may be asked
    again.
    """
    if call.infno not in calls.profile.reversible:
        return _for_people(calls, call, by, "NOT_REVERSIBLE_ASK_BUREAU")
    wanted = {"psn_no": stay.psn_no, "omsgid": call.msgid, "oinfno": call.infno}
    try:
        calls.look("2601", by, about=call, insured_in=stay.insuplc_admdvs, data=wanted)
    except Refused as no:
        if not _says_not_found(calls, no):
            return _for_people(calls, call, by, "REVERSAL_REFUSED_ASK_BUREAU")
        return calls.resolve(call, CallState.REFUSED, by, "2601: it never arrived")
    return calls.resolve(call, CallState.REVERSED, by, "2601: reversed")


def _find_registration(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2401: is somebody in the house under our inpatient number?"""
    with ReadSession() as db:
        ours = papers(db, stay).inpatient_no
    for row in _in_house(calls, call, stay, by):
        if str(row.get("ipt_otp_no")) == ours and row.get("mdtrt_id"):
            effect = registered(str(row["mdtrt_id"]))
            return calls.resolve(call, CallState.SUCCEEDED, by, "5303: found", effect=effect)
    return calls.resolve(call, CallState.REFUSED, by, "5303: not in the house")


def _find_stay(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2402, 2404, 2405: whether the stay is in the house tells which of them happened."""
    inside = any(
        str(row.get("mdtrt_id")) == stay.mdtrt_id for row in _in_house(calls, call, stay, by)
    )
    if inside == (call.infno == "2405"):
        effect = moved(_AFTER[call.infno])
        return calls.resolve(call, CallState.SUCCEEDED, by, f"5303: in {inside}", effect=effect)
    return calls.resolve(call, CallState.REFUSED, by, f"5303: in {inside}")


def _withdraw_batch(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2301: take back each serial of the batch, last first; the lines are then sent again under new
    ones.

    Each answer is kept at once: over a bad line a long batch would never come to its end otherwise.
    """
    with ReadSession() as db:
        serials = UploadedFee.claimed_in(db, call.id)
    for serial in serials:
        _take_back(calls, call, stay, by, str(serial))
        with Session.begin() as db:
            UploadedFee.withdraw_one(db, call.id, serial)
    return calls.resolve(call, CallState.REFUSED, by, "2302: batch withdrawn")


def _withdraw_all(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2302 of everything may be said twice."""
    _take_back(calls, call, stay, by, ALL_FEES)
    return calls.resolve(call, CallState.SUCCEEDED, by, "2302: repeated", effect=all_withdrawn)


def _find_undo(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """2305: the settlement itself says whether it was undone; only if it cannot be read, 2601."""
    try:
        found = _query_settlement(calls, call, stay, stay.setl_id or "", by)
    except Refused:
        return reverse(calls, call, stay, by)
    if str(found["setlinfo"].get("refd_setl_flag")) != _UNDONE:
        return calls.resolve(call, CallState.REFUSED, by, "5203: still settled")
    effect = undone(negated(stay))
    return calls.resolve(call, CallState.SUCCEEDED, by, "5203: undone", effect=effect)


WAYS: dict[str, Callable[[Calls, InsuranceCall, Encounter, Actor], str]] = {
    "2301": _withdraw_batch,
    "2302": _withdraw_all,
    "2304": reverse,
    "2305": _find_undo,
    "2401": _find_registration,
    "2402": _find_stay,
    "2404": _find_stay,
    "2405": _find_stay,
}
"""Every transaction that holds its encounter."""


def read_settlement(
    calls: Calls, call: InsuranceCall, stay: Encounter, setl_id: str, by: Actor
) -> Settled:
    """A settlement as it lies at the platform (5203); Refused INSURANCE_SETTLEMENT_UNDONE,
    …_AMOUNTS_DISAGREE.
    """
    if not setl_id:
        raise Refused("INSURANCE_FACT_MISSING", field="结算ID setl_id")
    found = _query_settlement(calls, call, stay, setl_id, by)
    head = found["setlinfo"]
    if str(head.get("refd_setl_flag")) == _UNDONE:
        raise Refused("INSURANCE_SETTLEMENT_UNDONE")
    if head.get("hosp_part_amt") is None:  # 5203 has no field for it: it is what nobody else pays
        parts = (head.get("fund_pay_sumamt"), head.get("psn_part_amt"))
        rest = sum(amounts.fen(part) for part in parts)
        head["hosp_part_amt"] = amounts.yuan(amounts.fen(head.get("medfee_sumamt")) - rest)
    try:
        read = amounts.read(head, found["setldetail"], calls.profile.funds)
    except AmountsDisagree as wrong:
        raise Refused("INSURANCE_AMOUNTS_DISAGREE", invariant=wrong.invariant) from wrong
    return Settled.of(head, read)


def negated(stay: Encounter) -> Settled:
    """What the undo of this stay's settlement says (I8), for when its reply was lost."""
    stored = SettlementAmounts.from_json(stay.settlement or {})
    return Settled(stored.negated(), None, "", "")


def _query_settlement(
    calls: Calls, call: InsuranceCall, stay: Encounter, setl_id: str, by: Actor
) -> Row:
    wanted = {"psn_no": stay.psn_no, "setl_id": setl_id, "mdtrt_id": stay.mdtrt_id}
    return calls.look("5203", by, about=call, insured_in=stay.insuplc_admdvs, data=wanted)


def _in_house(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> list[Row]:
    """Everybody of this person's stays who is in the house by the platform's books (5303)."""
    with ReadSession() as db:
        since = papers(db, stay).admitted_at
    wanted = {
        "psn_no": stay.psn_no,
        "begntime": since - timedelta(days=1),
        "endtime": calls.now() + timedelta(days=1),
    }
    try:
        found = calls.look("5303", by, about=call, insured_in=stay.insuplc_admdvs, data=wanted)
    except Refused as no:
        if _says_not_found(calls, no):
            return []
        raise
    return list(found["data"])


def _take_back(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor, serial: str) -> None:
    wanted = {"feedetl_sn": serial, "mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}
    try:
        calls.look("2302", by, about=call, insured_in=stay.insuplc_admdvs, data=wanted)
    except Refused as no:
        if not _says_not_found(calls, no):
            raise


def _says_not_found(calls: Calls, no: Refused) -> bool:
    said = str(no.facts.get("said", ""))
    return no.code == "INSURANCE_DECLINED" and any(
        word in said for word in calls.profile.not_found_words
    )


def _for_people(calls: Calls, call: InsuranceCall, by: Actor, task: str) -> str:
    return calls.resolve(call, CallState.HUMAN, by, task, task=task)
