"""Which way each part of a refund goes: as much as can be the way it came, in the fewest legs, and
the rest by the first of the hospital's other routes that can carry it (GZ-7, D-43, D-44). Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from policies.lots import Lot, spend_oldest_first
from policies.refund_why import Why


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a channel allows when a payment goes back the way it came; None: no limit.

    ``numbered``: the channel wants its own transaction number. ``joins``: several payments may be
    handed over at once, as one leg.
    """

    within: timedelta | None = None
    parts: int | None = None
    spacing: timedelta = timedelta()
    numbered: bool = False
    joins: bool = False


WECHAT = WayBack(timedelta(days=365), parts=50, spacing=timedelta(minutes=1), numbered=True)
ALIPAY = WayBack(timedelta(days=365), spacing=timedelta(seconds=3), numbered=True)
CARD = WayBack()
CASH = WayBack(joins=True)

LAST = "NEXT_VISIT"
"""The route that always stands at the end of the fallback: the money waits for its owner."""


@dataclass(frozen=True, slots=True)
class Routes:
    """What this hospital can do. ``ways_back``: channel -> how its payments go back.

    ``fallback``: the other routes (BANK, TRANSFER, CASH, NEXT_VISIT) in the hospital's order;
    ``least_fen``: the least that a route carries. ``margin``: so long before a window closes
    nothing is sent through it any more. ``name_check_fen``: from here on a TRANSFER needs the real
    name.
    """

    ways_back: Mapping[str, WayBack] = field(
        default_factory=lambda: {"WECHAT": WECHAT, "CARD": CARD, "CASH": CASH}
    )
    fallback: tuple[str, ...] = ("CASH",)
    least_fen: Mapping[str, int] = field(default_factory=lambda: {"TRANSFER": 10})
    margin: timedelta = timedelta(minutes=15)
    name_check_fen: int = 200_000


@dataclass(frozen=True, slots=True)
class Payee:
    """What is known of who gets the money: an own bank card that was verified, a WeChat account
    that is bound, a real name that was checked, whether they can come to the window.
    """

    own_card: bool = False
    wechat: bool = False
    real_name: bool = False
    can_come: bool = True


