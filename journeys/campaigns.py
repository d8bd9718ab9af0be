"""Telling every holder that money is waiting: drafted, published, sent, and complete only with two
channels and a hotline (GZ-7)."""

from collections import Counter
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models.audit import audit
from models.campaign import CampaignState, NoticeCampaign, PublicNotice, WrongNumber
from models.db import ReadSession, Session, new_id, rows
from models.hospital import Hospital, setting
from models.message import MessageState
from models.queue import defer
from models.sealing import blind_index
from models.work_item import open_item
from notifications.many import Word, tell_all
from policies.access import Actor
from policies.campaign import NoticeChannel, check_complete
from policies.refusals import Conflict, Refused

TEMPLATE = "CLEARANCE_NOTICE"
AT_ONCE = 1000
"""Holders who are told in one transaction: a kill in between loses and doubles nobody."""

UNDER_WAY = (MessageState.QUEUED, MessageState.SENDING, MessageState.UNKNOWN)

_AUDIENCE = """
SELECT p.patient_id, sum(-a.balance_fen)::bigint AS fen
FROM prepay_account p
JOIN account a ON a.hospital_id = :hospital_id AND a.kind = 'OUTPATIENT_PREPAY'
              AND a.owner = p.id::text AND a.balance_fen < 0
WHERE p.hospital_id = :hospital_id AND NOT EXISTS (
    SELECT FROM message m WHERE m.hospital_id = :hospital_id AND m.key = :key || p.patient_id)
GROUP BY p.patient_id HAVING sum(-a.balance_fen) >= :least_fen
LIMIT :at_once
"""

_TOLD = """
SELECT state, route, count(*) AS people FROM message
WHERE hospital_id = :hospital_id AND template = :template AND starts_with(key, :key)
GROUP BY state, route
"""

_PEOPLE = """
SELECT patient_id, state, route, answer, created_at FROM message
WHERE hospital_id = :hospital_id AND template = :template AND starts_with(key, :key)
  AND (CAST(:state AS text) IS NULL OR state = :state)
  AND (CAST(:after AS uuid) IS NULL OR patient_id > :after)
ORDER BY patient_id LIMIT 500
"""

_ATTEMPTS = """
INSERT INTO contact_attempt (id, hospital_id, account_id, key, at, channel, result, by, note)
SELECT gen_random_uuid(), m.hospital_id, p.id, 'message:' || m.id || ':' || p.id,
       coalesce(m.claimed_at, m.created_at),
       CASE m.route WHEN 'SMS' THEN 'SMS' ELSE 'WECHAT' END,
       CASE m.state WHEN 'FAILED' THEN 'UNDELIVERED' ELSE 'NO_ANSWER' END, 'system', ''
FROM message m JOIN prepay_account p ON p.patient_id = m.patient_id
WHERE m.hospital_id = :hospital_id AND m.template = :template
  AND m.state IN ('SENT', 'DELIVERED', 'FAILED') AND m.attempts > 0
ON CONFLICT (hospital_id, key) DO NOTHING
"""

_PUBLIC = """
INSERT INTO contact_attempt (id, hospital_id, account_id, key, at, channel, result, by, note)
SELECT gen_random_uuid(), m.hospital_id, p.id, 'public:' || n.campaign_id || ':' || p.id,
       greatest(m.created_at, min(n.from_on)::timestamp AT TIME ZONE 'Asia/Shanghai'),
       'PUBLIC_NOTICE', 'UNDELIVERED', 'system', ''
FROM public_notice n
JOIN message m ON m.hospital_id = n.hospital_id
    AND m.key = 'campaign:' || n.campaign_id || ':' || m.patient_id
JOIN prepay_account p ON p.patient_id = m.patient_id
WHERE n.hospital_id = :hospital_id AND n.from_on <= :today
  AND m.template = :template AND m.state = 'FAILED' AND m.answer = 'NO_ROUTE'
GROUP BY n.campaign_id, m.id, p.id
ON CONFLICT (hospital_id, key) DO NOTHING
"""

_UNREACHED = """
SELECT c.id, count(*) FILTER (WHERE m.state = 'FAILED') AS people
FROM notice_campaign c
JOIN message m ON m.hospital_id = :hospital_id AND m.template = :template
              AND starts_with(m.key, 'campaign:' || c.id || ':')
WHERE c.hospital_id = :hospital_id AND NOT EXISTS (
    SELECT FROM work_item w WHERE w.hospital_id = :hospital_id
      AND w.kind = 'CAMPAIGN_UNREACHED' AND w.subject = 'campaign:' || c.id)
GROUP BY c.id
HAVING bool_or(m.state = 'FAILED') AND NOT bool_or(m.state IN ('QUEUED', 'SENDING', 'UNKNOWN'))
"""

_WRONG = """
INSERT INTO contact_attempt (id, hospital_id, account_id, key, at, channel, result, by, note)
SELECT gen_random_uuid(), p.hospital_id, p.id, 'wrong-number:' || :number_id || ':' || p.id,
       :at, 'SMS', 'WRONG_NUMBER', :by, ''
FROM prepay_account p JOIN patient holder ON holder.id = p.patient_id
WHERE p.hospital_id = :hospital_id AND holder.phone_index = :phone_index
ON CONFLICT (hospital_id, key) DO NOTHING
"""


