"""What became of messages: receipts in any number and order, and questions where nobody knows."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.db import Session
from models.message import Message
from notifications.messages import deliver, deliver_due
from notifications.receipts import record_receipts, resolve_unknown
from notifications.senders.tencent_sms import Receipt, read_receipts
from tests.peer import Peer, Says
from tests.sim_process import wait_until

GOOD, BAD = "DELIVRD", "MBBLACK"


def sent_by_sms(house, **who):
    """A message that the carrier took; its id and the carrier's number."""
    told = house.tell(house.patient(**who))
    deliver(told, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.route) == ("SENT", "SMS")
    return told, message.serial_no


def record(house, *receipts):
    return record_receipts(house.hospital_id, receipts, house.clock.now)


def resolve(house):
    return resolve_unknown(house.hospital_id, house.senders, house.clock.now)


# receipts


def test_a_receipt_is_recorded_once(house):
    told, serial_no = sent_by_sms(house)
    good = Receipt(serial_no, True, GOOD)
    assert record(house, good, good) == 1
    assert record(house, good, Receipt(serial_no, False, BAD)) == 0
    assert house.message(told).state == "DELIVERED"
    assert house.trail(told) == ["QUEUED", "SENDING", "SENT", "DELIVERED"]


def test_a_failed_receipt_gives_the_message_to_the_next_route_once(house):
    patient = house.patient()
    house.stay(patient)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    bad = Receipt(house.message(told).serial_no, False, BAD)
    assert record(house, bad, bad, bad) == 1
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.route) == ("SENT", "PRINT")
    assert len(house.print_jobs()) == 1
    assert record(house, bad) == 0


def test_where_no_route_is_left_a_failed_receipt_fails_and_a_late_good_one_repairs(house):
    told = house.tell(house.patient(), "DEPOSIT_PAID", amount="1.00", receipt="R1")
    deliver(told, house.senders, house.clock.now)
    serial_no = house.message(told).serial_no
    record(house, Receipt(serial_no, False, BAD))
    assert (house.message(told).state, house.message(told).answer) == ("FAILED", BAD)
    record(house, Receipt(serial_no, True, GOOD))
    assert house.message(told).state == "DELIVERED"


def test_a_receipt_of_nobody_or_of_another_hospital_changes_nothing(house, scripted):
    told, serial_no = sent_by_sms(house)
    assert record(house, Receipt("nobody's", True, GOOD)) == 0
    assert record(scripted, Receipt(serial_no, True, GOOD)) == 0
    assert house.message(told).state == "SENT"


def test_receipts_as_the_carrier_posts_them(house, simulator):
    with Peer().running() as door:
        door.answer = lambda _: Says(200, b'{"result":0,"errmsg":"OK"}')
        simulator.settings(app_url=door.url)
        simulator.fault("sms", "receipt", "duplicate")
        told, _ = sent_by_sms(house)
        wait_until(lambda: len(door.asked) == 2)
    posted = [record(house, *read_receipts(asked.body)) for asked in door.asked]
    assert posted == [1, 0]
    assert house.message(told).state == "DELIVERED"


# nobody knows


@pytest.mark.parametrize("fault", ["after", "error500_after"])
def test_an_sms_that_was_sent_after_all_is_found_by_our_key(house, simulator, fault):
    simulator.fault("sms", "SendSms", fault)
    patient = house.patient()
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    assert house.message(told).state == "UNKNOWN"
    assert resolve(house) == 0  # not yet
    house.clock.forward(minutes=2)
    wait_until(lambda: resolve_again(house, told) == "DELIVERED")
    (arrived,) = simulator.outbox(f"+86{patient.phone}")
    assert house.message(told).serial_no == arrived["serial_no"]


def resolve_again(house, told):
    resolve(house)
    house.clock.forward(seconds=601)
    return house.message(told).state


def test_an_sms_that_was_never_sent_goes_on_to_the_ward_after_two_hours(house, simulator):
    simulator.fault("sms", "SendSms", "before")
    patient = house.patient()
    house.stay(patient)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    for _ in range(11):
        house.clock.forward(minutes=10, seconds=1)
        resolve(house)
        assert house.message(told).state == "UNKNOWN"
    house.clock.forward(minutes=11)
    resolve(house)
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.route) == ("SENT", "PRINT")
    assert simulator.outbox(f"+86{patient.phone}") == []


