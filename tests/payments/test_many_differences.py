"""Many differences of every kind in a big day's bill: each is found, and nothing else."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import cycle, islice
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, select, text

from models.db import Session, new_id, rows
from models.hospital import Hospital
from models.patient import Patient
from models.reconciliation import ReconciledDay
from payments.channels.wechat import WeChatPay
from payments.reconciliation import ONE_BY_ONE, reconcile
from policies.reconciliation import BillRow, Difference, Here, Kind, OwnRow, Sort, There
from simulator.wechat_bills import COLUMNS, TOTALS, table, yuan
from tests import planted
from tests.figures import SEED, Figures, size
from tests.payments import wechat_keys as keys
from tests.payments.wechat_calls import NOW
from tests.peer import Asked, Peer, Says
from tests.planted import DAY, Books

SECONDS = 60
"""Of our own CPU; a bound that a slow machine meets too. The figure says what it took."""

MCHID = keys.settings("http://127.0.0.1:9").mchid

STATES = {
    Sort.PAYMENT: {"PAID": "PAID", "OPEN": "WAITING", "OVER": "CLOSED", "NOT_DONE": "REFUSED"},
    Sort.REFUND: {"PAID": "PAID", "OPEN": "PROCESSING", "OVER": "CLOSED", "NOT_DONE": "PLANNED"},
}
TRADES = {Sort.PAYMENT: "SUCCESS", Sort.REFUND: "REFUND", Sort.REVERSAL: "REVOKED"}
OUTCOMES = {There.PAID: "SUCCESS", There.UNDER_WAY: "PROCESSING"}


@pytest.fixture
def held(engine: Engine) -> Iterator[Callable[[list[OwnRow]], UUID]]:
    """Makes a hospital that holds these rows; they are gone afterwards: what is open among them
    would be swept by other tests."""
    made: list[UUID] = []

    def make(own: list[OwnRow]) -> UUID:
        made.append(hospital_with(own))
        return made[-1]

    yield make
    with Session.begin() as db:
        for table_ in ("payment_order", "refund_leg", "refund"):
            db.execute(
                text(f"DELETE FROM {table_} WHERE hospital_id = ANY(:made)"),  # noqa: S608
                {"made": made},
            )


def test_every_planted_difference_is_found_and_nothing_else(
    held: Callable[[list[OwnRow]], UUID], peer: Peer, pay: WeChatPay, figures: Figures
) -> None:
    many, wanted = size(2_000, 100_000), size(40, 200)
    kinds = [each for each in Kind if each != Kind.TOTALS]
    spoiled, must_be_found = planted.plant(
        planted.books(many, SEED), list(islice(cycle(kinds), wanted)), SEED
    )
    assert Counter(each.kind for each in must_be_found) == dict.fromkeys(
        kinds, wanted // len(kinds)
    )
    hospital_id = held(spoiled.own)
    offered(peer, written(spoiled))
    began, busy = time.monotonic(), time.process_time()
    assert reconcile(hospital_id, pay, DAY, lambda: NOW) == "DIFFERS"
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    assert found(hospital_id) == Counter(must_be_found)
    assert len(tasks(hospital_id)) == wanted
    before = tasks(hospital_id)
    reconcile(hospital_id, pay, DAY, lambda: NOW)
    assert (found(hospital_id), tasks(hospital_id)) == (Counter(must_be_found), before)
    assert busy < SECONDS
    figures.add(
        "reconciliation",
        f"{wanted} differences of {len(kinds)} kinds planted in a WeChat bill of {many:,} rows,"
        " with payments and refunds that stand on another day here, refunds under way and payment"
        " codes taken back among them; compared twice",
        "exactly the planted ones are found, each one work item, with both amounts to the fen",
        f"{wanted} of {wanted} found, 0 false, {seconds:.1f} s, of which {busy:.1f} s CPU here",
    )


def test_a_bill_that_was_wrong_and_is_right_again(
    held: Callable[[list[OwnRow]], UUID], peer: Peer, pay: WeChatPay
) -> None:
    """Every difference goes, with its work item, and both sides' sums are equal."""
    sound = planted.books(300, SEED + 1)
    only_there = [Kind.PAYMENT_NOT_HERE, Kind.PAYMENT_NOT_THERE, Kind.REFUND_AMOUNT, Kind.TOTALS]
    spoiled, must_be_found = planted.plant(sound, only_there, SEED)
    hospital_id = held(sound.own)
    offered(peer, written(spoiled))
    reconcile(hospital_id, pay, DAY, lambda: NOW)
    assert found(hospital_id) == Counter(must_be_found)
    offered(peer, written(Books(sound.bill, sound.own, planted.totals_of(sound.bill))))
    assert reconcile(hospital_id, pay, DAY, lambda: NOW + timedelta(days=1)) == "LEVEL"
    assert (found(hospital_id), tasks(hospital_id)) == (Counter(), [])
    with Session() as db:
        day = db.scalars(select(ReconciledDay).filter_by(hospital_id=hospital_id)).one()
    assert day.there_payments_fen == day.here_payments_fen > 0
    assert day.there_refunds_fen == day.here_refunds_fen > 0
    assert (day.there_payments, day.there_refunds) == (day.here_payments, day.here_refunds)


