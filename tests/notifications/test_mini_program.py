"""The mini-program adapter: against the simulator, and its token against a peer that counts."""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import select

from models.db import Session, TransactionOpen, new_id
from models.wechat_token import WeChatToken
from notifications.senders.mini_program import MEANINGS, MiniProgram, fitted
from policies.outcome import Declined, NoAnswer, NotNow
from tests.peer import Says

VALUES = {"thing1": "示范医院", "amount2": "¥3124.72", "date3": "2026-11-21"}


@pytest.fixture
def mini(engine, known, clock):
    return MiniProgram(known.mini_program, clock.now)


@pytest.fixture
def counted(engine, known, clock, peer):
    """A mini-program of its own at a peer that gives tokens t1, t2, …"""
    settings = replace(known.mini_program, base_url=peer.url, appid=f"wx{new_id().hex[:16]}")
    return MiniProgram(settings, clock.now)


def as_json(fields):
    return Says(200, json.dumps(fields).encode(), {"Content-Type": "application/json"})


def token_of(asked):
    return parse_qs(urlsplit(asked.path).query)["access_token"][0]


def gives_tokens(peer, *, expires_in=7200, good=None):
    """Answer as WeChat: any token in ``good`` (default: the last one given) is taken."""
    given = []

    def answer(asked):
        if asked.path == "/cgi-bin/stable_token":
            given.append(f"t{len(given) + 1}")
            return as_json({"access_token": given[-1], "expires_in": expires_in})
        taken = token_of(asked) in (good if good is not None else given[-1:])
        return as_json({"errcode": 0} if taken else {"errcode": 40001, "errmsg": "rid: 1"})

    peer.answer = answer
    return given


# at the simulator


def test_who_logs_in(mini, simulator):
    code = simulator.login_code("o-zhang")
    assert mini.code_to_session(code) == "o-zhang"
    with pytest.raises(Declined) as no:
        mini.code_to_session(code)
    assert no.value.code == "CODE_USED"
    with pytest.raises(Declined) as no:
        mini.code_to_session("never-given")
    assert no.value.code == "CODE_INVALID"


def test_the_phone_behind_the_button(mini, simulator):
    assert mini.phone_number(simulator.phone_code("13800000000")) == "13800000000"


def test_a_message_for_each_acceptance(mini, simulator):
    simulator.subscribe("o-one", "DAILY_BILL")
    mini.send("o-one", "DAILY_BILL", "pages/bill/day?day=2026-11-21", VALUES)
    (sent,) = simulator.wechat_messages("o-one")
    assert sent["data"] == VALUES
    with pytest.raises(Declined) as no:
        mini.send("o-one", "DAILY_BILL", "pages/bill/day", VALUES)
    assert no.value.code == "NO_SUBSCRIPTION"


def test_long_and_empty_values_are_made_to_fit(mini, simulator):
    simulator.subscribe("o-long", "DAILY_BILL")
    long = {"thing1": "字" * 30, "name2": "", "character_string3": "R" * 40, "thing4": " "}
    mini.send("o-long", "DAILY_BILL", "pages/bill/day", long)
    (sent,) = simulator.wechat_messages("o-long")
    assert sent["data"]["thing1"] == "字" * 19 + "…"
    assert len(sent["data"]["character_string3"]) == 32
    assert (sent["data"]["name2"], sent["data"]["thing4"]) == ("*", "-")


def test_a_stolen_token_is_fetched_anew_and_the_message_sent_once(mini, simulator):
    simulator.subscribe("o-theft", "DAILY_BILL", 2)
    mini.send("o-theft", "DAILY_BILL", "pages/bill/day", VALUES)
    requests.delete(f"{simulator.url}/_sim/mini-program/tokens", timeout=5)
    mini.send("o-theft", "DAILY_BILL", "pages/bill/day", VALUES)
    assert len(simulator.wechat_messages("o-theft")) == 2


def test_a_link_into_the_mini_program(mini):
    assert mini.url_link("pages/bill/day", "day=2026-11-21").startswith("https://wxaurl.cn/")


