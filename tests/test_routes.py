"""Every route says who may call it, what it does, and how the same is done at the window."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from api.access import EVERYBODY
from api.app import create_app
from api.guard import Access
from config import Settings
from journeys.staff_admin import GRANTABLE
from policies.access import ROLES

TOLD = Settings(
    production=False,
    database_url="",
    redis_url="redis://127.0.0.1:1/0",
    public_base_url="http://xianzhen.test",
    connections={},
    jwt_keys={},
    sealing_keys={},
    index_key="",
)


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(TOLD, lambda code: None)


def routes(app: Flask) -> Iterator[tuple[str, Callable[..., Any], Access | None]]:
    for endpoint, view in app.view_functions.items():
        yield endpoint, view, getattr(view, "access", None)


def test_every_route_declares_who_may_call_it(app: Flask) -> None:
    for endpoint, view, access in routes(app):
        assert access is not None, f"{endpoint} has neither @guarded nor @public"
        assert access.permissions or access.why, endpoint
        assert view.__doc__, f"{endpoint} has no docstring"


def test_every_named_permission_is_somebodys(app: Flask) -> None:
    granted = set().union(*ROLES.values())
    for endpoint, _, access in routes(app):
        assert set(access.permissions) <= granted, endpoint


@pytest.mark.clause("GZ-20", "T4")
def test_what_a_patient_can_do_on_the_phone_can_be_done_at_the_window(app: Flask) -> None:
    """A route that only patients may call names the staff's route for the same, or why there is
    none."""
    only_patients = {
        endpoint: access.at_window
        for endpoint, _, access in routes(app)
        if access.permissions and access.ways_in == {"patient"}
    }
    assert only_patients
    for endpoint, at_window in only_patients.items():
        assert at_window, f"{endpoint}: no way for a patient without a phone"
        if "." in at_window:
            twin: Access = app.view_functions[at_window].access
            assert "staff" in twin.ways_in, endpoint


@pytest.mark.clause("GZ-20", "T4")
def test_what_patients_and_staff_share_is_open_to_the_window_clerk(app: Flask) -> None:
    for endpoint, _, access in routes(app):
        if {"patient", "staff"} <= access.ways_in:
            at_the_window = ROLES["CASHIER"] | ROLES["NURSE"]
            assert at_the_window & set(access.permissions), endpoint


def test_everybody_of_the_staff_can_leave_and_change_the_password() -> None:
    stuck = {role for role in GRANTABLE if not ROLES[role] & set(EVERYBODY)}
    assert stuck == set()
