"""Whom the prepayment rules bind, and how hard, by type of institution (GZ-2)."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from policies.packs import Rules
from policies.refusals import Refused


class InstitutionType(StrEnum):
    """PUBLIC: 公立. DESIGNATED: 医保定点, not public. PRIVATE_OTHER: 其他非公立. MILITARY: 军队."""

    PUBLIC = "PUBLIC"
    DESIGNATED = "DESIGNATED"
    PRIVATE_OTHER = "PRIVATE_OTHER"
    MILITARY = "MILITARY"


class Enforcement(StrEnum):
    """BLOCK: what the rules forbid is refused. ADVISE: it is done, with a warning."""

    BLOCK = "BLOCK"
    ADVISE = "ADVISE"


@dataclass(frozen=True, slots=True)
class Institution:
    """What scope depends on. ``opted_in``: a private one that follows the rules of its own will."""

    type: InstitutionType
    opted_in: bool = False


def enforcement(institution: Institution, day: date, rules: Rules) -> Enforcement:
    """How hard the rules bind this institution on a day.

    A military one follows its own rules: Refused RULE_PACK_NOT_APPLICABLE. Raises NoValue for a day
    before any rules.
    """
    by_type = rules.value("scope.enforcement", day)
    if institution.type not in by_type:
        raise Refused("RULE_PACK_NOT_APPLICABLE")
    return Enforcement.BLOCK if institution.opted_in else Enforcement(by_type[institution.type])
