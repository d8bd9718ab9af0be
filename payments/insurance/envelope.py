"""The common head of every request, and the platform's words made fit to be stored and shown."""

import json
import re
from datetime import datetime
from typing import Any

from config import SHANGHAI, InsuranceSettings
from payments.insurance.codec import Row
from payments.insurance.profile import Profile
from policies.access import Actor

_WHO = {"psn_no", "psn_name", "certno", "mdtrt_cert_no", "card_sn", "tel", "coner_name"}
_WHAT_THEY_HAVE = {"adm_diag_dscr", "main_cond_dscr", "diag_code", "diag_name"}
_PERSONAL = _WHO | _WHAT_THEY_HAVE | {"dscg_maindiag_code", "dscg_maindiag_name"}
_LONG_NUMBER = re.compile(r"\d{11,}[\dXx]?")


def envelope(
    settings: InsuranceSettings,
    profile: Profile,
    by: Actor,
    *,
    infno: str,
    msgid: str,
    at: datetime,
    insured_in: str,
    sign_no: str,
    given: Row,
) -> Row:
    """The whole request. ``insured_in`` (insuplc_admdvs) lets the platform route people of other
    regions.
    """
    operator = operator_of(by, profile)
    return {
        "infno": infno,
        "msgid": msgid,
        "mdtrtarea_admvs": settings.mdtrtarea_admvs,
        "insuplc_admdvs": insured_in,
        "recer_sys_code": profile.recer_sys_code,
        "dev_no": "",
        "dev_safe_info": "",
        "cainfo": "",
        "signtype": "",
        "infver": profile.infver,
        "opter_type": profile.opter_type[by.channel],
        "opter": operator,
        "opter_name": operator,
        "inf_time": at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
        "fixmedins_code": settings.fixmedins_code,
        "fixmedins_name": settings.fixmedins_name,
        "sign_no": sign_no,
        "input": canonical(given) if profile.input_as == "string" else given,
    }


def operator_of(by: Actor, profile: Profile) -> str:
    """The staff number (opter); the office's operator when a patient or the timetable asks."""
    kind, _, number = by.name.partition(":")
    return number if kind == "staff" and number else profile.office_operator


def canonical(given: Row) -> str:
    """One text for one input, whatever the order of its keys."""
    return json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def scrubbed(said: str, given: Row, *known: str) -> str:
    """The platform's words without the person: what we sent or know (``known``) of them, and every
    long number, is ``*``.
    """
    personal = _personal_values(given) | {value for value in known if len(value) > 1}
    for value in sorted(personal, key=len, reverse=True):
        said = said.replace(value, "*")
    return _LONG_NUMBER.sub("*", said)[:200]


def _personal_values(given: Any) -> set[str]:
    if isinstance(given, list):
        return {value for row in given for value in _personal_values(row)}
    if not isinstance(given, dict):
        return set()
    found: set[str] = set()
    for key, value in given.items():
        if isinstance(value, dict | list):
            found |= _personal_values(value)
        elif key in _PERSONAL and len(str(value)) > 1:
            found.add(str(value))
    return found
