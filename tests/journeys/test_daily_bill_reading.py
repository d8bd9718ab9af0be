"""A daily bill is opened, read, asked about and answered, and printed for those without a phone."""

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, select

from config import MiniProgramSettings, SmsSettings
from journeys import bill_questions, bill_reading, ward_desk
from models.admission import Admission
from models.db import Session, new_id
from models.insurance import Encounter, EncounterState, InsuranceCall, UploadedFee
from models.message import Message, MessageState
from notifications.messages import Senders, deliver
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from policies.access import Actor, Channel
from policies.refusals import Conflict, Forbidden, NotFound
from tests.his_day import HisDay, line, real_day, shanghai

THE_3RD = date(2025, 7, 3)


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def phone(day: HisDay, stay: Admission | None = None, **more) -> Actor:
    """The patient of the stay, or somebody else with a phone."""
    patient_id = stay.patient_id if stay else new_id()
    name = more.pop("name", "patient:self")
    role = frozenset({"PATIENT"})
    return Actor(day.hospital_id, name, role, Channel.PHONE, patient_id=patient_id, **more)


def nurse(day: HisDay, ward: str = "W1") -> Actor:
    wards = frozenset({ward})
    return Actor(
        day.hospital_id, "staff:n1", frozenset({"NURSE"}), Channel.BEDSIDE, new_id(), wards
    )


def unreachable(day: HisDay) -> Senders:
    """Carriers at an address where nobody answers: whoever asks them fails."""
    nowhere = dict.fromkeys(("secret_id", "secret_key", "sdk_app_id", "sign_name"), "nobody")
    sms = SmsSettings("http", "127.0.0.1:9", "", **nowhere, receipt_token="", templates={})
    wechat = MiniProgramSettings("http://127.0.0.1:9", "wx-nobody", "")
    return Senders(MiniProgram(wechat, day.now), TencentSms(sms, day.now))


def billed(day: HisDay, *lines: dict, **slip) -> Admission:
    """A stay with these lines on the 3rd, and its bill."""
    stay = day.admit(**slip)
    day.charge(*[said | {"inpatient_no": stay.inpatient_no} for said in lines])
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    return stay


def read(day: HisDay, actor: Actor, stay: Admission, version: int | None = None) -> dict:
    bill, lines = bill_reading.read_bill(actor, stay.id, THE_3RD, version, day.now)
    return {**bill, "lines": json.loads(lines)}


def test_a_bill_says_everything_about_a_line(day: HisDay) -> None:
    stay = billed(day, line("", "A"))
    bill = read(day, nurse(day), stay)
    (shown,) = bill["lines"]
    assert shown.pop("seq") > 0
    assert shown == {
        "occurred_at": "2025-07-03 09:30:00",
        "category": "11",
        "hospital_code": "YP00117",
        "national_code": "ZA04AAG0117010102001",
        "item_name": "肝爽颗粒",
        "specification": "3gX9袋/盒",
        "unit": "盒",
        "quantity": "2",
        "unit_price": "42.73",
        "amount_fen": 8546,
        "insurance_level": "02",
        "self_pay_ratio": "0.1",
        "own_expense_fen": None,
        "over_limit_fen": None,
        "first_share_fen": None,
        "in_scope_fen": None,
        "department_name": "普外科",
        "doctor_name": "李示范",
        "reversal": False,
        "added": False,
        "category_name": "中成药费",
        "level_words": "乙类：自己先付一部分，其余按医保政策报销",
    }
    assert bill["patient_name"] == "张*丰"
    assert (bill["estimated_personal_fen"], bill["estimate_note"]) == (None, "暂无")
    assert bill["insured"] is False


