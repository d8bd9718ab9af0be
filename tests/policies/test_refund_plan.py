"""The refund planner, against every plan there is, and in the words that a patient reads (GZ-7)."""

from datetime import datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import SHANGHAI
from policies.refund_plan import ALIPAY, CARD, CASH, WECHAT, Payee, Routes, fallback, plan
from policies.refund_why import read, sentence, stored
from policies.refusals import Refused
from tests.policies.test_lots import NOW, lot

LAST_MOMENT = timedelta(days=365) - timedelta(minutes=15)
FIXED = {"WECHAT": WECHAT, "CARD": CARD, "CASH": CASH}
ALL = ("BANK", "TRANSFER", "CASH", "NEXT_VISIT")
ANYBODY = Payee(own_card=True, wechat=True, real_name=True)


def legs_of(planned):
    return [(leg.route, leg.amount_fen) for leg in planned.legs]


def plain(lots, fen, **more):
    return legs_of(plan(lots, fen, NOW, Routes(), Payee(**more)))


# The example of the requirements: 860.00 on 2025-12-20, 540.00 of 1,400.00 spent oldest first.


def moment(year, month, day, hour=0, minute=0):
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI)


BALANCE = [
    lot(2, 30_000, paid_at=moment(2024, 12, 20, 9, 30), remaining_fen=26_000),
    lot(3, 20_000, paid_at=moment(2024, 12, 21, 15)),
    lot(4, 40_000, paid_at=moment(2025, 11, 2), channel="ALIPAY"),
]
WITH_ALIPAY = Routes(ways_back={**FIXED, "ALIPAY": ALIPAY}, fallback=ALL)


def test_at_ten_the_payment_of_half_past_nine_a_year_ago_is_too_old():
    planned = plan(BALANCE, 86_000, moment(2025, 12, 20, 10), WITH_ALIPAY, Payee(own_card=True))
    assert legs_of(planned) == [("ALIPAY", 40_000), ("WECHAT", 20_000), ("BANK", 26_000)]
    assert [sentence(leg.why) for leg in planned.legs] == [
        "2025-11-02 00:00用支付宝付的钱，原路退回支付宝。",
        "2024-12-21 15:00用微信付的钱，原路退回微信。",
        "有1笔共260.00元（最近一笔付于2024-12-20 09:30）已过原路退款的期限，所以转到本人的银行卡。",
    ]


def test_at_nine_everything_goes_back_the_way_it_came():
    planned = plan(BALANCE, 86_000, moment(2025, 12, 20, 9), WITH_ALIPAY, Payee(own_card=True))
    assert legs_of(planned) == [("ALIPAY", 40_000), ("WECHAT", 26_000), ("WECHAT", 20_000)]
    assert planned.legs[1].closes_at == moment(2025, 12, 20, 9, 15)


# Against brute force.


@st.composite
def some_lots(draw):
    """Up to four payments; each may lie in several lots of the account."""
    found, number = [], 0
    for payment in range(draw(st.integers(1, 4))):
        facts = {
            "channel": draw(st.sampled_from(["WECHAT", "WECHAT", "CASH", "CARD", "ALIPAY"])),
            "channel_transaction": draw(st.sampled_from([f"tx{payment}", f"tx{payment}", None])),
            "paid_at": NOW - draw(st.sampled_from([1, 364, 365, 800])) * timedelta(days=1),
            "parts": draw(st.sampled_from([0, 49, 50])),
            "last_refund_at": draw(st.sampled_from([None, NOW - timedelta(seconds=30)])),
        }
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            found.append(lot(number, draw(st.integers(1, 60)), **facts))
    return found


def way_of(each):
    """The leg that carries this lot the way it came; None: it cannot go back so."""
    if each.channel == "CASH":
        return ("CASH",)
    if each.channel == "CARD":
        return ("CARD", each.channel_transaction or each.id)
    closed = each.paid_at + LAST_MOMENT <= NOW
    if each.channel != "WECHAT" or closed or each.parts >= 50 or not each.channel_transaction:
        return None
    return ("WECHAT", each.channel_transaction)


