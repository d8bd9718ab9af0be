"""An SMS carrier that loses answers, refuses, and reports twice, late or never: every message ends,
and nobody is told more often than an answer was lost."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import select

from models.db import Session
from models.machine import StateMove
from models.message import Message, MessageState
from notifications.many import Word, tell_all
from notifications.messages import TRIES, deliver, deliver_due, failed
from notifications.receipts import RECEIPT_AWAITED, record_receipts, resolve_unknown
from notifications.senders.tencent_sms import read_receipts
from tests.figures import SEED, Figures, size
from tests.notifications.conftest import House
from tests.peer import Peer, Says
from tests.sim_process import Simulator, wait_until

THREADS, AT_ONCE = 4, 50
LOST = ("after", "error500_after")
SILENT = (*LOST, "before", "error500_before")
LATER, NEVER = "LimitExceeded.DeliveryFrequencyLimit", "FailedOperation.PhoneNumberInBlacklist"
RECEIPTS = ("failed", "drop", "late", "duplicate")
ENDS = {MessageState.DELIVERED, MessageState.FAILED}


def test_every_message_ends_and_is_told_no_oftener_than_answers_were_lost(
    house: House, simulator: Simulator, peer: Peer, figures: Figures
) -> None:
    count, dice = size(60, 10_000), random.Random(SEED)
    simulator.settings(sms_limits=False, app_url=peer.url)
    peer.answer = lambda _: Says(200, b"{}")
    told, suffered = stored(house, count), Counter[str]()
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, count, AT_ONCE):
            suffered += spoil(simulator, dice)
            some = told[first : first + AT_ONCE]
            list(pool.map(lambda each: deliver(each, house.senders, house.clock.now), some))
            take_receipts(house, peer)
    wait_until(lambda: not take_receipts(house, peer))
    rounds = live_on(house)
    suffered -= more_than_calls(simulator)
    simulator.reset()
    simulator.fault("sms", "SendSms", "refuse", times=2 * TRIES["SMS"], code=LATER)
    told += stored(house, 2)  # nobody takes these before we give up
    rounds += live_on(house)
    ends = end_of(house, simulator, told)
    lost = sum(suffered[fault] for fault in SILENT)
    assert (ends["stuck"], ends["untrue"]) == (0, 0), (ends, rounds)
    assert ends["doubled"] <= lost
    assert ends["most tries"] == TRIES["SMS"]
    assert ends["listed"] == ends[MessageState.FAILED] >= 2
    figures.add(
        "a bad SMS carrier",
        f"{len(told):,} SMS; {lost} time-outs ({sum(suffered[f] for f in LOST)} after it was sent),"
        f" {suffered[LATER]} refused for now and {suffered[NEVER]} for ever, receipts:"
        f" {', '.join(f'{suffered[each]} {each}' for each in RECEIPTS)}; 2 refused for hours; the"
        " clock moved",
        f"each ends, at most {TRIES['SMS']} tries, told no oftener than answers were lost; what"
        " reached nobody is listed for a person",
        f"0 of {len(told):,} stuck ({ends[MessageState.DELIVERED]:,} delivered, {ends['listed']}"
        f" listed), {ends['doubled']} sent twice with {lost} time-outs, 0 shown otherwise than the"
        f" carrier knows it, under these faults with seed {SEED}",
    )


def end_of(house: House, simulator: Simulator, told: list[UUID]) -> Counter[str]:
    """How many messages ended how, and what must not be, by the carrier's own books."""
    outbox = simulator.outbox()
    arrived = Counter(sms["session"] for sms in outbox)
    good = {sms["session"] for sms in outbox if sms["status"] == "SUCCESS"}
    with Session() as db:
        messages = list(db.scalars(select(Message).filter_by(hospital_id=house.hospital_id)))
        tries = select(StateMove.entity_id).join(Message, Message.id == StateMove.entity_id)
        sending = tries.where(
            Message.hospital_id == house.hospital_id, StateMove.there == MessageState.SENDING
        )
        most = max(Counter(db.scalars(sending)).values())
        listed = len(failed(db, house.hospital_id, limit=len(told)))
    assert {message.id for message in messages} == set(told)
    ends = Counter[str](message.state for message in messages)
    ends["stuck"] = sum(message.state not in ENDS for message in messages)
    ends["doubled"] = sum(max(0, arrived[str(each)] - 1) for each in told)
    ends["untrue"] = sum(
        (message.state == MessageState.DELIVERED) != (str(message.id) in good)
        for message in messages
    )
    ends["most tries"], ends["listed"] = most, listed
    return ends


def stored(house: House, count: int) -> list[UUID]:
    """So many words to patients without WeChat: an SMS, or a person telephones."""
    told: list[UUID] = []
    for first in range(0, count, AT_ONCE):
        patient = house.patient()
        words = [
            Word(f"bad-carrier:{patient.id}:{number}", patient.id, {"amount": f"{number}.00"})
            for number in range(min(AT_ONCE, count - first))
        ]
        with Session.begin() as db:
            about = {"hospital_id": house.hospital_id, "template": "REFUND_ARRIVED"}
            told += tell_all(db, words=words, at=house.clock.now(), **about)
    return told


def spoil(simulator: Simulator, dice: random.Random) -> Counter[str]:
    """About a third of the next calls goes wrong, and a third of the receipts."""
    planned = Counter(
        dice.choices([*SILENT, LATER, NEVER], k=dice.randrange(8, 24))
        + dice.choices(RECEIPTS, k=dice.randrange(8, 20))
    )
    for fault in dice.sample(sorted(planned), len(planned)):
        if fault in (LATER, NEVER):
            more = {"code": fault, "per_number": True}
            simulator.fault("sms", "SendSms", "refuse", times=planned[fault], **more)
        elif fault in RECEIPTS:
            simulator.fault("sms", "receipt", fault, times=planned[fault], seconds=0.5)
        else:
            simulator.fault("sms", "SendSms", fault, times=planned[fault])
    return planned


def more_than_calls(simulator: Simulator) -> Counter[str]:
    """The planned faults that nobody met; receipts that are planned to be bad stay so."""
    unmet = Counter[str]()
    for plan in simulator.get("/_sim/faults"):
        unmet[plan["options"].get("code") or plan["name"]] += plan["times"]
    return unmet


def take_receipts(house: House, peer: Peer) -> int:
    """Write down the receipts that have come; how many there were."""
    for asked in came(peer):
        record_receipts(house.hospital_id, read_receipts(asked), house.clock.now)
    return len(peer.asked)


def came(peer: Peer) -> Iterator[bytes]:
    while peer.asked:
        yield peer.asked.pop(0).body


def live_on(house: House) -> int:
    """Five minutes at a time until nothing is open, as the timetable does it; how many rounds."""
    rounds = 0
    while still_open(house) and rounds < RECEIPT_AWAITED.total_seconds() / 300:
        house.clock.forward(minutes=5, seconds=1)
        while deliver_due(house.hospital_id, house.senders, house.clock.now):
            pass
        while resolve_unknown(house.hospital_id, house.senders, house.clock.now):
            pass
        rounds += 1
    return rounds


def still_open(house: House) -> bool:
    with Session() as db:
        mine = select(Message.id).filter_by(hospital_id=house.hospital_id)
        return db.scalar(mine.where(Message.state.not_in(ENDS)).limit(1)) is not None
