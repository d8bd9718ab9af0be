"""Resident identity numbers: 18 characters with a date of birth and a check digit (GB
11643-1999)."""

from datetime import date

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from policies.refusals import Refused


def read_id_no(text: str) -> str:
    """The number in its one written form, or Refused ID_NUMBER_INVALID.

    The region is not looked up: regions are merged and renamed, and the patient index is what
    decides.
    """
    number = ric.compact(text).replace(" ", "")  # also turns full-width digits into plain ones
    try:
        good = (
            len(number) == 18
            and number.isascii()
            and number[:-1].isdigit()
            and ric.calc_check_digit(number) == number[-1]
            and bool(ric.get_birth_date(number))
        )
    except (ValidationError, ValueError):
        good = False
    if not good:
        raise Refused("ID_NUMBER_INVALID")
    return number


def born_on(number: str) -> date:
    """The date of birth in a good number."""
    born: date = ric.get_birth_date(number)
    return born
