"""Who may do what: roles, their permissions, and the actor on whose behalf a journey runs
(DESIGN.md section 6).
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from policies.refusals import Forbidden


class Channel(StrEnum):
    """Where a step was taken; stored with every step (GZ-20)."""

    PHONE = "PHONE"
    BEDSIDE = "BEDSIDE"
    WINDOW = "WINDOW"
    DESK = "DESK"
    HIS = "HIS"
    SYSTEM = "SYSTEM"


ROLES: dict[str, frozenset[str]] = {
    "PATIENT": frozenset({"own:read", "own:act"}),
    "NURSE": frozenset(
        {
            "ward:read",
            "admission:register",
            "deposit:collect",
            "settlement:settle",
            "question:answer",
        }
    ),
    "CASHIER": frozenset(
        {
            "hospital:read",
            "admission:register",
            "deposit:collect",
            "cash:handle",
            "settlement:settle",
            "settlement:undo",
            "refund:request",
            "outpatient:act",
            "holder:contact",
            "paid-ahead:keep",
        }
    ),
    "FINANCE_MAKER": frozenset(
        {
            "hospital:read",
            "quota:set",
            "bill:make",
            "refund:request",
            "refund:review",
            "refund:batch",
            "census:prepare",
            "kpi:read",
            "ledger:read",
            "filing:draft",
            "paid-ahead:keep",
            "clearance:read",
            "clearance:make",
            "holder:contact",
        }
    ),
    "FINANCE_CHECKER": frozenset(
        {
            "hospital:read",
            "refund:review",
            "refund:check",
            "census:release",
            "kpi:read",
            "ledger:read",
            "clearance:read",
            "exclusion:approve",
        }
    ),
    "FINANCE_HEAD": frozenset(
        {
            "hospital:read",
            "refund:review",
            "refund:check",
            "census:release",
            "kpi:read",
            "ledger:read",
            "settings:change",
            "filing:approve",
            "clearance:read",
            "clearance:approve",
            "exclusion:approve",
        }
    ),
    "INSURANCE_OFFICE": frozenset(
        {
            "hospital:read",
            "admission:register",
            "settlement:settle",
            "settlement:undo",
            "insurance:resolve",
            "kpi:read",
        }
    ),
    "SERVICE_DESK": frozenset({"hospital:read", "question:answer", "holder:contact"}),
    "ADMINISTRATOR": frozenset({"staff:manage", "device:manage", "settings:change"}),
    "AUDITOR": frozenset({"audit:read"}),
    "SUPERVISOR": frozenset({"kpi:read", "ledger:read"}),
    "HIS": frozenset({"his:report"}),
    "SYSTEM": frozenset({"hospital:read", "settlement:settle"}),
}
"""role -> permissions. A staff member may hold several roles; maker and checker of one thing are
never one person.
"""

ALONE = frozenset({"AUDITOR"})
"""Roles that nobody holds beside another: who reads the trail leaves no work in it (三员分离)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks, already authenticated. ``name`` goes into every trail: ``staff:…``,
    ``patient:…``, ``his:…``, ``system``.
    """

    hospital_id: UUID
    name: str
    roles: frozenset[str]
    channel: Channel
    id: UUID | None = None
    wards: frozenset[str] = frozenset()
    device_id: UUID | None = None
    openid: str | None = None
    patient_id: UUID | None = None
    consents: frozenset[tuple[UUID, str]] = frozenset()
    """Patients who consented that this actor may ``VIEW`` or ``PAY`` for them, live at this moment.
    """

    def may(self, permission: str) -> bool:
        """Whether any of the actor's roles grants this permission."""
        return any(permission in ROLES[role] for role in self.roles)

    def needs(self, permission: str) -> None:
        """Refuse the actor who lacks the permission."""
        if not self.may(permission):
            raise Forbidden("PERMISSION_MISSING", permission=permission)


def system(hospital_id: UUID) -> Actor:
    """The hospital's own software, acting on its timetable or on a callback."""
    return Actor(hospital_id, "system", frozenset({"SYSTEM"}), Channel.SYSTEM)
