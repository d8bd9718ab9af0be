"""What kind of money somebody wants to pay at a clinic: a prepayment only where both conditions of
article 5 hold (GZ-5, D-03) and nothing of article 9 applies (GZ-9)."""

from dataclasses import dataclass
from enum import StrEnum

VERSION = "2025-06.1"
"""Of this classifier; kept with every answer, so it changes whenever an answer could."""


class Exclusion(StrEnum):
    """Why money is not an outpatient prepayment: the five of article 9, and any other by two
    people.
    """

    REGISTRATION_FEE = "REGISTRATION_FEE"
    COURSE = "COURSE"
    GROUP_EXAM = "GROUP_EXAM"
    PRE_SURGERY_TESTS = "PRE_SURGERY_TESTS"
    SPECIAL_OUTPATIENT_DISEASE = "SPECIAL_OUTPATIENT_DISEASE"
    OTHER = "OTHER"


class Course(StrEnum):
    """The courses that article 9 names: 口腔正畸, 血液透析, 康复理疗, 中医治疗, 化疗, 放疗,
    孕产期保健, 儿童保健.
    """

    ORTHODONTICS = "ORTHODONTICS"
    HAEMODIALYSIS = "HAEMODIALYSIS"
    REHABILITATION = "REHABILITATION"
    CHINESE_MEDICINE = "CHINESE_MEDICINE"
    CHEMOTHERAPY = "CHEMOTHERAPY"
    RADIOTHERAPY = "RADIOTHERAPY"
    MATERNITY_CARE = "MATERNITY_CARE"
    CHILD_CARE = "CHILD_CARE"


OUTPATIENT_PREPAY = "OUTPATIENT_PREPAY"
ORDINARY_PAYMENT = "ORDINARY_PAYMENT"
PENDING_INVOICE = "ORDINARY_PAYMENT_PENDING_INVOICE"
NOT_APPLICABLE = "EXCLUSION_NOT_APPLICABLE"
NEEDS_APPROVAL = "EXCLUSION_NEEDS_APPROVAL"
NOT_PREPAY = "NOT_PREPAY"
NOT_HELD_HERE = f"{NOT_PREPAY}:NOT_HELD_HERE"
"""It never comes into an account of the institution."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Why it is said to be no prepayment, and what shows it.

    ``proof``: the number of the booking, of the group's contract, of the surgery's order or
    appointment, or of the registration of the special disease. ``units``: how many visits were
    paid at once, or people.
    """

    code: Exclusion
    proof: str = ""
    course: str = ""
    units: int = 0
    reason: str = ""
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Money:
    """What decides. ``order_ids``: the services that were determined; ``invoice_no``: the formal
    medical invoice (正式医疗收费票据).
    """

    to_institution: bool = True
    order_ids: tuple[str, ...] = ()
    invoice_no: str = ""
    claim: Claim | None = None


def kind_of(money: Money) -> str:
    """One of the answers above, or ``NOT_PREPAY:`` with the exclusion's code.

    A claim is checked first. Surgery money without an order or appointment falls back under
    article 6 (D-11): it is what its orders and invoice make it.
    """
    claim = money.claim
    if claim and not _is_surgery_without_number(claim):
        return _claimed(claim)
    if not money.to_institution:
        return NOT_HELD_HERE
    if money.invoice_no:
        return ORDINARY_PAYMENT
    return PENDING_INVOICE if money.order_ids else OUTPATIENT_PREPAY


def may_be_taken(answer: str) -> bool:
    """Whether the money may be taken on this answer alone; a prepayment needs a filed exception."""
    return answer in {ORDINARY_PAYMENT, PENDING_INVOICE} or answer.startswith(f"{NOT_PREPAY}:")


def _is_surgery_without_number(claim: Claim) -> bool:
    return claim.code is Exclusion.PRE_SURGERY_TESTS and not claim.proof


def _claimed(claim: Claim) -> str:
    if not _shown(claim):
        return NOT_APPLICABLE
    if claim.code is Exclusion.OTHER and not claim.approved:
        return NEEDS_APPROVAL
    return f"{NOT_PREPAY}:{claim.code}"


def _shown(claim: Claim) -> bool:
    if claim.code is Exclusion.COURSE:
        return claim.course in set(Course) and claim.units >= 2
    if claim.code is Exclusion.OTHER:
        return bool(claim.reason.strip())
    return bool(claim.proof.strip())
