"""One question to the platform: commit it with its msgid, ask with nothing open, then record."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as SqlSession

from config import SHANGHAI, today
from models.db import ReadSession, Session, new_id
from models.insurance import CallState, Encounter, InsuranceCall, SignIn
from models.insurance_calls import Change, FeeSent, Held, answered, claim, ended, hold
from models.sealing import fingerprint
from payments.insurance import codec
from payments.insurance.amounts import AmountsDisagree
from payments.insurance.codec import Row, Unreadable
from payments.insurance.encounters import Effect, papers
from payments.insurance.envelope import canonical, envelope, operator_of, scrubbed
from payments.insurance.profile import Profile
from payments.insurance.transport import Platform
from policies.access import Actor
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refusals import Busy, NotFound, Refused


class Occupied(Busy):
    """A call about the stay is open, or the stay is in another state than the question wants: who
    asks looks around first (`recover.clear_way`).
    """


class Question:
    """One transaction about a stay. One that ``holds`` lets no other be open for the same
    encounter.
    """

    infno: ClassVar[str]
    wanted: ClassVar[frozenset[str]]
    holds: ClassVar[bool] = True

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        """What is said, made under the encounter's lock; may refuse, and then nothing happens."""
        raise NotImplementedError

    def input(self, db: SqlSession, held: Held) -> Row:
        """The same in the platform's own form."""
        return codec.build(self.infno, **self.nodes(db, held))

    def fees(self) -> list[FeeSent]:
        """The lines that are stored with the claim."""
        return []

    def read(self, found: dict[str, Any]) -> Any:
        """The reply's meaning; pure. Raises AmountsDisagree or Unreadable."""
        return found

    def change(self, stay: Encounter, at: datetime, meaning: Any) -> Change:
        """What changes when the platform said yes, at this moment."""
        return Change()

    def failed(self) -> Change:
        """What changes when the platform surely did not do it."""
        return Change()

    def task(self, said: str) -> str:
        """What a person must find out when the platform says no like this; "" for a plain no."""
        return ""