def best(lots, amount):
    """The most that any choice of lots brings back the way it came, and the fewest legs for it."""
    able = [each for each in lots if way_of(each)]
    choices = [c for size in range(len(able) + 1) for c in combinations(able, size)]
    most = min(amount, max(sum(x.remaining_fen for x in choice) for choice in choices))
    enough = [c for c in choices if sum(x.remaining_fen for x in c) >= most]
    return most, min(len({way_of(each) for each in choice}) for choice in enough)


payees = st.builds(Payee, *[st.booleans()] * 4)
routes = st.builds(
    Routes,
    fallback=st.permutations(ALL).flatmap(
        lambda order: st.integers(1, 4).map(lambda count: tuple(order[:count]))
    ),
    least_fen=st.just({"BANK": 30, "TRANSFER": 10}),
    name_check_fen=st.just(50),
)


@given(some_lots(), st.integers(1, 400), routes, payees)
def test_the_plan_is_the_best_of_all_plans(lots, amount, routes, payee):
    if amount > sum(each.remaining_fen for each in lots):
        with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
            plan(lots, amount, NOW, routes, payee)
        return
    planned = plan(lots, amount, NOW, routes, payee)
    most, fewest = best(lots, amount)
    back = [take for take in planned.takes if way_of(take[0])]

    assert sum(leg.amount_fen for leg in planned.legs) == amount
    assert all(leg.amount_fen == sum(fen for _, fen in leg.takes) for leg in planned.legs)
    assert all(0 < fen <= each.remaining_fen for each, fen in planned.takes)
    assert len({each.id for each, _ in planned.takes}) == len(planned.takes)
    assert sum(fen for _, fen in back) == most
    assert len({way_of(each) for each, _ in back}) == fewest
    other = [leg for leg in planned.legs if any(not way_of(each) for each, _ in leg.takes)]
    assert len(other) == (most < amount)
    ways = {way_of(each) for each, _ in back} | {(leg.route,) for leg in other}
    assert len(planned.legs) == len(ways)  # cash that came as cash and other cash are one leg


@given(some_lots(), st.integers(1, 400))
def test_what_the_channels_forbid_is_never_planned(lots, amount):
    if amount > sum(each.remaining_fen for each in lots):
        return
    legs = plan(lots, amount, NOW, Routes(), Payee()).legs
    for leg in legs:
        if leg.route == "WECHAT":
            (payment,) = {(each.channel_transaction, each.paid_at) for each, _ in leg.takes}
            assert NOW < leg.closes_at == payment[1] + LAST_MOMENT
            last = leg.takes[0][0].last_refund_at
            assert leg.pay_from == (last + timedelta(minutes=1) if last else NOW)
            assert leg.takes[0][0].parts < 50
    assert len({leg.takes[0][0].channel_transaction for leg in legs if leg.route == "WECHAT"}) == (
        len([leg for leg in legs if leg.route == "WECHAT"])
    )


@given(some_lots(), st.integers(1, 400), routes, payees)
def test_the_rest_goes_by_the_first_route_that_can_carry_it(lots, amount, routes, payee):
    if amount > sum(each.remaining_fen for each in lots):
        return
    rest = amount - best(lots, amount)[0]

    def carries(route):
        return {
            "BANK": payee.own_card and rest >= 30,
            "TRANSFER": payee.wechat and rest >= 10 and (payee.real_name or rest < 50),
            "CASH": payee.can_come,
            "NEXT_VISIT": True,
        }[route]

    planned = plan(lots, amount, NOW, routes, payee)
    used = {leg.route for leg in planned.legs if any(not way_of(each) for each, _ in leg.takes)}
    first = next((route for route in routes.fallback if carries(route)), "NEXT_VISIT")
    assert used == ({first} if rest else set())
    assert all(sentence(read(stored(leg.why))).endswith("。") for leg in planned.legs)


# Each rule by itself.


def test_a_payment_goes_back_to_wechat_until_a_quarter_of_an_hour_before_its_year_is_over():
    just = lot(1, 100, paid_at=NOW - LAST_MOMENT + timedelta(seconds=1))
    gone = lot(1, 100, paid_at=NOW - LAST_MOMENT)
    assert plain([just], 100) == [("WECHAT", 100)]
    assert plain([gone], 100) == [("CASH", 100)]
    early = Routes(margin=timedelta(hours=1))
    assert legs_of(plan([just], 100, NOW, early, Payee())) == [("CASH", 100)]


