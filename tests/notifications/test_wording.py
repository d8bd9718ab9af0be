"""What patients are told: the texts in the files, and the rules that a text may break."""

import re
from datetime import date

import pytest

from notifications.wording import (
    FIELD_LIMITS,
    SMS_FORBIDDEN,
    WARNING_AGAINST_FRAUD,
    catalogue,
    wording,
    wording_of,
)

GOOD_SMS = {
    "text": "{1}您好，已收到{2}元。咨询电话{3}。我们不会索要密码或验证码。",
    "values": ["name", "amount", "hotline"],
}
GOOD_PAGE = {"page": "pages/a", "fields": {"thing1": "{hospital}", "amount2": "¥{amount}"}}

TOLD = {
    "DEPOSIT_PAID",
    "VISIT_PAID",
    "DAILY_BILL",
    "DAILY_BILL_CORRECTED",
    "SETTLED",
    "REFUND_REQUESTED",
    "REFUND_ACCEPTED",
    "REFUND_DECLINED",
    "REFUND_SENT",
    "REFUND_ARRIVED",
    "REFUND_FAILED",
    "TRANSFER_TO_CONFIRM",
    "PAYMENT_DUE",
    "AID_DECIDED",
    "LINE_ANSWERED",
    "CLEARANCE_NOTICE",
    "EXCESS_OFFERED",
}


def filled(template, **values):
    """The SMS as the patient reads it."""
    words = wording_of(template)
    given = words.complete(values) | {"name": "张*丰", "hospital": "示范医院", "hotline": "0851-1"}
    return re.sub(r"\{(\d)\}", lambda m: words.sms.fill(given)[int(m[1]) - 1], words.sms.text)


def test_there_are_words_for_everything_that_is_told():
    assert catalogue().keys() == TOLD


@pytest.mark.parametrize("template", sorted(TOLD))
def test_a_text_keeps_the_rules(template):
    words = wording_of(template)
    assert WARNING_AGAINST_FRAUD in words.sms.text
    assert "hotline" in words.sms.values
    assert words.sms.values[0] == "name"
    assert not [word for word in SMS_FORBIDDEN if word in words.sms.text]
    for field in words.subscription.fields:
        assert field.rstrip("0123456789") in FIELD_LIMITS


@pytest.mark.clause("GZ-7", "T8")
def test_the_refund_sms_says_all_that_it_must_and_nothing_that_it_may_not():
    said = filled("REFUND_SENT", amount_fen=12050)
    assert said == (
        "张*丰您好，您的退款120.50元已退往原支付渠道，预计1至3个工作日到账。"
        "咨询电话0851-1。我们不会索要密码或验证码。"
    )
    cash = filled("REFUND_SENT", amount_fen=12050, route="收费窗口现金", arrival="当天")
    assert "已退往收费窗口现金，预计当天到账" in cash


@pytest.mark.clause("CQ-5.3", "T4")
def test_no_text_can_hold_a_diagnosis():
    for name in TOLD:
        words = wording_of(name)
        with_more = dict.fromkeys(words.needs, "1") | {"diagnosis": "急性阑尾炎", "id_no": "9901"}
        kept = words.complete(with_more)
        assert kept.keys() == words.needs
        texts = [words.sms.text, *words.subscription.fields.values()]
        assert not [text for text in texts if re.search("诊断|疾病|病种|科室|身份证号|卡号", text)]


def test_values_are_written_as_people_read_them():
    words = wording_of("DAILY_BILL")
    assert words.complete({"day": date(2026, 11, 21), "total_fen": 312472}) == {
        "day": "2026-11-21",
        "total": "3124.72",
    }
    given = {"day": "2026-11-21", "total": "3124.72", "hospital": "示范医院", "name": "张*丰"}
    assert words.subscription.fill(given) == (
        "pages/bill/day?day=2026-11-21",
        {
            "thing1": "示范医院",
            "name2": "张*丰",
            "date3": "2026-11-21",
            "amount4": "¥3124.72",
            "thing5": "点开查看每日费用明细",
        },
    )


def test_a_missing_value_is_named():
    with pytest.raises(ValueError, match="not given: day"):
        wording_of("DAILY_BILL").complete({"total": "1.00"})


def test_an_unknown_template_is_named():
    with pytest.raises(ValueError, match="no words for GOOD_MORNING"):
        wording_of("GOOD_MORNING")


@pytest.mark.parametrize(
    ("sms", "page", "why"),
    [
        ({"text": GOOD_SMS["text"].replace("{2}元", "¥{2}")}, {}, "may not stand"),
        ({"text": GOOD_SMS["text"].replace("您好", "您好，医疗费")}, {}, "may not stand"),
        ({"text": "【医院】" + GOOD_SMS["text"]}, {}, "may not stand"),
        ({"text": GOOD_SMS["text"] + "http://x.example"}, {}, "may not stand"),
        ({"text": GOOD_SMS["text"].replace("您好，已收到", "")}, {}, "side by side"),
        ({"text": GOOD_SMS["text"].replace("{3}", "{4}")}, {}, "do not match"),
        ({"values": ["name", "amount"]}, {}, "do not match"),
        ({"text": GOOD_SMS["text"] + "很长" * 230}, {}, "too long for an SMS"),
        ({"text": GOOD_SMS["text"].replace("索要", "问")}, {}, "warning against fraud"),
        ({"values": ["name", "amount", "receipt"]}, {}, "hotline"),
        ({"values": ["diagnosis", "amount", "hotline"]}, {}, "unknown values"),
        ({}, {"fields": {"poem1": "{hospital}"}}, "no field type"),
        ({}, {"fields": {"thing1": "很长" * 11}}, "thing1 is too long"),
        ({}, {"fields": {"thing1": "{diagnosis}"}}, "unknown values"),
        ({}, {"page": "pages/a?openid={openid}"}, "unknown values"),
    ],
)
def test_a_text_that_breaks_a_rule_is_not_taken(sms, page, why):
    with pytest.raises(ValueError, match=why) as refused:
        wording("ONE", GOOD_SMS | sms, GOOD_PAGE | page)
    assert str(refused.value).startswith("ONE: ")


def test_a_text_that_breaks_none_is_taken():
    assert wording("ONE", GOOD_SMS, GOOD_PAGE).needs == {"amount"}