def insured(day: HisDay, stay: Admission, verdict: dict) -> None:
    """A stay that is registered at the platform, with a trial and what it said of line A."""
    with Session.begin() as db:
        encounter = Encounter(
            id=new_id(),
            hospital_id=day.hospital_id,
            admission_id=stay.id,
            patient_id=stay.patient_id,
            state=EncounterState.REGISTERED,
            insutype="310",
            psn_type="11",
            insuplc_admdvs="520102",
            med_type="21",
            mdtrt_id=f"M{new_id().hex}",
            trial={"personal": 2120, "cash": 2120},
        )
        call = InsuranceCall(
            id=new_id(),
            hospital_id=day.hospital_id,
            infno="2301",
            msgid=new_id().hex,
            holds=False,
            digest="",
            by="test",
            asked_at=day.at,
        )
        db.add_all([encounter, call])
        db.flush()
        fee = {"encounter_id": encounter.id, "call_id": call.id, "line": "A", "feedetl_sn": 1}
        db.add(
            UploadedFee(
                hospital_id=day.hospital_id,
                **fee,
                amount_fen=8546,
                state="UPLOADED",
                verdict=verdict,
            )
        )


def test_what_the_insurer_said_of_a_line_and_of_the_stay(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no, "A"))
    parts = {"own_expense": 0, "over_limit": 0, "first_share": 1282, "in_scope": 7264}
    insured(day, stay, parts | {"chrgitm_lv": "02", "selfpay_prop": "0.15"})
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    bill = read(day, nurse(day), stay)
    assert bill["estimated_personal_fen"] == 2120
    assert bill["estimate_note"] == "预结算结果，仅供参考，以出院结算为准"
    assert bill["insured"] is True
    (shown,) = bill["lines"]
    assert shown["self_pay_ratio"] == "0.15"
    assert (shown["first_share_fen"], shown["in_scope_fen"]) == (1282, 7264)
    assert (shown["own_expense_fen"], shown["over_limit_fen"]) == (0, 0)


def test_the_changes_since_the_day_before_and_the_words_to_be_read_aloud(day: HisDay) -> None:
    stay = day.admit(admitted_at=shanghai(2025, 7, 1))
    day.charge(
        line(stay.inpatient_no, occurred_at="2025-07-02 10:00:00"),
        line(stay.inpatient_no),
        line(stay.inpatient_no, category="04", quantity="1", unit_price="23", amount="23.00"),
    )
    day.morning_after(THE_3RD)
    day.make_bills(date(2025, 7, 2))
    day.make_bills(THE_3RD)
    bill = read(day, nurse(day), stay)
    assert bill["before_total_fen"] == 8546
    assert bill["by_category"] == [
        {"category": "04", "name": "化验费", "total_fen": 2300, "before_fen": 0},
        {"category": "11", "name": "中成药费", "total_fen": 8546, "before_fen": 8546},
    ]
    assert bill["read_aloud"] == (
        "7月3日的住院费用，一共2项，合计108元4角6分。化验费23元。中成药费85元4角6分。"
        "比前一天多23元。住院到这一天，累计193元9角2分，预交金还有0元。"
        "对哪一项不明白，可以点那一项旁边的“问一问”，也可以直接问护士。"
    )


def test_both_versions_can_be_read_and_the_added_line_is_marked(day: HisDay) -> None:
    stay = billed(day, line("", "A"))
    day.charge(line(stay.inpatient_no, "B"))
    day.correct_bills()
    first, latest = read(day, nurse(day), stay, 1), read(day, nurse(day), stay)
    assert [(shown["amount_fen"], shown["added"]) for shown in first["lines"]] == [(8546, False)]
    assert [shown["added"] for shown in latest["lines"]] == [False, True]
    assert (first["version"], latest["version"], latest["corrected"]) == (1, 2, True)
    assert latest["added_count"] == 1
    assert "这是更正后的清单，后来补记了1项，已经标出来了。" in latest["read_aloud"]
    with pytest.raises(NotFound, match="DAILY_BILL_UNKNOWN"):
        read(day, nurse(day), stay, 3)
    (listed,) = bill_reading.list_bills(nurse(day), stay.id)
    assert (listed["day"], listed["version"], listed["total_fen"]) == ("2025-07-03", 2, 17092)


