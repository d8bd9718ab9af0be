"""Settling a discharge at the bed, online or at the window: trial, agreement, insurer, aid,
deposit, rest (GZ-10, 19, 20).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from journeys.patient_scope import asked_for, reach, stay_for
from journeys.settlement_view import view_settlement
from models import charges, ledger
from models.admission import Admission, AdmissionState, step_of, took_step
from models.db import ReadSession, Session, named_at_once, new_id
from models.insurance import Encounter
from models.ledger import AccountKind
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose
from models.settlement import AidClaim, ClaimState, Settlement, SettlementState
from models.settlement_sheet import Sheet
from payments import aid_claims, closing, insurer_share, orders, settling
from payments.collection import Payment, may_pay_by, place, wish_of
from payments.insurance.stay import fee_lines
from payments.settling import Stamp
from policies.access import Actor, system
from policies.digest import digest
from policies.outcome import Declined, NoAnswer, NotNow
from policies.packs import rules_of
from policies.refusals import Busy, Conflict, NotFound, Refused

TRY_AGAIN = timedelta(seconds=30)
"""When the queue goes on with a run whose counterpart was silent."""


def try_settlement(actor: Actor, outside: Counterparts, admission_id: UUID) -> dict[str, Any]:
    """Show who would pay what (2303), in plain words, binding nobody; as often as wanted until
    somebody agrees.

    Refused DISCHARGE_NOT_ORDERED before the order; Busy when the platform is silent.
    """
    known = _look_up(actor, admission_id)
    if known["run_state"] not in {None, SettlementState.TRIAL}:
        return view_settlement(actor, admission_id)
    if known["state"] != AdmissionState.LEAVING:
        raise Refused("DISCHARGE_NOT_ORDERED")
    with ReadSession() as db:
        lines = fee_lines(db, admission_id)
    total = sum(line.amount_fen for line in lines)
    amounts: dict[str, Any] = {"total": total, "cash": total}
    encounter_id, estimate = known["encounter_id"], None
    if encounter_id:
        outside.insurance.upload(encounter_id, lines, actor)
        amounts = asdict(outside.insurance.trial(encounter_id, actor))
    if aid_claims.claims_aid(known["identities"], known["aid_agency"]):
        patient = Patient(id=known["patient_id"], id_no_sealed=known["id_no_sealed"])
        estimate = aid_claims.estimate(outside.medical_aid, patient.id_no, amounts["cash"])
    with Session.begin() as db:
        sheet = _held(db, actor, admission_id)
        if sheet.found is None or sheet.found.state == SettlementState.TRIAL:  # nobody agreed yet
            _keep_trial(sheet, total, encounter_id is not None, amounts, estimate, outside.now())
            sheet.write(db)
    return view_settlement(actor, admission_id)


def settle_discharge(
    actor: Actor,
    outside: Counterparts,
    admission_id: UUID,
    *,
    agreed: str,
    signature_sha256: str | None,
) -> dict[str, Any]:
    """Settle a stay as its trial showed. Call it again after any failure: it goes on where it
    stopped (GZ-20).

    ``agreed`` is the trial's digest. Refused TRIAL_FIRST; Conflict TRIAL_CHANGED when the bill is
    not the one that was agreed to.
    """
    stamp = Stamp(actor.name, outside.now())
    with Session.begin() as db:
        sheet = _held(db, actor, admission_id)
        run = sheet.found
        if run is None:
            raise Refused("TRIAL_FIRST")
        if run.trial_digest != agreed:
            raise Conflict("TRIAL_CHANGED")
        if run.state == SettlementState.TRIAL:
            if sheet.stay.state != AdmissionState.LEAVING:
                raise Refused("DISCHARGE_NOT_ORDERED")
            if charges.total_fen(db, sheet.stay.id) != run.total_fen:
                raise Conflict("TRIAL_CHANGED")
            run.confirmed_by, run.confirmed_at = stamp.by, stamp.at
            run.signature_sha256 = signature_sha256
            run.rule_pack = rules_of(sheet.rule_packs).version
            sheet.move(run, SettlementState.CONFIRMED, at=stamp.at, by=stamp.by)
            _took(sheet, actor, "settlement", stamp.at, round=run.round)
            sheet.write(db)
    _take_steps(actor, outside, run)
    return view_settlement(actor, admission_id)


def pay_due(
    actor: Actor, outside: Counterparts, admission_id: UUID, payment: Payment
) -> dict[str, Any]:
    """Pay what the deposit did not cover, exactly, on any channel; the bill closes when the money
    is there.
    """
    may_pay_by(actor, payment.route)
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "PAY", lock=True)
        order = _due_order(db, actor, outside, stay, payment)
    place(
        order,
        outside.wechat_pay,
        outside.now,
        notify_url=outside.notify_url("payment"),
        payment=payment,
    )
    advance(actor, outside, admission_id)
    return view_settlement(actor, admission_id, "PAY")


def undo_settlement(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, reason: str
) -> dict[str, Any]:
    """Take a settlement back everywhere: aid, insurer (2305, 2405), books; the stay is LEAVING
    again (B4.3).

    A trial is simply dropped. Refused SETTLEMENT_UNKNOWN_OUTCOME while the insurer's answer is
    open.
    """
    now = outside.now()
    with Session.begin() as db:
        sheet = _held(db, actor, admission_id)
        run = sheet.found
        if run is None:
            raise Refused("NOTHING_TO_UNDO")
        if run.state == SettlementState.CONFIRMED:
            raise Refused("SETTLEMENT_UNKNOWN_OUTCOME")
        there = SettlementState.UNDOING
        if run.state == SettlementState.TRIAL:
            there = SettlementState.UNDONE
        if run.state != SettlementState.UNDOING:
            sheet.move(run, there, at=now, by=actor.name, why=reason)
            _took(sheet, actor, "settlement-undo", now, reason=reason)
            sheet.write(db)
    _take_steps(actor, outside, run)
    return view_settlement(actor, admission_id)


def advance(actor: Actor, outside: Counterparts, admission_id: UUID) -> None:
    """Take the next steps until somebody else must act. Nurse, callback, queue and sweep all come
    through here.
    """
    with ReadSession() as db:
        run = Settlement.alive(db, admission_id)
    if run:
        _take_steps(actor, outside, run)


def _take_steps(actor: Actor, outside: Counterparts, run: Settlement) -> None:
    before = None
    while run.state != before and run.state in STEPS:
        before = run.state
        try:
            run = STEPS[SettlementState(run.state)](actor, outside, run)
        except Busy:
            return  # silence, or somebody else is asking: the queue goes on


def continue_settlement(outside: Counterparts, hospital_id: UUID, admission_id: UUID) -> None:
    """Go on with a run that nobody stands by: from the queue, after a payment, after a crash.

    What the insurer refused is on the run's trail; a person must look, so the job is done.
    """
    with suppress(Refused, Conflict):
        advance(system(hospital_id), outside, admission_id)


def sweep_settlements(outside: Counterparts, hospital_id: UUID) -> int:
    """Go on with every run whose next step is ours, and ask about every open aid claim; how many
    there were.
    """
    runs, claims = open_runs(hospital_id), aid_claims.open_claims(hospital_id)
    for admission_id in runs:
        continue_settlement(outside, hospital_id, admission_id)
    for claim_id in claims:
        decide_aid(outside, claim_id)
    return len(runs) + len(claims)


def decide_aid(outside: Counterparts, claim_id: UUID) -> None:
    """Ask again about an aid claim that was left pending; the difference is charged or given back
    (CQ-5.2 T1).
    """
    aid_claims.ask(outside.medical_aid, outside.now, claim_id)


def open_runs(hospital_id: UUID) -> list[UUID]:
    """Stays whose settlement can go on without a person: for the sweep."""
    with ReadSession() as db:
        query = select(Settlement.admission_id).where(
            Settlement.hospital_id == hospital_id, Settlement.state.in_(STEPS)
        )
        return list(db.scalars(query))


_KNOWN: LiteralString = """
    SELECT stay.state, stay.identities, run.state AS run_state, encounter.id AS encounter_id,
        aid.value AS aid_agency, patient.id AS patient_id, patient.id_no_sealed
    FROM admission stay
    JOIN patient ON patient.id = stay.patient_id
    LEFT JOIN settlement run ON run.admission_id = stay.id AND run.state <> 'UNDONE'
    LEFT JOIN insurance_encounter encounter
        ON encounter.admission_id = stay.id AND encounter.state <> 'CANCELLED'
    LEFT JOIN setting aid ON aid.hospital_id = stay.hospital_id AND aid.key = %(switch)s
    WHERE stay.id = %(stay)s AND stay.hospital_id = %(hospital)s
        AND within_reach(stay, %(patients)s::uuid[], %(wards)s::text[])
