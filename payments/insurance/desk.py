"""The insurance desk: everything a hospital asks of its platform for a stay, each step safe to
repeat.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Self
from uuid import UUID

from sqlalchemy.orm import Session as SqlSession

from config import InsuranceSettings
from models.db import ReadSession
from models.insurance import Encounter, UploadedFee
from payments.insurance import fees, person, profile, recover, registration, settle, statements
from payments.insurance.amounts import SettlementAmounts
from payments.insurance.calls import Calls
from payments.insurance.facts import Cover, FeeLine, Finding, Person, PersonCard, StayFacts
from payments.insurance.person import open_encounter
from payments.insurance.profile import Profile
from payments.insurance.transport import GATEWAYS, Platform
from policies.access import Actor


class InsuranceDesk:
    """One hospital's desk at its platform. Only open_encounter may be called with a transaction
    open.

    Every method may raise, besides what it names: Busy INSURANCE_CALL_OPEN (somebody is asking
    about this stay right now), Busy INSURANCE_NOT_NOW (surely not done), Busy INSURANCE_NO_ANSWER
    (unknown; the next call of any method finds out first), Busy INSURANCE_TOO_EARLY (a request that
    timed out must rest before it is asked about), Refused INSURANCE_DECLINED (the platform said no;
    fact ``said``), Refused INSURANCE_FACT_MISSING (fact ``field``), Refused INSURANCE_HUMAN_NEEDED
    (an earlier call waits for the insurance office; facts ``call``, ``task``), Refused
    INSURANCE_WRONG_STATE (fact ``state``), NotFound INSURANCE_ENCOUNTER_UNKNOWN.
    """

    def __init__(self, platform: Platform, profile: Profile, now: Callable[[], datetime]) -> None:
        self._calls = Calls(platform, profile, now)

    @classmethod
    def connect(cls, settings: InsuranceSettings, now: Callable[[], datetime]) -> Self:
        """The desk for these settings; FileNotFoundError for a province without a profile."""
        ways = profile.load(settings.profile)
        return cls(GATEWAYS[ways.gateway](settings, ways, now), ways, now)

    def look_up(self, card: PersonCard, by: Actor) -> Person:
        """Who this is to the platform (1101): all covers, and the identities valid today."""
        return person.look_up(self._calls, card, by)

    def choose(self, person_found: Person, insutype: str = "", insuplc_admdvs: str = "") -> Cover:
        """The cover in force of the wanted class, or the first by the profile's order; never simply
        the first row.

        Raises Refused INSURANCE_COVER_NOT_ACTIVE, INSURANCE_COVER_AMBIGUOUS (two regions: name
        one).
        """
        return person.choose(self._calls, person_found, insutype, insuplc_admdvs)

    def open_encounter(
        self,
        db: SqlSession,
        *,
        admission_id: UUID,
        patient_id: UUID,
        person: Person,
        cover: Cover,
        by: Actor,
    ) -> Encounter:
        """The one active encounter of this admission, made if there is none; in the caller's
        transaction.

        Raises Conflict INSURANCE_ENCOUNTER_OPEN when an active one was opened with another cover.
        """
        return open_encounter(
            self._calls,
            db,
            admission_id=admission_id,
            patient_id=patient_id,
            person=person,
            cover=cover,
            by=by,
        )

    def register(self, encounter_id: UUID, stay: StayFacts, by: Actor) -> str:
        """Register the stay (2001, 2401) and return mdtrt_id. Raises Refused INSURANCE_NO_BENEFIT
        (fact ``said``).
        """
        return registration.register(self._calls, encounter_id, stay, by)

    def change(self, encounter_id: UUID, stay: StayFacts, by: Actor) -> None:
        """Tell the platform of a changed ward, bed, doctor or diagnosis (2403)."""
        registration.change(self._calls, encounter_id, stay, by)

    def cancel_registration(self, encounter_id: UUID, by: Actor) -> None:
        """Take the registration back (2404), uploaded fees first; the encounter ends."""
        registration.cancel(self._calls, encounter_id, by)

    def upload(self, encounter_id: UUID, lines: Sequence[FeeLine], by: Actor) -> int:
        """Send the lines not yet sent (2301) and return the whole uploaded sum in fen.

        Give all lines of the stay or only new ones: sent lines are skipped by their ``line`` key. A
        late line after the discharge (2402) undoes the discharge first (2405).
        """
        return fees.upload(self._calls, encounter_id, lines, by)

    def uploaded(self, encounter_id: UUID) -> int:
        """The sum in fen of all fee lines that surely lie at the platform."""
        with ReadSession() as db:
            return UploadedFee.sum_of(db, encounter_id)

    def withdraw_fees(self, encounter_id: UUID, by: Actor) -> None:
        """Take all uploaded lines back (2302 "0000"), as when the sums differ; upload sends them
        afresh.
        """
        fees.withdraw(self._calls, encounter_id, by)

    def trial(
        self, encounter_id: UUID, by: Actor, *, use_account: bool = False
    ) -> SettlementAmounts:
        """Who would pay what if the stay were settled now (2303); as often as wanted; kept on the
        encounter.

        Raises Refused INSURANCE_AMOUNTS_DISAGREE (fact ``invariant``),
        INSURANCE_TRIAL_NEEDS_DISCHARGE, INSURANCE_NOTHING_UPLOADED.
        """
        return settle.trial(self._calls, encounter_id, by, use_account=use_account)

    def settle(
        self,
        encounter_id: UUID,
        stay: StayFacts,
        *,
        bill_fen: int,
        by: Actor,
        use_account: bool = False,
        agreed: datetime | None = None,
    ) -> SettlementAmounts:
        """Discharge (2402) and settle (2304) once; a second call returns the stored amounts (with
        ``setl_id``). ``agreed``: only while the stay's settlement waits by this agreement, given at
        that moment.

        Raises Refused FEES_NOT_ALL_UPLOADED (facts ``uploaded_fen``, ``bill_fen``),
        INSURANCE_AMOUNTS_DISAGREE (the platform did settle: nothing may be paid on it until the
        insurance office has decided), Conflict INSURANCE_SETTLED_OTHERWISE (already settled with
        another total).
        """
        return settle.settle(
            self._calls,
            encounter_id,
            stay,
            bill_fen=bill_fen,
            by=by,
            use_account=use_account,
            agreed=agreed,
        )

    def undo_settlement(
        self,
        encounter_id: UUID,
        by: Actor,
        *,
        setl_id: str | None = None,
        reopen_stay: bool = False,
    ) -> SettlementAmounts | None:
        """Undo the settlement (2305; with ``reopen_stay`` also the discharge, 2405); the negative
        amounts.

        With ``setl_id`` only this one: who comes late must not undo what the stay was settled by
        since. None when there was never a settlement to undo. Raises Refused
        INSURANCE_AMOUNTS_DISAGREE (I8).
        """
        return settle.undo(self._calls, encounter_id, by, setl_id=setl_id, reopen_stay=reopen_stay)

    def recover(self, call_id: UUID, by: Actor) -> str:
        """Find out what became of a lost call, or reverse it (2601); its new state.

        HUMAN when only a person can tell. On a call in HUMAN it tries again: so a person orders the
        reversal of a settlement whose amounts disagree. Raises NotFound INSURANCE_CALL_UNKNOWN.
        """
        return str(recover.recover(self._calls, call_id, by))

    def decide(
        self,
        call_id: UUID,
        *,
        happened: bool,
        by: Actor,
        why: str,
        mdtrt_id: str = "",
        setl_id: str = "",
    ) -> str:
        """A person of the insurance office says what became of a call; its new state.

        A 2304 that happened is read from the platform by ``setl_id`` (5203). Raises Refused
        INSURANCE_CALL_DECIDED, INSURANCE_NOT_FOR_PEOPLE, INSURANCE_SETTLEMENT_UNDONE.
        """
        return recover.decide(
            self._calls,
            call_id,
            happened=happened,
            by=by,
            why=why,
            mdtrt_id=mdtrt_id,
            setl_id=setl_id,
        )

    def sweep(self, by: Actor) -> list[UUID]:
        """Recover every lost call of the hospital; the ids that still need somebody. For the
        timetable.
        """
        return recover.sweep(self._calls, by)

    def reconcile(self, day: date, by: Actor) -> list[Finding]:
        """Compare a Shanghai day's settlements with the platform (3201; if not level 3202), resolve
        lost calls.

        Raises Refused INSURANCE_DAY_NOT_OVER.
        """
        return statements.reconcile(self._calls, day, by)

    def resolve_from_difference_file(
        self, rows: Iterable[dict[str, str]], by: Actor
    ) -> list[Finding]:
        """Use the rows of a 3202 answer: a lost settlement that lies at the centre is reversed by
        its msgid.
        """
        return statements.resolve(self._calls, rows, by)
