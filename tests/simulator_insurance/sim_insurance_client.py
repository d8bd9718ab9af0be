"""A tiny client of the insurance platform and the aid office, written from the reference alone."""

import base64
import hashlib
import hmac
import itertools
import json
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import requests

CODES = ("GZ01", "CQ01")
SHANGHAI = ZoneInfo("Asia/Shanghai")
PATHS = {
    "9001": "signInSignOutService/signIn",
    "1101": "fsiPsnInfoService/queryPsnInfo",
    "2001": "fsiPsnPriorityInfoService/queryPsnPriorityInfo",
    "2401": "hospitalRegisterService/hospitalRegisterSave",
    "2402": "dscgService/dischargeProcess",
    "2403": "hospitalRegisterService/hospitalRegisterEdit",
    "2404": "hospitalRegisterService/hospitalRegisterCancel",
    "2405": "dscgService/dischargeUndo",
    "2301": "hospFeeDtlService/feeDtlUp",
    "2302": "hospFeeDtlService/feeDtlCl",
    "2303": "hospSettService/preSett",
    "2304": "hospSettService/settV2",
    "2305": "hospSettService/settCl",
    "2601": "reverseService/revsMethod",
    "3201": "ybSettlementStmtService/stmtTotal",
    "3202": "ybSettlementStmtService/stmtDetail",
    "5203": "fsiIntegratedQueryService/querySetlInfo",
    "5303": "fsiIntegratedQueryService/queryInhospInfo",
    "9101": "fileupload/upload",
    "9102": "fileupload/download",
}
SEQUENCE = itertools.count(random.randrange(10000))


def identity_number() -> str:
    """An invented person of region 990101, which is not assigned, with a right checksum."""
    body = f"99010119{random.randrange(40, 99)}0{random.randrange(1, 10)}1{random.randrange(10)}"
    body += f"{random.randrange(1000):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + "10X98765432"[total % 11]


def wall(**ago: float) -> str:
    """A Shanghai wall-clock time; ``days=1`` is a day ago."""
    return (datetime.now(UTC) - timedelta(**ago)).astimezone(SHANGHAI).strftime("%F %T")


class Platform:
    """One hospital's way to its platform."""

    def __init__(self, code: str, settings: dict) -> None:
        self.code, self.settings = code, SimpleNamespace(**settings)
        self.session = requests.Session()
        self.root = self.settings.base_url.split("/insurance/")[0]
        self.is_csb = self.settings.profile.startswith("csb")
        self.area = self.settings.mdtrtarea_admvs
        self._sign_no = ""

    def control(self, method: str, path: str, body: dict | None = None):
        """Pull a string of the simulator."""
        answered = self.session.request(method, self.root + path, json=body, timeout=10)
        assert answered.status_code == 200, answered.text
        return answered.json(parse_float=Decimal)

    def plan(self, fault: str, operation: str, **options) -> None:
        plan = {"wire": "insurance", "operation": operation, "fault": fault, "options": options}
        self.control("POST", "/_sim/faults", plan)

    def seed(self, **person) -> dict:
        return self.control("POST", f"/_sim/insurance/{self.code}/persons", person)

    def settlements(self) -> list[dict]:
        path = f"/_sim/insurance/{self.code}/settlements"
        return self.control("GET", path)["settlements"]

    def close(self) -> None:
        self.session.close()

    def msgid(self) -> str:
        stamp = datetime.now(UTC).astimezone(SHANGHAI).strftime("%Y%m%d%H%M%S")
        return f"{self.settings.fixmedins_code}{stamp}{next(SEQUENCE) % 10000:04d}"

    def envelope(self, infno: str, given, insuplc: str = "", /, **changes) -> dict:
        us = self.settings
        if infno != "9001" and not self._sign_no:
            self._sign_no = self.sign_in()
        return {
            "infno": infno,
            "msgid": self.msgid(),
            "mdtrtarea_admvs": us.mdtrtarea_admvs,
            "insuplc_admdvs": insuplc,
            "recer_sys_code": "YBXT",
            "infver": "V1.0",
            "opter_type": "1",
            "opter": "1001",
            "opter_name": "张护士",
            "inf_time": wall(),
            "fixmedins_code": us.fixmedins_code,
            "fixmedins_name": us.fixmedins_name,
            "sign_no": self._sign_no,
            "input": given,
        } | changes

    def sign_in(self) -> str:
        given = {"signIn": {"opter_no": "1001", "mac": "00-00-00-00-00-00", "ip": "10.0.0.9"}}
        return self.ask("9001", given).output["signinoutb"]["sign_no"]

    def send(self, infno: str, envelope: dict, **headers) -> requests.Response:
        """Sign and post; the raw answer."""
        body = json.dumps(envelope, ensure_ascii=False).encode()
        path = "/csb" if self.is_csb else f"/ebus/xz/fsi/api/{PATHS[infno]}"
        signed = (self.csb_headers(infno) if self.is_csb else self.tif_headers()) | headers
        signed = {k: v for k, v in signed.items() if v is not None}
        return self.session.post(
            self.settings.base_url + path, data=body, headers=signed, timeout=10
        )

    def ask(self, infno: str, given, insuplc: str = "", /, **changes) -> SimpleNamespace:
        """One transaction; ``code`` is the infcode as text, ``raw`` the whole answer."""
        envelope = self.envelope(infno, given, insuplc, **changes)
        raw = self.send(infno, envelope).json(parse_float=Decimal)
        return SimpleNamespace(
            code=str(raw["infcode"]),
            said=raw["err_msg"],
            output=raw.get("output"),
            raw=raw,
            msgid=envelope["msgid"],
        )

    def csb_headers(self, infno: str, seconds: float | None = None) -> dict:
        stamp = str(int((seconds or time.time()) * 1000))
        text = f"_api_access_key={self.settings.access_key}&_api_name={infno}"
        text += f"&_api_timestamp={stamp}&_api_version=1.0.0"
        digest = hmac.digest(self.settings.secret_key.encode(), text.encode(), "sha1")
        return {
            "_api_name": infno,
            "_api_version": "1.0.0",
            "_api_timestamp": stamp,
            "_api_access_key": self.settings.access_key,
            "_api_signature": base64.b64encode(digest).decode(),
        }

    def tif_headers(self, seconds: float | None = None) -> dict:
        stamp, nonce = str(int(seconds or time.time())), uuid.uuid4().hex
        text = stamp + self.settings.secret_key + nonce + stamp
        return {
            "x-tif-paasid": self.settings.access_key,
            "x-tif-timestamp": stamp,
            "x-tif-nonce": nonce,
            "x-tif-signature": hashlib.sha256(text.encode()).hexdigest(),
        }


