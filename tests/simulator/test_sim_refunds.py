"""Refunds at WeChat Pay: the channel's rules and its late, bad and missing results."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.sim_process import Simulator, wait_until
from tests.simulator.wechat_client import WeChatClient, number, says

DAY = 86400


def result(wechat: WeChatClient, out_refund_no: str) -> dict[str, Any]:
    """The refund when it is no longer under way."""

    def finished() -> dict[str, Any] | None:
        refund = wechat.query_refund(out_refund_no).json()
        return refund if refund["status"] != "PROCESSING" else None

    return wait_until(finished)


def refunded_fen(simulator: Simulator, out_trade_no: str) -> int:
    fen: int = simulator.books()["wxpay"][out_trade_no]["refunded_fen"]
    return fen


def test_whoever_asks_when_it_is_due_hears_the_result(wechat: WeChatClient) -> None:
    for _ in range(20):
        out_refund_no = number()
        assert wechat.refund(wechat.paid(), 40, out_refund_no=out_refund_no).ok
        assert wechat.query_refund(out_refund_no).json()["status"] == "SUCCESS"


def test_what_is_still_to_come_can_be_asked(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.settings(refund_seconds=0.3)
    out_refund_no = number()
    wechat.refund(wechat.paid(), 40, out_refund_no=out_refund_no)
    assert simulator.get("/_sim/under-way")["wxpay_refund_due"] == 1
    result(wechat, out_refund_no)
    wait_until(lambda: simulator.get("/_sim/under-way")["wxpay_refund_due"] == 0)


def test_accepted_first_and_done_later(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.settings(refund_seconds=0.3)
    out_trade_no, out_refund_no = wechat.paid(1000), number()
    transaction = wechat.query(out_trade_no).json()["transaction_id"]

    answer = wechat.call(
        "POST",
        "/v3/refund/domestic/refunds",
        {
            "transaction_id": transaction,
            "out_refund_no": out_refund_no,
            "reason": "出院结余退回",
            "amount": {"refund": 400, "total": 1000, "currency": "CNY"},
        },
    )

    accepted = answer.json()
    assert answer.status_code == 200
    assert wechat.proves(answer.headers, answer.content)
    assert accepted["status"] == "PROCESSING"
    assert "success_time" not in accepted
    assert accepted["out_trade_no"] == out_trade_no
    assert accepted["amount"]["refund"] == accepted["amount"]["payer_refund"] == 400
    assert refunded_fen(simulator, out_trade_no) == 0
    assert wechat.query(out_trade_no).json()["trade_state"] == "REFUND"
    done = result(wechat, out_refund_no)
    assert (done["status"], done["channel"]) == ("SUCCESS", "ORIGINAL")
    assert done["user_received_account"] == "支付用户零钱"
    assert done["refund_id"] == accepted["refund_id"]
    assert refunded_fen(simulator, out_trade_no) == 400


def test_the_same_number_again_pays_once(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no, out_refund_no = wechat.paid(), number()
    answers = [wechat.refund(out_trade_no, 60, out_refund_no=out_refund_no) for _ in range(3)]

    assert {answer.json()["refund_id"] for answer in answers} == {answers[0].json()["refund_id"]}
    result(wechat, out_refund_no)
    assert refunded_fen(simulator, out_trade_no) == 60
    for other in (
        wechat.refund(out_trade_no, 61, out_refund_no=out_refund_no),
        wechat.refund(out_trade_no, 60, out_refund_no=out_refund_no, reason="other"),
        wechat.refund(wechat.paid(), 60, out_refund_no=out_refund_no),
    ):
        assert says(other) == (400, "INVALID_REQUEST")
    assert refunded_fen(simulator, out_trade_no) == 60


def test_never_more_than_was_paid(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.settings(refund_gap_seconds=0)
    out_trade_no = wechat.paid(100)
    assert says(wechat.refund(out_trade_no, 101)) == (400, "INVALID_REQUEST")
    assert wechat.refund(out_trade_no, 70).status_code == 200
    assert says(wechat.refund(out_trade_no, 31)) == (400, "INVALID_REQUEST")
    assert wechat.refund(out_trade_no, 30).status_code == 200
    assert says(wechat.refund(out_trade_no, 1)) == (400, "INVALID_REQUEST")
    wait_until(lambda: refunded_fen(simulator, out_trade_no) == 100)


def test_the_total_must_be_the_orders(wechat: WeChatClient) -> None:
    assert says(wechat.refund(wechat.paid(100), 50, 99)) == (400, "INVALID_REQUEST")


def test_a_minute_between_two_refunds_of_one_order(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = wechat.paid()
    assert wechat.refund(out_trade_no, 10).status_code == 200
    assert says(wechat.refund(out_trade_no, 10)) == (429, "FREQUENCY_LIMITED")
    assert wechat.refund(wechat.paid(), 10).status_code == 200
    simulator.shift(61)
    assert wechat.refund(out_trade_no, 10).status_code == 200


def test_at_most_fifty_parts(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.settings(refund_gap_seconds=0)
    out_trade_no = wechat.paid(51)
    answers = [wechat.refund(out_trade_no, 1, 51).status_code for _ in range(50)]
    assert answers == [200] * 50
    assert says(wechat.refund(out_trade_no, 1, 51)) == (400, "INVALID_REQUEST")


def test_365_days_from_the_payment(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = wechat.paid()
    simulator.shift(365 * DAY - 60)
    assert wechat.refund(out_trade_no, 10).status_code == 200
    simulator.shift(365 * DAY + 61)
    assert says(wechat.refund(out_trade_no, 10)) == (400, "INVALID_REQUEST")


def test_only_paid_orders_and_one_way_to_name_them(wechat: WeChatClient) -> None:
    unpaid = number()
    wechat.jsapi(unpaid)
    assert says(wechat.refund(unpaid, 1)) == (404, "RESOURCE_NOT_EXISTS")
    assert says(wechat.refund(number(), 1)) == (404, "RESOURCE_NOT_EXISTS")
    both = wechat.refund(unpaid, 1, transaction_id="4200")
    assert says(both) == (400, "PARAM_ERROR")
    assert says(wechat.query_refund(number())) == (404, "RESOURCE_NOT_EXISTS")


@pytest.mark.parametrize(
    "changed",
    [
        {"out_refund_no": "has space"},
        {"out_refund_no": "x" * 65},
        {"reason": "x" * 81},
        {"notify_url": "https://h.example/n?x=1"},
        {"funds_account": "UNSETTLED"},
        {"amount": {"refund": 1, "total": 100}},
        {"amount": {"refund": 1.5, "total": 100, "currency": "CNY"}},
    ],
)
def test_wrong_fields(wechat: WeChatClient, changed: dict[str, Any]) -> None:
    assert says(wechat.refund(number(), 1, **changed)) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("not_enough", (403, "NOT_ENOUGH")),
        ("not_visible_yet", (404, "RESOURCE_NOT_EXISTS")),
        ("throttled", (429, "FREQUENCY_LIMITED")),
    ],
)
def test_not_now_but_later_with_the_same_number(
    simulator: Simulator, wechat: WeChatClient, fault: str, said: tuple[int, str]
) -> None:
    out_trade_no, out_refund_no = wechat.paid(), number()
    simulator.fault("wxpay", "refund", fault)

    assert says(wechat.refund(out_trade_no, 9, out_refund_no=out_refund_no)) == said
    assert says(wechat.query_refund(out_refund_no)) == (404, "RESOURCE_NOT_EXISTS")
    assert wechat.refund(out_trade_no, 9, out_refund_no=out_refund_no).status_code == 200
    assert result(wechat, out_refund_no)["status"] == "SUCCESS"


def test_a_closed_refund_needs_a_new_number(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.settings(refund_gap_seconds=0)
    out_trade_no, out_refund_no = wechat.paid(), number()
    simulator.fault("wxpay", "refund", "closed")
    wechat.refund(out_trade_no, 100, out_refund_no=out_refund_no)

    assert result(wechat, out_refund_no)["status"] == "CLOSED"
    same = wechat.refund(out_trade_no, 100, out_refund_no=out_refund_no)
    assert same.json()["status"] == "CLOSED"
    new = number()
    assert wechat.refund(out_trade_no, 100, out_refund_no=new).status_code == 200
    assert result(wechat, new)["status"] == "SUCCESS"
    assert refunded_fen(simulator, out_trade_no) == 100


def abnormal(simulator: Simulator, wechat: WeChatClient) -> tuple[str, dict[str, Any]]:
    out_trade_no, out_refund_no = wechat.paid(), number()
    simulator.fault("wxpay", "refund", "abnormal")
    wechat.refund(out_trade_no, 100, out_refund_no=out_refund_no)
    refund = result(wechat, out_refund_no)
    assert refund["status"] == "ABNORMAL"
    assert refunded_fen(simulator, out_trade_no) == 0
    return out_trade_no, refund


def repair(wechat: WeChatClient, refund: dict[str, Any], **body: str) -> tuple[int, str]:
    path = f"/v3/refund/domestic/refunds/{refund['refund_id']}/apply-abnormal-refund"
    answer = wechat.call("POST", path, {"out_refund_no": refund["out_refund_no"], **body})
    return says(answer)


def test_an_abnormal_refund_goes_to_a_bank_card(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no, refund = abnormal(simulator, wechat)
    key = load_pem_public_key(wechat.settings["public_key"].encode())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
    card, name = (
        base64.b64encode(key.encrypt(text.encode(), oaep)).decode()
        for text in ("6222020000000000", "示例")
    )
    user = {"type": "USER_BANK_CARD", "bank_type": "ICBC_DEBIT"}

    assert repair(wechat, refund, **user) == (400, "PARAM_ERROR")
    assert repair(wechat, refund, **user, bank_account="6222", real_name=name) == (
        400,
        "PARAM_ERROR",
    )
    assert repair(wechat, refund, **user, bank_account=card, real_name=name) == (200, "")

    assert result(wechat, refund["out_refund_no"])["user_received_account"] == "ICBC借记卡"
    assert refunded_fen(simulator, out_trade_no) == 100


def test_an_abnormal_refund_goes_back_to_the_merchant_once(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no, refund = abnormal(simulator, wechat)
    assert repair(wechat, refund, type="MERCHANT_BANK_CARD") == (200, "")
    assert result(wechat, refund["out_refund_no"])["status"] == "SUCCESS"
    assert repair(wechat, refund, type="MERCHANT_BANK_CARD") == (400, "INVALID_REQUEST")
    assert refunded_fen(simulator, out_trade_no) == 100
