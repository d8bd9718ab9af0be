"""What is sealed opens unchanged and in its own place only; a key that is retired leaves nothing
behind, however often the work is killed."""

import base64
import hmac
import uuid
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text

from journeys import resealing
from models import resealing as resealing_of
from models import schema, sealing
from models.db import Session, new_id
from models.patient import Patient
from models.sealing import CannotOpen, Sm4Gcm, seal, unseal
from tests.models.test_audit import new_hospital
from tests.prove.rotation import rotate

AES, SM4, INDEX = "A" * 43 + "=", "sm4-gcm:" + "D" * 22 + "==", "B" * 43 + "="
PEOPLE, KILLS, SEED = 300, 3, 20251125
PLACE = "patient:name:0192"


@pytest.fixture
def ring() -> Iterator[None]:
    """The ring of the test run comes back afterwards."""
    yield
    sealing.use_keys({"test": AES}, INDEX)


@pytest.fixture(params=[AES, SM4], ids=["aes", "sm4"])
def key(request: pytest.FixtureRequest, ring: None) -> None:
    sealing.use_keys({"k": request.param}, INDEX)


def test_the_blind_index_is_hmac_sha256_of_the_plain_form(ring: None) -> None:
    """Stored indexes find their people only while this stays what it is."""
    for index_key in (INDEX, "C" * 43 + "="):
        sealing.use_keys({"k": AES}, index_key)
        secret = base64.b64decode(index_key)
        for number in ("99010119750309123X", " 99010119750309123x "):
            expected = hmac.digest(secret, b"99010119750309123X", "sha256")
            assert sealing.blind_index(number) == expected
        said = hmac.digest(secret, b"fingerprint\0said", "sha256")
        assert sealing.fingerprint(b"said") == said


def test_it_opens_in_its_own_place(key: None) -> None:
    assert unseal(seal("张小丰", PLACE), PLACE) == "张小丰"
    assert seal("张小丰", PLACE) != seal("张小丰", PLACE)


def test_moved_to_another_row_column_or_table_it_does_not_open(key: None) -> None:
    blob = seal("张小丰", PLACE)
    for other in ("patient:name:0193", "patient:phone:0192", "staff:name:0192"):
        with pytest.raises(CannotOpen, match="changed, or moved"):
            unseal(blob, other)


def test_every_flipped_bit_is_found(key: None) -> None:
    blob = seal("19900001111", PLACE)
    flipped = 0
    for position in range(len(blob) * 8):
        spoilt = bytearray(blob)
        spoilt[position // 8] ^= 1 << position % 8
        with pytest.raises(CannotOpen):
            unseal(bytes(spoilt), PLACE)
        flipped += 1
    assert flipped == len(blob) * 8


@given(cut=st.integers(0, 40), tail=st.binary(max_size=8))
def test_cut_or_lengthened_it_does_not_open(engine: Engine, cut: int, tail: bytes) -> None:
    blob = seal("张小丰", PLACE)
    spoilt = blob[: max(0, len(blob) - cut)] + tail
    if spoilt != blob:
        with pytest.raises(CannotOpen):
            unseal(spoilt, PLACE)


def test_sm4_answers_the_standards_example() -> None:
    """RFC 8998, A.1."""
    sealed = Sm4Gcm(bytes.fromhex("0123456789abcdeffedcba9876543210")).encrypt(
        bytes.fromhex("00001234567800000000abcd"),
        bytes.fromhex(
            "aa" * 8 + "bb" * 8 + "cc" * 8 + "dd" * 8 + "ee" * 8 + "ff" * 8 + "ee" * 8 + "aa" * 8
        ),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    )
    assert sealed[-16:].hex() == "83de3541e4c2b58177e065a9bf7b62ec"


def test_ciphertexts_swapped_between_two_patients_do_not_open(engine: Engine) -> None:
    one, two = patients(2)
    swap = text(
        "UPDATE patient p SET name_sealed = o.name_sealed FROM patient o"
        " WHERE p.id IN (:one, :two) AND o.id IN (:one, :two) AND o.id <> p.id"
    )
    with Session.begin() as db:
        db.execute(swap, {"one": one, "two": two})
    with Session() as db:
        for patient_id in (one, two):
            with pytest.raises(CannotOpen):
                _ = db.get_one(Patient, patient_id).name
    assert set(resealing.shut_values()) >= {f"patient:name:{one}", f"patient:name:{two}"}
    with Session.begin() as db:
        db.execute(swap, {"one": one, "two": two})


def patients(count: int) -> list[UUID]:
    """New people in a new hospital."""
    hospital_id = new_hospital()
    with Session.begin() as db:
        made = [
            Patient(id=new_id(), hospital_id=hospital_id, his_patient_no=f"P{n}")
            for n in range(count)
        ]
        for number, patient in enumerate(made):
            patient.name, patient.phone = f"张{number}丰", f"199{number:08d}"
        db.add_all(made)
    return [patient.id for patient in made]


def test_every_sealed_column_can_be_sealed_again(engine: Engine) -> None:
    """Or its key could never be retired: it has its Sealed, and no trigger refuses an update."""
    known = {
        f"{table.name}.{name}_sealed"
        for table, names in resealing_of.sealed_tables().items()
        for name in names
    }
    with engine.connect() as db:
        stored = db.execute(
            text(
                "SELECT table_name || '.' || column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND column_name LIKE '%\\_sealed'"
            )
        )
        assert set(stored.scalars()) == known
        before_update = text(
            "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgtype & 2 = 2 AND tgtype & 16 = 16"
        )
        frozen = set(db.execute(before_update).scalars())
    assert {place.partition(".")[0] for place in known} & frozen == set()


@pytest.fixture
def own_database(postgres_url: str) -> Iterator[Engine]:
    """A migrated database beside the one of the test run."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    schema.upgrade(f"{postgres_url}/{name}")
    engine = create_engine(f"{postgres_url}/{name}".replace("postgresql", "postgresql+psycopg", 1))
    yield engine
    engine.dispose()
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_key_is_retired_though_the_work_is_killed_and_people_change(
    own_database: Engine, ring: None, tmp_path: Path
) -> None:
    found = rotate(own_database, tmp_path, people=PEOPLE, kills=KILLS, batch=1, seed=SEED)
    assert (found.values, found.kills) == (3 * PEOPLE, KILLS)
    assert (found.shut, found.left, found.wrong) == (0, 0, 0)
    assert found.changed > 0
