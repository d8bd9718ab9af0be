"""How the stay and its money refuse over HTTP: a code, the clause, plain Chinese, the next step;
each wrong field by name; nothing written, and nobody's name in it."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

import logs
from models.admission import Admission, AdmissionState
from models.db import Session, rows
from models.patient import Patient
from simulator.clients import Answer, Client, Wire
from tests.people import House

CHINESE = re.compile("[\u4e00-\u9fff]{2}")
NAME, RELATIVE, STAFF = "欧阳测试", "o" + "Relative" * 3 + "abc", "周明月"
WRITTEN = (
    "payment_order",
    "ledger_transaction",
    "lot",
    "receipt",
    "refund",
    "settlement",
    "settlement_delay",
    "document",
    "admission_step",
    "insurance_call",
    "work_item",
)


@dataclass
class Recorded:
    """A wire that remembers every answer that was no success."""

    wire: Wire
    failures: list[Answer]
    base_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.base_url = self.wire.base_url

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        answer = self.wire.send(method, target, headers, body)
        if answer.status >= 400:
            self.failures.append(answer)
        return answer


class Ward:
    """One patient with stays in every state, and everybody who may do something with them."""

    def __init__(self, house: House) -> None:
        self.house, self.failures = house, []
        self.patient: Patient = house.patient(NAME)
        self.who = {
            "nurse": house.staff("NURSE", wards=("W1",)),
            "cashier": house.staff("CASHIER", kind="DESK", ward="", window="3"),
            "finance": house.staff(
                "FINANCE_MAKER", "FINANCE_CHECKER", "INSURANCE_OFFICE", kind="DESK", ward=""
            ),
            "phone": house.patient_phone(self.patient)[0],
            "relative": house.phone(RELATIVE),
        }
        for client in self.who.values():
            client.wire = Recorded(client.wire, self.failures)
        self.stays = {state: self._stay(state) for state in AdmissionState}
        self.unlimited = self._stay(AdmissionState.IN_HOUSE, quota_fen=None)

    def _stay(self, state: AdmissionState, quota_fen: int | None = 300_000) -> str:
        stay = self.house.stay(self.patient)
        with Session.begin() as db:
            row = db.get_one(Admission, stay.id)
            row.state, row.quota_fen = state, quota_fen
        return f"/v1/admissions/{stay.id}"

    def path(self, told: str) -> str:
        """``IN_HOUSE/deposits`` -> the address."""
        state, _, rest = told.partition("/")
        if state in self.stays:
            return f"{self.stays[AdmissionState(state)]}/{rest}".rstrip("/")
        return told.replace("NO_QUOTA", self.unlimited).replace("{id}", str(uuid4()))

    def ask(self, who: str, ask: str, body: Any = None, key: str = "stay-errors-1") -> Answer:
        method, _, told = ask.partition(" ")
        return self.who[who].try_(method, self.path(told), body, key=key)

    def raw(self, who: str, ask: str, body: bytes, key: str = "stay-errors-1") -> Answer:
        method, _, told = ask.partition(" ")
        client: Client = self.who[who]
        target = self.path(told)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return client.wire.send(
            method, target, headers | client.credentials(method, target, body), body
        )

    def written(self) -> dict[str, int]:
        """How many rows of the hospital each table has."""
        count = "SELECT count(*) AS n FROM {} WHERE hospital_id = :h"
        return {
            table: rows(count.format(table), h=self.house.hospital_id)[0]["n"] for table in WRITTEN
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        return (NAME, self.patient.id_no, self.patient.phone, RELATIVE, STAFF)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logs.configure()


@pytest.fixture
def ward(house: House, log: io.StringIO) -> Iterator[Ward]:
    """The ward; whatever was refused in a test and whatever was logged named nobody."""
    ward = Ward(house)
    before = ward.written()
    yield ward
    assert ward.written() == before
    assert ward.failures and len(log.getvalue().splitlines()) > len(ward.failures)
    for secret in ward.secrets:
        assert not any(secret in answer.text for answer in ward.failures)
        assert secret not in log.getvalue()


def is_problem(answer: Answer) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.body
    assert told["status"] == answer.status
    assert told["type"] == f"urn:xianzhen:problem:{told['code']}"
    assert CHINESE.search(told["detail"]) and CHINESE.search(told["next_step"]), told
    assert "{" not in told["detail"] + told["next_step"]


CASH = {"amount_fen": 100, "route": "CASH"}
QR = {"amount_fen": 100, "route": "QR"}
PHONE = {"amount_fen": 100, "route": "MINI_PROGRAM"}
AGREE = {"agree_to": "a" * 64}
COPY = {"kind": "ID_CARD", "form": "COPY", "sha256": "a" * 64}
SIGNED = {"signature_sha256": "a" * 64}
BACK = {"amount_fen": 100, "reason": "PATIENT_WISH"}

REFUSALS = [
    ("cashier", "POST SLIP/deposits", CASH, 422, "ADMISSION_NOT_IN_HOUSE", "GZ-20"),
    ("cashier", "POST LEAVING/deposits", CASH, 422, "ADMISSION_NOT_IN_HOUSE", "GZ-20"),
    ("cashier", "POST NO_QUOTA/deposits", CASH, 422, "QUOTA_NOT_SET", "GZ-17"),
    (
        "cashier",
        "POST IN_HOUSE/deposits",
        CASH | {"amount_fen": 300_001},
        422,
        "DEPOSIT_CAP_EXCEEDED",
        "GZ-17",
    ),
    (
        "cashier",
        "POST IN_HOUSE/deposits",
        CASH | {"route": "CARD"},
        422,
        "CARD_SLIP_REQUIRED",
        None,
    ),
    ("cashier", "POST IN_HOUSE/deposits", PHONE, 403, "ROUTE_NOT_YOURS", "GZ-20"),
    ("nurse", "POST IN_HOUSE/deposits", CASH, 403, "PERMISSION_MISSING", None),
    ("finance", "POST IN_HOUSE/deposits", CASH, 403, "PERMISSION_MISSING", None),
    ("phone", "POST IN_HOUSE/deposits", QR, 403, "ROUTE_NOT_YOURS", "GZ-20"),
    ("nurse", "PUT CANCELLED/registration", {}, 422, "ADMISSION_CANCELLED", "GZ-20"),
    ("nurse", "PUT SLIP/insurance", {}, 422, "ADMISSION_NOT_IN_HOUSE", "GZ-20"),
    (
        "nurse",
        "PUT IN_HOUSE/quota",
        {"quota_fen": 1, "basis": "x"},
        403,
        "PERMISSION_MISSING",
        None,
    ),
    (
        "nurse",
        "POST IN_HOUSE/documents",
        COPY | {"form": "ORIGINAL"},
        422,
        "ORIGINAL_RETENTION_FORBIDDEN",
        "CQ-3.1",
    ),
    ("nurse", "POST IN_HOUSE/documents/return", SIGNED, 422, "NO_PAPERS_TO_RETURN", "CQ-3.2"),
    ("cashier", "POST IN_HOUSE/deposit-refunds", BACK, 422, "BALANCE_TOO_LOW", ""),
    ("nurse", "GET LEAVING/settlement", None, 404, "SETTLEMENT_UNKNOWN", None),
    ("nurse", "PUT LEAVING/settlement", AGREE, 422, "TRIAL_FIRST", "GZ-20"),
    ("cashier", "POST LEAVING/settlement/payments", CASH, 422, "NOTHING_DUE", None),
    ("cashier", "POST LEAVING/settlement/undo", {"reason": "错了"}, 422, "NOTHING_TO_UNDO", None),
    (
        "nurse",
        "PUT IN_HOUSE/settlement/delay",
        {"reason": "OTHER"},
        422,
        "DISCHARGE_NOT_ORDERED",
        None,
    ),
    ("cashier", "GET /v1/receipts/19700000000000", None, 404, "RECEIPT_UNKNOWN", ""),
    ("cashier", "GET /v1/payments/{id}", None, 404, "ORDER_UNKNOWN", ""),
    ("cashier", "GET /v1/refunds/{id}", None, 404, "REFUND_UNKNOWN", ""),
    ("finance", "POST /v1/refunds/{id}/check", {"approve": True}, 404, "REFUND_UNKNOWN", ""),
    (
        "cashier",
        "POST /v1/refunds/{id}/legs/{id}/hand-over",
        {"proof": "signed"},
        404,
        "REFUND_UNKNOWN",
        "",
    ),
    ("cashier", "POST /v1/refunds/{id}/reroute", None, 404, "REFUND_UNKNOWN", ""),
    ("cashier", "POST /v1/work-items/{id}/done", {"outcome": "x"}, 404, "WORK_ITEM_UNKNOWN", ""),
    (
        "finance",
        "POST /v1/insurance-calls/{id}/decision",
        {"happened": True, "why": "x"},
        404,
        "INSURANCE_CALL_UNKNOWN",
        None,
    ),
    ("relative", "GET IN_HOUSE/", None, 404, "ADMISSION_UNKNOWN", ""),
    ("cashier", "GET /v1/admissions/{id}", None, 404, "ADMISSION_UNKNOWN", ""),
    ("cashier", "GET /v1/admissions/not-a-number", None, 404, "ADDRESS_UNKNOWN", ""),
]


def test_each_refusal_says_what_why_and_what_next(ward: Ward):
    for who, ask, body, status, code, clause in REFUSALS:
        answer = ward.ask(who, ask, body)
        assert (answer.status, answer.code) == (status, code), (who, ask, answer.text)
        is_problem(answer)
        if clause is not None:
            assert answer.body["clause"] == clause, ask


DEPOSIT = "POST IN_HOUSE/deposits"
FIELDS = [
    *(
        ("cashier", DEPOSIT, CASH | {"amount_fen": wrong}, {"amount_fen"})
        for wrong in (1.5, 100.0, "100", -1, 0, 10**12 + 1, 10**40, True, None, [], {})
    ),
    ("cashier", DEPOSIT, {}, {"amount_fen", "route"}),
    ("cashier", DEPOSIT, CASH | {"route": "BITCOIN"}, {"route"}),
    ("cashier", DEPOSIT, CASH | {"route": 1}, {"route"}),
    ("cashier", DEPOSIT, QR | {"route": "PAYMENT_CODE", "auth_code": "12"}, {"auth_code"}),
    ("cashier", DEPOSIT, CASH | {"slip_no": ""}, {"slip_no"}),
    ("cashier", DEPOSIT, CASH | {"slip_no": "x" * 65}, {"slip_no"}),
    ("cashier", DEPOSIT, CASH | {"slip_no": "a\x00b"}, {"slip_no"}),
    ("cashier", DEPOSIT, CASH | {"fen": 1}, {"fen"}),
    (
        "finance",
        "PUT IN_HOUSE/quota",
        {"quota_fen": -1, "basis": "x" * 201},
        {"quota_fen", "basis"},
    ),
    ("finance", "PUT IN_HOUSE/quota", {"quota_fen": 3000.5, "basis": "同病种"}, {"quota_fen"}),
    ("nurse", "PUT SLIP/registration", {"phone": "12345"}, {"phone"}),
    (
        "nurse",
        "PUT IN_HOUSE/insurance",
        {"card_kind": "99", "insutype": "999", "card_number": "1" * 51},
        {"card_kind", "insutype", "card_number"},
    ),
    (
        "nurse",
        "POST IN_HOUSE/documents",
        {"kind": "DIPLOMA", "form": "PHOTO", "sha256": "A" * 64},
        {"kind", "form", "sha256"},
    ),
    (
        "cashier",
        "POST IN_HOUSE/deposit-refunds",
        {"amount_fen": 0, "reason": "WHY"},
        {"amount_fen", "reason"},
    ),
    ("nurse", "PUT LEAVING/settlement", {"agree_to": "yes"}, {"agree_to"}),
    ("nurse", "PUT LEAVING/settlement/delay", {"reason": "TIRED"}, {"reason"}),
    ("cashier", "POST LEAVING/settlement/payments", {"amount_fen": 1.0}, {"amount_fen", "route"}),
    ("cashier", "POST LEAVING/settlement/undo", {"reason": ""}, {"reason"}),
    ("finance", "POST /v1/refunds/{id}/check", {"approve": "perhaps"}, {"approve"}),
    ("cashier", "POST /v1/refunds/{id}/legs/{id}/hand-over", {"proof": "x"}, {"proof"}),
]


def test_each_wrong_field_is_named(ward: Ward):
    for who, ask, body, wrong in FIELDS:
        answer = ward.ask(who, ask, body)
        assert (answer.status, answer.code) == (422, "FIELDS_INVALID"), (ask, body, answer.text)
        is_problem(answer)
        assert {error["field"] for error in answer.body["errors"]} == wrong, (ask, body)
        assert all(error["message"] for error in answer.body["errors"])


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "a b c d e f", "键键键键键键键键"])
def test_money_moves_only_under_a_key(ward: Ward, key: str):
    for ask, body in (
        (DEPOSIT, CASH),
        ("POST LEAVING/settlement/payments", CASH),
        ("POST IN_HOUSE/deposit-refunds", BACK),
    ):
        answer = ward.ask("cashier", ask, body, key=key)
        assert (answer.status, answer.code) == (422, "FIELDS_INVALID"), ask
        is_problem(answer)
        assert {error["field"] for error in answer.body["errors"]} == {"Idempotency-Key"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'"CASH"',
        b'{"amount_fen": NaN, "route": "CASH"}',
        b'{"amount_fen": 1e400, "route": "CASH"}',
        b'{"amount_fen": ' + b"9" * 5000 + b', "route": "CASH"}',
        b"[" * 50_000,
        b'{"route":' * 20_000,
        b"",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_proper_json_is_refused(ward: Ward, body: bytes):
    answer = ward.raw("cashier", DEPOSIT, body)
    assert answer.status in (400, 422), answer.text
    assert answer.code in ("REQUEST_MALFORMED", "FIELDS_INVALID")
    is_problem(answer)


def test_another_hospitals_and_another_wards_stays_are_not_there(ward: Ward):
    elsewhere = House(ward.house.app, ward.house.base_url, ward.house.now, None)
    for client in (
        elsewhere.staff("CASHIER", "INSURANCE_OFFICE", kind="DESK", ward="", window="1"),
        ward.house.staff("NURSE", wards=("W2",)),
    ):
        ward.who["stranger"] = client
        client.wire = Recorded(client.wire, ward.failures)
        for ask, body in (
            ("GET IN_HOUSE/", None),
            ("PUT SLIP/registration", {}),
            ("PUT IN_HOUSE/insurance", {}),
            (DEPOSIT, QR),
            ("POST IN_HOUSE/documents", COPY),
            ("POST IN_HOUSE/documents/return", SIGNED),
            ("POST LEAVING/settlement/trial", None),
            ("PUT LEAVING/settlement", AGREE),
            ("POST LEAVING/settlement/payments", QR),
            ("PUT LEAVING/settlement/delay", {"reason": "OTHER"}),
        ):
            answer = ward.ask("stranger", ask, body)
            assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN"), ask
        assert client.get("/v1/admissions") == []
