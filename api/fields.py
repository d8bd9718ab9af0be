"""The few field types of the edge: whole fen, identifiers, text of bounded length."""

import re
from datetime import UTC, date, datetime, time
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from policies.identity_number import read_id_no
from policies.refusals import Refused
from policies.sheets import TYPES

STORABLE = validate.Regexp("[^\x00\ud800-\udfff]*\\Z")
"""No NUL and no half of a surrogate pair: PostgreSQL holds neither."""


DAYS = (date(1850, 1, 1), date(2199, 12, 31))
"""Every day that a hospital can mean, born or budgeted; beyond, a day more or less would overflow.
"""


def fen(*, least: int = 0, **about: Any) -> fields.Integer:
    """A whole number of fen; a decimal, a text or a float is refused."""
    return fields.Integer(
        strict=True, validate=validate.Range(least, 10**12), metadata={"description": "分"}, **about
    )


def on_day(**about: Any) -> fields.Date:
    """A calendar day that somebody can mean."""
    return fields.Date(validate=validate.Range(*DAYS), **about)


def at_moment(**about: Any) -> fields.AwareDateTime:
    """A time with its offset, on a day that somebody can mean."""
    first, last = (datetime.combine(day, time(), UTC) for day in DAYS)
    return fields.AwareDateTime(validate=validate.Range(first, last), **about)


def said(longest: int, *, least: int = 1, **about: Any) -> fields.String:
    """A text of at most so many characters."""
    return fields.String(validate=[validate.Length(least, longest), STORABLE], **about)


def their_number() -> fields.String:
    """A number that the HIS gave to a person, a stay or an event. It is stored and told as it is,
    so it may not be the person's identity number.
    """
    return fields.String(
        required=True, validate=[validate.Length(1, 64), STORABLE, _no_identity_number]
    )


def seen(longest: int, *, least: int = 1, **about: Any) -> fields.String:
    """What somebody saw or gives as a reason. It is stored as it is, so no identity number may
    stand in it; the number of a 残疾人证 begins with one.
    """
    rules = [validate.Length(least, longest), STORABLE, _without_identity_number]
    return fields.String(validate=rules, **about)


def _without_identity_number(text: str) -> None:
    for run in re.findall(r"(?=(\d{17}[\dXx]))", text):
        _no_identity_number(run)


def _no_identity_number(number: str) -> None:
    try:
        read_id_no(number)
    except Refused:
        return
    raise ValidationError("An identity number: give another one, this would be stored in clear.")


def sha256(**about: Any) -> fields.String:
    """64 lower-case hexadecimal digits."""
    return fields.String(validate=validate.Regexp(r"^[0-9a-f]{64}\Z"), **about)


def file_form() -> fields.String:
    """As which kind of file a table leaves."""
    return fields.String(load_default="xlsx", validate=validate.OneOf(list(TYPES)))


class KeyHeader(Schema):
    """The Idempotency-Key: made by the client for one wish, repeated with each try of it."""

    idempotency_key = fields.String(
        required=True,
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[0-9A-Za-z_\-]{8,64}\Z"),
    )