"""


def _look_up(actor: Actor, admission_id: UUID) -> dict[str, Any]:
    """Where the stay stands before a trial; NotFound as `stay_for`."""
    bounds = asked_for(actor, admission_id, "OWN")
    if found := named_at_once(_KNOWN, switch=aid_claims.SWITCH, **bounds):
        return found[0]
    raise NotFound("ADMISSION_UNKNOWN")


def _held(db: Db, actor: Actor, admission_id: UUID) -> Sheet:
    """The stay and its run that is alive, locked, if this actor may settle it."""
    bounds: Any = reach(actor, "OWN")
    return Sheet.held(db, admission_id, hospital=actor.hospital_id, **bounds)


def _keep_trial(
    sheet: Sheet,
    total_fen: int,
    insured: bool,
    amounts: dict[str, Any],
    aid_estimate_fen: int | None,
    now: datetime,
) -> None:
    if sheet.found is None:
        sheet.found = Settlement(
            id=new_id(),
            hospital_id=sheet.stay.hospital_id,
            admission_id=sheet.stay.id,
            round=sheet.rounds + 1,
            state=SettlementState.TRIAL,
            opened_at=now,
        )
    run = sheet.found
    run.total_fen = total_fen
    run.insured = insured
    run.trial = amounts
    run.aid_estimate_fen = aid_estimate_fen
    run.trial_digest = digest(total_fen, amounts, aid_estimate_fen)


def _ask_insurer(actor: Actor, outside: Counterparts, run: Settlement) -> Settlement:
    return insurer_share.ask(run, outside.insurance, outside.now, actor)


def _ask_aid(actor: Actor, outside: Counterparts, run: Settlement) -> Settlement:
    """Where nobody is asked, the books follow in the same transaction."""
    stamp = Stamp(actor.name, outside.now())
    with Session.begin() as db:
        sheet = Sheet.held(db, run.admission_id, run.id)
        claim = None
        if sheet.run.state == SettlementState.INSURED:
            claim = aid_claims.open_claim(db, sheet, stamp)
        if not (claim and claim.state == ClaimState.ASKED):
            return _booked(db, sheet, stamp)
    aid_claims.ask(outside.medical_aid, outside.now, claim.id)
    return _book(actor, outside, run)


def _book(actor: Actor, outside: Counterparts, run: Settlement) -> Settlement:
    stamp = Stamp(actor.name, outside.now())
    with Session.begin() as db:
        return _booked(db, Sheet.held(db, run.admission_id, run.id), stamp)


def _booked(db: Db, sheet: Sheet, stamp: Stamp) -> Settlement:
    """Write down what follows without asking anybody: the aid agency was asked, the bill is in the
    books, the deposit pays it as far as it goes.
    """
    run = sheet.run
    if run.state == SettlementState.INSURED:
        sheet.move(run, SettlementState.CLAIMED, at=stamp.at, by=stamp.by)
    if run.state == SettlementState.CLAIMED:
        settling.book_bill(sheet, stamp)
        sheet.move(run, SettlementState.DUE, at=stamp.at, by=stamp.by)
    if run.state == SettlementState.DUE:
        closing.balance(db, sheet, stamp)
    if sheet.moves or sheet.movements:  # a sweep over a bill that waits for its payer has nothing
        sheet.write(db)
    return run


def _take_back(actor: Actor, outside: Counterparts, run: Settlement) -> Settlement:
    """Undo outside first, aid then insurer, and the books only when both have surely let go."""
    with ReadSession() as db:
        claim = AidClaim.of(db, run.id)
        encounter = Encounter.active(db, run.admission_id)
    if claim and claim.state != ClaimState.WITHDRAWN:
        try:
            outside.medical_aid.withdraw(claim.number)
        except Declined as no:
            raise Refused("AID_WITHDRAWAL_REFUSED") from no
        except (NotNow, NoAnswer) as silence:
            raise Busy("AID_SILENT") from silence
    if run.insured and encounter:
        setl_id = (run.amounts or {}).get("setl_id", "")
        outside.insurance.undo_settlement(encounter.id, actor, setl_id=setl_id, reopen_stay=True)
    stamp = Stamp(actor.name, outside.now())
    with Session.begin() as db:
        sheet = Sheet.held(db, run.admission_id, run.id)
        run = sheet.run
        if run.state != SettlementState.UNDOING:
            return run
        claim = AidClaim.locked(db, claim.id) if claim else None
        settling.unbook(db, run, claim, stamp)
        if claim and claim.state != ClaimState.WITHDRAWN:
            claim.move(db, ClaimState.WITHDRAWN, at=stamp.at, by=stamp.by)
        sheet.move(run, SettlementState.UNDONE, at=stamp.at, by=stamp.by)
        if sheet.stay.state == AdmissionState.SETTLED:
            sheet.move(sheet.stay, AdmissionState.LEAVING, at=stamp.at, by=stamp.by)
        sheet.write(db)
    return run


STEPS: dict[SettlementState, Callable[[Actor, Counterparts, Settlement], Settlement]] = {
    SettlementState.CONFIRMED: _ask_insurer,
    SettlementState.INSURED: _ask_aid,
    SettlementState.CLAIMED: _book,
    SettlementState.DUE: _book,
    SettlementState.UNDOING: _take_back,
}
"""What is done next in each state, and the run as it stands then; in the others it is nobody's
turn, or the patient's."""


