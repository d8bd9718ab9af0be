"""What a path can name about stored outpatient money: filings, courses, old cards, turnover."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from models.campaign import NoticeCampaign
from models.census import CensusImport
from models.classification import Classification
from models.db import Base, new_id
from models.filing import PrepayFiling, Publication
from models.paid_ahead import PaidAhead
from models.prepay_account import PrepayAccount
from models.turnover import ClaimBatch, TurnoverBatch, TurnoverItem
from models.unreturnable import FilingItem, UnreturnableFiling

COUNTED = (
    "accounts accounts_with_money balance_fen holders top_ups top_up_fen spends spent_fen refunds"
    " refunded_fen"
)
NOTHING_READ = {
    "rows": {},
    "standing": "NEW",
    "blocked": True,
    "findings": {},
    "totals": dict.fromkeys(COUNTED.split(), 0)
    | {"by_channel": [], "by_age": [], "by_contact": []},
}


@dataclass
class StoredMoney:
    """Makes the rows of one patient. ``serial`` is theirs alone."""

    patient_id: UUID
    at: datetime
    serial: str
    hospital_id: UUID

    @property
    def own(self) -> dict[str, Any]:
        """What every row has."""
        return {"id": new_id(), "hospital_id": self.hospital_id}

    def law(self) -> dict[str, Base]:
        """An approved filing and where it is shown; a dump of old cards."""
        filing = PrepayFiling(
            state="APPROVED",
            scenes=["EMERGENCY"],
            groups=[],
            authority="市卫生健康局",
            drafted_by="test",
            drafted_at=self.at,
            client_key=f"draft-{self.serial}",
            request_hash="",
            approved_on=date(2025, 6, 20),
            document_no=f"备{self.serial}",
            **self.own,
        )
        shown = Publication(
            filing_id=filing.id,
            channel="WEBSITE",
            place=f"https://{self.serial}.example",
            from_on=date(2025, 6, 25),
            snapshot_sha256="a" * 64,
            recorded_by="test",
            recorded_at=self.at,
            **self.own,
        )
        dump = CensusImport(
            source=self.serial,
            digest=self.serial,
            state="REFUSED",
            prepared_by="test",
            prepared_at=self.at,
            files=[],
            report=NOTHING_READ,
            **self.own,
        )
        return {"filing_id": filing, "publication_id": shown, "import_id": dump}

    def course(self) -> dict[str, Base]:
        """A course, and what was said of its money."""
        plan = PaidAhead(
            state="OPEN",
            code="COURSE",
            patient_id=self.patient_id,
            course="REHABILITATION",
            units=2,
            price_fen=100,
            proof="",
            reason="",
            opened_by="test",
            opened_at=self.at,
            client_key=self.serial,
            request_hash=self.serial,
            **self.own,
        )
        asked = Classification(
            patient_id=self.patient_id,
            subject_id=plan.id,
            amount_fen=100,
            answer="ORDINARY_PAYMENT_PENDING_INVOICE",
            order_ids=[],
            rules={},
            asked_by="test",
            client_key=self.serial,
            at=self.at,
            **self.own,
        )
        return {"plan_id": plan, "classification_id": asked}

    def old_money(self) -> dict[str, Base]:
        """An old card, a list of lost holders, a turnover that was called off, a claim."""
        by = {"made_by": "test", "made_at": self.at}
        card = PrepayAccount(
            patient_id=self.patient_id,
            source="CENSUS",
            card_no=f"K{self.serial}",
            last_activity_on=date(2022, 1, 1),
            **self.own,
        )
        lost = UnreturnableFiling(period=self.serial, accounts=1, total_fen=100, **by, **self.own)
        batch = TurnoverBatch(
            state="CANCELLED",
            year=2025,
            as_of=date(2025, 12, 31),
            reading="ACCOUNT_ACTIVITY",
            rule_pack="test",
            accounts=1,
            total_fen=100,
            **by,
            **self.own,
        )
        claim = ClaimBatch(budget_year=2026, amount_fen=100, **by, **self.own)
        told = NoticeCampaign(
            name=self.serial, least_fen=1, client_key=f"draft-{self.serial}", **by, **self.own
        )
        about = {"account_id": card.id, "hospital_id": self.hospital_id, "amount_fen": 100}
        about |= {"last_activity_on": card.last_activity_on, "reason": "NO_CONTACT_DATA"}
        return {
            "account_id": card,
            "list_id": lost,
            "listed": FilingItem(filing_id=lost.id, **about),
            "batch_id": batch,
            "turned_over": TurnoverItem(batch_id=batch.id, **about),
            "claim_id": claim,
            "campaign_id": told,
        }
