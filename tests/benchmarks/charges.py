"""(a) Charge lines from the HIS: a signed batch of 1,000 over HTTP, beside raw COPY of the same."""

import json
import secrets
from itertools import count
from time import perf_counter
from typing import Any

from config import today
from tests.benchmarks.ground import Ground, address, on_core_of
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, Series, in_turns
from tests.his_day import line

TARGET = "/v1/his/events/charge-batch"
BATCHES, LINES, STAYS = 8, 1000, 50
CODES = (
    "category",
    "insurance_level",
    "self_pay_ratio",
    "national_code",
    "hospital_code",
    "department_code",
    "department_name",
    "doctor_code",
    "doctor_name",
)
_serial = count(1)

COPY = """COPY charge_line (hospital_id, admission_id, source_line_id, occurred_on, occurred_at,
    item_name, specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
    self_pay_ratio, national_code, hospital_code, department_code, department_name, doctor_code,
    doctor_name, source_event_id, received_at) FROM STDIN"""


def run(ground: Ground) -> list[Figure]:
    """Lines a second, ours and COPY's."""
    ground.forget_peak()
    return [
        Figure(
            "a",
            "charge lines, signed HTTP batches of 1,000",
            "raw COPY into the same table, a commit for each 1,000",
            lines_a_second(ground),
            "lines/s",
            aim=0.35,
            peak_mib=ground.peak_mib(),
        )
    ]


def lines_a_second(ground: Ground) -> Series:
    """Both, in turns; every line must be accepted."""
    return in_turns(lambda: over_http(ground), lambda: by_copy(ground), ground.rounds(7))


def over_http(ground: Ground) -> float:
    """Two connections, so that the server's work and the database's overlap."""
    wishes = [batch(ground) for _ in range(BATCHES)]
    took, answers = fire(ground.port, wishes, connections=2)
    assert all(b'"accepted":1000' in answer.replace(b": ", b":") for answer in answers)
    return BATCHES * LINES / took


def batch(ground: Ground) -> bytes:
    """One signed request with lines that nobody has sent before."""
    his = ground.kept.setdefault("his", ground.house.his())
    at = ground.house.now().isoformat(timespec="seconds")
    stays = _stays(ground)
    lines = [
        line(stays[n % STAYS].inpatient_no, f"B{next(_serial):011d}", occurred_at=at)
        for n in range(LINES)
    ]
    said = {"source_event_id": f"BE{secrets.token_hex(8)}", "lines": lines}
    body = json.dumps(said, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address()}
    return request("POST", TARGET, headers | his.credentials("POST", TARGET, body), body)


def by_copy(ground: Ground) -> float:
    """The same lines as text, written beforehand; the client runs on the server's core."""
    packs = [_text(ground) for _ in range(BATCHES)]
    with ground.sql() as db, on_core_of("server"):
        started = perf_counter()
        for pack in packs:
            with db.cursor().copy(COPY) as copy:
                copy.write(pack)
            db.commit()
        return BATCHES * LINES / (perf_counter() - started)


def _text(ground: Ground) -> bytes:
    stays, hospital_id = _stays(ground), ground.house.hospital_id
    at = ground.house.now()
    rows = []
    for n in range(LINES):
        stay = stays[n % STAYS]
        said = line(stay.inpatient_no, f"C{next(_serial):011d}")
        fields = [
            hospital_id,
            stay.id,
            said["source_line_id"],
            today(at),
            at.isoformat(),
            said["item_name"],
            said["specification"],
            said["unit"],
            said["quantity"],
            said["unit_price"],
            8546,
            *(said[name] for name in CODES),
            "E",
            at.isoformat(),
        ]
        rows.append("\t".join(map(str, fields)) + "\n")
    return "".join(rows).encode()


def _stays(ground: Ground) -> list[Any]:
    if "stays" not in ground.kept:
        ground.kept["stays"] = [ground.stage.stay() for _ in range(STAYS)]
    return ground.kept["stays"]


BENCH = Bench("a", "charges arrive from the HIS", run)
