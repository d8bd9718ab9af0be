"""WeChat Pay remembers payments of before: they can be refunded by their transaction number, within
the channel's rules, and stand in the books.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.sim_process import Simulator
from tests.simulator.wechat_client import WeChatClient, number, says


def before(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def remember(simulator: Simulator, *payments: dict[str, Any]) -> requests.Response:
    asked = {"hospital": "GZ01", "payments": payments}
    return requests.post(f"{simulator.url}/_sim/wxpay/history", json=asked, timeout=20)


def old(days: int = 100, total: int = 1_000, **more: Any) -> dict[str, Any]:
    return {"transaction_id": number(), "paid_at": before(days), "total": total, **more}


def ask_back(wechat: WeChatClient, transaction: str, fen: int, total: int) -> requests.Response:
    asked = {
        "transaction_id": transaction,
        "out_refund_no": number(),
        "amount": {"refund": fen, "total": total, "currency": "CNY"},
    }
    return wechat.call("POST", "/v3/refund/domestic/refunds", asked)


def books_of(simulator: Simulator, payment: dict[str, Any]) -> tuple[int, int]:
    page = simulator.books()["wxpay"][f"OLD{payment['transaction_id']}"]
    return page["paid_fen"], page["refunded_fen"]


def test_what_is_left_of_it_can_be_refunded(simulator: Simulator, wechat: WeChatClient) -> None:
    payment = old(refunds=[{"fen": 300, "at": before(90)}])
    assert remember(simulator, payment).json() == {"remembered": 1}
    assert books_of(simulator, payment) == (1_000, 300)
    too_much = ask_back(wechat, payment["transaction_id"], 701, 1_000)
    assert says(too_much) == (400, "INVALID_REQUEST")
    accepted = ask_back(wechat, payment["transaction_id"], 700, 1_000)
    assert accepted.status_code == 200
    assert accepted.json()["transaction_id"] == payment["transaction_id"]


def test_after_a_year_it_goes_back_no_more(simulator: Simulator, wechat: WeChatClient) -> None:
    payment = old(days=366)
    remember(simulator, payment)
    late = ask_back(wechat, payment["transaction_id"], 1, 1_000)
    assert says(late) == (400, "INVALID_REQUEST")
    assert books_of(simulator, payment) == (1_000, 0)


@pytest.mark.parametrize("wrong", [{"paid_at": before(-1)}, {"refunds": [{"fen": 1_001}]}])
def test_what_cannot_have_been_is_not_believed(simulator: Simulator, wrong: dict[str, Any]) -> None:
    good = old()
    assert remember(simulator, good, old() | wrong).status_code == 409
    assert f"OLD{good['transaction_id']}" not in simulator.books()["wxpay"]


def test_a_transaction_number_is_given_once(simulator: Simulator) -> None:
    payment = old()
    remember(simulator, payment)
    again = remember(simulator, payment | {"total": 5_000})
    assert (again.status_code, again.json()["code"]) == (409, f"TAKEN {payment['transaction_id']}")
    assert books_of(simulator, payment) == (1_000, 0)
