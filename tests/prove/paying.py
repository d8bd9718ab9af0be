"""Acts of paying: cash, card, QR, payment code, the own phone, a relative's; and two at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from simulator.clients import Answer
from tests.prove.life import Life
from tests.prove.notebook import Intent
from tests.prove.stubborn import GaveUp, Stubborn

ONE_ASKS_AT_A_TIME_S = 5.1
"""After this an order that was being placed may be placed again (payments/orders.py)."""
LOOKS = 3
"""How often a client looks after an open payment before it leaves it to the house."""


def deposit(life: Life) -> None:
    """A deposit on any channel; one in twenty is more than the quota allows."""
    fen = life.chance.randrange(1, 60_000)
    if life.likely(0.05):
        fen += 400_000
    pay(life, "DEPOSIT", f"{life.path}/deposits", fen)


def rush(life: Life) -> None:
    """Two cashiers take cash for one stay at the same moment: two payments under one quota."""
    wishes = [
        (cashier, Intent(life.number("K"), life.stay, "DEPOSIT", "CASH", fen))
        for cashier in life.cast.staff["cashier"][:2]
        for fen in [life.chance.randrange(1, 20_000)]
    ]
    path = f"{life.path}/deposits"
    with ThreadPoolExecutor(2) as tills:
        for done in [
            tills.submit(_order, life, cashier, path, intent, {}) for cashier, intent in wishes
        ]:
            done.result()


def pay(life: Life, purpose: str, path: str, fen: int) -> None:
    """Pay ``fen`` once, by a route drawn at random; whoever pays by phone does it or forgets it."""
    payer = life.relative if life.relative and life.likely(0.5) else life.phone
    route = life.pick(
        "CASH",
        "CARD",
        "QR",
        "PAYMENT_CODE",
        "MINI_PROGRAM",
        weights=(1, 0, 0, 0, 0) if life.homeward else (3, 2, 3, 3, 4 if payer else 0),
    )
    intent = Intent(life.number("K"), life.stay, purpose, route, fen)
    person = {"CASH": "cashier", "CARD": "cashier", "QR": "nurse", "PAYMENT_CODE": "nurse"}
    by = payer if route == "MINI_PROGRAM" and payer else life.one_of(person[route])
    more: dict[str, Any] = {}
    if route == "CARD":
        more["slip_no"] = intent.key
    if route == "PAYMENT_CODE":
        more["auth_code"] = _payment_code(life)
    order = _order(life, by, path, intent, more)
    if order and route in ("QR", "MINI_PROGRAM"):
        _show_and_pay(life, by, path, intent, order)
    elif order and route == "PAYMENT_CODE" and order["state"] != "PAID":
        _look_after(life, by, intent, order)


def take_up_again(life: Life, intent: Intent) -> None:
    """Say a payment again that nobody answered: the same wish with the same key."""
    kinds = {"DEPOSIT": "deposits", "SETTLEMENT": "settlement/payments"}
    more = {"slip_no": intent.key} if intent.route == "CARD" else {}
    if intent.route in ("CASH", "CARD"):
        _order(life, intent.by, f"{life.path}/{kinds[intent.purpose]}", intent, more)


def _order(
    life: Life, by: Stubborn, path: str, intent: Intent, more: dict[str, Any]
) -> dict[str, Any] | None:
    """The order as it was answered, noted; None when it was plainly refused."""
    intent.by = by
    with life.book.lock:
        life.book.intents[intent.key] = intent
    wish = {"amount_fen": intent.amount_fen, "route": intent.route, **more}
    try:
        answer = life.ask(by, "POST", path, wish, key=intent.key)
    except GaveUp:
        life.wrong(f"nobody answered {intent.route}")
        return None
    if answer.status != 200:
        intent.refused = answer.code
        return None
    order = answer.body
    if intent.purpose == "SETTLEMENT":
        life.run = order
        looked = life.ask(by, "GET", f"/v1/payments/{_own_order(life, answer)}")
        order = looked.body if looked.status == 200 else None
    return _note(life, intent, order)


def _own_order(life: Life, answer: Answer) -> str:
    return str(answer.body["order_id"])


def _note(life: Life, intent: Intent, order: dict[str, Any] | None) -> dict[str, Any] | None:
    if order is None:
        return None
    if order["amount_fen"] != intent.amount_fen:
        life.wrong(f"asked for {intent.amount_fen}, the order says {order['amount_fen']}")
    if intent.order and intent.order["id"] != order["id"]:
        life.wrong(f"{intent.key} had the order {intent.order['id']}, now it is {order['id']}")
    if intent.order and intent.order["state"] == "PAID" and order["state"] != "PAID":
        life.wrong(f"{intent.key} was PAID, now it is {order['state']}")
    intent.order = order
    if order["state"] == "PAID" and not order["receipt_no"]:
        life.wrong(f"{intent.key} is PAID without a receipt")
    return order


def _show_and_pay(
    life: Life, by: Stubborn, path: str, intent: Intent, order: dict[str, Any]
) -> None:
    """The payer pays what is shown; who sees nothing to pay with asks again with the same key."""
    if not order["pay_with"] and order["state"] in ("CREATED", "WAITING") and life.likely(0.3):
        time.sleep(ONE_ASKS_AT_A_TIME_S)
        order = _order(life, by, path, intent, {}) or order
    if order["state"] == "WAITING" and order["pay_with"] and life.likely(0.85):
        shown = dict(order["pay_with"])
        shown.pop("qr_svg", None)
        shown["openid"] = _openid(life, by)
        life.house.world("POST", "/_sim/wxpay/pay", shown)
    _look_after(life, by, intent, order)


def _openid(life: Life, by: Stubborn) -> str:
    own = f"o-prove-{life.serial:06d}"
    return f"{own}-daughter" if by is life.relative else own


def _look_after(life: Life, by: Stubborn, intent: Intent, order: dict[str, Any]) -> None:
    for _ in range(life.chance.randrange(LOOKS)):
        if order["state"] == "PAID":
            return
        seen = life.ask(by, "GET", f"/v1/payments/{order['id']}")
        if seen.status == 200:
            order = _note(life, intent, seen.body) or order


def _payment_code(life: Life) -> str:
    behaviour = life.pick(
        "pays_at_once",
        "password_then_pays",
        "password_then_never",
        "insufficient",
        weights=(6, 3, 1, 1),
    )
    asked = {"openid": f"o-prove-{life.serial:06d}", "behaviour": behaviour}
    return str(life.house.world("POST", "/_sim/wxpay/payment-codes", asked)["auth_code"])
