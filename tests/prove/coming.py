"""Acts of coming in and of every day: slip, registration, insurance, quota, charges, daily bill."""

from datetime import datetime, timedelta
from typing import Any

from config import SHANGHAI, today
from tests.prove.cast import WARD
from tests.prove.house import HOSPITAL
from tests.prove.life import Life
from tests.prove.notebook import Line

PLACE = {
    "ward": WARD,
    "ward_name": "肿瘤内科一病区",
    "bed": "12",
    "department_code": "0305",
    "department_name": "肿瘤内科",
    "doctor_code": "D101",
    "doctor_name": "医生黄芪",
    "diagnosis_code": "C50.900",
    "diagnosis_name": "乳腺恶性肿瘤",
}
QUOTA_FEN = 300_000
SUBSCRIBED = ("DAILY_BILL", "PAYMENT_DUE", "REFUND_REQUESTED")


def admit(life: Life) -> None:
    """The HIS announces the stay; a nurse or the patient's phone completes it."""
    arrived = life.house.now() - timedelta(days=3)
    person = {
        "his_patient_no": f"P{life.serial:06d}",
        "name": life.name,
        "id_no": life.id_no,
        "phone": f"199{life.serial:08d}",
        "sex": "2",
    }
    slip = life.ask(
        life.cast.his,
        "POST",
        "/v1/his/events/admission",
        PLACE
        | {
            "source_event_id": life.number("ADM"),
            "inpatient_no": life.inpatient_no,
            "admitted_at": arrived.isoformat(),
            "patient": person,
        },
    )
    life.stay = slip.body["admission_id"]
    life.book.stays[life.stay] = life.inpatient_no
    if life.likely(0.4):
        life.phone = life.cast.phone(f"o-prove-{life.serial:06d}")
        real = {"name": life.name, "id_no": life.id_no}
        bound = life.ask(life.phone, "PUT", "/v1/patient/binding", real)
        if bound.status != 200:
            life.wrong(f"binding: {bound.status} {bound.code}")
        if life.likely(0.7):
            _subscribe(life)
    by = life.phone or life.one_of("nurse")
    seen = life.ask(by, "PUT", f"{life.path}/registration", {})
    if seen.status != 200 or seen.body["state"] != "IN_HOUSE":
        life.wrong(f"registration: {seen.status} {seen.text[:200]}")
    quota = {"quota_fen": QUOTA_FEN + life.chance.randrange(100_000), "basis": "同病种三年平均"}
    life.ask(life.one_of("maker"), "PUT", f"{life.path}/quota", quota)
    life.phase = "in house"


def insure(life: Life) -> None:
    """The platform knows the person; the nurse registers the stay there. Once is enough."""
    if life.insured:
        return
    seed = {"certno": life.id_no, "name": life.name, "insutype": life.chance.choice(["310", "390"])}
    life.house.world("POST", f"/_sim/insurance/{HOSPITAL}/persons", seed)
    seen = life.ask(life.one_of("nurse"), "PUT", f"{life.path}/insurance", {})
    life.insured = seen.status == 200 and seen.body["insurance_state"] == "REGISTERED"


def _subscribe(life: Life) -> None:
    """The phone allows a message of each of these; what comes after goes by SMS or print."""
    openid = f"o-prove-{life.serial:06d}"
    for template in SUBSCRIBED:
        allowed = {"openid": openid, "template_id": template}
        life.house.world("POST", "/_sim/mini-program/subscriptions", allowed)
    templates = {"templates": list(SUBSCRIBED)}
    life.ask(life.phone, "POST", "/v1/patient/subscriptions", templates)


def invite_relative(life: Life) -> None:
    """The patient lets a relative pay; the relative redeems the code with the own phone."""
    if life.phone is None or life.relative is not None:
        return
    offer = {"scopes": ["PAY", "VIEW_BILL"], "relation": "女儿", "days": 30}
    given = life.ask(life.phone, "POST", "/v1/patient/consents", offer)
    relative = life.cast.phone(f"o-prove-{life.serial:06d}-daughter")
    code = {"code": given.body["code"]}
    redeemed = life.ask(relative, "POST", "/v1/patient/consents/redeem", code)
    if redeemed.status == 200 or redeemed.code == "CONSENT_CODE_INVALID":  # said twice
        life.relative = relative


