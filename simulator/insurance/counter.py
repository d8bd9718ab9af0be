"""The counter at which one request is dealt with: who asks, what time it is, what is remembered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.insurance.envelope import SHANGHAI, Message
from simulator.insurance.profile import Profile
from simulator.insurance.refusals import Declined
from simulator.world import World

Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """A transaction that was carried out. ``about``: what 2601 needs to take it back."""

    output: Any = None
    about: Doc | None = None
    file: bytes | None = None  # 9102 answers the file itself
    unanswered: bool = False  # fault one_sided: done and kept, and the answer never leaves


@dataclass(frozen=True, slots=True)
class Counter:
    """One hospital's side of the platform; ``message`` is what is being asked."""

    world: World
    code: str
    here: Doc
    profile: Profile
    message: Message

    @property
    def now(self) -> datetime:
        """The platform's wall clock, Asia/Shanghai."""
        return self.world.now().astimezone(SHANGHAI)

    def get(self, kind: str, key: str) -> Doc | None:
        """A remembered document of this hospital."""
        return self.world.store.get(f"insurance.{kind}", f"{self.code}/{key}")

    def put(self, kind: str, key: str, doc: Doc) -> None:
        """Remember a document of this hospital."""
        self.world.store.put(f"insurance.{kind}", f"{self.code}/{key}", doc)

    def all(self, kind: str) -> list[Doc]:
        """Every document of a kind of this hospital, oldest first."""
        return documents(self.world, kind, self.code)

    def number(self, kind: str) -> int:
        """The next number of a kind, from 1."""
        return next_number(self.world, self.code, kind)

    def person(self, psn_no: str) -> Doc:
        """The insured person, asked about with the right insuplc_admdvs; else Declined."""
        place = self.message.insuplc_admdvs
        if not place:
            raise Declined("参保地医保区划(insuplc_admdvs)不能为空")
        person = self.get("person", psn_no)
        if person is None:
            raise Declined("未查询到该人员编号的参保信息")
        if place not in {row["insuplc_admdvs"] for row in person["insuinfo"]}:
            raise Declined("参保地医保区划(insuplc_admdvs)与人员参保信息不一致")
        return person

    def visit(self, mdtrt_id: str, psn_no: str) -> Doc:
        """The visit of this person, asked about with its place of registration; else Declined."""
        self.person(psn_no)
        visit = self.get("visit", mdtrt_id)
        if visit is None or visit["psn_no"] != psn_no or visit["state"] == "CANCELLED":
            raise Declined(f"未查询到就诊信息，就诊ID【{mdtrt_id}】")
        if visit["insuplc_admdvs"] != self.message.insuplc_admdvs:
            raise Declined("参保地医保区划(insuplc_admdvs)与就诊登记时不一致")
        return visit

    def keep_visit(self, visit: Doc) -> None:
        """Write a changed visit."""
        self.put("visit", visit["mdtrt_id"], visit)


def documents(world: World, kind: str, code: str) -> list[Doc]:
    """Every document of a kind of one hospital, oldest first."""
    return [
        doc for key, doc in world.store.all(f"insurance.{kind}") if key.split("/", 1)[0] == code
    ]


def next_number(world: World, code: str, kind: str) -> int:
    """Count on: the next number of a kind of one hospital, from 1."""
    with world.store.transaction():
        last = world.store.get("insurance.number", f"{code}/{kind}") or {"last": 0}
        world.store.put("insurance.number", f"{code}/{kind}", {"last": last["last"] + 1})
    return int(last["last"]) + 1


def wall(moment: datetime) -> str:
    """A moment as the platform writes it."""
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
