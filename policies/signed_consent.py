"""What a patient agrees to in so many words: a text with a version, and a signature on it."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from policies.refusals import Refused

TEXTS = Path(__file__).parent / "texts"


class About(StrEnum):
    """What is agreed to; the name of the text's file. PREPAY: to keep outpatient money here at all
    (GZ-6). TRANSFER: to make it an inpatient deposit (GZ-3, D-02).
    """

    PREPAY = "prepay_consent"
    TRANSFER = "transfer_consent"


REFUSALS = {About.PREPAY: "CONSENT_REQUIRED", About.TRANSFER: "TRANSFER_CONSENT_REQUIRED"}


@dataclass(frozen=True, slots=True)
class SignedConsent:
    """What was agreed to. ``signature_sha256``: the signed sheet or screen."""

    text_version: str
    signature_sha256: str | None = None


@cache
def wording(about: About) -> dict[str, str]:
    """The present version and its text; what stands in braces is filled in by whoever shows it."""
    return dict(yaml.safe_load((TEXTS / f"{about}.yaml").read_text("utf8")))


def agreed(about: About, consent: SignedConsent | None, *, on_own_phone: bool) -> SignedConsent:
    """The consent, if it is one: to the present wording, and signed unless given on the own phone.

    Refused CONSENT_REQUIRED or TRANSFER_CONSENT_REQUIRED otherwise.
    """
    if consent is None or consent.text_version != wording(about)["version"]:
        raise Refused(REFUSALS[about])
    if not on_own_phone and consent.signature_sha256 is None:
        raise Refused(REFUSALS[about])
    return consent
