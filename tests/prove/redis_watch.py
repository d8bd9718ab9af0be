"""Who looks, before, while and after Redis is gone, whether each feature does what the table
«Redis, feature by feature» in docs/operations.md says of it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

import requests

from simulator.clients import Answer, Client
from tests.prove import coming
from tests.prove.cast import PASSWORD, Cast
from tests.prove.crowd import Crowd
from tests.prove.house import API_WORKERS, House
from tests.prove.life import Life
from tests.prove.notebook import Intent

ME = "/v1/staff/me"
TRIES, LIMIT = 5, 10
"""Passwords before the lock (models/login.py); codes in 15 minutes (api/limits.py)."""

_serials = count(10_001)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a row of the table. ``found``: empty if it was as written."""

    way: str
    row: str
    found: str


class Watch:
    """Prepared before it happens, with a stay of its own; ``slowest_s`` is of the requests sent
    meanwhile."""

    def __init__(self, here: House, cast: Cast, crowd: Crowd, way: str) -> None:
        self.here, self.cast, self.way = here, cast, way
        self.looks: list[Look] = []
        self.slowest_s = 0.0
        serial = next(_serials)
        self.life = Life(cast, crowd.book, serial, Random(f"{crowd.seed} {way}"))
        crowd.lives.append(self.life)
        self.phone = cast.phone(f"o-redis-{serial}").client
        self.number = f"NOBODY-{serial}"

    def before(self) -> None:
        """Use up a count, a lock, a session, a nonce and a proof."""
        coming.admit(self.life)
        hired = self.cast.staff["nurse"][0].client
        self.nurse, self.left = self._logged_in(hired), self._logged_in(hired)
        self.left.delete("/v1/sessions/current")
        for _ in range(TRIES):
            self._see("the lock", self._guess().code, "LOGIN_FAILED")
        for _ in range(LIMIT if self.way == "flushed" else 0):
            self._see("limits", self._redeem().code, "CONSENT_CODE_INVALID")
        self.said = self._charge_once()
        self._see("nonces of the HIS", self._say(self.said).status, 200)
        self.here.wait("nonces are counted again", self._nonce_is_known)
        self.token = self._rows("SELECT appid, token_sealed FROM wechat_token ORDER BY 1")
        self.proof = {"DPoP": self.nurse.proof("GET", ME, b"")}
        self._see("proofs", self._me(self.proof).status, 200)

    def during(self, *, gone: bool) -> None:
        """Every row of the table."""
        self.slowest_s = 0.0
        self._see("/readyz", readiness(self.here), "degraded" if gone else "ok")
        self._proofs()
        self._see("the lock", self._guess().code, "LOGIN_LOCKED")
        self._see("sessions", self.left.try_("GET", ME).code, "SESSION_OVER")
        self._see("nonces of the HIS", self._say(self.said).status, 200)
        again = self._charge_once() if gone else self.said
        answers = [self._say(again), self._say(again)]
        second = 200 if gone else 401
        self._see("nonces of the HIS", answers[-1].status, second)
        self._limits(gone=gone)
        self._keys_and_jobs()

    def afterwards(self) -> None:
        """Nothing that was used is good again."""
        self._proofs()
        self._see("the lock", self._guess().code, "LOGIN_LOCKED")
        token = self._rows("SELECT appid, token_sealed FROM wechat_token ORDER BY 1")
        self._see("access token", all(row in token for row in self.token), True)
        lines = "SELECT source_line_id AS line FROM charge_line WHERE source_line_id LIKE %s"
        stored = [row["line"] for row in self._rows(lines, f"L-{self.life.serial:06d}-%")]
        mine = [n for n, line in self.life.book.lines.items() if line.stay == self.life.stay]
        self._see("nonces of the HIS", sorted(stored), sorted(mine))

    def _proofs(self) -> None:
        self._see("proofs", self._me(self.proof).code, "PROOF_REPLAYED")
        fresh = {"DPoP": self.nurse.proof("GET", ME, b"")}
        answers = [self._me(fresh).code, self._me(fresh).code]
        self._see("proofs", answers, ["", "PROOF_REPLAYED"])

    def _limits(self, *, gone: bool) -> None:
        """Flushed: what was used up is free again. Gone: up to the limit in each process."""
        passed = 0
        while passed <= API_WORKERS * LIMIT and self._redeem().status != 429:
            passed += 1
        most = API_WORKERS * LIMIT if gone else LIMIT
        self._see("limits", LIMIT <= passed <= most, True)

    def _keys_and_jobs(self) -> None:
        """The same payment said twice is one, and its job is done."""
        life, cashier = self.life, self.life.one_of("cashier")
        wish = Intent(life.number("K"), life.stay, "DEPOSIT", "CASH", 1_234)
        life.book.intents[wish.key] = wish
        wish.by = cashier
        body, path = {"amount_fen": 1_234, "route": "CASH"}, f"{life.path}/deposits"
        orders = [life.ask(cashier, "POST", path, body, key=wish.key).body for _ in range(2)]
        wish.order = orders[0]
        self._see("idempotency keys", orders[1], orders[0])
        newest = self._rows("SELECT coalesce(max(id), 0) AS id FROM procrastinate_jobs")[0]["id"]
        waiting = (
            "SELECT id FROM procrastinate_jobs WHERE id <= %s AND status = 'todo' AND attempts = 0"
            " AND queue_name = 'default' AND coalesce(scheduled_at, now()) <= now()"
        )
        self.here.wait("the jobs are begun", lambda: not self._rows(waiting, newest))
        self._see("jobs", self._rows(waiting, newest), [])

    def _nonce_is_known(self) -> bool:
        return self._say(self.said).code == "SIGNATURE_REPLAYED"

    # what is said

    def _logged_in(self, hired: Any) -> Any:
        fresh = replace(hired, access_token="")
        fresh.log_in(hired.staff_no, PASSWORD)
        return fresh

    def _me(self, headers: dict[str, str]) -> Answer:
        return self._timed(lambda: self.nurse.try_("GET", ME, headers=headers))

    def _guess(self) -> Answer:
        asked = {"hospital": self.nurse.hospital, "staff_no": self.number, "password": "wrong-1"}
        device = replace(self.nurse, access_token="")
        return self._timed(lambda: device.try_("POST", "/v1/staff/sessions", asked))

    def _redeem(self) -> Answer:
        path, code = "/v1/patient/consents/redeem", {"code": "AAAAAAAAAA"}
        return self._timed(lambda: self.phone.try_("POST", path, code))

    def _charge_once(self) -> tuple[Client, dict[str, Any], dict[str, str]]:
        """A batch with a signature of its own, noted as what the HIS was told."""
        his, lines = self.cast.his.client, [coming.fee(self.life, 0) for _ in range(2)]
        event = {"source_event_id": self.life.number("EV"), "lines": lines}
        for line in lines:
            coming.note_line(self.life, line, 1)
        body = json.dumps(event, ensure_ascii=False).encode()
        return his, event, his.credentials("POST", "/v1/his/events/charge-batch", body)

    def _say(self, said: tuple[Client, dict[str, Any], dict[str, str]]) -> Answer:
        his, event, signed = said
        path = "/v1/his/events/charge-batch"
        return self._timed(lambda: his.try_("POST", path, event, headers=signed))

    def _timed(self, ask: Callable[[], Answer]) -> Answer:
        begun = time.monotonic()
        answer = ask()
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
        return answer

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with self.here.database() as db:
            return db.execute(sql, values).fetchall()  # type: ignore[arg-type]

    def _see(self, row: str, found: Any, written: Any) -> None:
        otherwise = "" if found == written else f"{found}, not {written}"
        self.looks.append(Look(self.way, row, otherwise))


def readiness(here: House) -> str:
    """What /readyz says."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"http://127.0.0.1:{here.api_port}/readyz", timeout=20)
    return str(answer.json()["status"])
