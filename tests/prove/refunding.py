"""Acts of giving back: asked for, checked by a second person, handed over, sent another way."""

from typing import Any

from tests.prove.life import Life

OVER = ("PAID", "REJECTED")


def ask_back(life: Life) -> None:
    """The cashier asks for part of the deposit."""
    key, fen = life.number("B"), life.chance.randrange(1, 30_000)
    wish = {"amount_fen": fen, "reason": "PATIENT_WISH"}
    answer = life.ask(life.one_of("cashier"), "POST", f"{life.path}/deposit-refunds", wish, key=key)
    if answer.status != 200:
        return
    refund = answer.body["refund_id"]
    life.refunds.add(refund)
    with life.book.lock:
        life.book.refunds[refund] = fen
        life.book.asked_back.add(refund)
    tend_one(life, refund)


def tend(life: Life, *, approve: bool = False) -> bool:
    """Do what each refund waits for; True when all are over."""
    over = [tend_one(life, refund, approve=approve) for refund in sorted(life.refunds)]
    return all(over)


def tend_one(life: Life, refund: str, *, approve: bool = False) -> bool:
    """Check, hand over or reroute, as its state wants it."""
    path = f"/v1/refunds/{refund}"
    answer = life.ask(life.one_of("checker"), "GET", path)
    if answer.status != 200:
        life.wrong(f"refund: {answer.status} {answer.code}")
        return False
    shown = answer.body
    if shown["amount_fen"] != life.book.refunds[refund]:
        life.wrong(f"refund of {life.book.refunds[refund]} is shown as {shown['amount_fen']}")
    if sum(leg["amount_fen"] for leg in _live(shown)) != shown["amount_fen"]:
        life.wrong(f"the legs of a refund do not add up: {shown}")
    if shown["state"] == "REQUESTED":
        yes = approve or life.likely(0.85)
        word = {"approve": yes, "note": "看过了"}
        checked = life.ask(life.one_of("checker"), "POST", f"{path}/check", word)
        shown = checked.body if checked.status == 200 else shown
    if shown["state"] == "STUCK":
        moved = life.ask(life.one_of("maker"), "POST", f"{path}/reroute")
        shown = moved.body if moved.status == 200 else shown
    if shown["state"] in ("PAYING", "STUCK"):
        for leg in _live(shown):
            if leg["route"] in ("CASH", "CARD") and leg["state"] == "PLANNED":
                hand_over(life, path, leg)
    return shown["state"] in OVER


def hand_over(life: Life, path: str, leg: dict[str, Any]) -> None:
    """The window gives the money when the screen says that it is booked."""
    proof = {"proof": f"signed-{leg['id'][-12:]}"}
    by = life.one_of("cashier")
    answer = life.ask(by, "POST", f"{path}/legs/{leg['id']}/hand-over", proof)
    if answer.status == 200:
        given = (life.stay, leg["route"], leg["amount_fen"])
        life.book.handed_over[leg["id"]] = given
    elif answer.code not in ("REFUND_NOT_APPROVED",):
        life.wrong(f"hand-over: {answer.status} {answer.code}")


def _live(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [leg for leg in shown["legs"] if leg["state"] != "REROUTED"]