def test_a_bill_of_another_system_becomes_few_tasks(
    held: Callable[[list[OwnRow]], UUID], peer: Peer, pay: WeChatPay
) -> None:
    """Another system collects with the same merchant number: our own row that differs has its
    task, the strangers beyond ONE_BY_ONE share one, and all are listed."""
    ours, strangers = planted.books(40, SEED), planted.books(400, SEED + 2)
    spoiled, must_be_found = planted.plant(ours, [Kind.PAYMENT_AMOUNT], SEED)
    both = [*spoiled.bill, *strangers.bill]
    hospital_id = held(spoiled.own)
    offered(peer, written(Books(both, spoiled.own, planted.totals_of(both))))
    for _ in range(2):
        assert reconcile(hospital_id, pay, DAY, lambda: NOW) == "DIFFERS"
        differences = found(hospital_id)
        assert set(must_be_found) < set(differences)
        assert len(differences) > ONE_BY_ONE + 50
        assert len(tasks(hospital_id)) == ONE_BY_ONE + 1
        told = {row["facts"].get("kind") for row in work(hospital_id)}
        assert Kind.PAYMENT_AMOUNT in told
        (shared,) = [row for row in work(hospital_id) if "differences" in row["facts"]]
        assert shared["facts"]["differences"] == sum(differences.values()) - ONE_BY_ONE
    offered(peer, written(Books(ours.bill, ours.own, planted.totals_of(ours.bill))))
    assert reconcile(hospital_id, pay, DAY, lambda: NOW) == "LEVEL"
    assert tasks(hospital_id) == []


def found(hospital_id: UUID) -> Counter[Difference]:
    """The differences that are open."""
    return Counter(
        Difference(Kind(row["kind"]), row["number"], row["there_fen"], row["here_fen"])
        for row in rows(
            "SELECT * FROM reconciliation_difference WHERE hospital_id = :id AND state = 'OPEN'",
            id=hospital_id,
        )
    )


def tasks(hospital_id: UUID) -> list[str]:
    """What finance has to do."""
    return [row["id"] for row in work(hospital_id)]


def work(hospital_id: UUID) -> list[dict]:
    return rows(
        "SELECT id::text, facts FROM work_item WHERE hospital_id = :id AND closed_at IS NULL"
        " AND kind = 'RECONCILIATION_DIFFERS' ORDER BY 1",
        id=hospital_id,
    )


def offered(peer: Peer, content: bytes) -> None:
    """WeChat Pay has this bill."""
    link = (
        b'{"hash_type":"SHA1","hash_value":"%s","download_url":"%s/v3/billdownload/file?token=x"}'
    )
    body = link % (
        hashlib.sha1(content, usedforsecurity=False).hexdigest().encode(),
        peer.url.encode(),
    )

    def answer(asked: Asked) -> Says:
        if "billdownload" in asked.path:
            return Says(200, content)
        kind = {"Content-Type": "application/json"}
        return Says(200, body, keys.signed(body, NOW.timestamp()) | kind)

    peer.answer = answer


