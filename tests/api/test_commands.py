"""The first administrator of the first hospital comes in by the command line, then over HTTP."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from journeys.audit_anchor import Anchor, append
from models import audit, sealing
from models.db import Session
from models.patient import Patient
from simulator.clients import HisClient, StaffClient
from tests.people import PASSWORD, House

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    return lambda *words: app.test_cli_runner().invoke(args=list(words))


def said(result: Result, label: str) -> str:
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith(label))
    return line.removeprefix(label).strip()


def test_a_hospital_its_administrator_and_its_his_begin_here(run: Run, house: House) -> None:
    code = f"{house.code}-new"
    asked = ["--code", code, "--name", "新医院", "--type", "PUBLIC", "--county", "520102"]
    made = run("hospital", "create", *asked, "--packs", "national,guizhou")
    assert made.exit_code == 0
    again = run("hospital", "create", *asked, "--packs", "national")
    assert (again.exit_code, "HOSPITAL_CODE_TAKEN" in again.output) == (1, True)

    new = run(
        "staff", "create-administrator", "--hospital", code, "--staff-no", "a1", "--name", "王"
    )
    admin = StaffClient(house.wire, code, now=house.now)
    admin.enrol(said(new, "enrolment code"))
    admin.log_in("a1", said(new, "password"), PASSWORD)
    assert admin.get("/v1/staff/me")["roles"] == ["ADMINISTRATOR"]

    key = run("his-key", "create", "--hospital", code)
    key_id, secret = said(key, "key id"), said(key, "secret")
    his = HisClient(house.wire, code, now=house.now, key_id=key_id, secret=secret)
    assert his.get("/probe/his")["name"] == "his:HIS"
    assert run("his-key", "retire", "--hospital", code, "--key-id", key_id).exit_code == 0
    assert his.try_("GET", "/probe/his").status == 401


def test_commands_say_what_is_wrong(run: Run) -> None:
    answer = run(
        "staff", "create-administrator", "--hospital", "X", "--staff-no", "a", "--name", "b"
    )
    assert (answer.exit_code, "HOSPITAL_UNKNOWN" in answer.output) == (1, True)
    assert run("his-key", "create", "--hospital", "X").exit_code == 1


def test_keys_are_checked(run: Run, make_app: Callable[..., Flask]) -> None:
    good = run("keys", "check")
    assert (good.exit_code, good.output.startswith("2 jwt, 0 sealing, ")) == (0, True)
    short = {"short": base64.b64encode(b"x" * 16).decode(), "odd": "%"}
    bad = make_app(jwt_keys=short).test_cli_runner().invoke(args=["keys", "check"])
    assert bad.exit_code == 1
    assert "jwt short: base64 of 32 bytes or more" in bad.output
    odd = {"aes": "sm4-gcm:" + "D" * 43 + "=", "sm4": "D" * 22 + "=="}
    bad = make_app(sealing_keys=odd).test_cli_runner().invoke(args=["keys", "check"])
    assert "sealing aes: base64 of 16" in bad.output
    assert "sealing sm4: base64 of 32" in bad.output


def test_a_value_that_does_not_open_is_named(run: Run, house: House) -> None:
    patient = house.patient()
    assert "sealed values: all open" in run("keys", "check", "--all").output
    spoil(patient, "set_byte(phone_sealed, 25, 255 - get_byte(phone_sealed, 25))")
    bad = run("keys", "check", "--all")
    assert (bad.exit_code, bad.stderr) == (1, f"patient:phone:{patient.id}: does not open\n")
    spoil(patient, "'\\x676f6e6500'::bytea || phone_sealed")
    bad = run("keys", "check")
    assert (bad.exit_code, bad.stderr) == (
        1,
        "sealing gone: not in the ring, and 1 values need it\n",
    )
    spoil(patient, "NULL")


def spoil(patient: Patient, value: str) -> None:
    with Session.begin() as db:
        sql = f"UPDATE patient SET phone_sealed = {value} WHERE id = :id"  # noqa: S608
        db.execute(text(sql), {"id": patient.id})


def test_a_key_that_nothing_needs_is_told(run: Run, house: House) -> None:
    house.patient()
    sealing.use_keys({"test": "A" * 43 + "=", "next": "C" * 43 + "="}, "B" * 43 + "=")
    done = run("keys", "reseal", "--batch", "3")
    again = run("keys", "reseal")
    sealing.use_keys({"next": "C" * 43 + "=", "test": "A" * 43 + "="}, "B" * 43 + "=")
    back = run("keys", "reseal")
    sealing.use_keys({"test": "A" * 43 + "="}, "B" * 43 + "=")
    count = int(said(done, "key next:").removesuffix(" values"))
    assert count >= 3
    assert done.stdout == again.stdout == f"key next: {count} values\nkey test: 0 values\n"
    assert back.stdout == f"key next: 0 values\nkey test: {count} values\n"


def test_the_trail_is_checked_by_the_file_that_the_timetable_writes(
    make_app: Callable[..., Flask], house: House, tmp_path: Path
) -> None:
    file = tmp_path / "anchors"
    runner = make_app(audit_anchor_file=str(file)).test_cli_runner()
    verify = ["audit", "verify", "--hospital", house.code]
    missing = runner.invoke(args=verify)
    assert (missing.exit_code, "there is no such file" in missing.stderr) == (1, True)
    append(file, Anchor("at", house.code, *audit.head(house.hospital_id)))
    assert said(runner.invoke(args=verify), "whole").startswith("1:")
    append(file, Anchor("at", house.code, 9, "0" * 64))
    cut = runner.invoke(args=verify)
    assert (cut.exit_code, cut.stderr) == (1, "broken at row 2\n")
    file.write_text(file.read_text("utf8").replace('"no": 9', '"no": 1'), "utf8")
    spoilt = runner.invoke(args=verify)
    assert (spoilt.exit_code, "line 2 is not what was written" in spoilt.stderr) == (1, True)


def test_an_anchor_is_a_number_and_a_hash(run: Run, house: House) -> None:
    odd = run("audit", "verify", "--hospital", house.code, "--anchor", "12")
    assert (odd.exit_code, "12 is no number:hash" in odd.stderr) == (2, True)
    bare = run("audit", "verify", "--hospital", house.code)
    assert "without an anchor: rows cut off the end would not be seen" in bare.stderr
    assert run("audit", "anchor", "--hospital", house.code).exit_code == 1


def test_the_trail_is_checked_and_anchored(run: Run, house: House) -> None:
    house.his()
    anchor = said(run("audit", "verify", "--hospital", house.code), "whole")
    house.his()
    later = run("audit", "verify", "--hospital", house.code, "--anchor", anchor)
    assert later.exit_code == 0
    with Session.begin() as db:
        run_sql = db.connection().exec_driver_sql
        run_sql("ALTER TABLE audit_entry DISABLE TRIGGER USER")
        run_sql("DELETE FROM audit_entry WHERE hospital_id = %s", (house.hospital_id,))
        run_sql("ALTER TABLE audit_entry ENABLE TRIGGER USER")
    cut = run("audit", "verify", "--hospital", house.code, "--anchor", anchor)
    assert (cut.exit_code, "broken at row 1" in cut.output) == (1, True)