def draft(
    actor: Actor, outside: Counterparts, key: str, name: str, least_fen: int
) -> dict[str, Any]:
    """A new campaign; nobody is told yet. The same key is the same draft; Conflict with another
    name or amount."""
    now = outside.now()
    with Session.begin() as db:
        Hospital.take_turns(db, actor.hospital_id)
        campaign = NoticeCampaign.by_key(db, actor.hospital_id, actor.name, key)
        if campaign and (campaign.name, campaign.least_fen) != (name, least_fen):
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if campaign is None:
            campaign = NoticeCampaign(
                hospital_id=actor.hospital_id,
                state=CampaignState.DRAFT,
                name=name,
                least_fen=least_fen,
                made_by=actor.name,
                made_at=now,
                client_key=key,
            )
            db.add(campaign)
            db.flush()
            campaign.start(db, at=now, by=actor.name, why=name)
        return _shown(db, campaign)


def publish(
    actor: Actor,
    campaign_id: UUID,
    *,
    channel: NoticeChannel,
    place: str,
    from_on: date,
    snapshot_sha256: str,
) -> dict[str, Any]:
    """Write down where it was made public; the same place again changes nothing."""
    with Session.begin() as db:
        campaign = NoticeCampaign.locked(db, actor.hospital_id, campaign_id)
        row = insert(PublicNotice).values(
            id=new_id(),
            hospital_id=actor.hospital_id,
            campaign_id=campaign.id,
            channel=channel,
            place=place,
            from_on=from_on,
            snapshot_sha256=snapshot_sha256,
            by=actor.name,
        )
        db.execute(row.on_conflict_do_nothing())
        return _shown(db, campaign)


def send(actor: Actor, outside: Counterparts, campaign_id: UUID) -> dict[str, Any]:
    """Begin to tell every holder, or go on after a stop. Refused CAMPAIGN_HOTLINE_MISSING."""
    now = outside.now()
    with Session.begin() as db:
        campaign = NoticeCampaign.locked(db, actor.hospital_id, campaign_id)
        if not _hotline(db, actor.hospital_id):
            raise Refused("CAMPAIGN_HOTLINE_MISSING")
        if campaign.state in {CampaignState.DRAFT, CampaignState.STOPPED}:
            campaign.move(db, CampaignState.SENDING, at=now, by=actor.name)
            _queue(db, campaign)
            subject = f"campaign:{campaign.id}"
            audit(db, actor.hospital_id, actor.name, "campaign sent", subject, at=now)
        return _shown(db, campaign)


def stop(actor: Actor, outside: Counterparts, campaign_id: UUID, *, why: str) -> dict[str, Any]:
    """Tell nobody else; what was told stays told."""
    with Session.begin() as db:
        campaign = NoticeCampaign.locked(db, actor.hospital_id, campaign_id)
        if campaign.state == CampaignState.COMPLETE:
            raise Refused("CAMPAIGN_IS_COMPLETE")
        if campaign.state != CampaignState.STOPPED:
            campaign.move(db, CampaignState.STOPPED, at=outside.now(), by=actor.name, why=why)
        return _shown(db, campaign)


def complete(actor: Actor, outside: Counterparts, campaign_id: UUID) -> dict[str, Any]:
    """Close a campaign that did what article 7 asks (T2); said again it changes nothing.

    Refused CAMPAIGN_STILL_SENDING, CAMPAIGN_HOTLINE_MISSING, CAMPAIGN_NEEDS_CHANNELS.
    """
    with Session.begin() as db:
        campaign = NoticeCampaign.locked(db, actor.hospital_id, campaign_id)
        if campaign.state != CampaignState.COMPLETE:
            told = _told(campaign)
            waiting = sum(n for (state, _), n in told.items() if state in UNDER_WAY)
            waiting += len(_next_holders(db, campaign, AT_ONCE))
            check_complete(_channels(db, campaign, told), _hotline(db, actor.hospital_id), waiting)
            if campaign.state != CampaignState.SENDING:
                raise Refused("CAMPAIGN_STILL_SENDING", waiting=0)
            campaign.move(db, CampaignState.COMPLETE, at=outside.now(), by=actor.name)
        return _shown(db, campaign)


def send_campaign(
    outside: Counterparts, hospital_id: UUID, campaign_id: UUID, *, at_once: int = AT_ONCE
) -> int:
    """Tell the next holders, then queue itself until all are told; how many were told now."""
    with Session.begin() as db:
        campaign = NoticeCampaign.locked(db, hospital_id, campaign_id)
        if campaign.state != CampaignState.SENDING:
            return 0
        holders = _next_holders(db, campaign, at_once)
        words = [
            Word(
                key=f"{campaign.key}{row['patient_id']}",
                patient_id=row["patient_id"],
                values={"amount_fen": row["fen"]},
            )
            for row in holders
        ]
        told = tell_all(
            db, hospital_id=hospital_id, template=TEMPLATE, words=words, at=outside.now()
        )
        if holders:
            _queue(db, campaign)
        return len(told)


