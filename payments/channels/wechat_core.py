"""The transport of wechatpayv3 2.0.4, hardened: signed is what is sent, believed is what is proven.

Faults of that SDK which are closed here: no check of freshness; an undocumented header required; a
forged serial that crashes or makes us call out; network in the constructor; paths signed otherwise
than sent; secrets in a log; `{}` signed as nothing. Public-key mode only.
"""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from wechatpayv3.core import Core
from wechatpayv3.type import RequestType
from wechatpayv3.utils import rsa_sign

from config import WeChatPaySettings
from notifications.wire import TIMEOUTS, new_session, send
from policies.outcome import NoAnswer

FRESH_SECONDS = 300
"""A signature older or younger than this proves nothing (WeChat Pay's own rule)."""

SLOW = (3.0, 25.0)
SLOW_PATHS = (
    "/v3/pay/transactions/codepay",
    "/v3/refund/domestic/refunds",
    "/v3/fund-app/mch-transfer/transfer-bills",
)
"""Calls whose answer may take longer, because a bank or the payer is asked meanwhile."""

SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"

PROBE = "WECHATPAY/SIGNTEST/"
"""How a signature begins that they spoil on purpose, to see whether we look."""

PROOF = (
    "wechatpay-serial",
    "wechatpay-signature-type",
    "wechatpay-timestamp",
    "wechatpay-nonce",
    "wechatpay-signature",
)
"""The headers that, with the raw body, prove who said it."""


class WeChatPayCore(Core):  # type: ignore[misc]
    """Signs and sends as the merchant; believes only what their public key and the clock prove."""

    def __init__(self, settings: WeChatPaySettings, now: Callable[[], datetime]) -> None:
        if not (settings.public_key and settings.public_key_id):
            raise ValueError("WeChat Pay needs its public key and that key's id")
        super().__init__(
            mchid=settings.mchid,
            cert_serial_no=settings.merchant_serial,
            private_key=settings.merchant_key,
            apiv3_key=settings.apiv3_key,
            public_key=settings.public_key,
            public_key_id=settings.public_key_id,
        )
        self._gate_way = settings.base_url.rstrip("/")
        self._now = now
        self._session = new_session()

    def request(
        self,
        path: str,
        method: RequestType = RequestType.GET,
        data: dict[str, Any] | None = None,
        skip_verify: bool = False,
        cipher_data: bool = False,
        **unsupported: Any,
    ) -> tuple[int, bytes]:
        """Send one signed request; the status and the raw body of an answer that is no 5xx.

        A 2xx answer must carry a good signature (the bill file has none, ``skip_verify``), else it
        is NoAnswer, like silence and 5xx. 4xx answers may lack it; their code says what they mean.
        ``cipher_data``: fields are encrypted with their key, whose id goes with every request.
        """
        if unsupported:
            raise ValueError(f"not supported: {sorted(unsupported)}")
        answer = send(self._session, self._signed(path, method.value, data), _timeouts(path))
        kind = answer.status_code // 100
        if kind not in {2, 4}:
            raise NoAnswer(f"HTTP {answer.status_code}")
        if kind == 2 and not skip_verify and (doubt := self.doubt(answer.headers, answer.content)):
            raise NoAnswer(f"the answer is not proven: {doubt}")
        return answer.status_code, answer.content

    def doubt(self, headers: Mapping[str, str], body: bytes, at: datetime | None = None) -> str:
        """Why these bytes may not be WeChat Pay's, as a code; empty when they surely are.

        ``at``: when they came; now, if not said.
        """
        given = proof_of(headers)
        if given.get("wechatpay-serial") != self._public_key_id:
            return "UNKNOWN_SERIAL"
        if given.get("wechatpay-signature-type", SIGNATURE_TYPE) != SIGNATURE_TYPE:
            return "UNKNOWN_SIGNATURE_TYPE"
        stamp, nonce = given.get("wechatpay-timestamp", ""), given.get("wechatpay-nonce", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 13):
            return "NO_TIMESTAMP"
        if abs((at or self._now()).timestamp() - int(stamp)) >= FRESH_SECONDS:
            return "NOT_FRESH"
        signature = given.get("wechatpay-signature", "")
        signed = b"\n".join([stamp.encode(), nonce.encode(errors="replace"), body, b""])
        if not self._verified(signature, signed):
            return "SIGNATURE_PROBE" if signature.startswith(PROBE) else "BAD_SIGNATURE"
        return ""

    def opened(self, resource: dict[str, str]) -> bytes:
        """Decrypt a notice's resource; ValueError, KeyError or InvalidTag when it is not for us."""
        if resource["algorithm"] != "AEAD_AES_256_GCM":
            raise ValueError("unknown algorithm")
        return AESGCM(self._apiv3_key.encode()).decrypt(
            resource["nonce"].encode(),
            b64decode(resource["ciphertext"], validate=True),
            (resource.get("associated_data") or "").encode(),
        )

    def _signed(
        self, path: str, method: str, data: dict[str, Any] | None
    ) -> requests.PreparedRequest:
        """Build the request first and sign the path and the bytes that it will send."""
        body = b"" if data is None else json.dumps(data, ensure_ascii=False).encode()
        request = self._session.prepare_request(
            requests.Request(method, self._gate_way + path, data=body or None)
        )
        stamp, nonce = str(int(self._now().timestamp())), secrets.token_hex(16).upper()
        said = f"{method}\n{request.path_url}\n{stamp}\n{nonce}\n{body.decode()}\n"
        request.headers.update(
            {
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "xianzhen",
                "Wechatpay-Serial": self._public_key_id,
                "Authorization": (
                    f'WECHATPAY2-SHA256-RSA2048 mchid="{self._mchid}",nonce_str="{nonce}",'
                    f'signature="{rsa_sign(self._private_key, said)}",timestamp="{stamp}",'
                    f'serial_no="{self._cert_serial_no}"'
                ),
            }
        )
        return request

    def _verified(self, signature: str, signed: bytes) -> bool:
        # One spelling only: lenient base64 takes many texts for one signature.
        try:
            raw = b64decode(signature, validate=True)
            if b64encode(raw).decode() != signature:
                return False
            self._public_key.verify(raw, signed, PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return False
        return True

    def _verify_signature(self, headers: Mapping[str, str], body: str | bytes) -> bool:
        return not self.doubt(headers, body.encode() if isinstance(body, str) else body)

    def _update_certificates(self) -> None:
        raise AssertionError("in public-key mode nobody fetches certificates")


def proof_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that prove a body, named in small letters: kept with it, it is proven again."""
    return {name.lower(): value for name, value in headers.items() if name.lower() in PROOF}


def _timeouts(path: str) -> tuple[float, float]:
    return SLOW if path in SLOW_PATHS else TIMEOUTS