@pytest.mark.parametrize("fault", ["after", "before", "error500_after", "error500_before"])
def test_a_lost_answer_is_unknown_and_not_repeated(mini, simulator, fault):
    openid = f"o-{fault}"
    simulator.subscribe(openid, "DAILY_BILL", 9)
    mini.url_link("pages/index", "")  # the token is there
    simulator.fault("mini-program", "subscribe_send", fault)
    with pytest.raises(NoAnswer):
        mini.send(openid, "DAILY_BILL", "pages/bill/day", VALUES)
    assert len(simulator.wechat_messages(openid)) == fault.endswith("after")


# the token


def test_one_token_serves_every_process_until_its_last_five_minutes(counted, known, clock, peer):
    given = gives_tokens(peer)
    other = MiniProgram(counted._settings, clock.now)
    for each in (counted, other, counted):
        each.send("o", "T", "pages/x", VALUES)
    assert given == ["t1"]
    clock.forward(seconds=7200 - 301)
    counted.send("o", "T", "pages/x", VALUES)
    assert given == ["t1"]
    clock.forward(seconds=2)
    counted.send("o", "T", "pages/x", VALUES)
    other.send("o", "T", "pages/x", VALUES)
    assert given == ["t1", "t2"]
    asked = [json.loads(each.body) for each in peer.asked if "stable" in each.path]
    assert not [each for each in asked if "force_refresh" in each]


def test_the_token_is_sealed_at_rest(counted, peer):
    gives_tokens(peer)
    counted.send("o", "T", "pages/x", VALUES)
    with Session() as db:
        row = db.scalars(select(WeChatToken).filter_by(appid=counted.appid)).one()
        assert row.token == "t1"
        assert b"t1" not in row.token_sealed


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_token_that_is_gone_is_replaced_once(counted, peer, errcode):
    tokens = gives_tokens(peer)
    counted.send("o", "T", "pages/x", VALUES)
    normal = peer.answer

    def refuse_the_first(asked):
        if "send" in asked.path and token_of(asked) == "t1":
            return as_json({"errcode": errcode, "errmsg": "rid: 1"})
        return normal(asked)

    peer.answer = refuse_the_first
    counted.send("o", "T", "pages/x", VALUES)
    assert tokens == ["t1", "t2"]
    assert [token_of(each) for each in peer.asked if "send" in each.path] == ["t1", "t1", "t2"]


def test_what_another_process_fetched_is_used_first(counted, clock, peer):
    tokens = gives_tokens(peer, good=["elsewhere"])
    with Session.begin() as db:
        WeChatToken.keep(db, counted.appid, "old", clock.now() + timedelta(hours=1))
    normal = peer.answer

    def meanwhile(asked):
        if token_of(asked) == "old":
            with Session.begin() as db:
                WeChatToken.keep(db, counted.appid, "elsewhere", clock.now() + timedelta(hours=1))
        return normal(asked)

    peer.answer = meanwhile
    counted.send("o", "T", "pages/x", VALUES)
    assert tokens == []


def test_a_token_that_is_refused_twice_is_not_now(counted, peer):
    tokens = gives_tokens(peer, good=[])
    with pytest.raises(NotNow) as later:
        counted.send("o", "T", "pages/x", VALUES)
    assert later.value.code == "TOKEN_REFUSED"
    assert tokens == ["t1", "t2"]


def test_nothing_is_locked_while_the_token_is_fetched(counted, clock, peer):
    """Two processes ask at once; a third keeps a token meanwhile and need not wait."""
    both = threading.Barrier(2, timeout=10)
    gives_tokens(peer, good=["t1", "t2"])
    normal = peer.answer

    def slow(asked):
        if "stable" in asked.path:
            both.wait()
            with Session.begin() as db:
                WeChatToken.keep(db, counted.appid, "t1", clock.now() + timedelta(minutes=1))
        return normal(asked)

    peer.answer = slow
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(counted.send, "o", "T", "pages/x", VALUES) for _ in range(2)]
        assert [each.result() for each in tries] == [None, None]


# answers