def note_attempts(outside: Counterparts, hospital_id: UUID) -> int:
    """Count what campaigns reached nobody with as evidence of having tried (GZ-8.1), and give the
    service desk each campaign's list of those whom it did not reach, once.

    To whom no way leads, the campaign's public notice is the attempt.
    """
    now = outside.now()
    found = {"hospital_id": hospital_id, "template": TEMPLATE}
    with Session.begin() as db:
        for campaign in db.execute(text(_UNREACHED), found).mappings():
            open_item(
                db,
                hospital_id=hospital_id,
                kind="CAMPAIGN_UNREACHED",
                subject=f"campaign:{campaign['id']}",
                at=now,
                note="有持卡人没有收到这次通知：名单见这次通知的人员清单（状态FAILED）。"
                "请查找新的联系方式；没有联系方式的，请把通知公示",
                facts={"people": campaign["people"]},
            )
        noted = db.execute(text(_ATTEMPTS), found).rowcount  # type: ignore[attr-defined]
        public = db.execute(text(_PUBLIC), found | {"today": today(now)})
        return int(noted) + int(public.rowcount)  # type: ignore[attr-defined]


def wrong_number(actor: Actor, outside: Counterparts, phone: str) -> dict[str, Any]:
    """Somebody says that a number is not the patient's: no SMS goes there again (rank 23)."""
    now, index = outside.now(), blind_index(phone)
    with Session.begin() as db:
        new = WrongNumber.keep(db, actor.hospital_id, index, now, actor.name)
        found = {"hospital_id": actor.hospital_id, "phone_index": index, "at": now}
        db.execute(text(_WRONG), found | {"by": actor.name, "number_id": index.hex()[:16]})
        if new:
            audit(db, actor.hospital_id, actor.name, "wrong number", "phone", at=now)
    return {"stopped": True}


def view(actor: Actor, campaign_id: UUID) -> dict[str, Any]:
    """One campaign: how many were told how, what is waiting, where it is public."""
    with ReadSession() as db:
        return _shown(db, NoticeCampaign.locked(db, actor.hospital_id, campaign_id))


def campaigns(actor: Actor) -> list[dict[str, Any]]:
    """All campaigns, the newest first."""
    with ReadSession() as db:
        query = select(NoticeCampaign).where(NoticeCampaign.hospital_id == actor.hospital_id)
        found = db.scalars(query.order_by(NoticeCampaign.id.desc())).all()
        return [_shown(db, campaign) for campaign in found]


def people(
    actor: Actor, campaign_id: UUID, state: str | None, after: UUID | None
) -> list[dict[str, Any]]:
    """What became of the message to each holder, 500 a page by patient; no names."""
    with ReadSession() as db:
        campaign = NoticeCampaign.locked(db, actor.hospital_id, campaign_id)
    return rows(_PEOPLE, **_about(campaign), state=state, after=after)


def _next_holders(db: Db, campaign: NoticeCampaign, at_once: int) -> list[dict[str, Any]]:
    facts = {
        "hospital_id": campaign.hospital_id,
        "key": campaign.key,
        "least_fen": campaign.least_fen,
        "at_once": at_once,
    }
    return [dict(row) for row in db.execute(text(_AUDIENCE), facts).mappings()]


def _about(campaign: NoticeCampaign) -> dict[str, Any]:
    return {"hospital_id": campaign.hospital_id, "template": TEMPLATE, "key": campaign.key}


def _told(campaign: NoticeCampaign) -> Counter[tuple[str, str]]:
    found = rows(_TOLD, **_about(campaign))
    return Counter({(row["state"], row["route"]): row["people"] for row in found})


def _channels(db: Db, campaign: NoticeCampaign, told: Counter[tuple[str, str]]) -> set[str]:
    reached = {route for state, route in told if state in {"SENT", "DELIVERED"}}
    query = select(PublicNotice.channel).where(PublicNotice.campaign_id == campaign.id)
    return reached | set(db.scalars(query))


def _hotline(db: Db, hospital_id: UUID) -> str:
    return setting(db, hospital_id, "service_phone")


def _queue(db: Db, campaign: NoticeCampaign) -> None:
    defer(
        db,
        "send_campaign",
        hospital_id=str(campaign.hospital_id),
        campaign_id=str(campaign.id),
        lock=f"campaign:{campaign.id}",
    )


def _shown(db: Db, campaign: NoticeCampaign) -> dict[str, Any]:
    told = _told(campaign)
    return {
        "id": campaign.id,
        "state": campaign.state,
        "name": campaign.name,
        "least_fen": campaign.least_fen,
        "made_by": campaign.made_by,
        "hotline": _hotline(db, campaign.hospital_id),
        "channels": sorted(_channels(db, campaign, told)),
        "told": [
            {"state": state, "route": route, "people": people}
            for (state, route), people in sorted(told.items())
        ],
    }