class Stay:
    """One person's stay, and the inputs that are right for it."""

    def __init__(self, platform: Platform, person: dict, insutype: str = "390") -> None:
        self.platform, self.person, self.insutype = platform, person, insutype
        self.psn_no, self.place = person["psn_no"], person["insuinfo"][0]["insuplc_admdvs"]
        self.mdtrt_id = self.setl_id = ""
        self.med_type = "2101" if platform.is_csb else "21"
        self.total, self.serial = Decimal("0.00"), 0

    @classmethod
    def of_new_person(cls, platform: Platform, insutype: str = "390", **seed) -> "Stay":
        """Seed somebody new and admit them."""
        seed = {"certno": identity_number(), "name": "赵一凡", "insutype": insutype} | seed
        made = cls(platform, platform.seed(**seed), insutype)
        made.must("2401", made.admission())
        return made

    def ask(self, infno: str, given: dict, **changes) -> SimpleNamespace:
        return self.platform.ask(infno, given, self.place, **changes)

    def must(self, infno: str, given: dict) -> SimpleNamespace:
        """Ask and be sure of a yes; remembers the ids."""
        answered = self.ask(infno, given)
        assert answered.code == "0", answered.said
        if infno == "2401":
            self.mdtrt_id = answered.output["result"]["mdtrt_id"]
        if infno == "2304":
            self.setl_id = answered.output["setlinfo"]["setl_id"]
        return answered

    def refused(self, infno: str, given: dict) -> str:
        """Ask and be sure of a no; the platform's words."""
        answered = self.ask(infno, given)
        assert answered.code == "-1"
        assert answered.output is None
        return answered.said

    def diagnosis(self, **changes) -> dict:
        return {
            "psn_no": self.psn_no,
            "diag_type": "1",
            "maindiag_flag": "1",
            "diag_srt_no": 1,
            "diag_code": "K35.800",
            "diag_name": "急性阑尾炎",
            "adm_cond": "",
            "diag_dept": "0301",
            "dise_dor_no": "D001",
            "dise_dor_name": "李医生",
            "diag_time": wall(days=1),
        } | changes

    def admission(self, **changes) -> dict:
        info = {
            "psn_no": self.psn_no,
            "insutype": self.insutype,
            "begntime": wall(days=1),
            "mdtrt_cert_type": "02",
            "mdtrt_cert_no": self.person["certno"],
            "cert_type": "01",
            "certno": self.person["certno"],
            "med_type": self.med_type,
            "ipt_no": f"ZY{uuid.uuid4().hex[:10]}",
            "atddr_no": "D001",
            "chfpdr_name": "李医生",
            "adm_diag_dscr": "急性阑尾炎",
            "adm_dept_codg": "0301",
            "adm_dept_name": "普外科",
            "adm_bed": "12",
            "dscg_maindiag_code": "K35.800",
            "dscg_maindiag_name": "急性阑尾炎",
            "insuplc_admdvs": self.place,
            "mdtrtarea_admvs": self.platform.area,
        }
        return {"mdtrtinfo": info | changes, "diseinfo": [self.diagnosis()]}

    def charge(self, price: str, code: str = "001203000010000", cnt: str = "1", **changes) -> dict:
        """A line with the next serial number; by default of class 甲, wholly in scope."""
        self.serial += 1
        amount = (Decimal(price) * Decimal(cnt)).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        return {
            "feedetl_sn": str(self.serial),
            "init_feedetl_sn": "",
            "mdtrt_id": self.mdtrt_id,
            "psn_no": self.psn_no,
            "med_type": self.med_type,
            "fee_ocur_time": wall(hours=2),
            "med_list_codg": code,
            "medins_list_codg": "H1",
            "det_item_fee_sumamt": str(amount),
            "cnt": cnt,
            "pric": price,
            "bilg_dept_codg": "0301",
            "bilg_dept_name": "普外科",
            "bilg_dr_codg": "D001",
            "bilg_dr_name": "李医生",
        } | changes

    def upload(self, *lines: dict) -> list[dict]:
        answered = self.must("2301", {"feedetail": list(lines)})
        self.total += sum(Decimal(line["det_item_fee_sumamt"]) for line in lines)
        return answered.output["result"]

    def discharge(self, **changes) -> dict:
        info = {
            "mdtrt_id": self.mdtrt_id,
            "psn_no": self.psn_no,
            "insutype": self.insutype,
            "endtime": wall(),
            "dscg_dept_codg": "0301",
            "dscg_dept_name": "普外科",
            "dscg_way": "1",
        }
        return {
            "dscginfo": info | changes,
            "diseinfo": [self.diagnosis(mdtrt_id=self.mdtrt_id)],
        }

    def payment(self, **changes) -> dict:
        """The input of 2303 and 2304."""
        info = {
            "psn_no": self.psn_no,
            "mdtrt_cert_type": "02",
            "mdtrt_cert_no": self.person["certno"],
            "psn_cert_type": "01",
            "certno": self.person["certno"],
            "psn_type": self.person["insuinfo"][0]["psn_type"],
            "psn_name": self.person["psn_name"],
            "medfee_sumamt": str(self.total),
            "psn_setlway": "01",
            "mdtrt_id": self.mdtrt_id,
            "insutype": self.insutype,
            "acct_used_flag": "0",
            "insuplc_admdvs": self.place,
            "mdtrtarea_admvs": self.platform.area,
            "mid_setl_flag": "0",
        }
        return {"data": info | changes}

    def about(self, **changes) -> dict:
        """The input of 2404, 2405, 2302 and 2305, which differ in one field."""
        return {"data": {"mdtrt_id": self.mdtrt_id, "psn_no": self.psn_no} | changes}

    def reversal(self, omsgid: str, oinfno: str) -> dict:
        return {"data": {"psn_no": self.psn_no, "omsgid": omsgid, "oinfno": oinfno}}

    def settle(self, *lines: dict, **changes) -> dict:
        """Upload, discharge and settle; the answer's output."""
        if lines:
            self.upload(*lines)
        self.must("2402", self.discharge())
        return self.must("2304", self.payment(**changes)).output


