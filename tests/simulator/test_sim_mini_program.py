"""The mini-program server API: login, token, phone, subscription messages, URL link."""

from typing import Any

import pytest
import requests

from tests.sim_process import Simulator

TEMPLATE = "tmpl-daily-bill-0123456789"


class MiniClient:
    """A mini-program's server in a few lines."""

    def __init__(self, simulator: Simulator, code: str = "GZ01") -> None:
        self.settings = simulator.connections(code)["mini_program"]
        self.url = self.settings["base_url"]

    def login(self, js_code: str, **changed: str) -> dict[str, Any]:
        given = {
            "appid": self.settings["appid"],
            "secret": self.settings["secret"],
            "js_code": js_code,
            "grant_type": "authorization_code",
        } | changed
        return requests.get(f"{self.url}/sns/jscode2session", given, timeout=5).json()

    def token(self, **changed: Any) -> dict[str, Any]:
        asked = {
            "grant_type": "client_credential",
            "appid": self.settings["appid"],
            "secret": self.settings["secret"],
        } | changed
        return requests.post(f"{self.url}/cgi-bin/stable_token", json=asked, timeout=5).json()

    def post(self, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
        token = token or self.token()["access_token"]
        url = f"{self.url}{path}?access_token={token}"
        answer = requests.post(url, json=body, timeout=5)
        assert answer.status_code == 200
        return answer.json()

    def send(self, openid: str, data: dict[str, str], **changed: Any) -> dict[str, Any]:
        message = {
            "touser": openid,
            "template_id": TEMPLATE,
            "page": "pages/bill/day",
            "data": {name: {"value": value} for name, value in data.items()},
            "miniprogram_state": "developer",
            "lang": "zh_CN",
        }
        return self.post("/cgi-bin/message/subscribe/send", message | changed)


@pytest.fixture
def mini(simulator: Simulator) -> MiniClient:
    return MiniClient(simulator)


def test_a_login_code_is_good_once_and_for_five_minutes(
    simulator: Simulator, mini: MiniClient
) -> None:
    code, late = simulator.login_code("o-zhang"), simulator.login_code("o-zhang")
    session = mini.login(code)
    assert (session["openid"], "session_key" in session, "errcode" in session) == (
        "o-zhang",
        True,
        False,
    )
    assert mini.login(code)["errcode"] == 40163
    assert mini.login("never-given")["errcode"] == 40029
    simulator.shift(301)
    assert mini.login(late)["errcode"] == 40029


def test_a_login_needs_the_secret(simulator: Simulator, mini: MiniClient) -> None:
    code = simulator.login_code("o-zhang")
    assert mini.login(code, secret="wrong")["errcode"] == 40125
    assert mini.login(code, appid="wx00")["errcode"] == 40013
    assert mini.login(code, grant_type="x")["errcode"] == 40097
    assert mini.login(code)["openid"] == "o-zhang"


def test_the_token_stays_the_same_until_its_last_five_minutes(
    simulator: Simulator, mini: MiniClient
) -> None:
    first = mini.token(force_refresh=True)
    assert first["expires_in"] == 7200
    assert mini.token()["access_token"] == first["access_token"]

    simulator.shift(6890)
    assert mini.token()["access_token"] == first["access_token"]
    simulator.shift(6910)
    second = mini.token()["access_token"]
    assert second != first["access_token"]
    asked = {"path": "pages/index", "query": ""}
    for token in (first["access_token"], second):
        assert mini.post("/wxa/generate_urllink", asked, token)["errcode"] == 0
    simulator.shift(7210)
    assert mini.post("/wxa/generate_urllink", asked, first["access_token"])["errcode"] == 42001
    assert mini.post("/wxa/generate_urllink", asked, second)["errcode"] == 0


def test_a_stolen_token_is_not_valid(simulator: Simulator, mini: MiniClient) -> None:
    token = mini.token()["access_token"]
    requests.delete(f"{simulator.url}/_sim/mini-program/tokens", timeout=5)
    refused = mini.post("/wxa/generate_urllink", {"path": "p"}, token)
    assert refused["errcode"] == 40001
    assert "rid: " in refused["errmsg"]


def test_the_phone_behind_the_button(simulator: Simulator, mini: MiniClient) -> None:
    code = simulator.phone_code("13800000000")
    info = mini.post("/wxa/business/getuserphonenumber", {"code": code})["phone_info"]
    assert info["purePhoneNumber"] == "13800000000"
    assert info["watermark"]["appid"] == mini.settings["appid"]
    again = mini.post("/wxa/business/getuserphonenumber", {"code": code})
    assert again["errcode"] == 40163


def test_each_acceptance_buys_one_message(simulator: Simulator, mini: MiniClient) -> None:
    simulator.subscribe("o-li", TEMPLATE, 2)
    data = {"thing1": "贵州示范医院", "amount3": "¥3124.72"}

    codes = [mini.send("o-li", data)["errcode"] for _ in range(3)]

    assert codes == [0, 0, 43101]
    assert [each["data"] for each in simulator.wechat_messages("o-li")] == [data, data]


def test_a_long_term_acceptance_is_never_used_up(simulator: Simulator, mini: MiniClient) -> None:
    simulator.subscribe("o-long", TEMPLATE, 0, long_term=True)
    assert [mini.send("o-long", {"thing1": "x"})["errcode"] for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"thing1": "字" * 20}, {"thing1": "字" * 21}),
        ({"amount2": "¥1234567.50"}, {"amount2": "¥3,124.72"}),
        ({"amount2": "12元"}, {"amount2": "十二元"}),
        ({"time3": "2026年10月1日 15:01"}, {"time3": "昨天"}),
        ({"date4": "2026-10-28"}, {"date4": "10-28"}),
        ({"date4": "2026年10月28日"}, {"date4": "2026.10.28"}),
        ({"phrase5": "已受理"}, {"phrase5": "已经受理完成"}),
        ({"character_string6": "RC-2026/01"}, {"character_string6": "收据01"}),
        ({"number7": "12.5"}, {"number7": "12天"}),
        ({"name8": "张*"}, {"name8": "一二三四五六七八九十一"}),
        ({"phone_number9": "0851-1234567"}, {"phone_number9": "电话123"}),
        ({"thing1": "x"}, {"thing1": ""}),
        ({"thing1": "x"}, {"unknown1": "x"}),
    ],
)
def test_a_wrong_value_is_named(
    simulator: Simulator, mini: MiniClient, good: dict[str, str], bad: dict[str, str]
) -> None:
    simulator.subscribe("o-values", TEMPLATE, 1)
    refused = mini.send("o-values", bad)
    assert refused["errcode"] == 47003
    assert f"data.{next(iter(bad))}" in refused["errmsg"]
    assert mini.send("o-values", good)["errcode"] == 0