@dataclass(frozen=True, slots=True)
class Leg:
    """One payment to the patient. ``takes``: (lot, fen) that it pays back; none when it replaces
    legs that failed.

    ``pay_from``: not before this moment (spacing); ``closes_at``: not from this moment on.
    """

    route: str
    amount_fen: int
    takes: tuple[tuple[Lot, int], ...]
    why: tuple[Why, ...]
    pay_from: datetime
    closes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The legs of one refund; they sum to its amount."""

    legs: tuple[Leg, ...]

    @property
    def takes(self) -> list[tuple[Lot, int]]:
        """What is taken from each lot, each lot once."""
        return [take for leg in self.legs for take in leg.takes]


def plan(lots: Sequence[Lot], amount_fen: int, now: datetime, routes: Routes, payee: Payee) -> Plan:
    """The plan with the most money on its original way, and of those the one with fewest legs.

    Raises Refused BALANCE_TOO_LOW when the lots do not hold so much.
    """
    loads, stays = _sorted_out(lots, now, routes)
    legs, rest = _the_way_they_came(loads, amount_fen)
    if rest:
        takes = tuple(spend_oldest_first([lot for lot, _ in stays], rest))
        other = fallback(rest, now, routes, payee, _why_not(takes, stays))
        _join(legs, replace(other, takes=takes))
    return Plan(tuple(legs))


def fallback(
    amount_fen: int,
    now: datetime,
    routes: Routes,
    payee: Payee,
    reasons: Iterable[Why],
    *,
    tried: Collection[str] = (),
) -> Leg:
    """One leg by the first route of the hospital's order that can carry the whole amount.

    ``reasons``: why it does not go the way it came; ``tried``: the routes that failed already.
    """
    why = [*reasons]
    for route in (route for route in routes.fallback if route not in tried):
        obstacle = _obstacle(route, amount_fen, routes, payee)
        if obstacle is None:
            break
        why.append(obstacle)
    else:
        route = LAST
    return Leg(route, amount_fen, (), (*why, Why(f"BY_{route}")), now)


@dataclass(frozen=True, slots=True)
class _Load:
    """What one leg along an original way can carry at most: all that is left of one payment."""

    lots: list[Lot]
    fen: int
    pay_from: datetime
    closes_at: datetime | None


def _sorted_out(
    lots: Sequence[Lot], now: datetime, routes: Routes
) -> tuple[list[_Load], list[tuple[Lot, str]]]:
    """What can go back the way it came, and what cannot with the code of the reason.

    Lots of one payment go back together, as one of its parts.
    """
    payments: dict[tuple[str, Any], list[Lot]] = defaultdict(list)
    for lot in lots:
        way = routes.ways_back.get(lot.channel)
        # By channel too: a card slip may carry the number of some WeChat payment.
        one = "" if way and way.joins else lot.channel_transaction or lot.id
        payments[lot.channel, one].append(lot)
    loads, stays = [], []
    for several in payments.values():
        way, until = routes.ways_back.get(several[0].channel), _closes_at(several[0], routes)
        pay_from = _pay_from(several[0], way, now)
        if obstacle := _blocked(several[0], way, pay_from, until, now):
            stays += [(lot, obstacle) for lot in several]
        else:
            fen = sum(lot.remaining_fen for lot in several)
            loads.append(_Load(several, fen, pay_from, until))
    return loads, stays


def _closes_at(lot: Lot, routes: Routes) -> datetime | None:
    """From when on a payment is not sent back the way it came any more; None: it always can be."""
    way = routes.ways_back.get(lot.channel)
    return lot.paid_at + way.within - routes.margin if way and way.within else None


def _pay_from(lot: Lot, way: WayBack | None, now: datetime) -> datetime:
    return max(now, lot.last_refund_at + way.spacing) if way and lot.last_refund_at else now


def _blocked(
    lot: Lot, way: WayBack | None, pay_from: datetime, until: datetime | None, now: datetime
) -> str:
    """Why this payment cannot go back the way it came; empty: it can."""
    if way is None:
        return "NO_WAY_BACK"
    if way.numbered and lot.channel_transaction is None:
        return "NO_CHANNEL_NUMBER"
    if until is not None and now >= until:
        return "WINDOW_CLOSED"
    if way.parts is not None and lot.parts >= way.parts:
        return "PARTS_USED_UP"
    if until is not None and pay_from >= until:
        return "NO_TIME_LEFT"
    return ""


def _the_way_they_came(loads: list[_Load], amount_fen: int) -> tuple[list[Leg], int]:
    """Fill the largest loads first, which is the fewest legs; and what none of them could carry."""
    legs = []
    for load in sorted(loads, key=lambda load: (-load.fen, load.lots[0].paid_at, load.lots[0].id)):
        if fen := min(load.fen, amount_fen):
            takes = tuple(spend_oldest_first(load.lots, fen))
            channel = load.lots[0].channel
            why = Why(f"BACK_TO_{channel}", _facts(takes))
            legs.append(Leg(channel, fen, takes, (why,), load.pay_from, load.closes_at))
            amount_fen -= fen
    return legs, amount_fen


def _join(legs: list[Leg], other: Leg) -> None:
    """Add a leg; what the window hands over anyhow it hands over at once."""
    for place, leg in enumerate(legs):
        if leg.route == other.route:
            legs[place] = replace(
                leg,
                amount_fen=leg.amount_fen + other.amount_fen,
                takes=leg.takes + other.takes,
                why=leg.why + other.why,
            )
            return
    legs.append(other)


def _why_not(takes: Sequence[tuple[Lot, int]], stays: Sequence[tuple[Lot, str]]) -> list[Why]:
    """The reasons, each once with what it keeps from its way."""
    code_of = {lot.id: code for lot, code in stays}
    by_code: dict[str, list[tuple[Lot, int]]] = defaultdict(list)
    for lot, fen in takes:
        by_code[code_of[lot.id]].append((lot, fen))
    return [Why(code, _facts(taken)) for code, taken in by_code.items()]


def _facts(takes: Sequence[tuple[Lot, int]]) -> dict[str, Any]:
    """How many payments, how much of them, and when the latest was paid."""
    return {
        "count": len(takes),
        "amount_fen": sum(fen for _, fen in takes),
        "paid_at": max(lot.paid_at for lot, _ in takes).isoformat(),
    }


def _obstacle(route: str, amount_fen: int, routes: Routes, payee: Payee) -> Why | None:
    """Why this route cannot carry the amount to this person; None: it can."""
    least_fen = routes.least_fen.get(route, 0)
    if route == "BANK" and not payee.own_card:
        return Why("NO_OWN_CARD")
    if route == "TRANSFER" and not payee.wechat:
        return Why("NO_WECHAT")
    if route == "TRANSFER" and amount_fen >= routes.name_check_fen and not payee.real_name:
        return Why("NAME_NOT_CHECKED", {"amount_fen": amount_fen})
    if route == "CASH" and not payee.can_come:
        return Why("CANNOT_COME")
    if amount_fen < least_fen:
        facts = {"route": route, "amount_fen": amount_fen, "least_fen": least_fen}
        return Why("TOO_LITTLE", facts)
    return None
