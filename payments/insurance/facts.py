"""Plain facts that journeys hand to the insurance desk and get back from it; nothing here asks or
stores anything.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

MAIN_DIAGNOSIS = "1"
"""diag_type of a western-medicine main diagnosis in the platform's code table."""


@dataclass(frozen=True, slots=True)
class PersonCard:
    """What somebody shows at the desk. ``kind`` (mdtrt_cert_type): 01 e-voucher, 02 identity card,
    03 social card.
    """

    name: str = field(repr=False)
    id_no: str = field(repr=False)
    kind: str = "02"
    number: str = field(default="", repr=False)  # of an e-voucher or social card; else the id_no
    card_sn: str = field(default="", repr=False)
    id_type: str = "01"  # psn_cert_type

    @property
    def shown(self) -> str:
        """mdtrt_cert_no: the number of the thing that was shown."""
        return self.number or self.id_no


@dataclass(frozen=True, slots=True)
class Cover:
    """One insurance a person has (a row of insuinfo). ``status`` (psn_insu_stas) 1 is in force."""

    insutype: str
    psn_type: str
    insuplc_admdvs: str
    status: str
    since: date | None = None
    employer: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """A personal status valid today (a row of idetinfo): ``code`` is psn_idet_type, 2303 低保."""

    code: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody the platform knows: their number there, all their covers and the identities valid
    today.
    """

    psn_no: str = field(repr=False)
    covers: tuple[Cover, ...]
    identities: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One diagnosis of a stay; the first of a stay is the main one. ``at`` is when it was made."""

    code: str
    name: str = field(repr=False)
    department_code: str
    doctor_code: str
    doctor_name: str
    at: datetime
    type: str = MAIN_DIAGNOSIS


@dataclass(frozen=True, slots=True)
class StayFacts:
    """A stay as the HIS knows it, for registration (2401), change (2403) and discharge (2402)."""

    inpatient_no: str
    admitted_at: datetime
    department_code: str
    department_name: str
    bed: str
    doctor_code: str
    doctor_name: str
    diagnoses: tuple[Diagnosis, ...]
    medical_record_no: str = ""
    contact_name: str = field(default="", repr=False)
    contact_phone: str = field(default="", repr=False)
    condition: str = field(default="", repr=False)
    left_at: datetime | None = None  # from here on: known at discharge
    leaving_way: str = (
        "1"  # dscg_way: 1 on doctor's order, 2 other hospital, 4 against advice, 5 died
    )
    died_on: date | None = None


@dataclass(frozen=True, slots=True)
class FeeLine:
    """One charge line. ``line`` is its stable key in the hospital; a reversal is negative and names
    what it ``reverses``.
    """

    line: str
    at: datetime
    med_list_codg: str  # national code
    medins_list_codg: str  # the hospital's own code
    amount_fen: int
    quantity: Decimal  # negative on a reversal
    unit_price_yuan: Decimal
    department_code: str
    department_name: str
    doctor_code: str
    doctor_name: str
    reverses: str = ""
    hospital_approved: str = ""  # hosp_appr_flag
    take_home: bool = False  # dscg_tkdrug_flag


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a day's settlements on which hospital and platform differ; for the insurance
    office.

    ``kind``: LEVEL, CENTRE_ONLY, HOSPITAL_ONLY, AMOUNTS_DIFFER, NO_ANSWER. ``msgid`` names the
    call.
    """

    kind: str
    insutype: str
    msgid: str = ""
    setl_id: str = ""
    detail: str = ""
