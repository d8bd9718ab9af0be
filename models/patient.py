"""A patient as the HIS patient index knows them: sealed identity, and the plain facts that care and
law need.
"""

from collections.abc import Collection
from datetime import date
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, new_id
from models.sealing import Sealed, blind_index, bound_to, unseal
from policies.access import Actor
from policies.real_name import same_name
from policies.refusals import NotFound

OLD_CARD = "census:"
"""Begins the number of a row that an old card made; the HIS has not named this person yet."""


class Patient(Base):
    """One person in one hospital's patient index. ``id_type``: 01 identity card, 99 none known.

    Every lock leaves the key alone: who writes a row about the patient may hold what the holder of
    the lock wants next, the account of the cash or the counter of the receipts.
    """

    __tablename__ = "patient"
    __table_args__ = (
        UniqueConstraint("hospital_id", "his_patient_no"),
        UniqueConstraint("hospital_id", "id"),  # what names both is held to it: Message
        Index(None, "hospital_id", "id_no_index"),
        Index(None, "hospital_id", "phone_index"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    his_patient_no: Mapped[str] = mapped_column(Text)
    name_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_no_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_no_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    born_on: Mapped[date | None]
    sex: Mapped[str] = mapped_column(Text, default="")
    id_type: Mapped[str] = mapped_column(Text, default="99")

    name = Sealed()
    id_no = Sealed()
    phone = Sealed()

    @classmethod
    def named(
        cls, db: Session, hospital_id: UUID, id_no: str, name: str, *, lock: bool = False
    ) -> list[Self]:
        """The rows of the index with this identity number and this name, the HIS's before those
        that an old card made.
        """
        query = select(cls).where(
            cls.hospital_id == hospital_id, cls.id_no_index == blind_index(id_no)
        )
        query = query.order_by(cls.his_patient_no.startswith(OLD_CARD), cls.id)
        found = db.scalars(query.with_for_update(key_share=True) if lock else query)
        return [row for row in found if same_name(row.name, name)]

    @classmethod
    def locked(cls, db: Session, patient_id: UUID) -> Self:
        """The patient under the row's lock."""
        return db.get_one(cls, patient_id, with_for_update={"key_share": True})

    @classmethod
    def seen_by(cls, db: Session, actor: Actor, patient_id: UUID, *, lock: bool = False) -> Self:
        """The patient, if this actor is they or reads the hospital; NotFound otherwise."""
        query = select(cls).where(cls.id == patient_id, cls.hospital_id == actor.hospital_id)
        patient = db.scalar(query.with_for_update(key_share=True) if lock else query)
        own = patient is not None and patient.id == actor.patient_id
        if patient is None or not (own or actor.may("hospital:read")):
            raise NotFound("PATIENT_UNKNOWN")
        return patient

    def same_person(
        self, db: Session, hospital_ids: Collection[UUID], *, lock: bool = False
    ) -> list[Self]:
        """This row and every other of the same identity number and name in these hospitals (D-45).

        Their locks are taken in one order by everybody.
        """
        cls = type(self)
        if self.id_no_index is None:
            mine = cls.id == self.id
        else:
            mine = cls.id_no_index == self.id_no_index
        query = select(cls).where(cls.hospital_id.in_(hospital_ids), mine).order_by(cls.id)
        found = db.scalars(query.with_for_update(key_share=True) if lock else query)
        return [row for row in found if row.id == self.id or same_name(row.name, self.name)]

    @property
    def masked_name(self) -> str:
        """张*丰: the first and, from three characters, the last character stay."""
        return masked(self.name)


def masked_name(patient_id: UUID, sealed: bytes | None) -> str:
    """The masked name of a row of which only this was read."""
    place = bound_to(Patient.__tablename__, "name", patient_id)
    return masked("" if sealed is None else unseal(sealed, place))


def masked(name: str) -> str:
    """张*丰, 李*."""
    return name[:1] + "*" * max(1, len(name) - 2) + (name[-1] if len(name) > 2 else "")
