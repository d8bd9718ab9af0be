"""The WeChat Pay adapter against the simulator, written independently of each other."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from config import Connections, today
from payments.channels.wechat import NoticeRefused, WeChatPay
from policies.outcome import Declined, NoAnswer, NotNow
from tests.peer import Peer, Says
from tests.sim_process import wait_until

DAY = 86400
_numbers = count(1)


class Watch:
    """A clock that tests may replace under adapters which are made once: reading keys is slow."""

    def __init__(self):
        self.now = None

    def __call__(self):
        return self.now()


@pytest.fixture(scope="module")
def adapters(shared_simulator):
    watch = Watch()
    return watch, {
        code: WeChatPay(Connections.read(shared_simulator.connections(code)).wechat_pay, watch)
        for code in ("GZ01", "CQ01")
    }


@pytest.fixture
def pay(adapters, now):
    watch, made = adapters
    watch.now = now
    return made["GZ01"]


@pytest.fixture(scope="module")
def door():
    """Where notices arrive: they are believed or refused as the adapter says."""
    with Peer().running() as door:
        yield door


@pytest.fixture
def inbox(door, pay):
    """Every notice that came: what was read, or why it was refused."""
    door.asked.clear()
    read = []

    def answer(asked):
        try:
            read.append(pay.read_notice(asked.headers, asked.body))
        except NoticeRefused as refused:
            read.append(refused.code)
            return Says(401)
        return Says(204)

    door.answer = answer
    return read


def number():
    return f"test{next(_numbers):08d}"


def told_of(inbox, refund):
    """The notice of a refund, among those of its payment and of earlier tests."""

    def told():
        return [each for each in inbox if getattr(each, "number", "") == refund.out_refund_no]

    return wait_until(told)[0]


@pytest.fixture
def order(pay, door, now):
    def order(**changed):
        facts = {
            "out_trade_no": number(),
            "amount_fen": 312472,
            "description": "住院预交金",
            "openid": "o-payer",
            "expires_at": now() + timedelta(minutes=30),
            "notify_url": f"{door.url}/wxpay/notify/GZ01/payment",
        }
        facts |= changed
        return facts["out_trade_no"], pay.order_mini_program(**facts)

    return order


@pytest.fixture
def paid(order, simulator):
    """An order that was paid: its number and WeChat's."""

    def paid(pay, **changed):
        out_trade_no, _ = order(**changed)
        assert simulator.pay(out_trade_no=out_trade_no, openid="o-payer").ok
        return out_trade_no, pay.query_order(out_trade_no).channel_transaction_id

    return paid


@pytest.fixture
def give_back(pay, door):
    def give_back(transaction, amount_fen=12000, **changed):
        facts = {
            "out_refund_no": number(),
            "channel_transaction_id": transaction,
            "amount_fen": amount_fen,
            "total_fen": 312472,
            "reason": "预交金退款",
            "notify_url": f"{door.url}/wxpay/notify/GZ01/refund",
        }
        return pay.refund(**facts | changed)

    return give_back


def test_ordered_paid_told_and_queried(pay, order, simulator, inbox):
    out_trade_no, shown = order()
    assert pay.query_order(out_trade_no).state == "WAITING"
    assert simulator.pay(**shown, openid="o-payer").ok  # it checks our paySign
    wait_until(lambda: inbox)
    notice = inbox[-1]
    assert (notice.subject, notice.number) == ("payment", out_trade_no)
    assert notice.told == pay.query_order(out_trade_no)
    assert (notice.told.state, notice.told.amount_fen) == ("PAID", 312472)
    assert notice.told.payer == "o-payer"


def test_the_same_order_again_is_harmless_and_another_content_is_refused(pay, order):
    number_, first = order()
    facts = {"out_trade_no": number_}
    with pytest.raises(Declined) as no:
        order(**facts, amount_fen=1)
    assert no.value.code in {"INVALID_REQUEST", "OUT_TRADE_NO_USED"}
    assert first["package"].startswith("prepay_id=")


