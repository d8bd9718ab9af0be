"""The day's settlements beside the platform's: totals (3201), and where they differ every row
(9101, 3202, 9102).
"""

import base64
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from config import SHANGHAI, today
from models.db import ReadSession
from models.insurance import CallState, Encounter, InsuranceCall
from payments.insurance import amounts, codec, lost
from payments.insurance.amounts import SettlementAmounts
from payments.insurance.calls import Calls
from payments.insurance.codec import Row, Unreadable
from payments.insurance.facts import Finding
from policies.access import Actor
from policies.refusals import Busy, Refusal, Refused

_LEVEL = "0"
_NEAR_MIDNIGHT = timedelta(minutes=10)
_LOST = (CallState.UNKNOWN, CallState.HUMAN)
_NOT_OURS = (*_LOST, CallState.REFUSED)
"""States of a call that brought us no settlement. A refused one may lie at the centre after all."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What 3201 counts together: one class of insurance cleared by one office."""

    insutype: str
    clr_type: str
    cleared_by: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One settlement (or undo, then negative) of the day."""

    group: _Group
    psn_no: str
    mdtrt_id: str
    msgid: str
    amounts: SettlementAmounts


def reconcile(calls: Calls, day: date, by: Actor) -> list[Finding]:
    """Every group of the day, one after another; a group nobody answers for is a finding too.

    Raises Refused INSURANCE_DAY_NOT_OVER.
    """
    if day >= today(calls.now()):
        raise Refused("INSURANCE_DAY_NOT_OVER")
    entries = _entries(calls, day, by)
    lost_calls = _lost_calls(day, by)
    groups: dict[_Group, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    for _, stay in lost_calls:
        if stay.insutype not in {group.insutype for group in groups}:
            groups[_group_of(calls, stay)] = []
    findings: list[Finding] = []
    for group, rows in groups.items():
        try:
            findings += _compare(calls, day, group, rows, by)
        except (Busy, Refused, Unreadable) as trouble:
            code = trouble.code if isinstance(trouble, Refusal) else str(trouble)
            findings.append(Finding("NO_ANSWER", group.insutype, detail=code))
            lost_calls = [pair for pair in lost_calls if pair[1].insutype != group.insutype]
    _never_arrived(calls, day, lost_calls, findings, by)
    return findings


def resolve(calls: Calls, rows: Iterable[dict[str, str]], by: Actor) -> list[Finding]:
    """Read the rows of a 3202 answer; a lost settlement that lies at the centre is reversed by its
    msgid.
    """
    findings = []
    for row in rows:
        if row.get("stmt_rslt") == _LEVEL:
            continue
        msgid, setl_id = row.get("msgid") or "", row.get("setl_id") or ""
        call, stay = _known(by, msgid, setl_id)
        insutype = stay.insutype if stay else ""
        finding = Finding("AMOUNTS_DIFFER", insutype, msgid, setl_id, row.get("memo") or "")
        if call is not None and stay is not None and call.state in _NOT_OURS:
            finding = replace(finding, kind="CENTRE_ONLY", detail=_take_back(calls, call, stay, by))
        elif call is None and not setl_id:
            finding = replace(finding, kind="CENTRE_ONLY")
        elif call is not None and not msgid:
            finding = replace(finding, kind="HOSPITAL_ONLY")
        findings.append(finding)
    return findings


def _compare(
    calls: Calls, day: date, group: _Group, rows: list[_Entry], by: Actor
) -> list[Finding]:
    head = {
        "setl_optins": group.cleared_by,
        "clr_type": group.clr_type,
        "stmt_begndate": day,
        "stmt_enddate": day,
        "medfee_sumamt": amounts.yuan(sum(row.amounts.total for row in rows)),
        "fund_pay_sumamt": amounts.yuan(sum(row.amounts.funds for row in rows)),
        "fixmedins_setl_cnt": len(rows),
        "refd_setl_flag": "0",
        "fixmedins_refd_setl_flag": "0",
    }
    account = amounts.yuan(sum(row.amounts.account for row in rows))
    said = calls.look("3201", by, data=head | {"insutype": group.insutype, "acct_pay": account})
    if all(str(row.get("stmt_rslt")) == _LEVEL for row in said["stmtinfo"]) and said["stmtinfo"]:
        return [Finding("LEVEL", group.insutype)]
    cash = amounts.yuan(sum(row.amounts.cash for row in rows))
    number = _send_file(calls, rows, by)
    answer = calls.look("3202", by, data=head | {"file_qury_no": number, "cash_payamt": cash})
    return resolve(calls, _fetch_file(calls, answer["fileinfo"], by), by)


def _send_file(calls: Calls, rows: list[_Entry], by: Actor) -> str:
    text = codec.text_rows("3202", "file_in", [_file_row(row) for row in rows])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("settlements.txt", text)
    content = packed.getvalue()
    carried: Any = (
        list(content) if calls.profile.file_as == "numbers" else base64.b64encode(content).decode()
    )
    code = calls.platform.settings.fixmedins_code
    upload = {"in": carried, "filename": "settlements.zip", "fixmedins_code": code}
    found = calls.look("9101", by, fsUploadIn=upload)
    return str(found[""].get("file_qury_no") or "")


def _file_row(row: _Entry) -> Row:
    return {
        "setl_id": row.amounts.setl_id,
        "mdtrt_id": row.mdtrt_id,
        "psn_no": row.psn_no,
        "medfee_sumamt": amounts.yuan(row.amounts.total),
        "fund_pay_sumamt": amounts.yuan(row.amounts.funds),
        "acct_pay": amounts.yuan(row.amounts.account),
        "refd_setl_flag": "1" if row.amounts.total < 0 else "0",
    }


def _fetch_file(calls: Calls, told: Row, by: Actor) -> list[dict[str, str]]:
    wanted = {
        "file_qury_no": told.get("file_qury_no"),
        "filename": told.get("filename"),
        "fixmedins_code": calls.platform.settings.fixmedins_code,
    }
    found = calls.look("9102", by, fsDownloadIn=wanted)
    try:
        with zipfile.ZipFile(io.BytesIO(_content(found[""]))) as archive:
            text = "".join(archive.read(name).decode("utf8") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError) as wrong:
        raise Unreadable("9102: no zip of text") from wrong
    return codec.rows_of_text("3202", "file_out", text)


def _content(found: bytes | Row) -> bytes:
    """The bytes of a file, however they came: as they are, as base64, or as a list of numbers."""
    if isinstance(found, bytes):
        return found
    for value in found.values():
        if isinstance(value, list):
            return bytes(number % 256 for number in value)
        if isinstance(value, str) and len(value) > 40:
            return base64.b64decode(value, validate=True)
    raise Unreadable("9102: no file")


def _entries(calls: Calls, day: date, by: Actor) -> list[_Entry]:
    start = datetime.combine(day, time(), SHANGHAI)
    with ReadSession() as db:
        found = db.execute(
            select(InsuranceCall, Encounter)
            .join(Encounter, InsuranceCall.encounter_id == Encounter.id)
            .where(
                InsuranceCall.hospital_id == by.hospital_id,
                InsuranceCall.infno.in_(["2304", "2305"]),
                InsuranceCall.state == CallState.SUCCEEDED,
                InsuranceCall.settled_at >= start,
                InsuranceCall.settled_at < start + timedelta(days=1),
            )
            .order_by(InsuranceCall.settled_at, InsuranceCall.id)
        ).all()
    return [_entry(calls, call, stay) for call, stay in found]


def _entry(calls: Calls, call: InsuranceCall, stay: Encounter) -> _Entry:
    usual = _group_of(calls, stay)
    group = _Group(
        stay.insutype,
        call.facts["clr_type"] or usual.clr_type,
        call.facts["cleared_by"] or usual.cleared_by,
    )
    read = SettlementAmounts.from_json(call.facts["amounts"])
    return _Entry(group, stay.psn_no, stay.mdtrt_id or "", call.msgid, read)


def _group_of(calls: Calls, stay: Encounter) -> _Group:
    area = calls.platform.settings.mdtrtarea_admvs
    return _Group(stay.insutype, calls.profile.clr_type, area)


def _lost_calls(day: date, by: Actor) -> list[tuple[InsuranceCall, Encounter]]:
    start = datetime.combine(day, time(), SHANGHAI)
    with ReadSession() as db:
        found = db.execute(
            select(InsuranceCall, Encounter)
            .join(Encounter, InsuranceCall.encounter_id == Encounter.id)
            .where(
                InsuranceCall.hospital_id == by.hospital_id,
                InsuranceCall.infno == "2304",
                InsuranceCall.state.in_(_LOST),
                InsuranceCall.asked_at >= start,
                InsuranceCall.asked_at < start + timedelta(days=1),
            )
        ).all()
    return [(call, stay) for call, stay in found]


def _known(by: Actor, msgid: str, setl_id: str) -> tuple[InsuranceCall | None, Encounter | None]:
    """Our call of this msgid, else the one that brought this setl_id."""
    ours = select(InsuranceCall).where(InsuranceCall.hospital_id == by.hospital_id)
    with ReadSession() as db:
        call = db.scalar(ours.where(InsuranceCall.msgid == msgid)) if msgid else None
        if call is None and setl_id:
            brought = InsuranceCall.facts["amounts"]["setl_id"].astext == setl_id
            call = db.scalars(ours.where(brought, InsuranceCall.infno == "2304")).first()
        stay = db.get(Encounter, call.encounter_id) if call and call.encounter_id else None
    return call, stay


def _take_back(calls: Calls, call: InsuranceCall, stay: Encounter, by: Actor) -> str:
    """A call that a person has is theirs; one that nobody answered is reversed."""
    if call.state == CallState.HUMAN:
        return call.task
    return str(lost.reverse(calls, call, stay, by))


def _never_arrived(
    calls: Calls,
    day: date,
    lost_calls: list[tuple[InsuranceCall, Encounter]],
    findings: list[Finding],
    by: Actor,
) -> None:
    """The platform has accounted for the whole day without it: the call never arrived and may be
    asked again.

    Not concluded for a call near midnight, which may lie in the next day's account.
    """
    seen = {finding.msgid for finding in findings}
    midnight = datetime.combine(day + timedelta(days=1), time(), SHANGHAI)
    for call, _ in lost_calls:
        early = call.asked_at < midnight - _NEAR_MIDNIGHT
        if early and call.msgid not in seen and call.task != "AMOUNTS_DISAGREE":
            calls.resolve(call, CallState.REFUSED, by, "3201/3202: not among the day's settlements")
