"""What must be known before a bill is closed, in two round trips: what is held and owed, what was
paid and issued before, how the rest can go home.
"""

from dataclasses import dataclass
from typing import LiteralString

from sqlalchemy.orm import Session as Db

from models import ledger
from models.db import within
from models.ledger import AccountKind
from models.settlement_sheet import Sheet
from payments.refund_facts import KnownPayee, routes_by
from policies.lots import Lot
from policies.refund_plan import Payee, Routes


@dataclass(frozen=True, slots=True)
class Known:
    """``owed_fen``: by the patient, with what the sheet already books. ``closed_before``: how often
    this bill was; ``topped_up_fen``: paid on it since it was agreed to; ``papers_kept``: documents
    of the patient that were not returned yet.
    """

    lots: list[Lot]
    owed_fen: int
    closed_before: int
    topped_up_fen: int
    papers_kept: bool
    routes: Routes
    payee: KnownPayee

    @property
    def held_fen(self) -> int:
        """What the stay's deposit holds."""
        return sum(lot.remaining_fen for lot in self.lots)


_KNOWN: LiteralString = """
    SELECT coalesce((SELECT a.balance_fen FROM account a
                     WHERE a.hospital_id = stay.hospital_id AND a.kind = 'PATIENT_RECEIVABLE'
                        AND a.owner = stay.id::text), 0) AS owed_fen,
        (SELECT count(*) FROM receipt r WHERE r.subject_id = %(run)s) AS closed_before,
        coalesce((SELECT sum(o.amount_fen) FROM payment_order o
                  WHERE o.hospital_id = stay.hospital_id AND o.subject_id = stay.id
                    AND o.state = 'PAID' AND o.purpose = 'SETTLEMENT'
                    AND o.paid_at >= %(agreed)s), 0)::bigint AS topped_up_fen,
        EXISTS (SELECT FROM document d WHERE d.admission_id = stay.id AND d.returned_at IS NULL)
            AS papers_kept,
        coalesce((SELECT jsonb_object_agg(s.key, s.value) FROM setting s
                  WHERE s.hospital_id = stay.hospital_id AND starts_with(s.key, 'refund.')), '{}')
            AS settings,
        (SELECT p.id FROM payee p
         WHERE p.patient_id = stay.patient_id AND NOT p.papers AND p.verified_at IS NOT NULL
         ORDER BY p.verified_at DESC, p.id DESC LIMIT 1) AS own_card,
        EXISTS (SELECT FROM wechat_binding b WHERE b.patient_id = stay.patient_id AND b.active)
            AS wechat,
        (SELECT p.name_sealed IS NOT NULL FROM patient p WHERE p.id = stay.patient_id) AS real_name
    FROM admission stay WHERE stay.id = %(stay)s
"""


def look_up(db: Db, sheet: Sheet) -> Known:
    """Look it all up, under the sheet's locks."""
    stay, run = sheet.stay, sheet.run
    (row,) = within(db, _KNOWN, stay=stay.id, run=run.id, agreed=run.confirmed_at)
    facts = Payee(
        own_card=row["own_card"] is not None, wechat=row["wechat"], real_name=row["real_name"]
    )
    deposit = (stay.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(stay.id))
    return Known(
        lots=ledger.open_lots(db, *deposit),
        owed_fen=row["owed_fen"] + sheet.drawn_fen(AccountKind.PATIENT_RECEIVABLE),
        closed_before=row["closed_before"],
        topped_up_fen=row["topped_up_fen"],
        papers_kept=row["papers_kept"],
        routes=routes_by(row["settings"]),
        payee=KnownPayee(facts, row["own_card"]),
    )