def test_a_qr_code_is_scanned(pay, simulator, now, door, inbox):
    out_trade_no = number()
    code_url = pay.order_qr(
        out_trade_no=out_trade_no,
        amount_fen=5000,
        description="住院预交金",
        expires_at=now() + timedelta(minutes=10),
        notify_url=f"{door.url}/wxpay/notify/GZ01/payment",
    )
    assert simulator.pay(code_url=code_url, openid="o-relative").ok
    answer = pay.query_order(out_trade_no)
    assert (answer.state, answer.amount_fen, answer.payer) == ("PAID", 5000, "o-relative")


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [
        ("pays_at_once", "PAID"),
        ("password_then_pays", "WAITING"),
        ("password_then_never", "WAITING"),
    ],
)
def test_a_payment_code_is_charged_and_reversed(pay, simulator, behaviour, state):
    out_trade_no = number()
    answer = charge(pay, out_trade_no, simulator.payment_code("o-payer", behaviour))
    assert answer.state == state
    assert pay.query_order(out_trade_no).state == state
    pay.reverse_order(out_trade_no)
    pay.reverse_order(out_trade_no)
    book = simulator.books()["wxpay"][out_trade_no]
    assert book["paid_fen"] == book["refunded_fen"]


def test_a_payment_code_that_was_used_is_refused(pay, simulator):
    code = simulator.payment_code("o-payer")
    charge(pay, number(), code)
    with pytest.raises(Declined):
        charge(pay, number(), code)


def charge(pay, out_trade_no, auth_code):
    return pay.charge_payment_code(
        out_trade_no=out_trade_no,
        amount_fen=100,
        description="住院预交金",
        auth_code=auth_code,
        device_id="ward-3",
        device_ip="10.0.0.7",
    )


def test_a_closed_order_cannot_be_paid_and_a_paid_one_not_closed(pay, order, simulator):
    closed, _ = order()
    pay.close_order(closed)
    pay.close_order(closed)
    assert pay.query_order(closed).state == "CLOSED"
    assert not simulator.pay(out_trade_no=closed, openid="o-payer").ok
    taken, _ = order()
    assert simulator.pay(out_trade_no=taken, openid="o-payer").ok
    with pytest.raises(Declined) as no:
        pay.close_order(taken)
    assert no.value.code == "ORDER_PAID"


def test_numbers_that_nobody_knows(pay):
    assert pay.query_order("nobody-knows-it") is None
    assert pay.query_refund("nobody-knows-it") is None


def test_a_refund_is_accepted_told_and_queried(pay, paid, give_back, simulator, inbox):
    out_trade_no, transaction = paid(pay)
    accepted = give_back(transaction)
    assert accepted.amount_fen == 12000
    again = give_back(transaction, out_refund_no=accepted.out_refund_no)
    assert again.channel_refund_id == accepted.channel_refund_id
    told = told_of(inbox, accepted).told
    assert told == pay.query_refund(accepted.out_refund_no)
    assert (told.state, told.amount_fen) == ("PAID", 12000)
    assert simulator.books()["wxpay"][out_trade_no]["refunded_fen"] == 12000


@pytest.mark.parametrize(("fault", "state"), [("abnormal", "ABNORMAL"), ("closed", "CLOSED")])
def test_a_refund_that_fails_says_how(pay, paid, give_back, simulator, inbox, fault, state):
    _, transaction = paid(pay)
    simulator.fault("wxpay", "refund", fault)
    accepted = give_back(transaction)
    assert told_of(inbox, accepted).told.state == state
    assert pay.query_refund(accepted.out_refund_no).state == state


@pytest.mark.parametrize(
    ("fault", "code"), [("not_enough", "NOT_ENOUGH"), ("not_visible_yet", "RESOURCE_NOT_EXISTS")]
)
def test_a_refund_that_must_wait_works_later_with_the_same_number(
    pay, paid, give_back, simulator, fault, code
):
    out_trade_no, transaction = paid(pay)
    simulator.fault("wxpay", "refund", fault)
    ours = number()
    with pytest.raises(NotNow) as later:
        give_back(transaction, out_refund_no=ours)
    assert later.value.code == code
    simulator.reset()
    assert give_back(transaction, out_refund_no=ours).out_refund_no == ours
    wait_until(lambda: simulator.books()["wxpay"][out_trade_no]["refunded_fen"] == 12000)


def test_the_rules_of_refunds(pay, paid, give_back, simulator):
    _, transaction = paid(pay)
    with pytest.raises(Declined):
        give_back(transaction, 312473)
    give_back(transaction)
    with pytest.raises(NotNow) as later:
        give_back(transaction)  # within a minute
    assert later.value.code == "FREQUENCY_LIMITED"
    simulator.shift(366 * DAY)
    with pytest.raises(Declined) as no:
        give_back(transaction)
    assert no.value.code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "fault",
    ["after", "error500_after", "bad_signature", "signature_probe", "before", "error500_before"],
)
def test_a_lost_answer_is_unknown_and_the_same_refund_again_pays_once(
    pay, paid, give_back, simulator, fault
):
    out_trade_no, transaction = paid(pay)
    ours = number()
    simulator.fault("wxpay", "refund", fault)
    with pytest.raises(NoAnswer):
        give_back(transaction, out_refund_no=ours)
    known = pay.query_refund(ours)
    assert (known is None) == fault.endswith("before")
    give_back(transaction, out_refund_no=ours)
    wait_until(lambda: simulator.books()["wxpay"][out_trade_no]["refunded_fen"] == 12000)


