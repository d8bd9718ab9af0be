"""What became of each SMS: the carrier's receipts, posted to the hospital or pulled by it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import requests

from .store import Doc
from .world import World

BEIJING = ZoneInfo("Asia/Shanghai")
OUTBOX, DUE = "sms_outbox", "sms_receipt_due"
TRIES, BETWEEN = 3, 15  # Tencent promises no number; seconds between tries are scaled
FAULTS = ("failed", "drop", "late", "duplicate")


def expect(world: World, serial_no: str) -> None:
    """Let the receipt of a new message come, disturbed as planned; in the caller's transaction."""
    fault = world.faults.take("sms", "receipt", FAULTS)
    name, options = (fault.name, fault.options) if fault else ("", {})
    wait = world.setting("sms_receipt_seconds")
    wait += float(options.get("seconds", 1)) if name == "late" else 0
    due = {
        "at": time.time() + wait,
        "tries": 0,
        "copies": int(options.get("copies", 2)) if name == "duplicate" else 1,
        "lost": name == "drop",
        "status": "FAIL" if name == "failed" else "SUCCESS",
        "errmsg": options.get("errmsg", "MK:0001") if name == "failed" else "DELIVRD",
    }
    world.store.put(DUE, serial_no, due)


class Carrier:
    """Reports on messages when it is time, several at once, each one only once at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(4, "carrier")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def send_due(self) -> None:
        """Hand every receipt that is due to the pool."""
        now = time.time()
        for serial_no, due in self._world.store.all(DUE):
            with self._lock:
                if due["at"] > now or serial_no in self._under_way:
                    continue
                self._under_way.add(serial_no)
            self._pool.submit(self._report, serial_no, due)

    def _report(self, serial_no: str, due: Doc) -> None:
        try:
            message = self._received(serial_no, due)
            done = due["lost"] or self._posted(serial_no, message, due)
            due["tries"] += 1
            due["copies"] -= int(done)
            due["at"] = time.time() + (0 if done else BETWEEN * self._world.callback_scale)
            over = due["lost"] or due["copies"] < 1 or due["tries"] >= TRIES + due["copies"]
            with self._world.store.transaction():
                if over:
                    self._world.store.delete(DUE, serial_no)
                elif self._world.store.get(DUE, serial_no):  # else: forgotten meanwhile
                    self._world.store.put(DUE, serial_no, due)
        finally:
            with self._lock:
                self._under_way.discard(serial_no)

    def _received(self, serial_no: str, due: Doc) -> Doc:
        with self._world.store.transaction():
            message = self._world.store.get(OUTBOX, serial_no) or {}
            if not message["status"]:
                message["status"], message["description"] = due["status"], due["errmsg"]
                message["received_at"] = self._world.now().isoformat()
                self._world.store.put(OUTBOX, serial_no, message)
        return message

    def _posted(self, serial_no: str, message: Doc, due: Doc) -> bool:
        received = datetime.fromisoformat(message["received_at"]).astimezone(BEIJING)
        report = {
            "user_receive_time": received.strftime("%Y-%m-%d %H:%M:%S"),
            "nationcode": "86",
            "mobile": message["phone"].removeprefix("+86"),
            "report_status": due["status"],
            "errmsg": due["errmsg"],
            "description": "用户短信送达成功" if due["status"] == "SUCCESS" else "短信送达失败",
            "sid": serial_no,
        }
        hospital = message["hospital"]
        app_url = self._world.setting("app_url").rstrip("/")
        if not app_url:
            return True
        token = self._world.hospitals[hospital]["sms"]["receipt_token"]
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    f"{app_url}/sms/receipts/{hospital}/{token}",
                    json=[report],
                    timeout=5,
                )
        except requests.RequestException:
            return False
        self._world.log("sms", "receipt", f"{hospital} {due['status']}", str(answer.status_code))
        return answer.status_code == 200


def pulled(world: World, code: str, asked: dict[str, Any]) -> dict[str, Any]:
    """PullSmsSendStatusByPhoneNumber: what is known of one number's messages in a span of time."""
    begin, end = asked.get("BeginTime", 0), asked.get("EndTime") or 2**40
    found = [
        status_of(serial_no, message)
        for serial_no, message in world.store.telling(OUTBOX, str(asked.get("PhoneNumber")))
        if message["hospital"] == code
        and message["phone"] == asked.get("PhoneNumber")
        and message["status"]
        and begin <= datetime.fromisoformat(message["at"]).timestamp() <= end
    ]
    start, most = int(asked.get("Offset", 0)), min(int(asked.get("Limit", 100)), 100)
    return {"PullSmsSendStatusSet": found[start : start + most]}


def status_of(serial_no: str, message: Doc) -> dict[str, Any]:
    """One message as the pull interface shows it."""
    return {
        "UserReceiveTime": int(datetime.fromisoformat(message["received_at"]).timestamp()),
        "CountryCode": "86",
        "SubscriberNumber": message["phone"].removeprefix("+86"),
        "PhoneNumber": message["phone"],
        "SerialNo": serial_no,
        "ReportStatus": message["status"],
        "Description": message["description"],
        "SessionContext": message["session"],
    }
