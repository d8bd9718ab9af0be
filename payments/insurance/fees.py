"""Fee lines go to the platform in batches under serials of our own (2301), and come back (2302)."""

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as SqlSession

from models.db import ReadSession
from models.insurance import Encounter, EncounterState, UploadedFee
from models.insurance_calls import Change, FeeSent, Held
from payments.insurance import codec, lost, recover
from payments.insurance.amounts import AmountsDisagree, check_lines, fen, yuan
from payments.insurance.calls import Calls, Occupied, Question
from payments.insurance.codec import Row
from payments.insurance.encounters import all_withdrawn, moved, must_be
from payments.insurance.envelope import canonical
from payments.insurance.facts import FeeLine
from payments.insurance.profile import Profile
from policies.access import Actor
from policies.refusals import Busy, Refused

_IN_THE_HOUSE = frozenset({EncounterState.REGISTERED})
_ENVELOPE_OF_LINES = len('{"feedetail":[]}')


class AllThere(Exception):
    """Every line lies at the platform already."""


class _Batch(Question):
    """As many of the lines not yet sent as one call may carry. ``whole_fen``: of all lines there,
    these included; ``more``: some are left for another call.
    """

    infno = "2301"
    wanted = _IN_THE_HOUSE
    whole_fen = 0
    more = True

    def __init__(self, lines: Sequence[FeeLine], profile: Profile) -> None:
        self._lines, self._profile = lines, profile
        self._taken: list[FeeSent] = []

    def input(self, db: SqlSession, held: Held) -> Row:
        """Each row is put into the platform's form once: its size decides whether it still fits."""
        stay = held.stay
        sent = UploadedFee.sent(db, stay.id)
        self.whole_fen = sum(line["amount_fen"] for line in sent)
        serials = {line["line"]: line["serial"] for line in sent}
        left = _not_sent(self._lines, serials)
        if not left:
            raise AllThere
        rows = self._rows(left, stay, serials)
        self.whole_fen += sum(fee.amount_fen for fee in self._taken)
        self.more = len(rows) < len(left)
        return {"feedetail": rows}

    def _rows(self, left: list[FeeLine], stay: Encounter, serials: dict[str, int]) -> list[Row]:
        rows: list[Row] = []
        size = _ENVELOPE_OF_LINES
        for serial, line in enumerate(left, stay.fee_serial + 1):
            (row,) = codec.build("2301", feedetail=[_row(line, serial, stay, serials)])["feedetail"]
            size += len(canonical(row)) + 1
            full = len(rows) == self._profile.batch_lines or size > self._profile.input_chars
            if rows and full:
                break
            serials[line.line] = serial
            rows.append(row)
            self._taken.append(FeeSent(line.line, serial, line.amount_fen))
        return rows

    def fees(self) -> list[FeeSent]:
        return self._taken

    def read(self, found: dict[str, Any]) -> dict[str, Row]:
        return {str(row.get("feedetl_sn")): _verdict(row) for row in found["result"]}

    def change(self, stay: Encounter, at: datetime, meaning: dict[str, Row]) -> Change:
        return Change(batch="UPLOADED", verdicts=meaning)

    def failed(self) -> Change:
        return Change(batch="WITHDRAWN")


class _Withdraw(Question):
    """All lines of the stay."""

    infno = "2302"
    wanted = _IN_THE_HOUSE

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        data = {"feedetl_sn": lost.ALL_FEES, "mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}
        return {"data": data}

    def change(self, stay: Encounter, at: datetime, meaning: Any) -> Change:
        return all_withdrawn(stay, at)


class _BackInTheHouse(Question):
    """The platform takes no fees after a discharge (2402), so a late charge undoes it (2405)."""

    infno = "2405"
    wanted = frozenset({EncounterState.DISCHARGED})

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        return {"data": {"mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}}

    def change(self, stay: Encounter, at: datetime, meaning: Any) -> Change:
        return moved(EncounterState.REGISTERED)(stay, at)


def upload(calls: Calls, encounter_id: UUID, lines: Sequence[FeeLine], by: Actor) -> int:
    """Send what is not yet there, originals before the reversals that name them; the whole sum in
    fen.
    """
    ordered = sorted(lines, key=lambda line: bool(line.reverses))
    while True:
        batch = _Batch(ordered, calls.profile)
        try:
            calls.ask(batch, encounter_id, by)
        except AllThere:
            return batch.whole_fen
        except Occupied:
            if (whole_fen := _look_around(calls, encounter_id, ordered, by)) is not None:
                return whole_fen
        else:
            if not batch.more:
                return batch.whole_fen


def _look_around(
    calls: Calls, encounter_id: UUID, lines: Sequence[FeeLine], by: Actor
) -> int | None:
    """Clear the way for the lines that are left; the whole sum when none are."""
    stay = recover.clear_way(calls, encounter_id, by)
    with ReadSession() as db:
        sent = UploadedFee.sent(db, encounter_id)
    if not _not_sent(lines, {line["line"] for line in sent}):
        if any(line["state"] == "CLAIMED" for line in sent):
            raise Busy("INSURANCE_CALL_OPEN")
        return int(sum(line["amount_fen"] for line in sent))
    must_be(stay, EncounterState.REGISTERED, EncounterState.DISCHARGED)
    if stay.state == EncounterState.DISCHARGED:
        reopen(calls, encounter_id, by)
    return None


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
