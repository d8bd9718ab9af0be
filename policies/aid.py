"""Whose personal share the medical-aid office may carry (CQ-2.1, CQ-5.1): read off the platform's
identity codes.
"""

from collections.abc import Collection

AID_IDENTITIES = {
    "2301": "三无人员",
    "2302": "建档立卡贫困人口",
    "2303": "低保对象",
    "2304": "特困人员",
    "2305": "低收入家庭",
    "2306": "因病致贫",
}
"""psn_idet_type codes of the national table that stand for medical-aid groups."""


def may_claim_aid(identities: Collection[str]) -> bool:
    """Whether any identity in force is one of the aid groups."""
    return not AID_IDENTITIES.keys().isdisjoint(identities)
