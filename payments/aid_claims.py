"""Claims at the medical-aid office (CQ-5.2): opened before asking, asked again with the same
number, booked once.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.admission import Admission
from models.db import ReadSession, Session
from models.hospital import decided
from models.patient import Patient
from models.settlement import AidClaim, ClaimState, Settlement, SettlementState
from models.settlement_sheet import Sheet
from payments import closing, settling
from payments.agencies.medical_aid import AidAnswer, MedicalAid
from payments.settling import AID_AGENCY, Stamp
from policies.aid import may_claim_aid
from policies.money import yuan
from policies.outcome import Declined, NoAnswer, NotNow

SWITCH = "payers.medical_aid_agency"


def claims_aid(identities: list[str], agency: str | None) -> bool:
    """Whether a personal share is put to the agency: the payer is switched on (``agency``: what the
    hospital set) and the patient's group is one of its.
    """
    return decided(SWITCH, agency) == "on" and may_claim_aid(identities)


def estimate(agency: MedicalAid, id_no: str, personal_fen: int) -> int | None:
    """What the agency would probably pay, in fen; None when it is silent or does not say."""
    try:
        return min(personal_fen, agency.estimate(id_no=id_no, personal_fen=personal_fen))
    except (Declined, NotNow, NoAnswer):
        return None


def open_claim(db: Db, sheet: Sheet, stamp: Stamp) -> AidClaim | None:
    """The run's claim, written before anyone is asked; None where nothing is to be claimed.

    Until the decision the patient is charged only what is certain: the estimate, or the whole
    personal share where there is none, waits for the agency.
    """
    run = sheet.run
    cash = int((run.amounts or {})["cash"])
    wanted = cash and claims_aid(sheet.stay.identities, sheet.aid_agency)
    if sheet.claim or not wanted:
        return sheet.claim
    expected = cash if run.aid_estimate_fen is None else min(cash, run.aid_estimate_fen)
    claim = AidClaim(
        hospital_id=run.hospital_id,
        settlement_id=run.id,
        state=ClaimState.ASKED,
        asked_fen=cash,
        expected_fen=expected,
        asked_at=stamp.at,
    )
    db.add(claim)
    db.flush()
    claim.start(db, at=stamp.at, by=stamp.by)
    sheet.claim = claim
    return claim


def ask(agency: MedicalAid, now: Callable[[], datetime], claim_id: UUID) -> None:
    """Ask the agency about a claim, with its number, and book the answer once; silence changes
    nothing.
    """
    with ReadSession() as db:
        claim = db.get_one(AidClaim, claim_id)
        run = db.get_one(Settlement, claim.settlement_id)
        id_no = db.get_one(Patient, db.get_one(Admission, run.admission_id).patient_id).id_no
    if claim.state not in {ClaimState.ASKED, ClaimState.PENDING}:
        return
    try:
        answer = agency.claim(claim.number, id_no=id_no, personal_fen=claim.asked_fen)
    except Declined:
        answer = AidAnswer(state=ClaimState.REFUSED, approved_fen=0)
    except (NotNow, NoAnswer):
        return
    _record(run, claim_id, answer, now())


def open_claims(hospital_id: UUID) -> list[UUID]:
    """Aid claims without a decision whose bill is booked: for the sweep."""
    with ReadSession() as db:
        query = select(AidClaim.id).where(
            AidClaim.hospital_id == hospital_id,
            AidClaim.state.in_([ClaimState.ASKED, ClaimState.PENDING]),
        )
        return list(db.scalars(query))


def _record(run: Settlement, claim_id: UUID, answer: AidAnswer, now: datetime) -> None:
    stamp = Stamp("medical-aid", now)
    with Session.begin() as db:
        sheet = Sheet.held(db, run.admission_id, run.id)
        claim = sheet.claim = AidClaim.locked(db, claim_id)
        if answer.state not in AidClaim.MOVES[ClaimState(claim.state)]:
            return
        claim.move(db, answer.state, at=stamp.at, by=stamp.by)
        if answer.state == ClaimState.PENDING:
            return
        approved = answer.approved_fen if answer.state == ClaimState.APPROVED else 0
        claim.approved_fen = min(approved, claim.asked_fen)
        claim.decided_at = stamp.at
        if sheet.run.state not in {SettlementState.DUE, SettlementState.CLOSED}:
            return  # not booked yet: the bill will take the decision as it is
        settling.book_aid(db, sheet.run, claim, stamp)
        words = {"amount": yuan(claim.approved_fen)}
        closing.told(sheet, "AID_DECIDED", f"aid:{claim.id}", words, stamp)
        if sheet.run.state == SettlementState.CLOSED:
            there = SettlementState.DUE
            sheet.move(sheet.run, there, at=stamp.at, by=stamp.by, why=AID_AGENCY)
        closing.balance(db, sheet, stamp)
        sheet.write(db)
