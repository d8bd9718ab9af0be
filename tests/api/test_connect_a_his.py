"""What docs/connect-a-his.md tells other systems is true: its examples are played to the word."""

import hmac
import json
import re
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from models.admission import Admission, AdmissionState
from models.db import Session
from policies.charges import Verdict
from tests.people import House

DOCUMENT = (Path(__file__).parents[2] / "docs" / "connect-a-his.md").read_text("utf8")
EXAMPLES = [
    (path, json.loads(body))
    for path, body in re.findall(r"^POST (\S+)\n\n```json\n(.*?)```", DOCUMENT, re.M | re.S)
]


def test_every_example_is_accepted(house: House) -> None:
    his = house.his()
    assert len(EXAMPLES) == 6
    answers = {}
    for path, body in EXAMPLES:
        if path.endswith("discharge-order"):
            with Session.begin() as db:
                stay = db.scalars(select(Admission).filter_by(hospital_id=house.hospital_id)).one()
                stay.move(db, AdmissionState.IN_HOUSE, at=house.now(), by="test")
        answers[path.rsplit("/", 1)[1]] = his.post(path, body)
    shown = re.search(r"stop the others:\n\n```json\n(.*?)```", DOCUMENT, re.S)
    assert answers["charge-batch"] == json.loads(shown[1])
    assert answers["charge-reversal"]["accepted"] == 1
    assert answers["admission"]["state"] == "SLIP"
    assert answers["admission-change"]["changed"] == ["bed", "ward", "ward_name"]
    assert answers["discharge-order"]["state"] == "LEAVING"
    assert answers["discharge-cancel"]["state"] == "IN_HOUSE"


def test_every_verdict_is_explained() -> None:
    table = DOCUMENT.split("| verdict |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([A-Z_]{6,})`", table)) == set(Verdict)


def test_the_signature_to_check_an_implementation_is_right() -> None:
    body = re.search(r"body `(\{.*?\})`", DOCUMENT)[1].encode()
    timestamp = re.search(r"timestamp `(\d+)`", DOCUMENT)[1]
    nonce = re.search(r"nonce\n?\s*`(\w+)`", DOCUMENT)[1]
    secret = re.search(r"secret `([\w-]+)`", DOCUMENT)[1]
    path = "/v1/his/events/discharge-cancel"
    lines = ("POST", path, timestamp, nonce, sha256(body).hexdigest())
    signature = hmac.new(secret.encode(), "\n".join(lines).encode(), "sha256").hexdigest()
    assert re.search(r"```text\n(\w{64})\n```", DOCUMENT)[1] == signature
