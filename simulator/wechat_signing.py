"""WeChat Pay's side of trust: it proves who asks, signs what it answers, encrypts what it tells."""

import base64
import functools
import hashlib
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from flask import Request

from .world import World

SCHEMA = "WECHATPAY2-SHA256-RSA2048"
CLOCK_SKEW = 300  # seconds
PROBE = "WECHATPAY/SIGNTEST/"


@dataclass(frozen=True)
class Merchant:
    """Who asks: the hospital and what WeChat Pay holds of it."""

    code: str
    mchid: str
    appid: str
    keys: dict[str, str]


class NotSigned(Exception):
    """The request does not prove who sent it."""

    def __init__(self, issue: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(issue)
        self.issue, self.detail = issue, detail or {}


def new_keys(code: str, appid: str) -> tuple[dict[str, str], dict[str, str]]:
    """Keys of a new merchant: (the hospital's settings, what WeChat Pay keeps)."""
    merchant, platform = new_key(), new_key()
    app_side = {
        "base_url": "",
        "mchid": str(1900000000 + secrets.randbelow(99999999)),
        "appid": appid,
        "merchant_serial": "SIMULATOR" + secrets.token_hex(15).upper(),
        "merchant_key": private_pem(merchant),
        "apiv3_key": secrets.token_hex(16),
        "public_key_id": f"PUB_KEY_ID_SIMULATOR_{code}_{secrets.token_hex(8).upper()}",
        "public_key": public_pem(platform),
    }
    world_side = {
        **{key: app_side[key] for key in ("mchid", "appid", "merchant_serial", "apiv3_key")},
        "public_key_id": app_side["public_key_id"],
        "merchant_public_key": public_pem(merchant),
        "platform_key": private_pem(platform),
        **certificate_side(),
    }
    return app_side, world_side


@functools.cache
def certificate_side() -> dict[str, str]:
    """Signs for whoever does not name the public key; no merchant here has a certificate of it."""
    serial = "SIMULATOR" + secrets.token_hex(15).upper()
    return {"certificate_serial": serial, "certificate_key": private_pem(new_key())}


def new_key() -> rsa.RSAPrivateKey:
    """A new RSA key of WeChat Pay's size."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS#8 text."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """SubjectPublicKeyInfo text of the public half."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@functools.cache
def private(pem: str) -> rsa.RSAPrivateKey:
    """The private key of a PEM text, parsed once."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


@functools.cache
def public(pem: str) -> rsa.RSAPublicKey:
    """The public key of a PEM text, parsed once."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("not an RSA key")
    return key


class Doorkeeper:
    """Proves requests; remembers nonces for as long as their timestamps are accepted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._nonces: dict[tuple[str, str], float] = {}  # oldest first

    def admit(self, request: Request) -> Merchant:
        """The merchant whose key signed exactly this request, or NotSigned."""
        given = read_authorization(request.headers.get("Authorization", ""))
        found = self._world.find("wechat_pay", "mchid", given["mchid"])
        if not found or found[1]["merchant_serial"] != given["serial_no"]:
            raise NotSigned("mchid and serial_no do not belong together")
        code, keys = found
        now = self._world.now().timestamp()
        if not given["timestamp"].isdigit() or abs(now - int(given["timestamp"])) > CLOCK_SKEW:
            raise NotSigned("timestamp is more than 5 minutes off")
        message = signed_text(request, given["timestamp"], given["nonce_str"])
        verify(keys["merchant_public_key"], message, given["signature"], request)
        self._remember(given["mchid"], given["nonce_str"])
        return Merchant(code, keys["mchid"], keys["appid"], keys)

    def _remember(self, mchid: str, nonce: str) -> None:
        now = time.monotonic()
        with self._lock:
            while self._nonces and next(iter(self._nonces.values())) < now - 2 * CLOCK_SKEW:
                del self._nonces[next(iter(self._nonces))]
            if (mchid, nonce) in self._nonces:
                raise NotSigned("nonce_str was used before")
            self._nonces[mchid, nonce] = now


def read_authorization(header: str) -> dict[str, str]:
    """The five attributes of an Authorization header, in any order."""
    schema, _, rest = header.partition(" ")
    given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    wanted = {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}
    if schema != SCHEMA or set(given) != wanted or not all(given.values()):
        raise NotSigned("Authorization is missing or malformed")
    return given


def signed_text(request: Request, timestamp: str, nonce: str) -> bytes:
    """What the merchant had to sign: path and query exactly as they came, body byte by byte."""
    target = request.environ["RAW_URI"]
    head = f"{request.method}\n{target}\n{timestamp}\n{nonce}\n"
    return head.encode() + request.get_data() + b"\n"


def verify(public_key: str, message: bytes, signature: str, request: Request) -> None:
    """Raise NotSigned with WeChat's hints unless the signature fits."""
    try:
        verify_text(public_key, message, signature)
    except NotSigned as error:
        error.detail["sign_information"] = {
            "method": request.method,
            "url": request.environ["RAW_URI"],
            "sign_message_length": len(message),
            "truncated_sign_message": message.decode(errors="replace").split("\n")[0] + "\n...",
        }
        raise


def verify_text(public_key: str, message: bytes, signature: str) -> None:
    """Raise NotSigned unless this key signed this message."""
    try:
        raw = base64.b64decode(signature, validate=True)
        public(public_key).verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise NotSigned("sign not match") from None


def signature_headers(
    world: World, keys: dict[str, str], body: bytes, *, key_name: str = "platform", age: float = 0
) -> dict[str, str]:
    """The four signature headers (and the undocumented fifth) of an answer or a notice."""
    timestamp, nonce = str(int(world.now().timestamp() - age)), secrets.token_hex(16)
    message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
    signature = private(keys[f"{key_name}_key"]).sign(message, padding.PKCS1v15(), hashes.SHA256())
    serial = "public_key_id" if key_name == "platform" else "certificate_serial"
    return {
        "Wechatpay-Serial": keys[serial],
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
        "Wechatpay-Signature-Type": SCHEMA,
    }


def spoiled(headers: dict[str, str], how: str) -> dict[str, str]:
    """The same headers with a signature that must not be accepted: bad_signature or a probe."""
    right = headers["Wechatpay-Signature"]
    if how == "signature_probe":
        return {**headers, "Wechatpay-Signature": PROBE + right[len(PROBE) :]}
    first = "A" if right[0] != "A" else "B"
    return {**headers, "Wechatpay-Signature": first + right[1:]}


def sealed(apiv3_key: str, subject: str, content: dict[str, Any]) -> dict[str, str]:
    """The ``resource`` of a notice: AES-256-GCM under the merchant's APIv3 key."""
    nonce = secrets.token_hex(6)
    plain = json.dumps(content, ensure_ascii=False).encode()
    cipher = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plain, subject.encode())
    return {
        "original_type": subject,
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(cipher).decode(),
        "associated_data": subject,
        "nonce": nonce,
    }


def opened(keys: dict[str, str], value: str) -> str:
    """A sensitive field that the merchant encrypted for us (RSA-OAEP); ValueError if it did not."""
    oaep = padding.OAEP(
        mgf=padding.MGF1(algorithm=hashes.SHA1()),  # noqa: S303 - WeChat's choice
        algorithm=hashes.SHA1(),  # noqa: S303 - WeChat's choice
        label=None,
    )
    return private(keys["platform_key"]).decrypt(base64.b64decode(value), oaep).decode()


def fingerprint(body: dict[str, Any]) -> str:
    """Equal for equal parameters, whatever their order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
