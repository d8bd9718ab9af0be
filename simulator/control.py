"""The strings behind the world: clock, settings, planned faults, diary and money books."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from .faults import Fault
from .world import DEFAULTS, World, plain_error


def blueprint(world: World) -> Blueprint:
    """The strings of the world under /_sim: clock, settings, faults, under-way, events, books."""
    routes = Blueprint("control", __name__, url_prefix="/_sim")

    @routes.get("/health")
    def health() -> Response:
        return jsonify(clock_of(world))

    @routes.get("/clock")
    def read_clock() -> Response:
        return jsonify(clock_of(world))

    @routes.post("/clock")
    def set_clock() -> Response:
        world.shift(float(request.get_json()["shift_seconds"]))
        return jsonify(clock_of(world))

    @routes.post("/settings")
    def change_settings() -> Response:
        return settings_changed(world, request.get_json())

    @routes.delete("/settings")
    def default_settings() -> Response:
        world.store.delete("settings", "settings")
        return settings_changed(world, {})

    @routes.get("/under-way")
    def what_is_under_way() -> Response:
        return jsonify({kind: len(world.store.all(kind)) for kind in world.coming})

    @routes.delete("/under-way")
    def forget_what_is_under_way() -> Response:
        for forget in world.forgetters:
            forget()
        return jsonify(clock_of(world))

    add_faults(routes, world)

    @routes.get("/events")
    def events() -> Response:
        newest = world.store.latest("event", request.args.get("limit", 500, int))
        wanted = request.args.get("wire")
        return jsonify([event for _, event in reversed(newest) if wanted in (None, event["wire"])])

    @routes.get("/books")
    def books() -> Response:
        return jsonify(all_books(world))

    return routes


def add_faults(routes: Blueprint, world: World) -> None:
    """Plan, list and forget what is to go wrong."""

    @routes.post("/faults")
    def plan_fault() -> Response:
        asked = request.get_json()
        if not {"wire", "fault"} <= set(asked):
            return plain_error(400, "WIRE_AND_FAULT_ARE_REQUIRED")
        world.faults.plan(
            Fault(
                asked["wire"],
                asked.get("operation", "*"),
                asked["fault"],
                int(asked.get("times", 1)),
                asked.get("options") or {},
            )
        )
        return jsonify(planned=len(world.faults.planned()))

    @routes.get("/faults")
    def planned_faults() -> Response:
        return jsonify([vars(fault) for fault in world.faults.planned()])

    @routes.delete("/faults")
    def clear_faults() -> Response:
        world.faults.clear()
        return jsonify(planned=0)


def clock_of(world: World) -> dict[str, Any]:
    """The world's time and its shift against real time."""
    return {"now": world.now().isoformat(), "shift_seconds": world.shift_seconds}


def settings_changed(world: World, asked: dict[str, Any]) -> Response:
    """Keep the new settings; an unknown name is a mistake of the caller."""
    if unknown := set(asked) - set(DEFAULTS):
        return plain_error(400, f"UNKNOWN_SETTING {sorted(unknown)}")
    with world.store.transaction():
        kept = world.store.get("settings", "settings") or {}
        world.store.put("settings", "settings", {**kept, **asked})
    return jsonify({name: world.setting(name) for name in DEFAULTS})


def all_books(world: World) -> dict[str, Any]:
    """What each wire says that it has paid, received and refunded, in fen."""
    books: dict[str, Any] = {}
    for pages in world.books:
        books.update(pages())
    return books
