"""What a patient agrees to before outpatient money becomes an inpatient deposit (GZ-3, D-02)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from policies.refusals import Refused

FILE = Path(__file__).parent / "texts" / "transfer_consent.yaml"


@dataclass(frozen=True, slots=True)
class TransferConsent:
    """What was agreed to. ``signature_sha256``: the signed sheet or screen."""

    text_version: str
    signature_sha256: str | None = None


@cache
def wording() -> dict[str, str]:
    """The present version and its text; ``{amount_yuan}`` is filled in by whoever shows it."""
    return dict(yaml.safe_load(FILE.read_text("utf8")))


def agreed(consent: TransferConsent | None, *, on_own_phone: bool) -> TransferConsent:
    """The consent, if it is one: to the present wording, and signed unless given on the own phone.

    Refused TRANSFER_CONSENT_REQUIRED otherwise.
    """
    if consent is None or consent.text_version != wording()["version"]:
        raise Refused("TRANSFER_CONSENT_REQUIRED")
    if not on_own_phone and consent.signature_sha256 is None:
        raise Refused("TRANSFER_CONSENT_REQUIRED")
    return consent
