"""Who may ask for a patient's stored money with which papers, and whose bank account it may go to
(GZ-7, D-42, D-43).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from policies.filed_exception import age_on
from policies.real_name import same_name
from policies.refusals import Refused

OF_AGE = 18
"""Civil Code art. 17: from this birthday on a person acts alone."""


class Asker(StrEnum):
    """Who wants the money. HOSPITAL: finance gives it back without being asked."""

    OWN = "OWN"
    AGENT = "AGENT"
    GUARDIAN = "GUARDIAN"
    HEIR = "HEIR"
    HOSPITAL = "HOSPITAL"


FOR_ANOTHER = (Asker.AGENT, Asker.GUARDIAN, Asker.HEIR)
"""Whoever asks for somebody else brings papers."""


class Paper(StrEnum):
    """A kind of paper; its name stands in texts/refund_papers.yaml."""

    PATIENT_ID = "PATIENT_ID"
    ASKER_ID = "ASKER_ID"
    AUTHORISATION = "AUTHORISATION"
    GUARDIANSHIP = "GUARDIANSHIP"
    DEATH = "DEATH"
    RELATION = "RELATION"
    NOTARISED = "NOTARISED"


NEEDED: Mapping[Asker, tuple[Paper, ...]] = {
    Asker.OWN: (),
    Asker.AGENT: (Paper.PATIENT_ID, Paper.ASKER_ID, Paper.AUTHORISATION),
    Asker.GUARDIAN: (Paper.ASKER_ID, Paper.GUARDIANSHIP),
    Asker.HEIR: (Paper.ASKER_ID, Paper.DEATH, Paper.RELATION),
    Asker.HOSPITAL: (),
}
"""Any one paper about the death is enough, whichever office wrote it (D-42)."""


@dataclass(frozen=True, slots=True)
class PaperRules:
    """What this hospital decided. From more than ``notarised_fen[asker]`` on, a notary or a court
    must have said so too; ``own_account_only``: agents and guardians get nothing on their own
    account.
    """

    notarised_fen: Mapping[Asker, int]
    own_account_only: bool


class PayeeCheck(StrEnum):
    """OWN: the patient's account. BY_PAPERS: the asker's, as papers allow. MISMATCH: neither."""

    OWN = "OWN"
    BY_PAPERS = "BY_PAPERS"
    MISMATCH = "PAYEE_MISMATCH"


def missing(
    asker: Asker, amount_fen: int, papers: Collection[Paper], rules: PaperRules
) -> tuple[Paper, ...]:
    """The papers that are still to be brought, for this amount."""
    needed = NEEDED[asker]
    limit = rules.notarised_fen.get(asker)
    if limit is not None and amount_fen > limit:
        needed += (Paper.NOTARISED,)
    return tuple(paper for paper in needed if paper not in papers)


def refuse_a_child_alone(asker: Asker, born_on: date | None, day: date) -> None:
    """Who is not of age asks through a guardian. Refused GUARDIAN_REQUIRED."""
    if asker == Asker.OWN and born_on is not None and age_on(born_on, day) < OF_AGE:
        raise Refused("GUARDIAN_REQUIRED")


def check_payee(
    holder: str, patient: str, asker: Asker, asker_name: str, rules: PaperRules
) -> PayeeCheck:
    """Whose bank account this is: the patient's first, the asker's only where papers allow it."""
    if same_name(holder, patient):
        return PayeeCheck.OWN
    allowed = asker == Asker.HEIR or (asker in FOR_ANOTHER and not rules.own_account_only)
    if allowed and same_name(holder, asker_name):
        return PayeeCheck.BY_PAPERS
    return PayeeCheck.MISMATCH


def names_of(papers: Collection[Paper]) -> str:
    """The papers in plain words."""
    return "、".join(_names()[paper] for paper in papers)


@cache
def _names() -> dict[str, str]:
    path = Path(__file__).parent / "texts" / "refund_papers.yaml"
    names: dict[str, str] = yaml.safe_load(path.read_text("utf8"))
    return names
