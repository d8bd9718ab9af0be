"""The page at /: what happened outside the hospital, for people who watch."""

from datetime import datetime
from typing import Any

from flask import Blueprint, render_template

from . import wechat_orders as orders
from .store import Doc
from .world import World

SHOWN = 100


def blueprint(world: World) -> Blueprint:
    """GET /: clock, messages on phones, orders, refunds, notices, planned faults, diary."""
    routes = Blueprint("page", __name__, template_folder="templates")

    @routes.get("/")
    def show() -> str:
        return render_template("page.html", **seen(world))

    return routes


def seen(world: World) -> dict[str, Any]:
    """Everything the page shows, newest first, times in Beijing time."""
    return {
        "now": clock(world.now().isoformat()),
        "shift_hours": round(world.shift_seconds / 3600, 1),
        "hospitals": {code: each["name"] for code, each in world.hospitals.items()},
        "messages": rows(world, "sms_outbox"),
        "notices_in_wechat": rows(world, "mini_sent"),
        "orders": rows(world, orders.ORDER),
        "refunds": rows(world, "wxpay_refund"),
        "callbacks": rows(world, "wxpay_notice"),
        "faults": world.faults.planned(),
        "events": rows(world, "event"),
    }


def rows(world: World, kind: str) -> list[Doc]:
    """The last documents of a kind, with ``at`` made readable."""
    found = [doc for _, doc in world.store.latest(kind, SHOWN)]
    return [{**doc, "at": clock(doc.get("at") or doc.get("created_at"))} for doc in found]


def clock(moment: str | None) -> str:
    """Beijing time to the second, or nothing."""
    if not moment:
        return ""
    return datetime.fromisoformat(moment).astimezone(orders.BEIJING).strftime("%m-%d %H:%M:%S")
