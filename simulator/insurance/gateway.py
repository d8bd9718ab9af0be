"""The gateways before the platform: only what the hospital's key signed just now gets through."""

import base64
import hashlib
import hmac
from datetime import datetime

from werkzeug.datastructures import Headers

WINDOW_SECONDS = 30 * 60
CSB_HEADERS = (
    "_api_name",
    "_api_version",
    "_api_timestamp",
    "_api_access_key",
    "_api_signature",
)
TIF_HEADERS = ("x-tif-paasid", "x-tif-timestamp", "x-tif-nonce", "x-tif-signature")

# infno -> the path under /fsi/api/ of the TIF profile
TIF_PATHS = {
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


class Stopped(Exception):
    """The gateway lets the request not through; the text is its message (HTTP 401)."""


def infno_of_path(path: str) -> str | None:
    """The transaction behind a TIF path, or None."""
    return next((infno for infno, known in TIF_PATHS.items() if known == path), None)


def check_csb(headers: Headers, access_key: str, secret: str, now: datetime) -> str:
    """The transaction that a rightly signed CSB request names; else Stopped with its words."""
    values = [headers.get(name) for name in CSB_HEADERS]
    if not all(values):
        raise Stopped("缺少服务网关的请求头!")
    name, version, stamp, key, signature = (str(value) for value in values)
    _check_time(stamp, 1000, now)
    if key != access_key:
        raise Stopped("非法用户!")
    signed = f"_api_access_key={key}&_api_name={name}&_api_timestamp={stamp}&_api_version={version}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()
    if not hmac.compare_digest(base64.b64encode(digest).decode(), signature):
        raise Stopped("签名不一致!")
    return name


def check_tif(headers: Headers, access_key: str, secret: str, now: datetime) -> None:
    """Stopped unless x-tif-signature is hex SHA-256 of time, token, nonce, time, in either case."""
    values = [headers.get(name) for name in TIF_HEADERS]
    if not all(values):
        raise Stopped("缺少服务网关的请求头!")
    key, stamp, nonce, signature = (str(value) for value in values)
    _check_time(stamp, 1, now)
    if key != access_key:
        raise Stopped("非法用户!")
    digest = hashlib.sha256(f"{stamp}{secret}{nonce}{stamp}".encode()).hexdigest()
    if not hmac.compare_digest(digest, signature.lower()):
        raise Stopped("签名不一致!")


def _check_time(stamp: str, per_second: int, now: datetime) -> None:
    if not stamp.isascii() or not stamp.isdigit():
        raise Stopped("签名时间戳超时!")
    if abs(int(stamp) / per_second - now.timestamp()) > WINDOW_SECONDS:
        raise Stopped("签名时间戳超时!")
