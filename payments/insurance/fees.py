"""Fee lines go to the platform in batches under serials of our own (2301), and come back (2302)."""

from collections.abc import Container, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session as SqlSession

from models.db import ReadSession, new_id
from models.insurance import Encounter, EncounterState, InsuranceCall, UploadedFee
from payments.insurance import codec, lost, recover
from payments.insurance.amounts import AmountsDisagree, check_lines, fen, yuan
from payments.insurance.calls import Calls, Question
from payments.insurance.codec import Row
from payments.insurance.encounters import moved, must_be
from payments.insurance.envelope import canonical
from payments.insurance.facts import FeeLine
from payments.insurance.profile import Profile
from policies.access import Actor
from policies.refusals import Busy, Refused

_IN_THE_HOUSE = frozenset({EncounterState.REGISTERED})
_ENVELOPE_OF_LINES = len('{"feedetail":[]}')


class _Batch(Question):
    """As many of the lines not yet sent as one call may carry."""

    infno = "2301"
    wanted = _IN_THE_HOUSE

    def __init__(self, lines: Sequence[FeeLine], profile: Profile) -> None:
        self._lines, self._profile = lines, profile
        self._taken: list[tuple[FeeLine, int]] = []

    def nodes(self, db: SqlSession, stay: Encounter) -> Mapping[str, Any]:
        serials = UploadedFee.serials_of(db, stay.id)
        rows: list[Row] = []
        size = _ENVELOPE_OF_LINES
        for line in _not_sent(self._lines, serials):
            serial = stay.fee_serial + 1
            row = _row(line, serial, stay, serials)
            size += len(canonical(codec.build("2301", feedetail=[row]))) - _ENVELOPE_OF_LINES + 1
            full = len(rows) == self._profile.batch_lines or size > self._profile.input_chars
            if rows and full:
                break
            stay.fee_serial = serials[line.line] = serial
            rows.append(row)
            self._taken.append((line, serial))
        if not rows:
            raise Busy("INSURANCE_CALL_OPEN")  # a twin has sent them since we looked
        return {"feedetail": rows}

    def claimed(self, db: SqlSession, stay: Encounter, call: InsuranceCall) -> None:
        db.execute(
            insert(UploadedFee).returning(UploadedFee.id),  # one statement, not one for each line
            [
                {
                    "id": new_id(),
                    "hospital_id": stay.hospital_id,
                    "encounter_id": stay.id,
                    "call_id": call.id,
                    "line": line.line,
                    "feedetl_sn": serial,
                    "amount_fen": line.amount_fen,
                }
                for line, serial in self._taken
            ],
        )

    def read(self, found: dict[str, Any]) -> dict[str, Row]:
        return {str(row.get("feedetl_sn")): _verdict(row) for row in found["result"]}

    def record(
        self, db: SqlSession, stay: Encounter, call: InsuranceCall, meaning: dict[str, Row]
    ) -> None:
        UploadedFee.move_batch(db, call.id, "UPLOADED")
        UploadedFee.keep_verdicts(db, call.id, meaning)

    def failed(self, db: SqlSession, call: InsuranceCall) -> None:
        UploadedFee.move_batch(db, call.id, "WITHDRAWN")


