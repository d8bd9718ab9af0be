"""What a stay costs whom: trial (2303), discharge (2402), settlement (2304), and the way back
(2305, 2405).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as SqlSession

from models.db import ReadSession
from models.insurance import CallState, Encounter, EncounterState, InsuranceCall
from models.insurance_calls import Change, Held
from payments.insurance import amounts, fees, recover
from payments.insurance.amounts import AmountsDisagree, SettlementAmounts
from payments.insurance.calls import Calls, Occupied, Question
from payments.insurance.codec import Row
from payments.insurance.encounters import Settled, moved, must_be, settled, undone
from payments.insurance.facts import StayFacts
from payments.insurance.registration import diagnosis_rows
from policies.access import Actor
from policies.refusals import Busy, Conflict, Refused


class _Money(Question):
    """What 2303 and 2304 share: the same question, once as a trial and once for good."""

    _held: Held

    def __init__(self, calls: Calls, use_account: bool) -> None:
        self._calls, self._use_account = calls, use_account

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        self._held, stay, person = held, held.stay, held.patient
        self._check()
        data = {
            "psn_no": stay.psn_no,
            "mdtrt_cert_type": "02",
            "mdtrt_cert_no": person.id_no,
            "psn_cert_type": "01",
            "certno": person.id_no,
            "psn_type": stay.psn_type,
            "psn_name": person.name,
            "medfee_sumamt": amounts.yuan(self._held.fen),
            "psn_setlway": self._calls.profile.settle_way,
            "mdtrt_id": stay.mdtrt_id,
            "insutype": stay.insutype,
            "acct_used_flag": "1" if self._use_account else "0",
            "insuplc_admdvs": stay.insuplc_admdvs,
            "mdtrtarea_admvs": self._calls.platform.settings.mdtrtarea_admvs,
            "mid_setl_flag": "0",
        }
        return {"data": data}

    def _check(self) -> None:
        """Refuse what need not be asked."""

    def read(self, found: dict[str, Any]) -> Settled:
        """With I6 against what 2301 said of the lines: a warning, because a region may round the
        sum and not the lines.
        """
        head, detail = found["setlinfo"], found["setldetail"]
        read = amounts.read(head, detail, self._calls.profile.funds)
        if read.total != self._held.fen:
            raise AmountsDisagree("I6", read.total, self._held.fen)
        parts = self._held.parts
        disagree = parts is not None and parts != read.parts
        return Settled.of(head, replace(read, lines_disagree=disagree))


class _Trial(_Money):
    infno = "2303"
    wanted = frozenset({EncounterState.REGISTERED, EncounterState.DISCHARGED})
    holds = False

    def _check(self) -> None:
        early = self._held.stay.state != EncounterState.DISCHARGED
        if self._calls.profile.trial_needs_discharge and early:
            raise Refused("INSURANCE_TRIAL_NEEDS_DISCHARGE")
        if not self._held.lines:
            raise Refused("INSURANCE_NOTHING_UPLOADED")

    def change(self, stay: Encounter, at: datetime, meaning: Settled) -> Change:
        return Change({"trial": meaning.amounts.to_json()})


class _Discharge(Question):
    infno = "2402"
    wanted = frozenset({EncounterState.REGISTERED})

    def __init__(self, facts: StayFacts, bill_fen: int, agreed: datetime | None) -> None:
        self._facts, self._bill_fen, self._agreed = facts, bill_fen, agreed

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        _still_agreed(held, self._agreed)
        _all_uploaded(held, self._bill_fen)
        facts = self._facts
        own = {"mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}
        leaving = {
            "insutype": stay.insutype,
            "endtime": facts.left_at,
            "dscg_dept_codg": facts.department_code,
            "dscg_dept_name": facts.department_name,
            "dscg_bed": facts.bed,
            "dscg_way": facts.leaving_way,
            "die_date": facts.died_on,
        }
        return {
            "dscginfo": own | leaving,
            "diseinfo": [row | own for row in diagnosis_rows(facts.diagnoses)],
        }

    def change(self, stay: Encounter, at: datetime, meaning: Any) -> Change:
        return moved(EncounterState.DISCHARGED)(stay, at)


class _Settle(_Money):
    infno = "2304"
    wanted = frozenset({EncounterState.DISCHARGED})

    def __init__(
        self, calls: Calls, use_account: bool, bill_fen: int, agreed: datetime | None
    ) -> None:
        super().__init__(calls, use_account)
        self._bill_fen, self._agreed = bill_fen, agreed

    def _check(self) -> None:
        _still_agreed(self._held, self._agreed)
        _all_uploaded(self._held, self._bill_fen)

    def task(self, said: str) -> str:
        words = self._calls.profile.settled_words
        return "SETTLED_THERE_ASK_BUREAU" if any(word in said for word in words) else ""

    def read(self, found: dict[str, Any]) -> Settled:
        meaning = super().read(found)
        settled(meaning)  # refuses one without a number
        return meaning

    def change(self, stay: Encounter, at: datetime, meaning: Settled) -> Change:
        return settled(meaning)(stay, at)


class _Undo(Question):
    infno = "2305"
    wanted = frozenset({EncounterState.SETTLED})

    def __init__(self, calls: Calls, setl_id: str | None) -> None:
        self._calls, self._setl_id = calls, setl_id
        self._settled: Row = {}

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        if self._setl_id not in (None, stay.setl_id):
            raise Occupied("INSURANCE_CALL_OPEN")
        self._settled = stay.settlement or {}
        data = {"mdtrt_id": stay.mdtrt_id, "setl_id": stay.setl_id, "psn_no": stay.psn_no}
        return {"data": data}

    def read(self, found: dict[str, Any]) -> Settled:
        head, detail = found["setlinfo"], found["setldetail"]
        read = amounts.read(head, detail, self._calls.profile.funds)
        amounts.check_undo(SettlementAmounts.from_json(self._settled), read)
        return Settled.of(head, read)

    def change(self, stay: Encounter, at: datetime, meaning: Settled) -> Change:
        return undone(meaning)(stay, at)


def trial(
    calls: Calls, encounter_id: UUID, by: Actor, *, use_account: bool = False
) -> SettlementAmounts:
    """Ask 2303 with the sum of what is uploaded; the amounts, also kept on the encounter."""
    question = _Trial(calls, use_account)
    try:
        answer: Settled = calls.ask(question, encounter_id, by)
    except Occupied:
        must_be(recover.clear_way(calls, encounter_id, by), *question.wanted)
        answer = calls.ask(question, encounter_id, by)
    return answer.amounts


def settle(
    calls: Calls,
    encounter_id: UUID,
    facts: StayFacts,
    *,
    bill_fen: int,
    by: Actor,
    use_account: bool = False,
    agreed: datetime | None = None,
) -> SettlementAmounts:
    """2402, then 2304, each once; whoever comes later gets what is stored, or goes on where it
    stopped. Nothing is asked by an agreement that does not stand any more.
    """
    state: str = EncounterState.REGISTERED  # as nearly every stay that comes here; else we look
    while True:
        try:
            if state == EncounterState.REGISTERED:
                calls.ask(_Discharge(facts, bill_fen, agreed), encounter_id, by)
                state = EncounterState.DISCHARGED
            question = _Settle(calls, use_account, bill_fen, agreed)
            answer: Settled = calls.ask(question, encounter_id, by)
            return answer.amounts
        except Occupied:
            stay = recover.clear_way(calls, encounter_id, by)
        if stay.state == EncounterState.SETTLED and stay.settlement:
            stored = SettlementAmounts.from_json(stay.settlement)
            if stored.total != bill_fen:
                raise Conflict("INSURANCE_SETTLED_OTHERWISE", settled_fen=stored.total)
            return stored
        must_be(stay, EncounterState.REGISTERED, EncounterState.DISCHARGED)
        state = stay.state


def undo(
    calls: Calls,
    encounter_id: UUID,
    by: Actor,
    *,
    setl_id: str | None = None,
    reopen_stay: bool = False,
) -> SettlementAmounts | None:
    """2305, and 2405 when asked; a second call finds it done, also when the stay was settled anew
    since: only the settlement ``setl_id`` is undone. The last undo's amounts, None if there was
    none.
    """
    stay = recover.clear_way(calls, encounter_id, by)
    must_be(stay, EncounterState.SETTLED, EncounterState.DISCHARGED, EncounterState.REGISTERED)
    if stay.state == EncounterState.SETTLED:
        if setl_id not in (None, stay.setl_id):
            return _last_undo(encounter_id)
        calls.ask(_Undo(calls, setl_id), encounter_id, by)
    if reopen_stay and stay.state != EncounterState.REGISTERED:
        fees.reopen(calls, encounter_id, by)
    return _last_undo(encounter_id)


def _last_undo(encounter_id: UUID) -> SettlementAmounts | None:
    with ReadSession() as db:
        call = db.scalar(
            select(InsuranceCall)
            .where(
                InsuranceCall.encounter_id == encounter_id,
                InsuranceCall.infno == "2305",
                InsuranceCall.state == CallState.SUCCEEDED,
            )
            .order_by(InsuranceCall.asked_at.desc(), InsuranceCall.id.desc())
            .limit(1)
        )
    return SettlementAmounts.from_json(call.facts["amounts"]) if call else None


def _still_agreed(held: Held, agreed: datetime | None) -> None:
    """Who was held up until the settlement was undone must not settle the stay again."""
    if agreed not in (None, held.agreed):
        raise Busy("INSURANCE_CALL_OPEN")


def _all_uploaded(held: Held, bill_fen: int) -> None:
    if held.fen != bill_fen:
        raise Refused("FEES_NOT_ALL_UPLOADED", uploaded_fen=held.fen, bill_fen=bill_fen)