def test_the_fiftieth_part_is_the_last():
    assert plain([lot(1, 100, parts=49)], 1) == [("WECHAT", 1)]
    assert plain([lot(1, 100, parts=50)], 1) == [("CASH", 1)]


def test_two_lots_of_one_payment_are_one_part_of_it():
    twins = [lot(n, 100, channel_transaction="tx", paid_at=NOW, parts=49) for n in (1, 2)]
    assert plain(twins, 150) == [("WECHAT", 150)]


def test_a_payment_refunded_a_moment_ago_waits_its_minute_and_not_past_its_year():
    recent = lot(1, 100, last_refund_at=NOW - timedelta(seconds=20))
    (leg,) = plan([recent], 100, NOW, Routes(), Payee()).legs
    assert leg.pay_from == NOW + timedelta(seconds=40)
    closing = lot(
        1,
        100,
        paid_at=NOW - LAST_MOMENT + timedelta(seconds=30),
        last_refund_at=NOW - timedelta(seconds=20),
    )
    (leg,) = plan([closing], 100, NOW, Routes(), Payee()).legs
    assert (leg.route, leg.why[0].code) == ("CASH", "NO_TIME_LEFT")


def test_a_payment_without_its_number_has_no_way_back():
    assert plain([lot(1, 100, channel_transaction=None)], 100) == [("CASH", 100)]


def test_old_cash_goes_to_the_window_and_all_of_it_at_once():
    old = [
        lot(n, 100, channel="CASH", paid_at=NOW - timedelta(days=3_000 - n)) for n in range(1, 31)
    ]
    assert plain(old, 2_960) == [("CASH", 2_960)]
    late = lot(40, 500, paid_at=NOW - timedelta(days=400))
    (leg,) = plan([*old, late], 3_500, NOW, Routes(), Payee()).legs
    assert (leg.route, leg.amount_fen) == ("CASH", 3_500)
    assert sentence(leg.why) == (
        "当时交的现金30.00元，在窗口退现金，"
        "有1笔共5.00元（最近一笔付于2024-11-15 12:00）已过原路退款的期限，所以到窗口领现金。"
    )


def test_alipay_goes_back_only_where_the_hospital_can():
    paid = [lot(1, 100, channel="ALIPAY")]
    assert plain(paid, 100) == [("CASH", 100)]
    assert legs_of(plan(paid, 100, NOW, WITH_ALIPAY, Payee())) == [("ALIPAY", 100)]


def test_one_leg_where_one_is_enough():
    assert plain([lot(1, 300), lot(2, 5_000)], 500) == [("WECHAT", 500)]


@pytest.mark.parametrize(
    ("fen", "payee", "route", "said"),
    [
        (
            9,
            ANYBODY,
            "CASH",
            "0.09元不到银行转账最低的1.00元，0.09元不到微信转账最低的0.10元，所以到",
        ),
        (10, ANYBODY, "TRANSFER", "0.10元不到银行转账最低的1.00元，所以转到本人的微信，请在24小时"),
        (100, ANYBODY, "BANK", "所以转到本人的银行卡"),
        (199_999, Payee(wechat=True), "TRANSFER", "没有核实过的本人银行卡，所以转到本人的微信"),
        (
            200_000,
            Payee(wechat=True),
            "CASH",
            "2000.00元的微信转账要核对姓名，姓名还没有核实，所以",
        ),
        (500, Payee(can_come=False), "NEXT_VISIT", "没有绑定实名的微信，本人不便到窗口，所以下次"),
    ],
)
def test_why_another_way(fen, payee, route, said):
    routes = Routes(fallback=ALL, least_fen={"BANK": 100, "TRANSFER": 10})
    leg = fallback(fen, NOW, routes, payee, [])
    assert leg.route == route
    assert said in sentence(leg.why)


def test_what_failed_is_not_tried_again():
    routes = Routes(fallback=ALL)
    tried: set[str] = set()
    went = []
    for _ in range(5):
        leg = fallback(5_000, NOW, routes, ANYBODY, [], tried=tried)
        went.append(leg.route)
        tried.add(leg.route)
    assert went == ["BANK", "TRANSFER", "CASH", "NEXT_VISIT", "NEXT_VISIT"]