@pytest.mark.parametrize("fault", ["after", "before", "error500_after", "bad_signature"])
def test_a_lost_answer_to_an_order_is_unknown_and_may_be_repeated(order, simulator, now, fault):
    facts = {"out_trade_no": number(), "expires_at": now() + timedelta(minutes=30)}
    simulator.fault("wxpay", "jsapi", fault)
    with pytest.raises(NoAnswer):
        order(**facts)
    _, shown = order(**facts)
    assert simulator.pay(**shown, openid="o-payer").ok


def test_a_clock_that_is_wrong_is_not_now(adapters, simulator, pay, now):
    adapters[0].now = lambda: now() - timedelta(seconds=301)
    with pytest.raises(NotNow) as later:
        pay.query_order("order001")
    assert later.value.code == "SIGN_ERROR"


def test_copies_of_a_notice_read_alike(order, simulator, inbox):
    simulator.fault("wxpay", "callback", "duplicate", copies=3)
    out_trade_no, _ = order()
    simulator.pay(out_trade_no=out_trade_no, openid="o-payer")
    wait_until(lambda: len(inbox) == 4)
    assert inbox == [inbox[0]] * 4
    assert inbox[0].number == out_trade_no


@pytest.mark.parametrize("fault", ["signature_probe", "bad_signature"])
def test_a_probe_is_refused_and_the_notice_comes_again(order, simulator, inbox, fault):
    simulator.fault("wxpay", "callback", fault)
    out_trade_no, _ = order()
    simulator.pay(out_trade_no=out_trade_no, openid="o-payer")
    # Notices of earlier tests may still be on their way: the probed one comes again among them.
    wait_until(lambda: out_trade_no in [getattr(each, "number", "") for each in inbox])
    assert fault.upper() in inbox


def test_a_stale_notice_is_refused(pay, order, simulator, inbox):
    out_trade_no, _ = order()
    simulator.pay(out_trade_no=out_trade_no, openid="o-payer")
    wait_until(lambda: inbox)
    assert simulator.replay(out_trade_no, age_seconds=301) == [401]
    assert simulator.replay(out_trade_no, times=2) == [204, 204]
    assert inbox[1] == "NOT_FRESH"
    assert inbox[2:] == [inbox[0], inbox[0]]


def test_another_hospitals_notice_is_refused(adapters, pay, order, simulator, door, inbox):
    other = adapters[1]["CQ01"]

    def answer(asked):
        with pytest.raises(NoticeRefused) as refused:
            other.read_notice(asked.headers, asked.body)
        inbox.append(refused.value.code)
        return Says(204)

    door.answer = answer
    out_trade_no, _ = order()
    simulator.pay(out_trade_no=out_trade_no, openid="o-payer")
    wait_until(lambda: inbox)
    assert inbox == ["UNKNOWN_SERIAL"]


def test_the_bill_of_yesterday(pay, paid, give_back, simulator, now):
    out_trade_no, transaction = paid(pay, amount_fen=312472)
    refund = give_back(transaction)
    wait_until(lambda: pay.query_refund(refund.out_refund_no).state == "PAID")
    day = today(now())
    simulator.shift(2 * DAY)
    bill = pay.trade_bill(day).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(bill)))
    column = rows[0].index("商户订单号")
    mine = [row for row in rows[1:-2] if row[column] == f"`{out_trade_no}"]
    assert [row[rows[0].index("应结订单金额")] for row in mine] == ["`3124.72", "`0.00"]
    assert mine[1][rows[0].index("商户退款单号")] == f"`{refund.out_refund_no}"
    with pytest.raises(Declined) as no:
        pay.trade_bill(day - timedelta(days=1))
    assert no.value.code == "NO_STATEMENT_EXIST"


def test_keys_of_another_merchant_are_refused(simulator, now):
    settings = Connections.read(simulator.connections("GZ01")).wechat_pay
    other = Connections.read(simulator.connections("CQ01")).wechat_pay
    impostor = WeChatPay(replace(settings, merchant_key=other.merchant_key), now)
    with pytest.raises(NotNow) as later:
        impostor.query_order("order001")
    assert later.value.code == "SIGN_ERROR"
