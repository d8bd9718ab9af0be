"""Messages: stored with what happened, claimed once, carried by the next route when one fails."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from models.db import Session
from models.message import Message, MessageState
from models.patient import Patient
from notifications.messages import TRIES, deliver, deliver_due, failed, tell
from notifications.routes import ROUTES
from policies.refusals import NotFound
from tests.peer import Says
from tests.sim_process import wait_until


def sms_answers(peer, *codes):
    """The carrier answers one code after another, the last one for ever; None hangs up."""
    left = list(codes)

    def answer(asked):
        code = left.pop(0) if len(left) > 1 else left[0]
        if code is None:
            return Says(hang_up=True)
        status = {"Code": code, "SerialNo": f"s-{len(peer.asked)}"}
        body = json.dumps({"Response": {"RequestId": "r", "SendStatusSet": [status]}})
        return Says(200, body.encode(), {"Content-Type": "application/json"})

    peer.answer = answer


def wechat_answers(peer, errcode):
    """WeChat gives a token, and this answer to every message."""

    def answer(asked):
        said = {"access_token": "t", "expires_in": 7200}
        if "send" in asked.path:
            said = {"errcode": errcode}
        return Says(200, json.dumps(said).encode())

    peer.answer = answer


def sent(peer):
    """The requests that would have told the patient."""
    return [each for each in peer.asked if "send" in each.path or each.path == "/"]


def deliver_job(message_id):
    with Session() as db:
        return db.scalars(
            text("SELECT args FROM procrastinate_jobs WHERE args->>'message_id' = :id"),
            {"id": str(message_id)},
        ).all()


# told


def test_a_message_and_its_job_are_stored_with_what_happened(house):
    told = house.tell(house.patient())
    message = house.message(told)
    assert (message.state, message.route, message.attempts) == ("QUEUED", "SUBSCRIPTION", 0)
    assert message.values == {"day": "2026-11-21", "total": "88.00"}
    assert deliver_job(told) == [{"hospital_id": str(house.hospital_id), "message_id": str(told)}]
    assert house.trail(told) == ["QUEUED"]


def test_what_did_not_happen_is_not_told(house):
    patient = house.patient()
    with pytest.raises(RuntimeError), Session.begin() as db:
        told = tell_once(db, house, patient)
        raise RuntimeError
    assert deliver_job(told) == []
    with pytest.raises(NotFound):
        deliver(told, house.senders, house.clock.now)


def test_the_same_thing_is_told_once(house):
    patient = house.patient()
    with Session.begin() as db:
        assert tell_once(db, house, patient) is not None
        assert tell_once(db, house, patient) is None
    with Session.begin() as db:
        assert tell_once(db, house, patient) is None
    with Session() as db:
        assert len(db.scalars(select(Message).filter_by(patient_id=patient.id)).all()) == 1


def test_two_who_tell_at_once_store_one(house):
    patient = house.patient()

    def one(_):
        with Session.begin() as db:
            return tell_once(db, house, patient)

    with ThreadPoolExecutor(8) as pool:
        told = [each for each in pool.map(one, range(8)) if each]
    assert len(told) == 1
    assert len(deliver_job(told[0])) == 1


def tell_once(db, house, patient):
    return tell(
        db,
        hospital_id=house.hospital_id,
        key=f"once:{patient.id}",
        patient_id=patient.id,
        template="DAILY_BILL",
        values=house.values,
        at=house.clock.now(),
    )


def test_no_name_is_kept_with_a_message(house):
    told = house.tell(house.patient(), "DEPOSIT_PAID", name="张小丰", amount="1.00", receipt="R1")
    assert house.message(told).values == {"amount": "1.00", "receipt": "R1"}


# delivered


def test_a_subscription_message_arrives_and_one_acceptance_is_used(house, simulator):
    simulator.subscribe("o-a", "DAILY_BILL", 2)
    patient = house.patient(openid="o-a", accepts=2)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    (arrived,) = simulator.wechat_messages("o-a")
    assert arrived["data"] == {
        "thing1": "贵州示范医院",
        "name2": "张*丰",
        "date3": "2026-11-21",
        "amount4": "¥88.00",
        "thing5": "点开查看每日费用明细",
    }
    assert arrived["page"] == "pages/bill/day?day=2026-11-21"
    assert house.trail(told) == ["QUEUED", "SENDING", "SENT"]
    assert house.accepts("o-a") == 1
    assert simulator.outbox(f"+86{patient.phone}") == []


def test_ten_at_once_send_once(house, simulator):
    patient = house.patient()
    told = house.tell(patient)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: deliver(told, house.senders, house.clock.now), range(10)))
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1
    message = house.message(told)
    assert (message.state, message.route, message.attempts) == ("SENT", "SMS", 1)
    assert house.trail(told) == ["QUEUED", "SENDING", "SENT"]


@pytest.mark.parametrize("template", sorted({"DEPOSIT_PAID", "SETTLED", "REFUND_SENT"}))
def test_whoever_has_no_wechat_gets_an_sms(house, simulator, template):
    values = {"amount": "1.00", "receipt": "R1", "total": "3.00", "insurance": "2.00"}
    patient = house.patient()
    told = house.tell(patient, template, **values, personal="1.00")
    deliver(told, house.senders, house.clock.now)
    (arrived,) = simulator.outbox(f"+86{patient.phone}")
    assert arrived["text"].startswith("【贵州示范医院】张*丰您好，")
    assert "咨询电话0851-80000000。我们不会索要密码或验证码。" in arrived["text"]
    assert house.message(told).serial_no == arrived["serial_no"]


def test_the_result_of_a_refund_goes_by_sms_first(house, simulator):
    patient = house.patient(openid="o-b", accepts=3)
    told = house.tell(patient, "REFUND_ARRIVED", amount="1.00")
    deliver(told, house.senders, house.clock.now)
    assert house.message(told).route == "SMS"
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1


def test_the_newest_phone_is_asked_first_and_a_closed_account_never(house, simulator):
    patient = house.patient(openid="o-old", accepts=1)
    with Session.begin() as db:
        house._bind(db, patient, "o-new", 1)
        house._bind(db, patient, "o-gone", 1)
        db.execute(text("UPDATE wechat_binding SET active = false WHERE openid = 'o-gone'"))
    for openid in ("o-old", "o-new", "o-gone"):
        simulator.subscribe(openid, "DAILY_BILL")
    for _ in range(3):
        deliver(house.tell(patient), house.senders, house.clock.now)
        house.clock.forward(seconds=31)
    assert [house.accepts(each) for each in ("o-old", "o-new", "o-gone")] == [0, 0, 1]
    assert len(simulator.wechat_messages("o-gone")) == 0
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1


# the next route


def test_a_patient_who_switched_messages_off_gets_an_sms_and_is_not_tried_again(house, simulator):
    simulator.subscribe("o-off", "DAILY_BILL", 0)
    patient = house.patient(openid="o-off", accepts=5)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.route, message.answer) == ("QUEUED", "SMS", "NO_SUBSCRIPTION")
    assert len(deliver_job(told)) == 2
    assert house.accepts("o-off") == 0
    deliver(told, house.senders, house.clock.now)
    assert house.message(told).state == "SENT"
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1
    assert house.trail(told) == ["QUEUED", "SENDING", "QUEUED", "SENDING", "SENT"]


@pytest.mark.clause("CQ-5.3", "T3")
def test_whoever_cannot_be_told_gets_it_printed_in_the_ward(house):
    patient = house.patient(phone=False)
    stay = house.stay(patient)
    told = house.tell(patient)
    deliver(told, house.senders, house.clock.now)
    deliver(told, house.senders, house.clock.now)
    (job,) = house.print_jobs()
    assert (job.message_id, job.admission_id, job.ward) == (told, stay.id, "W1")
    assert job.printed_at is None
    message = house.message(told)
    assert (message.state, message.route, message.next_try_at) == ("SENT", "PRINT", None)


def test_an_sms_that_is_declined_is_printed(scripted, peer):
    patient = scripted.patient()
    scripted.stay(patient)
    sms_answers(peer, "FailedOperation.PhoneNumberInBlacklist")
    told = scripted.tell(patient)
    deliver_due(scripted.hospital_id, scripted.senders, scripted.clock.now)
    deliver_due(scripted.hospital_id, scripted.senders, scripted.clock.now)
    assert len(scripted.print_jobs()) == 1
    assert scripted.trail(told) == ["QUEUED", "SENDING", "QUEUED", "SENT"]
    assert len(sent(peer)) == 1


def test_where_no_route_is_left_a_person_sees_it(house):
    told = house.tell(house.patient(phone=False))
    deliver(told, house.senders, house.clock.now)
    message = house.message(told)
    assert (message.state, message.answer, message.next_try_at) == ("FAILED", "NO_ROUTE", None)
    with Session() as db:
        assert [each.id for each in failed(db, house.hospital_id)] == [told]


def test_a_message_that_wechat_refused_does_not_cost_the_patients_acceptance(scripted, peer):
    wechat_answers(peer, 47003)
    told = scripted.tell(scripted.patient(openid="o-kept", accepts=1))
    deliver(told, scripted.senders, scripted.clock.now)
    assert scripted.message(told).route == "SMS"
    assert scripted.accepts("o-kept") == 1


# later


def test_a_busy_carrier_is_tried_at_once_and_then_every_five_minutes_for_four_hours(scripted, peer):
    sms_answers(peer, "LimitExceeded.PhoneNumberThirtySecondLimit")
    told = scripted.tell(scripted.patient(), "DEPOSIT_PAID", amount="1.00", receipt="R1")
    house = scripted
    deliver(told, house.senders, house.clock.now)
    for tried in range(1, 49):
        message = house.message(told)
        assert (message.state, message.attempts) == ("QUEUED", tried)
        deliver(told, house.senders, house.clock.now)  # too early: nothing happens
        house.clock.forward(minutes=5)
        deliver_due(house.hospital_id, house.senders, house.clock.now)
    message = house.message(told)
    assert len(sent(peer)) == TRIES["SMS"] == 49
    assert message.state == MessageState.FAILED
    assert message.answer == "LimitExceeded.PhoneNumberThirtySecondLimit"
    house.clock.forward(minutes=5)
    assert deliver_due(house.hospital_id, house.senders, house.clock.now) == 0


def test_a_busy_wechat_is_tried_three_times_and_keeps_the_acceptance(scripted, peer):
    wechat_answers(peer, -1)
    told = scripted.tell(scripted.patient(openid="o-busy", accepts=1))
    for tried in (1, 2, 3):
        deliver(told, scripted.senders, scripted.clock.now)
        assert len(sent(peer)) == tried
        assert scripted.accepts("o-busy") == 1
        scripted.clock.forward(minutes=5)
    assert scripted.message(told).route == "SMS"


def test_a_carrier_that_recovers_sends_once(scripted, peer):
    sms_answers(peer, "LimitExceeded.DailyLimit", "Ok")
    told = scripted.tell(scripted.patient())
    deliver(told, scripted.senders, scripted.clock.now)
    scripted.clock.forward(minutes=5)
    for _ in range(3):
        deliver_due(scripted.hospital_id, scripted.senders, scripted.clock.now)
    message = scripted.message(told)
    assert (message.state, message.attempts, message.serial_no) == ("SENT", 2, "s-2")
    assert len(sent(peer)) == 2


def test_the_timetable_finds_a_message_whose_job_was_lost(house, simulator):
    patient = house.patient()
    told = house.tell(patient)
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
    assert deliver_due(house.hospital_id, house.senders, house.clock.now) == 1
    assert house.message(told).state == "SENT"


def test_another_hospitals_messages_are_left_alone(house, scripted):
    told = house.tell(house.patient())
    assert deliver_due(scripted.hospital_id, scripted.senders, scripted.clock.now) == 0
    assert house.message(told).state == "QUEUED"


# unknown


def test_a_lost_answer_is_unknown_and_the_message_is_not_sent_again(house, simulator):
    simulator.fault("sms", "SendSms", "after")
    patient = house.patient()
    told = house.tell(patient)
    for _ in range(3):
        deliver(told, house.senders, house.clock.now)
        deliver_due(house.hospital_id, house.senders, house.clock.now)
    house.clock.forward(hours=1)
    deliver(told, house.senders, house.clock.now)
    deliver_due(house.hospital_id, house.senders, house.clock.now)
    assert house.message(told).state == "UNKNOWN"
    assert len(simulator.outbox(f"+86{patient.phone}")) == 1


def test_an_answer_that_comes_after_the_try_was_given_up_still_counts(scripted, peer):
    told = scripted.tell(scripted.patient())
    sms_answers(peer, "Ok")
    normal = peer.answer

    def late(asked):
        with Session.begin() as db:
            message = Message.locked(db, told)
            message.move(db, "UNKNOWN", at=scripted.clock.now(), by="sweep")
        return normal(asked)

    peer.answer = late
    deliver(told, scripted.senders, scripted.clock.now)
    assert scripted.message(told).state == "SENT"
    assert scripted.trail(told) == ["QUEUED", "SENDING", "UNKNOWN", "SENT"]


def test_an_answer_to_a_try_that_is_over_changes_nothing(scripted, peer):
    told = scripted.tell(scripted.patient())
    sms_answers(peer, "Ok")
    normal = peer.answer

    def overtaken(asked):
        with Session.begin() as db:
            message = Message.locked(db, told)
            message.move(db, "QUEUED", at=scripted.clock.now(), by="sweep")
            message.route, message.attempts = "PRINT", 0
        return normal(asked)

    peer.answer = overtaken
    deliver(told, scripted.senders, scripted.clock.now)
    message = scripted.message(told)
    assert (message.state, message.route, message.serial_no) == ("QUEUED", "PRINT", None)


def test_every_route_of_every_template_ends():
    for routes in ROUTES.values():
        assert len(set(routes)) == len(routes)
        assert sum(TRIES[route] for route in routes) * timedelta(minutes=5) < timedelta(hours=5)


def test_a_phone_that_was_changed_meanwhile_is_used(house, simulator):
    patient = house.patient(phone=False)
    told = house.tell(patient)
    with Session.begin() as db:
        db.get_one(Patient, patient.id).phone = "13900000001"
    deliver(told, house.senders, house.clock.now)
    wait_until(lambda: simulator.outbox("+8613900000001"))
