"""Dumps of an old card system in the words of the sample mapping, and the two people who bring them
in.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from journeys import census
from models import ledger
from models.db import Session, rows
from models.hospital import Hospital
from models.ledger import Finding
from policies.access import Actor, Channel
from simulator.old_cards import TABLES, Card, rows_of
from tests.models import stored_money

MAPPING = (Path(__file__).parent.parent / "docs" / "census-mapping.yaml").read_text("utf8")
NOW = datetime(2025, 7, 1, 4, tzinfo=UTC)


@dataclass
class Office:
    """A finance office with a maker and a checker, and the directory of its dump."""

    hospital_id: UUID
    dump: Path
    told: list[tuple[str, int]] = field(default_factory=list)

    @property
    def maker(self) -> Actor:
        """Who checks the dump."""
        return Actor(self.hospital_id, "staff:m", frozenset({"FINANCE_MAKER"}), Channel.DESK)

    @property
    def checker(self) -> Actor:
        """Who releases it."""
        return Actor(self.hospital_id, "staff:c", frozenset({"FINANCE_CHECKER"}), Channel.DESK)

    def write(self, **tables: Iterable[Iterable[str]]) -> None:
        """The five files; a table that is not named has only its headings."""
        self.dump.mkdir(exist_ok=True)
        for name, headings in TABLES.items():
            with (self.dump / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([headings, *tables.get(name, [])])

    def write_cards(self, cards: Iterable[Card]) -> None:
        """The files of these cards."""
        told: dict[str, list[list[str]]] = {name: [] for name in TABLES}
        for card in cards:
            for name, row in rows_of(card):
                told[name].append(row)
        self.write(**told)

    def check(self, mapping: str = MAPPING) -> dict[str, Any]:
        """The dry run, and its report."""
        made = census.check_dump(self.maker, self.dump, mapping, lambda: NOW, self._heard)
        return census.one_import(self.maker, made)

    def release(self, import_id: UUID, mapping: str = MAPPING) -> dict[str, Any]:
        """The second person's turn."""
        return census.release_dump(
            self.checker, import_id, self.dump, mapping, lambda: NOW, self._heard
        )

    def imported(self) -> dict[str, Any]:
        """Check and release; it has to go through."""
        shown = self.release(self.check()["id"])
        assert shown["state"] == "IMPORTED", shown["report"]["findings"]
        return shown

    def findings(self, import_id: UUID) -> list[tuple[str, int, str, str]]:
        """Table, row, field and code of everything found."""
        found = census.findings(self.maker, import_id, 0, 500)
        return [(each["table"], each["row"], each["field"], each["code"]) for each in found]

    def proof(self) -> list[Finding]:
        """What the ledger's proof finds."""
        with Session() as db:
            return ledger.prove(db, self.hospital_id)

    def held(self) -> dict[str, int]:
        """Card number -> what its account holds, for those that hold anything."""
        query = (
            "SELECT p.card_no, -a.balance_fen AS fen FROM prepay_account p JOIN account a"
            " ON a.kind = 'OUTPATIENT_PREPAY' AND a.owner = p.id::text AND a.balance_fen < 0"
            " WHERE p.hospital_id = :house ORDER BY p.card_no"
        )
        return {row["card_no"]: row["fen"] for row in rows(query, house=self.hospital_id)}

    def lots(self, card_no: str) -> list[dict[str, Any]]:
        """The lots of a card's account, oldest first."""
        return rows(
            "SELECT l.channel, l.channel_transaction, l.paid_at, l.amount_fen, l.paid_fen, l.parts,"
            " l.last_refund_at, l.amount_fen - l.spent_fen - l.refunded_fen AS left_fen"
            " FROM lot l JOIN account a ON a.id = l.account_id"
            " JOIN prepay_account p ON a.owner = p.id::text"
            " WHERE p.hospital_id = :house AND p.card_no = :card ORDER BY l.paid_at, l.id",
            house=self.hospital_id,
            card=card_no,
        )

    def count(self, table: str) -> int:
        """How many rows of the hospital a table has."""
        query = f"SELECT count(*) AS n FROM {table} WHERE hospital_id = :house"  # noqa: S608
        return rows(query, house=self.hospital_id)[0]["n"]

    def _heard(self, table: str, read: int) -> None:
        self.told.append((table, read))


def an_office(dump: Path) -> Office:
    """A new hospital under the rules of the country."""
    house = stored_money.a_hospital()
    with Session.begin() as db:
        db.get_one(Hospital, house).rule_packs = ["national", "guizhou"]
    return Office(house, dump)
