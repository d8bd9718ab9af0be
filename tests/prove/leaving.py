"""Acts of leaving: discharge order, trial, agreement, what is due, receipt, undoing it all."""

from typing import Any

from tests.prove import paying
from tests.prove.life import Life


def leave(life: Life) -> None:
    """The discharge order is signed and the bed released."""
    at = life.house.now().isoformat()
    order = {
        "source_event_id": life.number("DIS"),
        "inpatient_no": life.inpatient_no,
        "ordered_at": at,
        "left_at": at,
        "leaving_way": "1",
    }
    answer = life.ask(life.cast.his, "POST", "/v1/his/events/discharge-order", order)
    if answer.status != 200:
        life.wrong(f"discharge order: {answer.status} {answer.code}")
        return
    life.phase = "leaving"


def stay_after_all(life: Life) -> None:
    """The patient stays; possible until somebody agreed to a trial."""
    event = {"source_event_id": life.number("CAN"), "inpatient_no": life.inpatient_no}
    answer = life.ask(life.cast.his, "POST", "/v1/his/events/discharge-cancel", event)
    if answer.status == 200:
        life.phase = "in house"


def settle(life: Life) -> None:
    """Trial and agreement; or going on with a run that stopped on its way."""
    by = life.phone if life.phone and life.likely(0.3) else life.one_of("nurse")
    trial = life.ask(by, "POST", f"{life.path}/settlement/trial")
    if trial.status != 200:
        return
    seen(life, trial.body)
    if life.run["state"] in ("TRIAL", "CONFIRMED", "INSURED", "CLAIMED"):
        agreed = {"agree_to": life.run["agree_to"]}
        done = life.ask(by, "PUT", f"{life.path}/settlement", agreed)
        if done.status == 200:
            seen(life, done.body)
    if life.run["state"] == "DUE":
        pay_due(life)
    if life.run["state"] == "CLOSED":
        read_receipts(life)
        life.phase = "over"


def pay_due(life: Life) -> None:
    """Pay exactly what is due."""
    fen = life.run["due_fen"]
    if fen <= 0:
        return
    paying.pay(life, "SETTLEMENT", f"{life.path}/settlement/payments", fen)
    look(life)


def look(life: Life) -> None:
    """Where the settlement stands."""
    answer = life.ask(life.one_of("nurse"), "GET", f"{life.path}/settlement")
    if answer.status == 200:
        seen(life, answer.body)


def read_receipts(life: Life) -> None:
    """The paper says what the screen said."""
    for number in life.run["receipts"]:
        answer = life.ask(life.one_of("nurse"), "GET", f"/v1/receipts/{number}")
        if answer.status != 200:
            life.wrong(f"receipt {number}: {answer.status} {answer.code}")
            continue
        facts = answer.body["facts"]
        parts = sum(share["amount_fen"] for share in facts["shares"]) + facts["personal_fen"]
        if not facts["total_fen"] == life.run["total_fen"] == parts:
            life.wrong(f"receipt {number}: {facts}, the screen said {life.run['total_fen']}")
        life.book.receipts[number] = facts


def undo(life: Life) -> None:
    """The window takes the settlement back; said twice it finds nothing left to undo."""
    wish = {"reason": "漏记费用"}
    answer = life.ask(life.one_of("cashier"), "POST", f"{life.path}/settlement/undo", wish)
    if answer.status == 200:
        seen(life, answer.body)
    look(life)
    if life.run.get("state") in ("UNDOING", "UNDONE", "CONFIRMED"):
        life.phase = "leaving"


def seen(life: Life, run: dict[str, Any]) -> None:
    """A view of the settlement: whatever it says adds up."""
    life.run = run
    if sum(line["amount_fen"] for line in run["lines"]) != run["total_fen"]:
        life.wrong(f"settlement lines do not add up: {run}")
    if run["state"] == "CLOSED" and run["due_fen"] != 0:
        life.wrong(f"closed with {run['due_fen']} due")
    if run["state"] == "CLOSED" and not run["receipts"]:
        life.wrong("closed without a receipt")
    with life.book.lock:
        life.book.settlements[run["id"]] = run
        for refund in run["refunds"]:
            life.refunds.add(refund["id"])
            told = life.book.refunds.setdefault(refund["id"], refund["amount_fen"])
            if told != refund["amount_fen"]:
                life.wrong(f"refund of {told}, now of {refund['amount_fen']}")