class _Withdraw(Question):
    """All lines of the stay."""

    infno = "2302"
    wanted = _IN_THE_HOUSE

    def nodes(self, db: SqlSession, stay: Encounter) -> Mapping[str, Any]:
        data = {"feedetl_sn": lost.ALL_FEES, "mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}
        return {"data": data}

    def record(self, db: SqlSession, stay: Encounter, call: InsuranceCall, meaning: Any) -> None:
        UploadedFee.withdraw_all(db, stay.id)


class _BackInTheHouse(Question):
    """The platform takes no fees after a discharge (2402), so a late charge undoes it (2405)."""

    infno = "2405"
    wanted = frozenset({EncounterState.DISCHARGED})

    def nodes(self, db: SqlSession, stay: Encounter) -> Mapping[str, Any]:
        return {"data": {"mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}}

    def record(self, db: SqlSession, stay: Encounter, call: InsuranceCall, meaning: Any) -> None:
        moved(EncounterState.REGISTERED)(db, stay, call)


def upload(calls: Calls, encounter_id: UUID, lines: Sequence[FeeLine], by: Actor) -> int:
    """Send what is not yet there, originals before the reversals that name them; the whole sum in
    fen.
    """
    ordered = sorted(lines, key=lambda line: bool(line.reverses))
    while True:
        stay = recover.clear_way(calls, encounter_id, by)
        with ReadSession() as db:
            sent = UploadedFee.sent(db, encounter_id)
        left = _not_sent(ordered, {line for line, _, _ in sent})
        if not left:
            if any(state == "CLAIMED" for _, _, state in sent):
                raise Busy("INSURANCE_CALL_OPEN")
            return sum(amount_fen for _, amount_fen, _ in sent)
        must_be(stay, EncounterState.REGISTERED, EncounterState.DISCHARGED)
        if stay.state == EncounterState.DISCHARGED:
            calls.ask(_BackInTheHouse(), encounter_id, by)
        calls.ask(_Batch(left, calls.profile), encounter_id, by)


def reopen(calls: Calls, encounter_id: UUID, by: Actor) -> None:
    """Undo the discharge (2405)."""
    calls.ask(_BackInTheHouse(), encounter_id, by)


def withdraw(calls: Calls, encounter_id: UUID, by: Actor) -> None:
    """Take all lines of the stay back (2302); nothing is asked when none lie there."""
    stay = recover.clear_way(calls, encounter_id, by)
    with ReadSession() as db:
        if not UploadedFee.sent(db, encounter_id):
            return
    must_be(stay, EncounterState.REGISTERED)
    calls.ask(_Withdraw(), encounter_id, by)


def _not_sent(lines: Sequence[FeeLine], sent: Container[str]) -> list[FeeLine]:
    return [line for line in lines if line.line not in sent]


def _row(line: FeeLine, serial: int, stay: Encounter, serials: dict[str, int]) -> Row:
    if line.reverses and line.reverses not in serials:
        raise Refused("INSURANCE_FACT_MISSING", field="原费用流水号 init_feedetl_sn")
    return {
        "feedetl_sn": str(serial),
        "init_feedetl_sn": str(serials[line.reverses]) if line.reverses else "",
        "mdtrt_id": stay.mdtrt_id,
        "psn_no": stay.psn_no,
        "med_type": stay.med_type,
        "fee_ocur_time": line.at,
        "med_list_codg": line.med_list_codg,
        "medins_list_codg": line.medins_list_codg,
        "det_item_fee_sumamt": yuan(line.amount_fen),
        "cnt": line.quantity,
        "pric": line.unit_price_yuan,
        "bilg_dept_codg": line.department_code,
        "bilg_dept_name": line.department_name,
        "bilg_dr_codg": line.doctor_code,
        "bilg_dr_name": line.doctor_name,
        "hosp_appr_flag": line.hospital_approved,
        "dscg_tkdrug_flag": "1" if line.take_home else "",
    }


def _verdict(row: Row) -> Row:
    """What the daily bill shows of a line; ``adds_up`` is I5."""
    try:
        adds_up = bool(check_lines([row]) or True)
    except AmountsDisagree:
        adds_up = False
    return {
        "chrgitm_lv": str(row.get("chrgitm_lv") or ""),
        "selfpay_prop": str(row.get("selfpay_prop")),
        "own_expense": fen(row.get("fulamt_ownpay_amt")),
        "over_limit": fen(row.get("overlmt_amt")),
        "first_share": fen(row.get("preselfpay_amt")),
        "in_scope": fen(row.get("inscp_scp_amt")),
        "adds_up": adds_up,
    }
