"""Whether an outpatient top-up may be taken (GZ-2, GZ-6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from policies.filed_exception import Filing, TopUp, filing_that_allows
from policies.packs import Rules
from policies.refusals import Refused
from policies.scope import Enforcement, Institution, InstitutionType, enforcement

OUTPATIENT_PREPAY_STOPPED = "OUTPATIENT_PREPAY_STOPPED"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a rule says that does not bind here: the code of its refusal, and since which day."""

    code: str
    since: date


@dataclass(frozen=True, slots=True)
class Yes:
    """It may be taken: under which filing, or freely and with what advice."""

    filing: Filing | None = None
    advice: tuple[Advice, ...] = ()


def may_top_up(
    institution: Institution, day: date, rules: Rules, wish: TopUp, filings: Iterable[Filing]
) -> Yes:
    """On what ground a top-up may be taken on a day.

    Where the rules bind: under a filed exception only, see filing_that_allows. Refused
    RULE_PACK_NOT_APPLICABLE at a military institution on every day: these rules never say yes for
    it.
    """
    if institution.type is InstitutionType.MILITARY:
        raise Refused("RULE_PACK_NOT_APPLICABLE")
    stopped = rules.find("outpatient_prepay.ordinary_top_up", day)
    if stopped is None:
        return Yes()
    if enforcement(institution, day, rules) is Enforcement.ADVISE:
        return Yes(advice=(Advice(OUTPATIENT_PREPAY_STOPPED, stopped.valid_from),))
    published_first = rules.find("filing.require_publication", day)
    filing = filing_that_allows(
        filings,
        wish,
        day,
        stopped_since=stopped.valid_from,
        require_publication=published_first is None or bool(published_first.value),
    )
    return Yes(filing)
