"""Filing an exception with the health department, recording its answer, and showing it to the
public (GZ-6)."""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models.audit import audit
from models.db import ReadSession, Session
from models.filing import PrepayFiling, Publication
from models.hospital import Hospital
from policies.access import Actor
from policies.digest import digest
from policies.filed_exception import ELDERLY, Filed, Scene
from policies.filing_duties import Shown, duties
from policies.packs import Rules, rules_of
from policies.refusal_texts import words_of
from policies.refusals import Conflict, NotFound, Refused

SHOWN = (
    "id",
    "state",
    "scenes",
    "groups",
    "top_up_limit_fen",
    "balance_limit_fen",
    "authority",
    "drafted_by",
    "drafted_at",
    "checked_by",
    "submitted_at",
    "approved_on",
    "expires_on",
    "document_no",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filing is to cover. ``groups``: code, name and, or None, the age from which on."""

    scenes: frozenset[Scene]
    groups: list[dict[str, Any]] = field(default_factory=list)
    top_up_limit_fen: int | None = None
    balance_limit_fen: int | None = None
    authority: str = ""

    def hash(self) -> str:
        """Recognises the same wish."""
        return digest(asdict(self) | {"scenes": sorted(self.scenes)})


def draft_filing(actor: Actor, outside: Counterparts, wanted: Wanted, key: str) -> dict[str, Any]:
    """Write a filing; an elderly group without an age gets the law's (D-04). The same key is the
    same draft, with another wish it is a Conflict.

    Refused FILING_COVERS_NOTHING, FILING_AGE_TOO_LOW, FILING_AGE_MISSING.
    """
    if not wanted.scenes and not wanted.groups:
        raise Refused("FILING_COVERS_NOTHING")
    with Session.begin() as db:
        Hospital.take_turns(db, actor.hospital_id)
        filing = PrepayFiling.by_key(db, actor.hospital_id, actor.name, key)
        if filing and filing.request_hash != wanted.hash():
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if filing is None:
            filing = _drafted(db, actor, wanted, key, outside.now())
    return view_filing(actor, filing.id)


def submit_filing(actor: Actor, outside: Counterparts, filing_id: UUID) -> dict[str, Any]:
    """The head of finance agrees and it goes to the health department; never who drafted it.

    Said again by the same person it changes nothing. Refused SAME_PERSON_FORBIDDEN.
    """
    now = outside.now()
    with Session.begin() as db:
        filing = PrepayFiling.own(db, actor.hospital_id, filing_id)
        if filing.drafted_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        if filing.checked_by != actor.name or filing.state != Filed.SUBMITTED:
            filing.move(db, Filed.SUBMITTED, at=now, by=actor.name)
            filing.checked_by, filing.submitted_at = actor.name, now
            _trail(db, actor, "prepay filing submitted", filing, now)
    return view_filing(actor, filing_id)


def record_answer(
    actor: Actor,
    outside: Counterparts,
    filing_id: UUID,
    *,
    approved: bool,
    document_no: str,
    approved_on: date,
    expires_on: date | None,
) -> dict[str, Any]:
    """What the health department answered, by its document. The same answer again is harmless.

    Refused FILING_DATES_WRONG: approved in the future, or over before it began.
    """
    now = outside.now()
    if approved_on > today(now) or (expires_on is not None and expires_on < approved_on):
        raise Refused("FILING_DATES_WRONG")
    with Session.begin() as db:
        filing = PrepayFiling.own(db, actor.hospital_id, filing_id)
        there = Filed.APPROVED if approved else Filed.REFUSED
        told = (document_no, approved_on, expires_on)
        if (filing.state, filing.document_no, filing.approved_on, filing.expires_on) != (
            there,
            *told,
        ):
            filing.move(db, there, at=now, by=actor.name, why=document_no)
            filing.document_no, filing.approved_on, filing.expires_on = told
            _trail(db, actor, "prepay filing answered", filing, now)
    return view_filing(actor, filing_id)


def withdraw_filing(
    actor: Actor, outside: Counterparts, filing_id: UUID, *, reason: str
) -> dict[str, Any]:
    """Give a filing up, or note that the approval was taken back: nothing more is stored under it,
    and nothing stored is lost. Said again it changes nothing.
    """
    with Session.begin() as db:
        filing = PrepayFiling.own(db, actor.hospital_id, filing_id)
        if filing.state != Filed.WITHDRAWN:
            filing.move(db, Filed.WITHDRAWN, at=outside.now(), by=actor.name, why=reason)
            _trail(db, actor, "prepay filing withdrawn", filing, outside.now())
    return view_filing(actor, filing_id)


def publish(
    actor: Actor,
    outside: Counterparts,
    filing_id: UUID,
    *,
    channel: str,
    place: str,
    from_on: date,
    to_on: date | None,
    snapshot_sha256: str,
) -> dict[str, Any]:
    """Record where an approved filing is shown. The same place from the same day is one record.

    Refused FILING_NOT_APPROVED, FILING_DATES_WRONG (before the approval, or over before it began).
    """
    with Session.begin() as db:
        filing = PrepayFiling.own(db, actor.hospital_id, filing_id)
        if filing.state != Filed.APPROVED or filing.approved_on is None:
            raise Refused("FILING_NOT_APPROVED")
        if from_on < filing.approved_on or (to_on is not None and to_on < from_on):
            raise Refused("FILING_DATES_WRONG")
        there = [
            each
            for each in Publication.of(db, actor.hospital_id)
            if (each.filing_id, each.channel, each.place, each.from_on)
            == (filing.id, channel, place, from_on)
        ]
        if not there:
            shown = Publication(
                hospital_id=filing.hospital_id,
                filing_id=filing.id,
                channel=channel,
                place=place,
                from_on=from_on,
                to_on=to_on,
                snapshot_sha256=snapshot_sha256,
                recorded_by=actor.name,
                recorded_at=outside.now(),
            )
            db.add(shown)
            _trail(db, actor, "prepay filing published", filing, outside.now(), channel=channel)
    return view_filing(actor, filing_id)


def end_publication(
    actor: Actor, outside: Counterparts, filing_id: UUID, publication_id: UUID, to_on: date
) -> dict[str, Any]:
    """Record the last day on which it was to be seen there. Refused FILING_DATES_WRONG."""
    with Session.begin() as db:
        filing = PrepayFiling.own(db, actor.hospital_id, filing_id)
        shown = db.get(Publication, publication_id)
        if shown is None or shown.filing_id != filing.id:
            raise NotFound("PUBLICATION_UNKNOWN")
        if to_on < shown.from_on:
            raise Refused("FILING_DATES_WRONG")
        if shown.to_on != to_on:
            shown.to_on = to_on
            what = "prepay publication ended"
            _trail(db, actor, what, filing, outside.now(), channel=shown.channel)
    return view_filing(actor, filing_id)


def view_filing(actor: Actor, filing_id: UUID) -> dict[str, Any]:
    """One filing with its publications."""
    for filing in list_filings(actor):
        if filing["id"] == filing_id:
            return filing
    raise NotFound("FILING_UNKNOWN")


def list_filings(actor: Actor) -> list[dict[str, Any]]:
    """All filings of the hospital in every state, newest first, with their publications."""
    with ReadSession() as db:
        return _shown(db, actor.hospital_id)


def public_filings(hospital_code: str, now: datetime) -> dict[str, Any]:
    """What the public may see: filings that the health department approved and that hold today."""
    with ReadSession() as db:
        home = Hospital.by_code(db, hospital_code)
        in_force = {each.id for each in PrepayFiling.of(db, home.id) if each.in_force(today(now))}
        return {
            "hospital": home.name,
            "day": today(now),
            "filings": [each for each in _shown(db, home.id) if each["id"] in in_force],
        }


def list_duties(actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """What the hospital still owes the public about its filings."""
    day = today(now)
    with ReadSession() as db:
        shown = Publication.of(db, actor.hospital_id)
        filings = [
            Shown(
                filing.id,
                Filed(filing.state),
                filing.in_force(day),
                filing.expires_on,
                frozenset(p.channel for p in shown if p.filing_id == filing.id and p.live(day)),
            )
            for filing in PrepayFiling.of(db, actor.hospital_id)
        ]
    owed = [(duty, words_of(duty.code, duty.facts)) for duty in duties(filings, day)]
    return [
        {
            "code": duty.code,
            "filing_id": duty.filing_id,
            "channel": duty.channel,
            "clause": words.clause,
            "say": words.say,
            "next": words.next,
        }
        for duty, words in owed
    ]


def _drafted(db: Db, actor: Actor, wanted: Wanted, key: str, now: datetime) -> PrepayFiling:
    filing = PrepayFiling(
        hospital_id=actor.hospital_id,
        state=Filed.DRAFTED,
        scenes=sorted(wanted.scenes),
        groups=_groups(db, actor.hospital_id, wanted, today(now)),
        top_up_limit_fen=wanted.top_up_limit_fen,
        balance_limit_fen=wanted.balance_limit_fen,
        authority=wanted.authority,
        drafted_by=actor.name,
        drafted_at=now,
        client_key=key,
        request_hash=wanted.hash(),
    )
    db.add(filing)
    db.flush()
    filing.start(db, at=now, by=actor.name)
    _trail(db, actor, "prepay filing drafted", filing, now)
    return filing


def _groups(db: Db, hospital_id: UUID, wanted: Wanted, day: date) -> list[dict[str, Any]]:
    rules = rules_of(db.get_one(Hospital, hospital_id).rule_packs)
    groups = []
    for group in wanted.groups:
        age = group["min_age"]
        if group["code"] == ELDERLY:
            age = _elderly_from(rules, age, day)
        groups.append({"code": group["code"], "name": group["name"], "min_age": age})
    return groups


def _elderly_from(rules: Rules, age: int | None, day: date) -> int:
    """The age that the filing says, or the law's; never a lower one."""
    law = rules.find("elderly_min_age", day)
    if age is None and law is None:
        raise Refused("FILING_AGE_MISSING")
    if age is not None and law is not None and age < law.value:
        raise Refused("FILING_AGE_TOO_LOW", least=law.value)
    return int(law.value if age is None and law else age or 0)


def _shown(db: Db, hospital_id: UUID) -> list[dict[str, Any]]:
    publications = Publication.of(db, hospital_id)
    return [
        {name: getattr(filing, name) for name in SHOWN}
        | {"publications": [each for each in publications if each.filing_id == filing.id]}
        for filing in PrepayFiling.of(db, hospital_id)
    ]


def _trail(
    db: Db, actor: Actor, what: str, filing: PrepayFiling, at: datetime, **facts: str
) -> None:
    db.flush()
    told = {"state": filing.state, "document_no": filing.document_no, **facts}
    audit(db, filing.hospital_id, actor.name, what, f"prepay-filing:{filing.id}", told, at=at)
