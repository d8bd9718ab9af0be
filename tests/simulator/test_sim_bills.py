"""WeChat Pay's daily bills."""

import gzip
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.sim_process import Simulator, wait_until
from tests.simulator.wechat_client import WeChatClient, number, says

BEIJING = timezone(timedelta(hours=8))
COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
    "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
_days = iter(range(200, 360, 3))  # what is still under way must not reach another test


def at(simulator: Simulator, day: datetime, hours: float) -> None:
    """Move the world to that hour of that Beijing day."""
    wanted = day + timedelta(hours=hours)
    simulator.shift((wanted - datetime.now(UTC)).total_seconds())


@pytest.fixture
def day(simulator: Simulator) -> datetime:
    """Midnight of a Beijing day that no other test uses; it is eleven in the morning."""
    today = datetime.now(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    day = today + timedelta(days=next(_days))
    at(simulator, day, 11)
    return day


def ask(wechat: WeChatClient, kind: str, day: datetime, more: str = "") -> Any:
    return wechat.call("GET", f"/v3/bill/{kind}?bill_date={day:%Y-%m-%d}{more}")


def download(wechat: WeChatClient, link: dict[str, str]) -> Any:
    path = link["download_url"].removeprefix(wechat.settings["base_url"])
    return wechat.call("GET", path)


def rows(text: str) -> list[dict[str, str]]:
    """The detail rows by column name."""
    header, *lines = text.split("\r\n")
    details = [line for line in lines[:-3] if line]
    names = header.split(",")
    return [dict(zip(names, line.removeprefix("`").split(",`"), strict=True)) for line in details]


def test_the_trade_bill(simulator: Simulator, wechat: WeChatClient, day: datetime) -> None:
    first = wechat.paid(12345, description="预交金,住院", attach="a,b")
    out_refund_no = number()
    wechat.refund(first, 345, 12345, out_refund_no)
    second = wechat.paid(1)
    wechat.jsapi(number())
    wait_until(lambda: wechat.query_refund(out_refund_no).json()["status"] == "SUCCESS")
    at(simulator, day, 34.5)

    link = ask(wechat, "tradebill", day).json()
    answer = download(wechat, link)

    text = answer.content.decode()
    assert "Wechatpay-Signature" not in answer.headers
    assert link["hash_type"] == "SHA1"
    assert link["hash_value"] == hashlib.sha1(answer.content).hexdigest()  # noqa: S324
    assert text.startswith(COLUMNS + "\r\n`")
    assert text.split("\r\n")[-3:] == [TOTALS, "`3,`123.46,`3.45,`0.00,`0.00,`123.46,`3.45", ""]
    found = rows(text)
    by_number = {(row["商户订单号"], row["交易状态"]): row for row in found}
    assert set(by_number) == {(first, "SUCCESS"), (first, "REFUND"), (second, "SUCCESS")}
    payment, refund = by_number[first, "SUCCESS"], by_number[first, "REFUND"]
    assert payment["订单金额"] == payment["应结订单金额"] == "123.45"
    assert (payment["商品名称"], payment["商户数据包"]) == ("预交金,住院", "a,b")
    assert payment["用户标识"] == "o-payer"
    assert payment["商户退款单号"] == "0"
    assert (refund["订单金额"], refund["应结订单金额"]) == ("0.00", "0.00")
    assert (refund["申请退款金额"], refund["退款金额"]) == ("3.45", "3.45")
    assert (refund["商户退款单号"], refund["退款状态"]) == (out_refund_no, "SUCCESS")
    assert payment["交易时间"].startswith(f"{day:%Y-%m-%d} 11:00:")


def test_packed(simulator: Simulator, wechat: WeChatClient, day: datetime) -> None:
    wechat.paid()
    at(simulator, day, 34.5)
    link = ask(wechat, "tradebill", day, "&tar_type=GZIP").json()
    answer = download(wechat, link)
    assert answer.headers["Content-Type"] == "application/x-gzip"
    content = gzip.decompress(answer.content)
    assert hashlib.sha1(content).hexdigest() == link["hash_value"]  # noqa: S324
    assert len(rows(content.decode())) == 1


def test_payments_only_and_refunds_only(
    simulator: Simulator, wechat: WeChatClient, day: datetime
) -> None:
    out_trade_no = wechat.paid()
    wechat.refund(out_trade_no, 1)
    at(simulator, day, 34.5)
    for kind, state in (("SUCCESS", "SUCCESS"), ("REFUND", "REFUND")):
        link = ask(wechat, "tradebill", day, f"&bill_type={kind}").json()
        [row] = rows(download(wechat, link).content.decode())
        assert (row["商户订单号"], row["交易状态"]) == (out_trade_no, state)
        assert ("退款申请时间" in row) == (kind == "REFUND")
        assert ("退款金额" in row) == (kind == "REFUND")


def test_the_fund_flow_bill(simulator: Simulator, wechat: WeChatClient, day: datetime) -> None:
    out_trade_no, out_refund_no = wechat.paid(5000), number()
    at(simulator, day, 12)
    wechat.refund(out_trade_no, 2000, 5000, out_refund_no)
    wait_until(lambda: wechat.query_refund(out_refund_no).json()["status"] == "SUCCESS")
    at(simulator, day, 34.5)

    text = download(wechat, ask(wechat, "fundflowbill", day).json()).content.decode()

    income, outgo = rows(text)
    assert len(income) == 11
    assert (income["收支类型"], income["收支金额(元)"]) == ("收入", "50.00")
    assert (income["业务名称"], income["业务凭证号"]) == ("交易", out_trade_no)
    assert (outgo["收支类型"], outgo["收支金额(元)"]) == ("支出", "20.00")
    assert outgo["业务凭证号"] == out_refund_no
    before, after = Decimal(income["账户结余(元)"]), Decimal(outgo["账户结余(元)"])
    assert before - after == 20
    assert text.split("\r\n")[-2] == "`2,`1,`50.00,`1,`20.00"


def test_when_there_is_a_bill(simulator: Simulator, wechat: WeChatClient, day: datetime) -> None:
    wechat.paid()
    assert says(ask(wechat, "tradebill", day)) == (400, "INVALID_REQUEST")
    at(simulator, day, 33.9)
    assert says(ask(wechat, "tradebill", day)) == (400, "STATEMENT_CREATING")
    at(simulator, day, 34.1)
    assert ask(wechat, "tradebill", day).status_code == 200
    simulator.fault("wxpay", "tradebill", "not_ready")
    assert says(ask(wechat, "tradebill", day)) == (400, "STATEMENT_CREATING")
    empty = day - timedelta(days=60)
    assert says(ask(wechat, "tradebill", empty)) == (400, "NO_STATEMENT_EXIST")
    assert says(ask(wechat, "fundflowbill", empty)) == (400, "NO_STATEMENT_EXIST")
    at(simulator, day, 24 * 100)
    assert says(ask(wechat, "tradebill", day)) == (400, "INVALID_REQUEST")
    assert says(ask(wechat, "tradebill", day, "&tar_type=ZIP")) == (400, "PARAM_ERROR")
    assert says(wechat.call("GET", "/v3/bill/tradebill?bill_date=today")) == (400, "PARAM_ERROR")


def test_a_link_is_signed_for_and_short_lived(
    simulator: Simulator, wechat: WeChatClient, day: datetime
) -> None:
    wechat.paid()
    at(simulator, day, 34.5)
    link = ask(wechat, "tradebill", day).json()
    assert says(download(WeChatClient(simulator, "CQ01"), link)) == (400, "PARAM_ERROR")
    path = link["download_url"].removeprefix(wechat.settings["base_url"])
    assert says(wechat.call("GET", path, Authorization=None)) == (401, "SIGN_ERROR")
    at(simulator, day, 34.6)
    assert says(download(wechat, link)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("fault", "count", "total"),
    [("missing_row", 1, "2.00"), ("extra_row", 3, "5.00"), ("wrong_amounts", 2, "3.01")],
)
def test_planted_differences(
    simulator: Simulator,
    wechat: WeChatClient,
    day: datetime,
    fault: str,
    count: int,
    total: str,
) -> None:
    wechat.paid(100)
    at(simulator, day, 12)
    wechat.paid(200)
    at(simulator, day, 34.5)
    simulator.fault("wxpay", "tradebill", fault)

    text = download(wechat, ask(wechat, "tradebill", day).json()).content.decode()
    honest = download(wechat, ask(wechat, "tradebill", day).json()).content.decode()

    assert (len(rows(text)), text.split("\r\n")[-2].split(",`")[1]) == (count, total)
    assert len(rows(honest)) == 2
