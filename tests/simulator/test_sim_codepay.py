"""Payment codes: the nurse scans what the payer's phone shows."""

import pytest

from tests.sim_process import Simulator
from tests.simulator.wechat_client import WeChatClient, number, says


def test_paid_at_once_without_a_notice(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no, auth_code = number(), simulator.payment_code("o-1")
    assert auth_code.isdigit()
    assert (len(auth_code), auth_code[:2]) == (18, "13")

    answer = wechat.codepay(out_trade_no, auth_code, 500)

    assert answer.status_code == 200
    assert answer.json()["trade_state"] == "SUCCESS"
    assert answer.json()["trade_type"] == "MICROPAY"
    assert answer.json()["payer"] == {"openid": "o-1"}
    assert wechat.query(out_trade_no).json() == answer.json()
    assert simulator.notices(out_trade_no) == []
    assert simulator.books()["wxpay"][out_trade_no]["paid_fen"] == 500


def test_a_code_is_good_once_and_for_a_minute(simulator: Simulator, wechat: WeChatClient) -> None:
    used, late = simulator.payment_code("o-1"), simulator.payment_code("o-1")
    wechat.codepay(number(), used)
    out_trade_no = number()
    assert says(wechat.codepay(out_trade_no, used)) == (400, "INVALID_REQUEST")
    assert says(wechat.query(out_trade_no)) == (404, "ORDER_NOT_EXIST")
    assert says(wechat.codepay(number(), "130000000000000000")) == (400, "PARAM_ERROR")
    simulator.shift(61)
    assert says(wechat.codepay(number(), late)) == (400, "INVALID_REQUEST")


def test_202_while_the_password_is_typed(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    auth_code = simulator.payment_code("o-1", "password_then_pays", seconds=20)

    answer = wechat.codepay(out_trade_no, auth_code)
    assert (answer.status_code, answer.json()["trade_state"]) == (202, "USERPAYING")
    assert wechat.proves(answer.headers, answer.content)
    assert wechat.codepay(out_trade_no, auth_code).status_code == 202
    assert wechat.query(out_trade_no).json()["trade_state"] == "USERPAYING"
    assert simulator.books()["wxpay"][out_trade_no]["paid_fen"] == 0

    simulator.shift(21)
    assert wechat.query(out_trade_no).json()["trade_state"] == "SUCCESS"
    assert simulator.books()["wxpay"][out_trade_no]["paid_fen"] == 100


def test_who_never_types_it_is_reversed(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    wechat.codepay(out_trade_no, simulator.payment_code("o-1", "password_then_never"))
    simulator.shift(45)
    assert wechat.query(out_trade_no).json()["trade_state"] == "USERPAYING"
    closing = wechat.close(out_trade_no)
    assert says(closing) == (400, "INVALID_REQUEST")
    assert closing.headers["Request-ID"].endswith("-268449641")

    for _ in range(2):
        answer = wechat.reverse(out_trade_no)
        assert answer.status_code == 200
        assert answer.json() == {
            "appid": wechat.appid,
            "mchid": wechat.mchid,
            "out_trade_no": out_trade_no,
        }

    assert wechat.query(out_trade_no).json()["trade_state"] == "REVOKED"
    assert simulator.books()["wxpay"][out_trade_no]["refunded_fen"] == 0


def test_reversing_a_paid_code_gives_all_back_once(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = number()
    wechat.codepay(out_trade_no, simulator.payment_code("o-1"), 300)

    assert [wechat.reverse(out_trade_no).status_code for _ in range(2)] == [200, 200]

    assert wechat.query(out_trade_no).json()["trade_state"] == "REVOKED"
    assert simulator.books()["wxpay"][out_trade_no] == {
        "hospital": "GZ01",
        "state": "REVOKED",
        "paid_fen": 300,
        "refunded_fen": 300,
    }
    assert says(wechat.refund(out_trade_no, 1, 300)) == (400, "INVALID_REQUEST")


def test_too_little_money(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    answer = wechat.codepay(out_trade_no, simulator.payment_code("o-1", "insufficient"))
    assert says(answer) == (403, "NOT_ENOUGH")
    assert wechat.query(out_trade_no).json()["trade_state"] == "PAYERROR"


def test_only_payment_code_orders_can_be_reversed(wechat: WeChatClient) -> None:
    assert says(wechat.reverse(wechat.paid())) == (400, "INVALID_REQUEST")
    assert says(wechat.reverse(number())) == (404, "ORDER_NOT_EXIST")


@pytest.mark.parametrize("store", [{}, {"id": ""}])
def test_the_store_must_be_named(
    simulator: Simulator, wechat: WeChatClient, store: dict[str, str]
) -> None:
    body = wechat.order_body(number(), payer={"auth_code": simulator.payment_code("o")})
    scene = {"device_id": "PDA1", "store_info": store}
    answer = wechat.call("POST", "/v3/pay/transactions/codepay", {**body, "scene_info": scene})
    assert says(answer) == (400, "PARAM_ERROR")