class Office:
    """One hospital's way to the medical-aid office."""

    def __init__(self, settings: dict) -> None:
        self.base_url, self.secret = settings["base_url"], settings["secret"]
        self.root, self.code = self.base_url.split("/medical-aid/")
        self.session = requests.Session()

    def control(self, method: str, path: str, body: dict | None = None):
        answered = self.session.request(method, self.root + path, json=body, timeout=10)
        assert answered.status_code == 200, answered.text
        return answered.json()

    def plan(self, fault: str, operation: str, **options) -> None:
        plan = {"wire": "medical_aid", "operation": operation, "fault": fault, "options": options}
        self.control("POST", "/_sim/faults", plan)

    def seed(self, **person) -> dict:
        return self.control("POST", f"/_sim/medical-aid/{self.code}/persons", person)

    def ask(self, method: str, path: str, body: dict | None = None, **headers):
        """(status, answer) of a signed request."""
        sent = json.dumps(body).encode() if body is not None else b""
        stamp = str(int(time.time()))
        text = f"{method}\n/medical-aid/{self.code}{path}\n{stamp}\n".encode() + sent
        signature = hmac.digest(self.secret.encode(), text, "sha256").hex()
        signed = {"X-Aid-Timestamp": stamp, "X-Aid-Signature": signature} | headers
        url = self.base_url + path
        answered = self.session.request(method, url, data=sent, headers=signed, timeout=10)
        return answered.status_code, answered.json()

    def close(self) -> None:
        self.session.close()
