"""Orders at WeChat Pay: fields, re-entry, paying, querying, closing."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.sim_process import Simulator
from tests.simulator.wechat_client import WeChatClient, number, says

CHINA = timedelta(hours=8)


def expires(seconds: float, simulator: Simulator) -> str:
    moment = datetime.now(UTC) + CHINA + timedelta(seconds=simulator.shifted + seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S+08:00")


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("description", {"description": "长" * 128}),
        ("out_trade_no", {"out_trade_no": "short"}),
        ("out_trade_no", {"out_trade_no": "with space"}),
        ("out_trade_no", {"out_trade_no": "x" * 33}),
        ("notify_url", {"notify_url": "http://hospital.example/notify"}),
        ("notify_url", {"notify_url": "https://hospital.example/notify?a=1"}),
        ("amount/total", {"amount": {"total": 0}}),
        ("amount/total", {"amount": {"total": 1.0}}),
        ("amount/total", {"amount": {"total": "100"}}),
        ("amount/total", {"amount": {"total": True}}),
        ("amount/currency", {"amount": {"total": 1, "currency": "USD"}}),
        ("amount", {"amount": 100}),
        ("time_expire", {"time_expire": "2030-01-01T00:00:00Z"}),
        ("time_expire", {"time_expire": "2030-02-30T00:00:00+08:00"}),
        ("time_expire", {"time_expire": "2020-01-01T00:00:00+08:00"}),
        ("attach", {"attach": "x" * 129}),
        ("payer/openid", {"payer": {}}),
        ("scene_info/payer_client_ip", {"scene_info": {"device_id": "PDA"}}),
    ],
)
def test_a_wrong_field_is_named(wechat: WeChatClient, field: str, changed: dict[str, Any]) -> None:
    body = wechat.order_body(number(), payer={"openid": "o-payer"}) | changed

    answer = wechat.call("POST", "/v3/pay/transactions/jsapi", body)

    assert says(answer) == (400, "PARAM_ERROR")
    assert answer.json()["detail"]["field"] == f"/body/{field}"
    assert wechat.proves(answer.headers, answer.content)


def test_an_appid_of_somebody_else_is_refused(simulator: Simulator, wechat: WeChatClient) -> None:
    other = simulator.connections("CQ01")["wechat_pay"]["appid"]
    assert says(wechat.jsapi(number(), appid=other)) == (400, "APPID_MCHID_NOT_MATCH")


def test_the_life_of_a_mini_program_order(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    prepay_id = wechat.jsapi(out_trade_no, 12345, attach="deposit").json()["prepay_id"]
    unpaid = wechat.query(out_trade_no).json()
    assert unpaid["trade_state"] == "NOTPAY"
    assert "transaction_id" not in unpaid
    assert unpaid["amount"] == {"total": 12345, "currency": "CNY"}

    told = simulator.pay(prepay_id=prepay_id, openid="o-payer").json()

    order = wechat.query(out_trade_no).json()
    assert order["trade_state"] == "SUCCESS"
    assert order["trade_type"] == "JSAPI"
    assert order["transaction_id"] == told["transaction_id"]
    assert len(order["transaction_id"]) == 28
    assert order["payer"] == {"openid": "o-payer"}
    assert order["attach"] == "deposit"
    assert order["amount"]["payer_total"] == 12345
    assert order["success_time"].endswith("+08:00")
    by_id = f"/v3/pay/transactions/id/{order['transaction_id']}?mchid={wechat.mchid}"
    assert wechat.call("GET", by_id).json() == order
    assert simulator.books()["wxpay"][out_trade_no] == {
        "hospital": "GZ01",
        "state": "SUCCESS",
        "paid_fen": 12345,
        "refunded_fen": 0,
    }


def test_only_the_named_payer_can_pay_a_mini_program_order(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = number()
    wechat.jsapi(out_trade_no)
    assert simulator.pay(out_trade_no=out_trade_no, openid="o-other").json() == {
        "code": "WRONG_PAYER"
    }
    assert wechat.query(out_trade_no).json()["trade_state"] == "NOTPAY"


def test_the_phone_checks_the_pay_sign(simulator: Simulator, wechat: WeChatClient) -> None:
    prepay_id = wechat.jsapi(number()).json()["prepay_id"]
    shown = {"timeStamp": "1760000000", "nonceStr": "n", "package": f"prepay_id={prepay_id}"}
    message = f"{wechat.appid}\n1760000000\nn\nprepay_id={prepay_id}\n"
    signed = {**shown, "signType": "RSA", "paySign": wechat.sign(message), "openid": "o-payer"}

    forged = simulator.pay(**{**signed, "paySign": base64.b64encode(b"x" * 256).decode()})

    assert forged.json() == {"code": "PAY_SIGN_WRONG"}
    assert simulator.pay(**{**signed, "signType": "MD5"}).json() == {"code": "SIGN_TYPE_WRONG"}
    assert simulator.pay(**signed).json()["trade_state"] == "SUCCESS"


def test_anybody_can_pay_by_scanning_and_a_new_code_kills_the_old(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = number()
    old = wechat.native(out_trade_no).json()["code_url"]
    new = wechat.native(out_trade_no).json()["code_url"]
    assert new.startswith("weixin://pay.weixin.qq.com/bizpayurl/up?pr=")

    assert simulator.pay(code_url=old, openid="o-aunt").json() == {"code": "UNKNOWN_CODE"}
    assert simulator.pay(code_url=new, openid="o-aunt").status_code == 200

    order = wechat.query(out_trade_no).json()
    assert (order["trade_type"], order["payer"]) == ("NATIVE", {"openid": "o-aunt"})


def test_the_same_order_again_must_be_the_same(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    first = wechat.jsapi(out_trade_no).json()["prepay_id"]
    again = wechat.jsapi(out_trade_no).json()["prepay_id"]
    assert first != again

    for other in (
        wechat.jsapi(out_trade_no, 101),
        wechat.jsapi(out_trade_no, description="x"),
        wechat.native(out_trade_no),
    ):
        assert says(other) == (400, "INVALID_REQUEST")
        assert other.headers["Request-ID"].endswith("-268498688")

    simulator.pay(prepay_id=first, openid="o-payer")
    assert says(wechat.jsapi(out_trade_no)) == (400, "ORDER_PAID")
    assert simulator.pay(prepay_id=again, openid="o-payer").json() == {"code": "ORDER_PAID"}


def test_a_prepay_id_and_a_code_last_two_hours(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    code_url = wechat.native(out_trade_no).json()["code_url"]
    simulator.shift(2 * 3600 + 1)
    assert simulator.pay(code_url=code_url, openid="o").json() == {"code": "CODE_EXPIRED"}
    assert wechat.query(out_trade_no).json()["trade_state"] == "NOTPAY"


def test_paying_stops_at_time_expire_and_the_order_stays_open(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no, when = number(), expires(300, simulator)
    wechat.jsapi(out_trade_no, time_expire=when)

    simulator.shift(301)

    assert simulator.pay(out_trade_no=out_trade_no).json() == {"code": "ORDER_EXPIRED"}
    assert wechat.query(out_trade_no).json()["trade_state"] == "NOTPAY"
    assert says(wechat.jsapi(out_trade_no, time_expire=when)) == (400, "ORDER_CLOSED")


def test_time_expire_is_at_least_a_minute_away(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    wechat.jsapi(out_trade_no, time_expire=expires(5, simulator))
    simulator.shift(50)
    assert simulator.pay(out_trade_no=out_trade_no).status_code == 200


def test_an_unpaid_order_closes_after_seven_days(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = number()
    wechat.jsapi(out_trade_no)
    simulator.shift(7 * 86400 + 1)
    assert wechat.query(out_trade_no).json()["trade_state"] == "CLOSED"
    assert simulator.pay(out_trade_no=out_trade_no).json() == {"code": "ORDER_CLOSED"}


def test_closing(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    wechat.jsapi(out_trade_no)

    assert wechat.close(out_trade_no).status_code == 204
    assert wechat.close(out_trade_no).status_code == 204
    assert wechat.query(out_trade_no).json()["trade_state"] == "CLOSED"
    assert simulator.pay(out_trade_no=out_trade_no).json() == {"code": "ORDER_CLOSED"}
    assert says(wechat.jsapi(out_trade_no)) == (400, "ORDER_CLOSED")

    paid = wechat.close(wechat.paid())
    assert says(paid) == (400, "ORDER_PAID")
    assert paid.headers["Request-ID"].endswith("-268449538")
    assert says(wechat.close(number())) == (404, "ORDER_NOT_EXIST")


def test_an_unknown_order(wechat: WeChatClient) -> None:
    answer = wechat.query(number())
    assert says(answer) == (404, "ORDER_NOT_EXIST")
    assert answer.headers["Request-ID"].endswith("-268512771")


def test_a_merchant_sees_only_its_own(simulator: Simulator, wechat: WeChatClient) -> None:
    other = WeChatClient(simulator, "CQ01")
    out_trade_no = wechat.paid()
    transaction = wechat.query(out_trade_no).json()["transaction_id"]

    foreign = other.call("GET", f"/v3/pay/transactions/id/{transaction}?mchid={other.mchid}")
    lying = other.call("GET", f"/v3/pay/transactions/id/{transaction}?mchid={wechat.mchid}")

    assert says(other.query(out_trade_no)) == (404, "ORDER_NOT_EXIST")
    assert says(foreign) == (404, "ORDER_NOT_EXIST")
    assert says(lying) == (400, "PARAM_ERROR")
    assert says(other.refund(out_trade_no, 1)) == (404, "RESOURCE_NOT_EXISTS")


def test_the_body_must_be_a_json_object(wechat: WeChatClient) -> None:
    for text in ("[]", "{", ""):
        headers = wechat.headers("POST", "/v3/pay/transactions/native", text)
        answer = requests.post(
            wechat.settings["base_url"] + "/v3/pay/transactions/native",
            data=text.encode(),
            headers=headers,
            timeout=5,
        )
        assert says(answer) == (400, "PARAM_ERROR")
