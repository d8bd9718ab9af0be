"""Holders of old cards: who they are is read and sealed before it leaves this process."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from models.census_staging import name_mark, said_mark
from models.db import new_id
from models.sealing import blind_index, bound_to, seal
from policies.census import FIELDS
from policies.identity_number import born_on, read_id_no
from policies.refusals import Refused

MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")
LANDLINE = re.compile(r"(?:0\d{2,3})?[2-8]\d{6,7}")
ORNAMENTS = re.compile(r"[\s()（）-]")
MANGLED = re.compile(r"\d(\.\d+)?[eE]\+?\d+")
SEX = {"1": "1", "男": "1", "M": "1", "2": "2", "女": "2", "F": "2"}


def sealed_holders(told: list[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows of the holders' table as models.census_staging stages them."""
    places = [2 + told.index(field) if field in told else None for field in FIELDS["holders"]]
    base = str(new_id())[:24]
    for row in rows:
        card_no, name, id_no, phone, born, sex = (
            "" if place is None else row[place] for place in places
        )
        yield _sealed_holder(
            row[0], row[1], f"{base}{row[0]:012x}", card_no, name, id_no, phone, born, sex
        )


def _sealed_holder(
    line: int,
    problem: str,
    patient_id: str,
    card_no: str,
    name: str,
    id_no: str,
    phone: str,
    born: str,
    sex: str,
) -> tuple[Any, ...]:
    """One row: what may be compared is a keyed index, everything else about a person is sealed."""
    problems = [problem] if problem else []
    number, flaw = read_identity(id_no)
    contact, dialled = read_phone(phone)
    birthday = born_on(number) if number else read_birthday(born)
    if flaw:
        problems.append(f"{flaw}@id_no")
    if phone and contact == "NONE":
        problems.append("PHONE_UNREADABLE@phone")
    if born and birthday is None:
        problems.append("BIRTHDAY_UNREADABLE@born_on")
    return (
        line,
        ";".join(problems),
        card_no,
        patient_id,
        _hex(seal(name, bound_to("patient", "name", patient_id)) if name else b""),
        _hex(seal(number or id_no, bound_to("patient", "id_no", patient_id)) if id_no else b""),
        _hex(blind_index(number) if number else b""),
        _hex(seal(dialled, bound_to("patient", "phone", patient_id)) if phone else b""),
        _hex(blind_index(dialled) if contact == "MOBILE" else b""),
        birthday,
        SEX.get(sex, ""),
        "01" if number else "99",
        contact,
        said_mark(name, id_no, phone, born, sex),
        name_mark(name),
    )


def read_identity(text: str) -> tuple[str, str]:
    """The good number, or what is wrong with it; neither for an empty cell."""
    if not text:
        return "", ""
    try:
        return read_id_no(text), ""
    except Refused:
        if MANGLED.fullmatch(text) or (len(text) == 18 and text.endswith("000")):
            return "", "NUMBER_MANGLED"
        if len(text) == 15 and text.isdigit():
            return "", "IDENTITY_OLD_FORM"
        return "", "IDENTITY_INVALID"


def read_phone(text: str) -> tuple[str, str]:
    """MOBILE, LANDLINE or NONE, and the number without its ornaments."""
    bare = ORNAMENTS.sub("", text)
    if found := MOBILE.fullmatch(bare):
        return "MOBILE", found[1]
    return ("LANDLINE" if LANDLINE.fullmatch(bare) else "NONE"), bare


def read_birthday(text: str) -> date | None:
    """The day of 1975-03-09, 1975/3/9 or 19750309; None for anything else."""
    found = re.fullmatch(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?: 00:00:00)?", text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _hex(blob: bytes) -> str:
    return f"\\x{blob.hex()}" if blob else ""
