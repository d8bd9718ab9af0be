"""The HIS signs its requests: HMAC-SHA256 over method, path with query, time, nonce and the body's
hash."""

import hashlib
import hmac
from typing import Any

from flask import request

from api.surroundings import clock, here
from models import login
from models.sealing import unseal
from policies.refusals import Unauthenticated

WINDOW_S = 300


def his_that_signed() -> dict[str, Any]:
    """The row of the key that signed exactly this request within five minutes; else
    Unauthenticated.

    ``X-Signature`` is the lower-case hex HMAC of five lines: method, path (``?query`` if any),
    ``X-Timestamp`` (Unix seconds), ``X-Nonce``, hex SHA-256 of the body. A nonce is good once; with
    Redis gone a repeat is still harmless, because every event is stored once by its source id.
    """
    head = request.headers
    key = login.his_key(head.get("X-Hospital", ""), head.get("X-Key-Id", ""))
    nonce, sent_at = head.get("X-Nonce", ""), head.get("X-Timestamp", "")
    # An unknown key is compared as well, so that the answer takes the same time.
    secret = unseal(key["secret_sealed"], f"his_key:secret:{key['id']}") if key else ""
    lines = (
        request.method,
        _path(),
        sent_at,
        nonce,
        hashlib.sha256(request.get_data()).hexdigest(),
    )
    good = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    equal = hmac.compare_digest(good.encode(), head.get("X-Signature", "").encode())
    if key is None or not equal or not 16 <= len(nonce) <= 64:
        raise Unauthenticated("SIGNATURE_INVALID")
    if not sent_at.isdecimal() or abs(clock()().timestamp() - int(sent_at)) > WINDOW_S:
        raise Unauthenticated("SIGNATURE_STALE")
    if not here().memory.first_time(f"nonce:{key['id']}:{nonce}", 2 * WINDOW_S):
        raise Unauthenticated("SIGNATURE_REPLAYED")
    return key


def _path() -> str:
    query = request.query_string.decode("latin-1")
    return f"{request.path}?{query}" if query else request.path