def written(books: Books) -> bytes:
    """The bill as a file, in yuan, as the simulator writes it."""
    totals = books.totals or planted.totals_of(books.bill)
    line = ["0"] * len(TOTALS)
    line[TOTALS.index("总交易单数")] = str(totals.rows)
    line[TOTALS.index("订单总金额")] = yuan(totals.payments_fen)
    line[TOTALS.index("申请退款总金额")] = yuan(totals.refunds_fen)
    lines = [[cells[name] for name in COLUMNS["ALL"]] for cells in map(bill_cells, books.bill)]
    return (table(COLUMNS["ALL"], lines) + table(TOTALS, [line])).encode()


def bill_cells(row: BillRow) -> dict[str, str]:
    payment = row.sort == Sort.PAYMENT
    return dict.fromkeys(COLUMNS["ALL"], "0") | {
        "交易时间": f"{row.at:%Y-%m-%d %H:%M:%S}",
        "商户号": MCHID,
        "商户订单号": "c" * 32 if row.sort == Sort.REFUND else row.number,
        "交易状态": TRADES[row.sort],
        "货币种类": "CNY",
        "订单金额": yuan(row.amount_fen if payment else 0),
        "申请退款金额": yuan(0 if payment else row.amount_fen),
        "商户退款单号": {Sort.REFUND: row.number, Sort.REVERSAL: "R" + row.number}.get(
            row.sort, ""
        ),
        "退款状态": "" if payment else OUTCOMES[row.state],
        "商品名称": "住院预交金,补缴",
    }


def hospital_with(own: list[OwnRow]) -> UUID:
    """A hospital that holds these rows."""
    with Session.begin() as db:
        home = Hospital(
            id=new_id(),
            code=f"R{new_id().hex[-12:]}",
            name="对账医院",
            institution_type="PUBLIC",
            county_code="520102",
            rule_packs=["guizhou"],
        )
        db.add(home)
        db.flush()
        who = Patient(id=new_id(), hospital_id=home.id, his_patient_no="P1")
        who.name, who.id_no, who.phone = "张小丰", "990101197503090012", "19900000000"
        db.add(who)
        db.flush()
        driver = db.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        _copy(driver, home.id, who.id, own)
    return home.id


def _copy(
    driver: psycopg.Connection, hospital_id: UUID, patient_id: UUID, own: list[OwnRow]
) -> None:
    refund_id = new_id()
    with driver.cursor() as cursor:
        cursor.execute(
            "INSERT INTO refund (id, hospital_id, state, key, request_hash, reason, account_kind,"
            " account_owner, subject_id, patient_id, amount_fen, requested_by, requested_at, note)"
            " VALUES (%s, %s, 'PAYING', 'all', 'x', 'x', 'x', 'x', %s, %s, 1, 'x', %s, '')",
            (refund_id, hospital_id, patient_id, patient_id, NOW),
        )
        with cursor.copy(
            "COPY payment_order (id, hospital_id, state, purpose, subject_id, patient_id, route,"
            " amount_fen, client_key, request_hash, asked_by, step_channel, created_at, expires_at,"
            " paid_at, answer) FROM STDIN"
        ) as orders:
            for row in own:
                if row.sort == Sort.PAYMENT:
                    route = "PAYMENT_CODE" if row.may_be_taken_back else "QR"
                    facts = (_state(row), "DEPOSIT", patient_id, patient_id, route, row.amount_fen)
                    more = (row.number, "x", "x", "WINDOW", NOW, NOW, row.at, "")
                    orders.write_row((UUID(row.number), hospital_id, *facts, *more))
        with cursor.copy(
            "COPY refund_leg (id, hospital_id, refund_id, state, route, amount_fen,"
            " order_total_fen, next_try_at, tries, answer, paid_at) FROM STDIN"
        ) as legs:
            for row in own:
                if row.sort == Sort.REFUND:
                    facts = (refund_id, _state(row), "WECHAT", row.amount_fen, row.amount_fen)
                    legs.write_row((UUID(row.number), hospital_id, *facts, NOW, 1, "", row.at))


def _state(row: OwnRow) -> str:
    return STATES[row.sort][Here(row.state)]