class Calls:
    """The log of calls and the way out to one hospital's platform."""

    def __init__(self, platform: Platform, profile: Profile, now: Callable[[], datetime]) -> None:
        self.platform, self.profile, self.now = platform, profile, now
        self._signed_in: dict[tuple[UUID, str, date], str] = {}

    def ask(self, question: Question, encounter_id: UUID, by: Actor) -> Any:
        """Ask about a stay and record the answer; the meaning of the reply.

        Raises what the desk describes; Busy INSURANCE_CALL_OPEN also when the encounter has
        meanwhile left the wanted state.
        """
        sign_no = self._sign_no(by)
        with Session.begin() as db:
            held = self.held(db, encounter_id, by)
            stay = held.stay
            if held.taken or stay.state not in question.wanted:
                raise Occupied("INSURANCE_CALL_OPEN")
            given = question.input(db, held)
            call = self._drawn_up(question.infno, given, by, stay.id, holds=question.holds)
            claim(db, call, call.begun(at=call.asked_at, by=by.name), question.fees())
        request = self._request(call, given, by, stay.insuplc_admdvs, sign_no)
        refmsgid, meaning = self._send(call, request, given, by, question)
        at = self.now()
        kept = self._end(
            call,
            CallState.SUCCEEDED,
            by,
            question.change(stay, at, meaning),
            at=at,
            stay=stay,
            stood=question.wanted,
            refmsgid=refmsgid,
        )
        if not kept:  # it was taken for lost and somebody is finding out, or the stay has gone on
            raise Busy("INSURANCE_CALL_OPEN")
        return meaning

    def look(
        self,
        infno: str,
        by: Actor,
        *,
        about: InsuranceCall | None = None,
        insured_in: str = "",
        **nodes: Any,
    ) -> dict[str, Any]:
        """Ask what holds nothing: a read, or a question about a lost call. A lost answer does not
        matter.
        """
        sign_no = "" if infno == "9001" else self._sign_no(by)
        given = codec.build(infno, **nodes)
        with Session.begin() as db:
            stay_id = about.encounter_id if about else None
            if about:
                self._one_at_a_time(db, about.id, by)
            call = self._drawn_up(infno, given, by, stay_id, about_id=about.id if about else None)
            claim(db, call, call.begun(at=call.asked_at, by=by.name))
        request = self._request(call, given, by, insured_in, sign_no)
        refmsgid, found = self._send(call, request, given, by, Question())
        self._end(call, CallState.SUCCEEDED, by, Change(), at=self.now(), refmsgid=refmsgid)
        return dict(found)

    def held(self, db: SqlSession, encounter_id: UUID, by: Actor) -> Held:
        """The encounter, locked, if it is this actor's hospital's; NotFound otherwise."""
        held = hold(db, encounter_id)
        if held.stay.hospital_id != by.hospital_id:
            raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
        return held

    def is_stale(self, call: InsuranceCall) -> bool:
        """Whether whoever asked must have died: nobody waits that long for an answer."""
        patience = self.profile.connect_seconds + self.profile.answer_seconds
        rest = self.profile.rest_seconds
        return call.asked_at + timedelta(seconds=patience + rest) <= self.now()

    def resolve(
        self,
        call: InsuranceCall,
        there: str,
        by: Actor,
        why: str,
        *,
        effect: Effect | None = None,
        task: str = "",
    ) -> str:
        """Write down what became of a lost call, if nobody did before; its state."""
        if call.encounter_id is None:
            raise ValueError("only a call about a stay can be resolved")
        with Session.begin() as db:
            stay = self.held(db, call.encounter_id, by).stay
            row = InsuranceCall.locked(db, call.id)
            if there not in row.MOVES[row.state]:
                return row.state
            at = self.now()
            change = effect(stay, at) if effect else Change()
            self._end(row, there, by, change, at=at, stay=stay, why=why, db=db, task=task)
        return there

    def _sign_no(self, by: Actor) -> str:
        """The operator's sign-in of today (9001), asked for once."""
        if not self.profile.sign_in:
            return ""
        operator, day = operator_of(by, self.profile), today(self.now())
        mine = (by.hospital_id, operator, day)
        if mine not in self._signed_in:
            sign_no = self._signed(by, operator, day)
            of_today = {who: no for who, no in self._signed_in.items() if who[2] == day}
            self._signed_in = {**of_today, mine: sign_no}
        return self._signed_in[mine]

    def _signed(self, by: Actor, operator: str, day: date) -> str:
        key = {"hospital_id": by.hospital_id, "operator": operator, "day": day}
        with ReadSession() as db:
            if known := db.scalar(select(SignIn.sign_no).filter_by(**key)):
                return known
        found = self.look("9001", by, signIn=self.profile.station | {"opter_no": operator})
        sign_no = str(found["signinoutb"].get("sign_no") or "")
        with Session.begin() as db:
            row = insert(SignIn).values(id=new_id(), sign_no=sign_no, **key)
            db.execute(row.on_conflict_do_nothing())
        return sign_no

    def _drawn_up(
        self,
        infno: str,
        given: Row,
        by: Actor,
        encounter_id: UUID | None,
        *,
        holds: bool = False,
        about_id: UUID | None = None,
    ) -> InsuranceCall:
        """A call as it is stored before it is sent; the claim completes its msgid."""
        now = self.now()
        stamp = now.astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S")
        return InsuranceCall(
            id=new_id(),
            hospital_id=by.hospital_id,
            encounter_id=encounter_id,
            about_id=about_id,
            infno=infno,
            msgid=f"{self.platform.settings.fixmedins_code}{stamp}",
            state=CallState.ASKED,
            holds=holds,
            digest=fingerprint(canonical(given).encode()).hex(),
            by=by.name,
            asked_at=now,
            refmsgid="",
            err_msg="",
            task="",
            facts={},
        )

    def _one_at_a_time(self, db: SqlSession, about_id: UUID, by: Actor) -> None:
        """Of the questions about one lost call at most one is on its way."""
        InsuranceCall.locked(db, about_id)
        for other in db.scalars(
            select(InsuranceCall).where(
                InsuranceCall.about_id == about_id, InsuranceCall.state == CallState.ASKED
            )
        ):
            if not self.is_stale(other):
                raise Busy("INSURANCE_CALL_OPEN")
            other.move(db, CallState.LOST, at=self.now(), by=by.name, why="nobody waits any more")

    def _request(
        self, call: InsuranceCall, given: Row, by: Actor, insured_in: str, sign_no: str
    ) -> Row:
        return envelope(
            self.platform.settings,
            self.profile,
            by,
            infno=call.infno,
            msgid=call.msgid,
            at=self.now(),
            insured_in=insured_in,
            sign_no=sign_no,
            given=given,
        )

    def _send(
        self, call: InsuranceCall, request: Row, given: Row, by: Actor, question: Question
    ) -> tuple[str, Any]:
        """refmsgid and meaning; on anything but a yes that can be read, record which and raise."""
        found: dict[str, Any] = {}
        try:
            reply = self.platform.ask(call.infno, request)
            found = (
                {"": reply.output}
                if isinstance(reply.output, bytes)
                else codec.parse(call.infno, reply.output)
            )
            return reply.refmsgid, question.read(found)
        except Declined as no:
            said = self._without_person(call, no.detail, given)
            if task := question.task(said):
                self._failed(call, CallState.HUMAN, by, said, question, task=task)
                raise Refused("INSURANCE_HUMAN_NEEDED", call=str(call.id), task=task) from no
            self._failed(call, CallState.REFUSED, by, said, question)
            raise Refused("INSURANCE_DECLINED", said=said, infno=call.infno) from no
        except NotNow as later:
            said = self._without_person(call, later.detail, given)
            self._failed(call, CallState.REFUSED, by, said, question)
            raise Busy("INSURANCE_NOT_NOW") from later
        except AmountsDisagree as wrong:
            there = CallState.HUMAN if call.holds else CallState.REFUSED
            setl_id = str(found["setlinfo"].get("setl_id") or "")
            asked = {"task": "AMOUNTS_DISAGREE"} if call.holds else {}
            facts = {"setl_id": setl_id} if call.holds and setl_id else {}
            self._failed(call, there, by, str(wrong), question, facts=facts, **asked)
            raise Refused("INSURANCE_AMOUNTS_DISAGREE", invariant=wrong.invariant) from wrong
        except (NoAnswer, Unreadable) as silence:
            there = CallState.UNKNOWN if call.holds else CallState.LOST
            self._failed(call, there, by, str(silence)[:200], question)
            raise Busy("INSURANCE_NO_ANSWER") from silence

    def _without_person(self, call: InsuranceCall, said: str, given: Row) -> str:
        """Their words fit to be stored: they also name people whom our question only numbered."""
        if call.encounter_id is None:
            return scrubbed(said, given)
        with ReadSession() as db:
            who = papers(db, db.get_one(Encounter, call.encounter_id))
        return scrubbed(said, given, who.name, who.id_no)

    def _failed(
        self, call: InsuranceCall, there: str, by: Actor, why: str, question: Question, **more: Any
    ) -> None:
        """Write down that there was no yes, if nobody found out before."""
        if there == CallState.UNKNOWN and why == "timeout":
            more["quiet_until"] = self.now() + timedelta(seconds=self.profile.rest_seconds)
        change = question.failed() if there == CallState.REFUSED else Change()
        self._end(call, there, by, change, at=self.now(), why=why, err_msg=why, **more)

    def _end(
        self,
        call: InsuranceCall,
        there: str,
        by: Actor,
        change: Change,
        *,
        at: datetime,
        stay: Encounter | None = None,
        stood: Collection[str] = (),
        why: str = "",
        db: SqlSession | None = None,
        **more: Any,
    ) -> bool | None:
        """Write down the end of a call with ``more`` of its columns, and what it changes; as
        `models.insurance_calls.answered` answers.
        """
        moves = [call.drawn(there, at=at, by=by.name, why=why)]
        if stay and change.there:
            stood = (stay.state,)
            words = f"{call.infno} {call.msgid}"
            moves.append(stay.drawn(change.there, at=at, by=call.by, why=words))
        change = replace(change, call={"answered_at": at, **more, **change.call})
        return answered(ended(call, there, change, moves=moves, stood=stood), db)