def test_a_day_whose_running_total_alone_was_corrected_says_so(day: HisDay) -> None:
    stay = billed(day, line("", "A"))
    the_2nd = line(stay.inpatient_no, "B", occurred_at="2025-07-02 12:00:00")
    day.charge(the_2nd)
    day.correct_bills()
    bill = read(day, nurse(day), stay)
    assert (bill["version"], bill["corrected"], bill["added_count"]) == (2, True, 0)
    assert (bill["total_fen"], bill["running_total_fen"]) == (8546, 17092)
    assert "这一天的费用没有变" in bill["read_aloud"]


def test_the_first_opening_by_the_patient_is_noted_and_staff_leave_no_mark(day: HisDay) -> None:
    stay = billed(day, line(""))
    assert read(day, nurse(day), stay)["opened_at"] is None
    assert read(day, phone(day, stay), stay)["opened_at"] == "2025-07-04T06:00:00+08:00"
    first = day.at
    day.at += timedelta(hours=5)
    again = read(day, phone(day, stay, name="patient:other-phone"), stay)
    assert again["opened_at"] == "2025-07-04T06:00:00+08:00"
    (bill,) = day.bills(stay)
    assert (bill.opened_at, bill.opened_by) == (first, "patient:self")


@pytest.mark.clause("CQ-5.3", "T6")
def test_a_relative_sees_the_bill_only_with_consent(day: HisDay) -> None:
    stay = billed(day, line(""))
    stranger = phone(day)
    with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
        read(day, stranger, stay)
    with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
        bill_reading.list_bills(stranger, stay.id)
    payer = phone(day, consents=frozenset({(stay.patient_id, "PAY")}))
    with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
        read(day, payer, stay)
    (bill,) = day.bills(stay)
    assert bill.opened_at is None
    daughter = phone(day, name="patient:d", consents=frozenset({(stay.patient_id, "VIEW")}))
    assert read(day, daughter, stay)["total_fen"] == 8546
    (bill,) = day.bills(stay)
    assert bill.opened_by == "patient:d"


def test_a_nurse_reads_the_bills_of_the_own_ward_only(day: HisDay) -> None:
    stay = billed(day, line(""))
    with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
        read(day, nurse(day, "W2"), stay)


def test_no_word_of_a_line_breaks_its_json(day: HisDay) -> None:
    odd = 'a"b\\c/d%s\u2028"}]'
    stay = billed(day, line("", item_name=odd))
    (shown,) = read(day, nurse(day), stay)["lines"]
    assert shown["item_name"] == odd


def test_a_whole_real_day_is_read(day: HisDay) -> None:
    stay = billed(day, *real_day("", THE_3RD))
    bill = read(day, phone(day, stay), stay)
    assert len(bill["lines"]) == 69
    assert sum(shown["amount_fen"] for shown in bill["lines"]) == bill["total_fen"] == 312_472
    assert bill["read_aloud"].startswith("7月3日的住院费用，一共69项，合计3124元7角2分。")
    times = [shown["occurred_at"] for shown in bill["lines"]]
    assert times == sorted(times)


def test_a_question_is_asked_answered_and_told(day: HisDay) -> None:
    stay = billed(day, line("", "A"))
    patient = phone(day, stay)
    seq = read(day, patient, stay)["lines"][0]["seq"]
    said = {"line_seq": seq, "text": "这个药我没有吃过"}
    asked = bill_questions.ask(patient, stay.id, THE_3RD, **said, now=day.now)
    assert bill_questions.ask(patient, stay.id, THE_3RD, **said, now=day.now) == asked
    other = said | {"text": "为什么是两盒？"}
    with pytest.raises(Conflict, match="QUESTION_OPEN"):
        bill_questions.ask(patient, stay.id, THE_3RD, **other, now=day.now)
    (waiting,) = ward_desk.questions_of_ward(nurse(day), "W1")
    assert (waiting["text"], waiting["item_name"], waiting["bed"]) == (
        "这个药我没有吃过",
        "肝爽颗粒",
        "12",
    )
    day.at += timedelta(hours=2)
    reply = {"text": "昨天下午发的药，护士再来解释", "now": day.now}
    done = bill_questions.answer(nurse(day), asked["id"], **reply)
    assert bill_questions.answer(nurse(day), asked["id"], **reply) == done
    with pytest.raises(Conflict, match="QUESTION_ANSWERED"):
        bill_questions.answer(nurse(day), asked["id"], text="别的话", now=day.now)
    assert ward_desk.questions_of_ward(nurse(day), "W1") == []
    (shown,) = read(day, patient, stay)["questions"]
    assert (shown["line_seq"], shown["answer"]) == (seq, "昨天下午发的药，护士再来解释")
    with Session() as db:
        told = db.scalars(
            select(Message.key).where(
                Message.hospital_id == day.hospital_id, Message.template == "LINE_ANSWERED"
            )
        ).all()
    assert told == [f"line-answered:{asked['id']}"]
    again = bill_questions.ask(patient, stay.id, THE_3RD, **other, now=day.now)
    assert again["id"] != asked["id"]