def test_a_subscription_message_with_a_lost_answer_goes_by_sms_after_ten_minutes(house, simulator):
    simulator.subscribe("o-lost", "DAILY_BILL", 2)
    simulator.fault("mini-program", "subscribe_send", "before")
    patient = house.patient(openid="o-lost", accepts=1)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    assert house.message(told).state == "UNKNOWN"
    assert house.accepts("o-lost") == 0
    house.clock.forward(minutes=2)
    resolve(house)
    assert house.message(told).state == "UNKNOWN"
    house.clock.forward(minutes=11)
    resolve(house)
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.route) == ("SENT", "SMS")
    assert house.trail(told) == ["QUEUED", "SENDING", "UNKNOWN", "QUEUED", "SENDING", "SENT"]
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1


def test_a_try_that_died_is_unknown_and_asked_about(house, simulator):
    told = house.tell(house.patient())
    with Session.begin() as db:  # the claim, and then nothing
        message = Message.locked(db, told)
        message.route, message.attempts, message.claimed_at = "SMS", 1, house.clock.now()
        message.next_try_at = house.clock.now()
        message.move(db, "SENDING", at=house.clock.now(), by="system")
    assert resolve(house) == 1
    assert house.message(told).state == "UNKNOWN"
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    assert house.message(told).attempts == 1


def test_a_receipt_that_was_not_posted_is_fetched(house, simulator):
    told, _ = sent_by_sms(house)
    assert resolve(house) == 0
    house.clock.forward(minutes=11)
    wait_until(lambda: resolve_again(house, told) == "DELIVERED")


def test_a_failure_that_was_not_posted_is_fetched(house, simulator):
    simulator.fault("sms", "receipt", "failed")
    told, _ = sent_by_sms(house)
    house.clock.forward(minutes=11)
    wait_until(lambda: resolve_again(house, told) == "QUEUED")
    assert house.message(told).route == "PRINT"


def never_has_a_receipt(peer, meanwhile=lambda: None):
    """A carrier that takes everything and knows no receipt; ``meanwhile``: before it says so."""

    def answer(asked):
        said = {"SendStatusSet": [{"Code": "Ok", "SerialNo": "s-1"}]}
        if asked.headers["x-tc-action"] == "PullSmsSendStatusByPhoneNumber":
            meanwhile()
            said = {"PullSmsSendStatusSet": []}
        body = json.dumps({"Response": {"RequestId": "r", **said}}).encode()
        return Says(200, body, {"Content-Type": "application/json"})

    peer.answer = answer


@pytest.mark.parametrize(("good", "state"), [(True, "DELIVERED"), (False, "QUEUED")])
def test_a_receipt_that_comes_while_we_ask_is_not_undone(scripted, peer, good, state):
    never_has_a_receipt(peer, lambda: record(scripted, Receipt("s-1", good, GOOD)))
    told, _ = sent_by_sms(scripted)
    scripted.clock.forward(minutes=11)
    resolve(scripted)
    message = scripted.message(told)
    assert message.state == state
    assert message.next_try_at is None or message.next_try_at <= scripted.clock.now()


def test_two_who_ask_at_once_give_it_on_once(house, simulator):
    simulator.fault("mini-program", "subscribe_send", "before")
    simulator.subscribe("o-twice", "DAILY_BILL")
    patient = house.patient(openid="o-twice", accepts=1)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    house.clock.forward(minutes=11)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: resolve(house), range(4)))
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    assert house.trail(told) == ["QUEUED", "SENDING", "UNKNOWN", "QUEUED", "SENDING", "SENT"]
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1


def test_an_sms_without_any_receipt_is_asked_about_for_a_day(scripted, peer):
    never_has_a_receipt(peer)
    told, _ = sent_by_sms(scripted)
    scripted.clock.forward(hours=23)
    assert resolve(scripted) == 1
    assert scripted.message(told).next_try_at is not None
    scripted.clock.forward(hours=2)
    assert resolve(scripted) == 1
    message = scripted.message(told)
    assert (message.state, message.next_try_at) == ("SENT", None)
    scripted.clock.forward(hours=2)
    assert resolve(scripted) == 0


def test_a_carrier_that_does_not_answer_the_question_changes_nothing(house, simulator):
    told, _ = sent_by_sms(house)
    house.clock.forward(minutes=11)
    simulator.fault("sms", "*", "before")
    assert resolve(house) == 1
    message = house.message(told)
    assert message.state == "SENT"
    assert message.next_try_at > house.clock.now()


def test_printing_is_not_asked_about(house):
    patient = house.patient(phone=False)
    house.stay(patient)
    deliver(house.tell(patient), house.senders, house.clock.now)
    house.clock.forward(days=1)
    assert resolve(house) == 0