@pytest.mark.parametrize("errcode", MEANINGS)
def test_an_errcode_means_what_the_table_says(counted, peer, errcode):
    gives_tokens(peer)
    normal = peer.answer

    def refuse(asked):
        return normal(asked) if "stable" in asked.path else as_json({"errcode": errcode})

    peer.answer = refuse
    kind, code = MEANINGS[errcode]
    with pytest.raises(kind) as no:
        counted.send("o", "T", "pages/x", VALUES)
    assert no.value.code == code


def test_an_errcode_of_tomorrow_is_a_refusal(counted, peer):
    peer.answer = lambda _: as_json({"errcode": 99999, "errmsg": "new rid: 1"})
    with pytest.raises(Declined) as no:
        counted.code_to_session("code")
    assert (no.value.code, no.value.detail) == ("WECHAT_99999", "new rid: 1")


@pytest.mark.parametrize(
    "says",
    [
        Says(502),
        Says(302, headers={"Location": "/x"}),
        Says(200, b"<html>"),
        Says(200, b"[]"),
        Says(200, b"{}"),
    ],
)
def test_anything_else_is_no_answer(counted, peer, says):
    peer.answer = lambda _: says
    with pytest.raises(NoAnswer):
        counted.code_to_session("code")
    assert len(peer.asked) == 1


@pytest.mark.parametrize(
    ("info", "number"),
    [
        ({"purePhoneNumber": "13800000000", "countryCode": 86}, "13800000000"),
        ({"purePhoneNumber": "13800000000", "countryCode": "86"}, "13800000000"),
        ({"purePhoneNumber": "61234567", "countryCode": "852"}, "+85261234567"),
    ],
)
def test_phones_of_other_countries(counted, peer, info, number):
    gives_tokens(peer)
    normal = peer.answer
    told = as_json({"errcode": 0, "phone_info": info | {"watermark": {"appid": counted.appid}}})
    peer.answer = lambda asked: normal(asked) if "stable" in asked.path else told
    assert counted.phone_number("code") == number


def test_a_phone_given_to_another_mini_program_is_refused(counted, peer):
    gives_tokens(peer)
    normal = peer.answer
    info = {"purePhoneNumber": "13800000000", "watermark": {"appid": "wx-other"}}
    told = as_json({"errcode": 0, "phone_info": info})
    peer.answer = lambda asked: normal(asked) if "stable" in asked.path else told
    with pytest.raises(Declined) as no:
        counted.phone_number("code")
    assert no.value.code == "PHONE_OF_ANOTHER_APP"


def test_chinese_leaves_as_characters(counted, peer):
    gives_tokens(peer)
    counted.send("o", "T", "pages/x", VALUES)
    sent = peer.asked[-1]
    assert "示范医院".encode() in sent.body
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(sent.body)["miniprogram_state"] == counted._settings.state


def test_no_secret_is_logged_or_raised(counted, peer, caplog):
    caplog.set_level(logging.DEBUG)
    gives_tokens(peer)
    counted.send("o-somebody", "T", "pages/x", VALUES)
    peer.answer = lambda _: Says(hang_up=True)
    with pytest.raises(NoAnswer) as lost:
        counted.code_to_session("js-code-1")
    assert lost.value.__context__ is None
    for secret in (counted._settings.secret, "js-code-1", "access_token", "o-somebody"):
        assert secret not in caplog.text


def test_nobody_is_asked_while_a_transaction_is_open(counted, peer):
    with Session.begin(), pytest.raises(TransactionOpen):
        counted.send("o", "T", "pages/x", VALUES)
    assert peer.asked == []


@pytest.mark.parametrize(
    ("field", "text", "fits"),
    [
        ("thing1", "短", "短"),
        ("thing12", "字" * 20, "字" * 20),
        ("thing1", "字" * 21, "字" * 19 + "…"),
        ("phrase3", "已经受理完成", "已经受理完"),
        ("character_string4", "R" * 33, "R" * 32),
        ("name1", "  ", "*"),
        ("thing1", "", "-"),
    ],
)
def test_fitting(field, text, fits):
    assert fitted(field, text) == fits
