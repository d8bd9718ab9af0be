"""Whether an ordinary outpatient top-up may be taken (GZ-2, GZ-6)."""

from dataclasses import dataclass
from datetime import date

from policies.packs import Rules
from policies.refusals import Refused
from policies.scope import Enforcement, Institution, InstitutionType, enforcement

OUTPATIENT_PREPAY_STOPPED = "OUTPATIENT_PREPAY_STOPPED"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a rule says that does not bind here: the code of its refusal, and since which day."""

    code: str
    since: date


def ordinary_top_up(institution: Institution, day: date, rules: Rules) -> tuple[Advice, ...]:
    """With what advice a top-up outside every filed exception may be taken; empty: freely.

    Refused OUTPATIENT_PREPAY_STOPPED where the rules bind, RULE_PACK_NOT_APPLICABLE at a military
    institution on every day: these rules never say yes for it.
    """
    if institution.type is InstitutionType.MILITARY:
        raise Refused("RULE_PACK_NOT_APPLICABLE")
    stopped = rules.find("outpatient_prepay.ordinary_top_up", day)
    if stopped is None:
        return ()
    if enforcement(institution, day, rules) is Enforcement.BLOCK:
        raise Refused(OUTPATIENT_PREPAY_STOPPED, since=stopped.valid_from.isoformat())
    return (Advice(OUTPATIENT_PREPAY_STOPPED, stopped.valid_from),)