def test_only_lines_of_that_days_bill_can_be_asked_about(day: HisDay) -> None:
    stay, other = billed(day, line("", "A")), billed(day, line("", "B"))
    foreign = read(day, nurse(day), other)["lines"][0]["seq"]
    for line_seq, wanted_day in ((foreign, THE_3RD), (1, THE_3RD), (foreign, date(2025, 7, 2))):
        with pytest.raises(NotFound, match="BILL_LINE_UNKNOWN"):
            bill_questions.ask(
                phone(day, stay), stay.id, wanted_day, line_seq=line_seq, text="?", now=day.now
            )
    assert day.count("bill_question") == 0


def test_a_ward_sees_and_answers_only_its_own_questions(day: HisDay) -> None:
    stay = billed(day, line("", "A"))
    seq = read(day, nurse(day), stay)["lines"][0]["seq"]
    asked = bill_questions.ask(
        phone(day, stay), stay.id, THE_3RD, line_seq=seq, text="?", now=day.now
    )
    with pytest.raises(Forbidden, match="OTHER_WARD"):
        ward_desk.questions_of_ward(nurse(day, "W2"), "W1")
    assert ward_desk.questions_of_ward(nurse(day, "W2"), "W2") == []
    with pytest.raises(NotFound, match="QUESTION_UNKNOWN"):
        bill_questions.answer(nurse(day, "W2"), asked["id"], text="好", now=day.now)
    finance = Actor(day.hospital_id, "staff:f", frozenset({"FINANCE_MAKER"}), Channel.DESK)
    with pytest.raises(Forbidden, match="PERMISSION_MISSING"):
        bill_questions.answer(finance, asked["id"], text="好", now=day.now)


@pytest.mark.clause("CQ-5.3", "T3")
def test_somebody_without_phone_and_subscription_gets_the_bill_on_paper(day: HisDay) -> None:
    stay = billed(day, line(""), patient={"his_patient_no": "P-no-phone", "name": "王木"})
    with Session() as db:
        (message,) = db.scalars(select(Message).where(Message.hospital_id == day.hospital_id))
    deliver(message.id, unreachable(day), day.now)
    (paper,) = ward_desk.print_queue(nurse(day), "W1")
    assert (paper["admission_id"], paper["patient_name"], paper["what"]) == (
        stay.id,
        "王*",
        "DAILY_BILL",
    )
    assert paper["values"] == {"day": "2025-07-03", "total": "85.46"}
    with pytest.raises(Forbidden, match="OTHER_WARD"):
        ward_desk.print_queue(nurse(day, "W2"), "W1")
    with pytest.raises(Forbidden, match="OTHER_WARD"):
        ward_desk.mark_printed(nurse(day, "W2"), "W1", paper["id"], day.now)
    ward_desk.mark_printed(nurse(day), "W1", paper["id"], day.now)
    ward_desk.mark_printed(nurse(day), "W1", paper["id"], day.now)
    assert ward_desk.print_queue(nurse(day), "W1") == []
    with Session() as db:
        assert db.get_one(Message, message.id).state == MessageState.PRINTED
    with pytest.raises(NotFound, match="PRINT_JOB_UNKNOWN"):
        ward_desk.mark_printed(nurse(day), "W1", new_id(), day.now)