def test_whom_what_and_where(simulator: Simulator, mini: MiniClient) -> None:
    simulator.subscribe("o-wang", TEMPLATE)
    data = {"thing1": "x"}
    assert mini.send("o-nobody-at-all", data)["errcode"] == 40003
    assert mini.send("o-wang", data, template_id="no")["errcode"] == 40037
    assert mini.send("o-wang", data, page="/pages/x")["errcode"] == 41030
    assert mini.send("o-wang", data, miniprogram_state="beta")["errcode"] == 40097
    assert mini.send("o-wang", data)["errcode"] == 0


def test_a_url_link(mini: MiniClient) -> None:
    link = mini.post("/wxa/generate_urllink", {"path": "pages/bill", "expire_interval": 30})
    assert link["url_link"].startswith("https://wxaurl.cn/")
    too_long = mini.post("/wxa/generate_urllink", {"path": "p", "expire_interval": 31})
    assert too_long["errcode"] == 85400


def test_faults(simulator: Simulator, mini: MiniClient) -> None:
    simulator.subscribe("o-fault", TEMPLATE)
    simulator.fault("mini-program", "subscribe_send", "refuse", errcode=45009)
    assert mini.send("o-fault", {"thing1": "x"})["errcode"] == 45009
    simulator.fault("mini-program", "subscribe_send", "after")
    with pytest.raises(requests.ConnectionError):
        mini.send("o-fault", {"thing1": "x"})
    assert len(simulator.wechat_messages("o-fault")) == 1
