"""Tencent Cloud SMS: signatures, templates, limits, receipts; and the page that shows it all."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sim_process import Simulator, wait_until
from tests.simulator.receiver import Receiver
from tests.simulator.wechat_client import WeChatClient

PHONE = "+8613800000001"


class SmsClient:
    """TC3-HMAC-SHA256 in a few lines."""

    def __init__(self, simulator: Simulator, code: str = "GZ01") -> None:
        self.simulator, self.settings = simulator, simulator.connections(code)["sms"]

    def call(self, action: str, body: dict[str, Any], **changed: str) -> dict[str, Any]:
        text = json.dumps(body)
        stamp = changed.get("stamp") or str(int(time.time() + self.simulator.shifted))
        day = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d")
        host = changed.get("host", self.settings["endpoint"])
        digest = hashlib.sha256(text.encode()).hexdigest()
        names = "content-type;host"
        head = f"content-type:application/json\nhost:{host}\n"
        canonical = f"POST\n/\n\n{head}\n{names}\n{digest}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{hashed}"
        key = ("TC3" + changed.get("secret_key", self.settings["secret_key"])).encode()
        for part in (day, "sms", "tc3_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        secret_id = changed.get("secret_id", self.settings["secret_id"])
        answer = requests.post(
            f"{self.settings['scheme']}://{self.settings['endpoint']}/",
            data=changed.get("sent", text).encode(),
            headers={
                "Content-Type": "application/json",
                "X-TC-Action": action,
                "X-TC-Version": "2021-01-11",
                "X-TC-Timestamp": stamp,
                "X-TC-Region": "ap-guangzhou",
                "Authorization": (
                    f"TC3-HMAC-SHA256 Credential={secret_id}/{day}/sms/tc3_request, "
                    f"SignedHeaders={names}, Signature={signature}"
                ),
            },
            timeout=5,
        )
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        return answer.json()["Response"]

    def body(self, phone: str, values: list[str], **changed: Any) -> dict[str, Any]:
        return {
            "PhoneNumberSet": [phone],
            "SmsSdkAppId": self.settings["sdk_app_id"],
            "TemplateId": self.settings["templates"]["PAID"],
            "SignName": self.settings["sign_name"],
            "TemplateParamSet": values,
            "SessionContext": "key-1",
        } | changed

    def send(self, phone: str, values: list[str], **changed: Any) -> dict[str, Any]:
        return self.call("SendSms", self.body(phone, values, **changed))

    def verdict(self, phone: str, values: list[str], **changed: Any) -> str:
        code: str = self.send(phone, values, **changed)["SendStatusSet"][0]["Code"]
        return code

    def pulled(self, phone: str) -> list[dict[str, Any]]:
        asked = {
            "BeginTime": int(time.time()) - 3600,
            "Offset": 0,
            "Limit": 100,
            "PhoneNumber": phone,
            "SmsSdkAppId": self.settings["sdk_app_id"],
        }
        found = self.call("PullSmsSendStatusByPhoneNumber", asked)
        return found["PullSmsSendStatusSet"]


@pytest.fixture
def sms(simulator: Simulator) -> SmsClient:
    return SmsClient(simulator)


def test_a_message_arrives_as_the_approved_text(simulator: Simulator, sms: SmsClient) -> None:
    status = sms.send(PHONE, ["张*", "500.00"])["SendStatusSet"][0]
    assert (status["Code"], status["PhoneNumber"], status["Fee"]) == ("Ok", PHONE, 1)
    assert status["SessionContext"] == "key-1"
    [arrived] = simulator.outbox(PHONE)
    assert arrived["text"] == "【贵州示范医院】张*您好，已收到预交金500.00元。"
    assert arrived["serial_no"] == status["SerialNo"]
    assert (arrived["hospital"], arrived["template"]) == ("GZ01", "PAID")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"secret_key": "wrong"}, "AuthFailure.SignatureFailure"),
        ({"secret_id": "AKID0"}, "AuthFailure.SecretIdNotFound"),
        ({"host": "127.0.0.1"}, "AuthFailure.SignatureFailure"),
        ({"sent": "{}"}, "AuthFailure.SignatureFailure"),
        ({"stamp": "1790000000"}, "AuthFailure.SignatureExpire"),
    ],
)
def test_who_may_send(
    simulator: Simulator, sms: SmsClient, changed: dict[str, str], code: str
) -> None:
    body = sms.body("+8613800000009", ["a", "1"])
    assert sms.call("SendSms", body, **changed)["Error"]["Code"] == code
    assert simulator.outbox("+8613800000009") == []


def test_unknown_actions_and_applications(sms: SmsClient) -> None:
    body = sms.body(PHONE, ["a", "1"], SmsSdkAppId="1400000000")
    assert sms.call("SendEmail", body)["Error"]["Code"] == "InvalidAction"
    refused = sms.call("SendSms", body)["Error"]["Code"]
    assert refused == "UnauthorizedOperation.SmsSdkAppIdVerifyFail"


@pytest.mark.parametrize(
    ("phone", "values", "changed", "code"),
    [
        ("13800000002", ["a", "1"], {}, "InvalidParameterValue.IncorrectPhoneNumber"),
        ("+8612800000002", ["a", "1"], {}, "InvalidParameterValue.IncorrectPhoneNumber"),
        (PHONE, ["a"], {}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        (PHONE, ["a", "1", "2"], {}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        (PHONE, ["a", ""], {}, "InvalidParameterValue.TemplateParameterFormatError"),
        (PHONE, ["a", 1], {}, "InvalidParameterValue.TemplateParameterFormatError"),
        (PHONE, ["a", "x" * 21], {}, "InvalidParameterValue.TemplateParameterLengthLimit"),
        (
            PHONE,
            ["a", "https://wxaurl.cn/x"],
            {},
            "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter",
        ),
        (
            PHONE,
            ["a", "wxaurl.cn/x"],
            {},
            "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter",
        ),
        (PHONE, ["a", "¥5"], {}, "FailedOperation.ContainSensitiveWord"),
        (PHONE, ["【a】", "5"], {}, "FailedOperation.ContainSensitiveWord"),
        (
            PHONE,
            ["a", "1"],
            {"TemplateId": "1"},
            "FailedOperation.TemplateIncorrectOrUnapproved",
        ),
        (
            PHONE,
            ["a", "1"],
            {"SignName": "别的医院"},
            "FailedOperation.SignatureIncorrectOrUnapproved",
        ),
    ],
)
def test_each_number_is_refused_by_its_own_code(
    sms: SmsClient, phone: str, values: list[str], changed: dict[str, str], code: str
) -> None:
    assert sms.verdict(phone, values, **changed) == code


def test_two_numbers_two_verdicts(sms: SmsClient) -> None:
    body = sms.body("", ["a", "1"], PhoneNumberSet=["+8613800000003", "x"])
    codes = [each["Code"] for each in sms.call("SendSms", body)["SendStatusSet"]]
    assert codes == ["Ok", "InvalidParameterValue.IncorrectPhoneNumber"]


def test_the_same_words_not_twice_in_thirty_seconds_nor_eleven_times_a_day(
    simulator: Simulator, sms: SmsClient
) -> None:
    phone = "+8613800000004"
    assert sms.verdict(phone, ["a", "1"]) == "Ok"
    assert sms.verdict(phone, ["a", "1"]) == "LimitExceeded.PhoneNumberThirtySecondLimit"
    assert sms.verdict(phone, ["a", "2"]) == "Ok"
    for time_of_day in range(1, 10):
        simulator.shift(time_of_day * 40)
        assert sms.verdict(phone, ["a", "1"]) == "Ok"
    simulator.shift(800)
    daily = "LimitExceeded.PhoneNumberSameContentDailyLimit"
    assert sms.verdict(phone, ["a", "1"]) == daily
    simulator.settings(sms_limits=False)
    assert sms.verdict(phone, ["a", "1"]) == "Ok"


def test_receipts_are_posted_and_can_be_pulled(
    simulator: Simulator, sms: SmsClient, receiver: Receiver
) -> None:
    simulator.settings(app_url=receiver.url.removesuffix("/notify"))
    phone = "+8613800000005"
    serial_no = sms.send(phone, ["a", "1"])["SendStatusSet"][0]["SerialNo"]
    wait_until(lambda: receiver.received)

    # A receipt of an earlier test that was being posted just now may come too.
    [report] = wait_until(
        lambda: [
            each
            for got in receiver.received
            for each in json.loads(got.body)
            if each["sid"] == serial_no
        ][:1]
    )
    assert receiver.received[0].path == f"/sms/receipts/GZ01/{sms.settings['receipt_token']}"
    assert report["mobile"] == "13800000005"
    assert (report["report_status"], report["errmsg"]) == ("SUCCESS", "DELIVRD")
    [pulled] = sms.pulled(phone)
    assert (pulled["SerialNo"], pulled["ReportStatus"]) == (serial_no, "SUCCESS")
    assert pulled["SubscriberNumber"] == "13800000005"
    assert sms.pulled("+8613999999999") == []


@pytest.mark.parametrize(
    ("fault", "statuses"), [("failed", ["FAIL"]), ("duplicate", ["SUCCESS"] * 2), ("drop", [])]
)
def test_receipts_go_wrong(
    simulator: Simulator, sms: SmsClient, receiver: Receiver, fault: str, statuses: list[str]
) -> None:
    simulator.settings(app_url=receiver.url.removesuffix("/notify"))
    receiver.statuses = [200] * 9
    simulator.fault("sms", "receipt", fault)
    phone = f"+86137000000{len(fault):02d}"
    sms.send(phone, ["a", "1"])
    wait_until(lambda: sms.pulled(phone))
    wait_until(lambda: len(receiver.received) == len(statuses))
    told = [json.loads(each.body)[0]["report_status"] for each in receiver.received]
    assert told == statuses


def test_refusals_can_be_planned(simulator: Simulator, sms: SmsClient) -> None:
    simulator.fault("sms", "SendSms", "refuse", code="InternalError.OtherError")
    assert sms.send(PHONE, ["b", "1"])["Error"]["Code"] == "InternalError.OtherError"
    code = "LimitExceeded.DeliveryFrequencyLimit"
    simulator.fault("sms", "SendSms", "refuse", code=code, per_number=True)
    assert sms.verdict(PHONE, ["b", "1"]) == code


def test_sent_but_the_answer_is_lost(simulator: Simulator, sms: SmsClient) -> None:
    simulator.fault("sms", "SendSms", "after")
    with pytest.raises(requests.ConnectionError):
        sms.send("+8613800000006", ["a", "1"])
    assert len(simulator.outbox("+8613800000006")) == 1


@pytest.mark.parametrize(
    "text", ["{1}{2}您好", "{1}", "【医院】您好{1}", "您的医疗费{1}元", "共¥{1}", "您好{2}"]
)
def test_a_bad_template_is_not_approved(tmp_path: Path, text: str) -> None:
    from simulator import sms_templates

    with pytest.raises(ValueError, match="BAD would not be approved"):
        sms_templates.number_of("BAD", text)


def test_the_page_shows_what_happened_and_escapes_it(
    simulator: Simulator, sms: SmsClient, wechat: WeChatClient
) -> None:
    out_trade_no = wechat.paid(4321)
    sms.send("+8613800000007", ["<b>张", "1"])

    answer = requests.get(simulator.url, timeout=5)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert out_trade_no in answer.text
    assert "43.21" in answer.text
    assert "&lt;b&gt;张您好，已收到预交金1元。" in answer.text
    assert "<b>张" not in answer.text
    assert "+8613800000007" not in answer.text
    assert "http" not in answer.text