def charge(life: Life) -> None:
    """The HIS reports a batch; some lines a second time, now and then one that cannot be taken."""
    days_ago = life.pick(0, 1, 2, weights=(3, 5, 1))
    lines = [fee(life, days_ago) for _ in range(life.chance.randrange(1, 8))]
    wrong = dict(fee(life, days_ago), amount="0.01") if life.likely(0.1) else None
    answer = _report(life, "charge-batch", [*lines, *([wrong] if wrong else [])])
    if answer is None:
        return
    verdicts = [line["verdict"] for line in answer["lines"]]
    if wrong and verdicts[-1] != "AMOUNT_MISMATCH":
        life.wrong(f"a line that does not multiply was {verdicts[-1]}")
    for line, verdict in zip(lines, verdicts, strict=False):
        if verdict in ("ACCEPTED", "DUPLICATE"):
            note_line(life, line, 1)
        elif verdict != "AFTER_SETTLEMENT":
            life.wrong(f"a good line was {verdict}")
    if life.likely(0.2):
        again = _report(life, "charge-batch", lines[:2])
        if again and again["accepted"]:
            life.wrong("lines that were there were accepted again")


def reverse(life: Life) -> None:
    """The HIS takes half a line back, sometimes all of it by two reversals in one batch."""
    mine = [
        (number, line)
        for number, line in life.book.lines_now()
        if line.stay == life.stay and line.quantity == 2
    ]
    if not mine:
        return
    number, line = life.chance.choice(mine)
    half = {
        "inpatient_no": life.inpatient_no,
        "reverses": number,
        "occurred_at": life.house.now().isoformat(),
        "quantity": "1.0000",
        "amount": _yuan(line.amount_fen // 2),
    }
    parts = [half | {"source_line_id": life.number("R")} for _ in range(life.chance.choice([1, 2]))]
    answer = _report(life, "charge-reversal", parts)
    if answer is None:
        return
    day = today(life.house.now()).isoformat()
    for part, verdict in zip(parts, answer["lines"], strict=True):
        if verdict["verdict"] in ("ACCEPTED", "DUPLICATE"):
            kept = Line(life.stay, day, -(line.amount_fen // 2), -1)
            life.book.lines[part["source_line_id"]] = kept
        elif verdict["verdict"] not in ("AFTER_SETTLEMENT", "REVERSES_TOO_MUCH"):
            life.wrong(f"a good reversal was {verdict['verdict']}")


def daily_bill(life: Life) -> None:
    """Finance has yesterday's lists made; the nurse reads this patient's: its lines are its sum."""
    yesterday = (today(life.house.now()) - timedelta(days=1)).isoformat()
    if life.likely(0.3):
        life.ask(life.one_of("maker"), "POST", "/v1/daily-bills/runs", {"day": yesterday})
    bill = life.ask(life.one_of("nurse"), "GET", f"{life.path}/daily-bills/{yesterday}")
    if bill.status != 200:
        return
    total = sum(line["amount_fen"] for line in bill.body["lines"])
    if total != bill.body["total_fen"]:
        life.wrong(f"daily bill: {total} in lines, {bill.body['total_fen']} in all")


def move_bed(life: Life) -> None:
    """The HIS reports another bed."""
    change = {
        "source_event_id": life.number("CHG"),
        "inpatient_no": life.inpatient_no,
        "occurred_at": life.house.now().isoformat(),
        "bed": str(life.chance.randrange(1, 60)),
    }
    life.ask(life.cast.his, "POST", "/v1/his/events/admission-change", change)


def note_line(life: Life, line: dict[str, Any], sign: int) -> None:
    """The HIS was told that this line is on the bill."""
    day = datetime.fromisoformat(line["occurred_at"]).astimezone(SHANGHAI).date().isoformat()
    fen = int(line["amount"].replace(".", ""))
    life.book.lines[line["source_line_id"]] = Line(life.stay, day, sign * fen, 2)


def _report(life: Life, kind: str, lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    event = {"source_event_id": life.number("EV"), "lines": lines}
    answer = life.ask(life.cast.his, "POST", f"/v1/his/events/{kind}", event)
    if answer.status != 200:
        life.wrong(f"{kind}: {answer.status} {answer.code}")
        return None
    return dict(answer.body)


def fee(life: Life, days_ago: int) -> dict[str, Any]:
    """One line as the HIS reports it."""
    price = life.chance.randrange(1, 9_000)
    at = life.house.now() - timedelta(days=days_ago, minutes=5)
    return {
        "source_line_id": life.number("L"),
        "inpatient_no": life.inpatient_no,
        "occurred_at": at.isoformat(),
        "item_name": "Ⅱ级护理",
        "quantity": "2.0000",
        "unit_price": _yuan(price),
        "amount": _yuan(2 * price),
        "category": "07",
        "insurance_level": life.chance.choice(["01", "02"]),
        "self_pay_ratio": "0.1000",
        "national_code": "001201000010000-120100001",
        "hospital_code": "120100001",
        "department_code": "0305",
        "department_name": "肿瘤内科",
        "doctor_code": "D101",
        "doctor_name": "医生黄芪",
    }


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
