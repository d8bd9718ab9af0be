"""The simulator's merchant transfers, talked to by a client that shares no code with anybody."""

import base64

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.sim_process import Simulator, wait_until
from tests.simulator.receiver import Receiver
from tests.simulator.wechat_client import WeChatClient, number

BASE = "/v3/fund-app/mch-transfer/transfer-bills"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 theirs


def sealed(wechat: WeChatClient, name: str) -> str:
    key = load_pem_public_key(wechat.settings["public_key"].encode())
    return base64.b64encode(key.encrypt(name.encode(), OAEP)).decode()


def bill(wechat: WeChatClient, **changed):
    body = {
        "appid": wechat.appid,
        "out_bill_no": number(),
        "transfer_scene_id": "1011",
        "openid": f"o-{number()}",
        "transfer_amount": 5_000,
        "transfer_remark": "退款",
        "notify_url": wechat.notify_url,
        "user_recv_perception": "退款",
        "transfer_scene_report_infos": [{"info_type": "赔付原因", "info_content": "退预交金"}],
    }
    return {k: v for k, v in (body | changed).items() if v is not None}


def ask(wechat: WeChatClient, **changed):
    return wechat.call("POST", BASE, bill(wechat, **changed))


def query(wechat: WeChatClient, out_bill_no: str):
    return wechat.call("GET", f"{BASE}/out-bill-no/{out_bill_no}")


def cancel(wechat: WeChatClient, out_bill_no: str):
    return wechat.call("POST", f"{BASE}/out-bill-no/{out_bill_no}/cancel")


def tap(wechat: WeChatClient, package: str, openid: str):
    told = {"mchId": wechat.mchid, "appId": wechat.appid, "package": package, "openid": openid}
    return requests.post(
        f"{wechat.simulator.url}/_sim/wxpay/transfers/confirm", json=told, timeout=10
    )


def says(answer):
    return answer.status_code, answer.json()["code"]


def test_confirmed_by_the_person_and_told_to_the_merchant(wechat, receiver: Receiver):
    body = bill(wechat, notify_url=receiver.url)
    asked = wechat.call("POST", BASE, body).json()
    assert asked["state"] == "WAIT_USER_CONFIRM"
    assert tap(wechat, asked["package_info"], "o-another").status_code == 404
    assert tap(wechat, asked["package_info"], body["openid"]).status_code == 200
    assert tap(wechat, asked["package_info"], body["openid"]).status_code == 409
    found = query(wechat, body["out_bill_no"]).json()
    assert (found["state"], found["transfer_amount"]) == ("SUCCESS", 5_000)
    assert "package_info" not in found
    wait_until(lambda: wechat.simulator.notices(body["out_bill_no"])[0]["state"] == "delivered")
    books = wechat.simulator.books()["wxpay_transfers"]
    assert books[body["out_bill_no"]]["paid_fen"] == 5_000


def test_the_same_again_is_the_same_and_another_is_refused(wechat):
    body = bill(wechat, user_name=sealed(wechat, "张三"))
    first = wechat.call("POST", BASE, body)
    again = wechat.call("POST", BASE, body | {"user_name": sealed(wechat, "张三")})
    assert first.json() == again.json()
    for changed in ({"transfer_amount": 5_001}, {"user_name": sealed(wechat, "李四")}):
        assert says(wechat.call("POST", BASE, body | changed)) == (400, "ALREADY_EXISTS")


def test_one_open_transfer_to_a_person(wechat):
    body = bill(wechat)
    assert wechat.call("POST", BASE, body).status_code == 200
    assert says(ask(wechat, openid=body["openid"])) == (400, "INVALID_REQUEST")
    assert cancel(wechat, body["out_bill_no"]).json()["state"] == "CANCELING"
    assert query(wechat, body["out_bill_no"]).json()["state"] == "CANCELLED"
    assert ask(wechat, openid=body["openid"]).status_code == 200


def test_a_day_without_a_tap_closes_it(wechat, simulator: Simulator):
    body = bill(wechat)
    package = wechat.call("POST", BASE, body).json()["package_info"]
    simulator.shift(24 * 3600 + 1)
    found = query(wechat, body["out_bill_no"]).json()
    assert (found["state"], found["fail_reason"]) == ("FAIL", "OVERDUE_CLOSE")
    assert tap(wechat, package, body["openid"]).json() == {"code": "FAIL"}
    assert says(cancel(wechat, body["out_bill_no"])) == (400, "INVALID_REQUEST")


def test_the_name_is_compared_with_the_persons(wechat, simulator: Simulator):
    simulator.post("/_sim/wxpay/names", {"openid": "o-zhang", "name": "张三"})
    wrong = ask(wechat, openid="o-zhang", user_name=sealed(wechat, "李四")).json()
    assert (wrong["state"], wrong["fail_reason"]) == ("FAIL", "NAME_NOT_CORRECT")
    right = ask(wechat, openid="o-zhang", user_name=sealed(wechat, "张三")).json()
    assert right["state"] == "WAIT_USER_CONFIRM"


@pytest.mark.parametrize(
    "changed",
    [
        {"transfer_amount": 9},
        {"transfer_amount": 29, "user_name": "x"},
        {"transfer_amount": 200_000},
        {"user_name": "not encrypted"},
        {"out_bill_no": "has_underscore"},
        {"out_bill_no": "x" * 33},
        {"transfer_remark": "x" * 33},
        {"user_recv_perception": "工资"},
        {"transfer_scene_report_infos": None},
        {"transfer_scene_report_infos": [{"info_type": "活动名称", "info_content": "x"}]},
    ],
)
def test_wrong_fields(wechat, changed):
    assert says(ask(wechat, **changed)) == (400, "PARAM_ERROR")


def test_what_the_merchant_may_not(wechat, simulator: Simulator):
    assert says(ask(wechat, transfer_scene_id="1000")) == (403, "NO_AUTH")
    simulator.fault("wxpay", "transfer", "not_enough")
    assert says(ask(wechat)) == (403, "NOT_ENOUGH")
    assert says(query(wechat, number())) == (404, "NOT_FOUND")
    assert says(ask(wechat, appid="wx-another")) == (400, "APPID_MCHID_NOT_MATCH")
