"""What WeChat Pay told us is kept as it came, and is proven again from what is stored."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from journeys import notices
from models.db import Session, rows
from tests import genuine
from tests.arrivals import FEN, given_back, kept_ids, post, scanned
from tests.served import Served

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
SPOILED = {
    "a nonce": ("proof = jsonb_set(proof, '{wechatpay-nonce}', '\"other\"')", "BAD_SIGNATURE"),
    "a header that is gone": ("proof = proof - 'wechatpay-timestamp'", "NO_TIMESTAMP"),
    "another key": (
        "proof = jsonb_set(proof, '{wechatpay-serial}', '\"PUB_KEY_ID_2\"')",
        "UNKNOWN_SERIAL",
    ),
    "no bytes": ("body = NULL", "NO_BYTES"),
    "no headers": ("proof = NULL", "NO_BYTES"),
    "another moment": ("received_at = received_at + interval '1 hour'", "NOT_FRESH"),
    "another amount": ("answer = jsonb_set(answer, '{amount_fen}', '1')", "OTHER_WORDS"),
    "another order": ("number = 'f00'", "OTHER_WORDS"),
    "another event": ("event = 'TRANSACTION.SUCCESS:f00'", "OTHER_WORDS"),
    "another subject": ("subject = 'refund'", "OTHER_WORDS"),
}


def doubts(served: Served) -> list[str]:
    """Why each kept notice of the hospital is not proven; empty for one that is."""
    stage = served.stage
    proven = notices.prove_notices(stage.outside, stage.hospital_id, page_size=1)
    return [doubt for _, doubt in proven]


def paid(served: Served) -> tuple[str, bytes]:
    """The number and the body of a genuine notice that was kept."""
    _, order_id = scanned(served)
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, order_id.hex, FEN, now)
    told["payer"] = {"openid": OPENID}
    headers, body = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
    assert post(served, headers, body).status_code == 204
    return order_id.hex, body


def change(number: str, what: str) -> None:
    with Session.begin() as db:
        (notice_id,) = kept_ids(number)
        sql = f"UPDATE channel_notice SET {what} WHERE id = :id"  # noqa: S608 - our own words
        assert db.execute(text(sql), {"id": notice_id}).rowcount == 1


def test_every_notice_of_a_payment_and_its_refund_is_proven_from_what_is_stored(
    served: Served,
) -> None:
    stay, order_id = scanned(served, fault="duplicate", copies=2)
    served.told(order_id.hex)
    served.run_jobs()
    _, leg = given_back(served, stay, fault="")
    served.told(leg.number)
    served.run_jobs()
    told = {
        "mch_id": genuine.payment(served.simulator, "", 0, served.stage.clock.now())["mchid"],
        "out_bill_no": "f00",
        "transfer_bill_no": "1330000071100999991182020050700019480001",
        "state": "FAIL",
        "fail_reason": "ACCOUNT_FROZEN",
        "transfer_amount": 100,
        "openid": OPENID,
    }
    now = served.stage.clock.now()
    sent = genuine.notice(served.simulator, "MCHTRANSFER.BILL.FINISHED", told, now)
    assert post(served, *sent, subject="transfer").status_code == 204
    assert doubts(served) == ["", "", ""]
    served.stage.clock.forward(days=400)
    assert doubts(served) == ["", "", ""]


def test_the_bytes_are_those_that_came_and_nobody_is_in_clear_in_them(served: Served) -> None:
    number, body = paid(served)
    (row,) = rows(
        "SELECT body, cast(n AS text) AS row FROM channel_notice n WHERE number = :number",
        number=number,
    )
    assert bytes(row["body"]) == body
    assert OPENID.encode() not in body
    assert OPENID not in row["row"]
    assert OPENID.encode().hex() not in row["row"]


def test_a_byte_flipped_anywhere_is_found(served: Served) -> None:
    number, body = paid(served)
    dice = random.Random(20251130)
    for place in dice.sample(range(len(body)), 25):
        flip = f"body = set_byte(body, {place}, get_byte(body, {place}) # {1 << dice.randrange(8)})"
        change(number, flip)
        assert doubts(served) == ["BAD_SIGNATURE"]
        change(number, f"body = set_byte(body, {place}, {body[place]})")
        assert doubts(served) == [""]


@pytest.mark.parametrize(("what", "code"), SPOILED.values(), ids=SPOILED.keys())
def test_what_was_changed_beside_the_bytes_is_found(served: Served, what: str, code: str) -> None:
    number, _ = paid(served)
    paid(served)
    change(number, what)
    assert sorted(doubts(served)) == ["", code]


def test_a_notice_at_the_edge_of_its_age_is_proven_as_it_was_believed(served: Served) -> None:
    now = served.stage.clock.now().replace(microsecond=0)
    told = genuine.payment(served.simulator, "f00", FEN, now)
    sent = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
    moments = iter([now + timedelta(seconds=299), now + timedelta(seconds=301)])
    slow = replace(served.stage.outside, now=lambda: next(moments))
    assert notices.receive_notice(slow, *sent)
    assert doubts(served) == [""]


def test_the_command_names_what_is_not_proven(served: Served) -> None:
    run = served.house.app.test_cli_runner().invoke
    told = ["notices", "verify", "--hospital", served.house.code]
    paid(served)
    number, _ = paid(served)
    whole = run(args=told)
    assert (whole.exit_code, whole.output) == (0, "2 proven, 0 not\n")
    change(number, "body = set_byte(body, 0, 0)")
    broken = run(args=told)
    assert (broken.exit_code, broken.stdout) == (1, "1 proven, 1 not\n")
    assert broken.stderr == f"{kept_ids(number)[0]}: BAD_SIGNATURE\n"