def _due_order(
    db: Db, actor: Actor, outside: Counterparts, stay: Admission, payment: Payment
) -> PaymentOrder:
    wish = wish_of(actor, stay.id, stay.patient_id, Purpose.SETTLEMENT, payment)
    if order := orders.find(db, wish):
        return order
    owed = ledger.balance(db, stay.hospital_id, AccountKind.PATIENT_RECEIVABLE, str(stay.id))
    due = owed - PaymentOrder.pending_fen(db, stay.hospital_id, stay.id, Purpose.SETTLEMENT)
    if due <= 0:
        raise Refused("NOTHING_DUE")
    if payment.amount_fen != due:
        raise Refused("AMOUNT_IS_NOT_WHAT_IS_DUE", due_fen=due)
    now = outside.now()
    order = orders.claim(db, wish, now)
    took_step(db, stay, actor, "payment", now, amount_fen=due, route=payment.route)
    if order.channel != "WECHAT":
        orders.paid(db, order, now, by=actor.name)
    return order


def _took(sheet: Sheet, actor: Actor, step: str, at: datetime, **facts: Any) -> None:
    """Leave the step in the stay's trail; if this process dies on the way, the queue goes on."""
    sheet.steps.append(step_of(sheet.stay.id, actor, step, at, **facts))
    sheet.go_on_at = at + TRY_AGAIN
