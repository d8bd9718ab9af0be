"""A merchant in eighty lines: signs as WeChat Pay demands, verifies what it answers and tells."""

import base64
import json
import secrets
import time
import uuid
from typing import Any

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.sim_process import Simulator

SHA = hashes.SHA256()
Headers = dict[str, str]


def number() -> str:
    """A fresh number for an order or a refund."""
    return uuid.uuid4().hex


class WeChatClient:
    """One merchant; orders are placed with ``notify_url`` unless told otherwise."""

    notify_url = "http://127.0.0.1:9/nobody"

    def __init__(self, simulator: Simulator, code: str = "GZ01") -> None:
        self.simulator = simulator
        self.settings = simulator.connections(code)["wechat_pay"]
        self.mchid, self.appid = self.settings["mchid"], self.settings["appid"]
        self.key = load_pem_private_key(self.settings["merchant_key"].encode(), None)

    def sign(self, message: str) -> str:
        return base64.b64encode(self.key.sign(message.encode(), padding.PKCS1v15(), SHA)).decode()

    def headers(self, method: str, path: str, body: str, **changed: str) -> Headers:
        """Signed headers; ``changed`` replaces what goes into the Authorization attributes."""
        now = int(time.time() + self.simulator.shifted)
        given = {"timestamp": str(now), "nonce_str": secrets.token_hex(16)} | changed
        message = f"{method}\n{path}\n{given['timestamp']}\n{given['nonce_str']}\n{body}\n"
        given = {
            "mchid": self.mchid,
            "serial_no": self.settings["merchant_serial"],
            "signature": self.sign(message),
        } | given
        attributes = ",".join(f'{name}="{value}"' for name, value in given.items())
        return {
            "Authorization": f"WECHATPAY2-SHA256-RSA2048 {attributes}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "test",
            "Wechatpay-Serial": self.settings["public_key_id"],
        }

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, **headers: Any
    ) -> requests.Response:
        """Send a signed request; a header given as None is left out."""
        text = "" if body is None else json.dumps(body, ensure_ascii=False)
        signed = {**self.headers(method, path, text), **headers}
        with requests.Session() as session:
            session.trust_env = False
            session.headers.clear()
            return session.request(
                method,
                self.settings["base_url"] + path,
                data=text.encode(),
                headers={name: value for name, value in signed.items() if value is not None},
                timeout=10,
            )

    def proves(self, headers: Any, body: bytes) -> bool:
        """Whether the platform's public key signed this answer or notice."""
        assert headers["Wechatpay-Serial"] == self.settings["public_key_id"]
        head = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n"
        key = load_pem_public_key(self.settings["public_key"].encode())
        try:
            signature = base64.b64decode(headers["Wechatpay-Signature"])
            key.verify(signature, head.encode() + body + b"\n", padding.PKCS1v15(), SHA)
        except (InvalidSignature, ValueError):
            return False
        return True

    def opened(self, body: bytes) -> dict[str, Any]:
        """The decrypted resource of a notice."""
        resource = json.loads(body)["resource"]
        plain = AESGCM(self.settings["apiv3_key"].encode()).decrypt(
            resource["nonce"].encode(),
            base64.b64decode(resource["ciphertext"]),
            resource["associated_data"].encode(),
        )
        return json.loads(plain)

    # the calls that most tests need

    def order_body(self, out_trade_no: str, total: int = 100, **more: Any) -> dict[str, Any]:
        return {
            "appid": self.appid,
            "mchid": self.mchid,
            "description": "住院预交金",
            "out_trade_no": out_trade_no,
            "notify_url": self.notify_url,
            "amount": {"total": total, "currency": "CNY"},
        } | more

    def jsapi(self, out_trade_no: str, total: int = 100, **more: Any) -> requests.Response:
        body = self.order_body(out_trade_no, total, **{"payer": {"openid": "o-payer"}, **more})
        return self.call("POST", "/v3/pay/transactions/jsapi", body)

    def native(self, out_trade_no: str, total: int = 100, **more: Any) -> requests.Response:
        body = self.order_body(out_trade_no, total, **more)
        return self.call("POST", "/v3/pay/transactions/native", body)

    def codepay(self, out_trade_no: str, auth_code: str, total: int = 100) -> requests.Response:
        scene = {"device_id": "PDA1", "device_ip": "10.0.0.8", "store_info": {"out_id": "W3"}}
        body = self.order_body(out_trade_no, total, payer={"auth_code": auth_code})
        del body["notify_url"]
        return self.call("POST", "/v3/pay/transactions/codepay", {**body, "scene_info": scene})

    def query(self, out_trade_no: str) -> requests.Response:
        path = f"/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={self.mchid}"
        return self.call("GET", path)

    def close(self, out_trade_no: str) -> requests.Response:
        path = f"/v3/pay/transactions/out-trade-no/{out_trade_no}/close"
        return self.call("POST", path, {"mchid": self.mchid})

    def reverse(self, out_trade_no: str) -> requests.Response:
        path = f"/v3/pay/transactions/out-trade-no/{out_trade_no}/reverse"
        return self.call("POST", path, {"appid": self.appid, "mchid": self.mchid})

    def paid(self, total: int = 100, **more: Any) -> str:
        """Our number of an order that somebody has paid."""
        out_trade_no = number()
        assert self.jsapi(out_trade_no, total, **more).status_code == 200
        assert self.simulator.pay(out_trade_no=out_trade_no).status_code == 200
        return out_trade_no

    def refund(
        self, out_trade_no: str, refund: int, total: int = 100, out_refund_no: str = "", **more: Any
    ) -> requests.Response:
        body = {
            "out_trade_no": out_trade_no,
            "out_refund_no": out_refund_no or number(),
            "amount": {"refund": refund, "total": total, "currency": "CNY"},
        } | more
        return self.call("POST", "/v3/refund/domestic/refunds", body)

    def query_refund(self, out_refund_no: str) -> requests.Response:
        return self.call("GET", f"/v3/refund/domestic/refunds/{out_refund_no}")


def says(answer: requests.Response) -> tuple[int, str]:
    """HTTP status and error code."""
    return answer.status_code, answer.json().get("code", "")
