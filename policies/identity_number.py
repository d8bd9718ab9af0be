"""Resident identity numbers: 18 characters with a date of birth and a check digit (GB
11643-1999)."""

import re
from datetime import date

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from policies.refusals import Refused

_PLAIN = re.compile(r"[0-9]{17}[0-9X]")


def read_id_no(text: str) -> str:
    """The number in its one written form, or Refused ID_NUMBER_INVALID.

    The region is not looked up: regions are merged and renamed, and the patient index is what
    decides.
    """
    plain = _PLAIN.fullmatch(text)
    # compact also turns full-width digits into plain ones
    number = text if plain else ric.compact(text).replace(" ", "")
    try:
        good = (
            _PLAIN.fullmatch(number) is not None
            and ric.calc_check_digit(number) == number[-1]
            and bool(born_on(number))
        )
    except (ValidationError, ValueError):
        good = False
    if not good:
        raise Refused("ID_NUMBER_INVALID")
    return number


def born_on(number: str) -> date:
    """The date of birth in a good number."""
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
