"""Whatever a patient can do on a phone, the window can do: every route is asked, also tomorrow's
(GZ-20)."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from api.app import create_app
from api.guard import Access, guarded
from config import Settings
from policies.access import ROLES

AT_THE_WINDOW = ROLES["CASHIER"] | ROLES["NURSE"]
"""Who meets a patient without a phone: at the window, and at the bed."""

CHINESE_SENTENCE = re.compile(r"[\u4e00-\u9fff].{6,}", re.DOTALL)

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


@pytest.fixture
def own_app() -> Flask:
    """An app of its own: these tests add routes."""
    return create_app(TOLD, lambda code: None)


def of_patients(app: Flask) -> dict[str, Access]:
    """Every endpoint that a patient may call, by its rules, not by a list of ours."""
    rules: Iterator[str] = (rule.endpoint for rule in app.url_map.iter_rules())
    found = {endpoint: app.view_functions[endpoint].access for endpoint in rules}
    return {name: access for name, access in found.items() if "patient" in access.ways_in}


def staff_may(app: Flask, endpoint: str) -> bool:
    """Whether a cashier or a nurse holds a permission that opens this endpoint."""
    return bool(AT_THE_WINDOW & set(app.view_functions[endpoint].access.permissions))


def gaps(app: Flask) -> set[str]:
    """The patients' endpoints that leave somebody without a phone with nothing."""
    return {
        endpoint
        for endpoint, access in of_patients(app).items()
        if not staff_may(app, endpoint) and not _elsewhere(app, access.at_window)
    }


def _elsewhere(app: Flask, at_window: str) -> bool:
    if at_window in app.view_functions:
        return staff_may(app, at_window)
    return bool(CHINESE_SENTENCE.search(at_window))


@pytest.mark.clause("GZ-20", "T4")
def test_every_operation_of_a_patient_has_one_at_the_window(own_app: Flask):
    assert len(of_patients(own_app)) >= 20
    assert gaps(own_app) == set()


@pytest.mark.clause("GZ-20", "T4")
@pytest.mark.parametrize(
    "at_window",
    [
        pytest.param("", id="nothing said"),
        pytest.param("admissions.look_elsewhere", id="no such endpoint"),
        pytest.param("patient access.bind", id="an endpoint that only patients may call"),
        pytest.param("staff access.create", id="an endpoint that clerk and nurse may not call"),
        pytest.param("not needed at all", id="a reason that nobody at a window reads"),
        pytest.param("不用", id="a reason that is none"),
    ],
)
def test_a_new_route_for_patients_alone_is_found(own_app: Flask, at_window: str):
    view = guarded("own:act", at_window=at_window)(lambda: None)
    own_app.add_url_rule("/v1/patient/news", "news", view, methods=["POST"])
    assert gaps(own_app) == {"news"}


def test_a_route_that_staff_share_or_that_says_why_is_none(own_app: Flask):
    shared = guarded("own:act", "deposit:collect")(lambda: None)
    told = guarded("own:act", at_window="工作人员在窗口当面告知即可")(lambda: None)
    twin = guarded("own:act", at_window="admissions.register")(lambda: None)
    for name, view in {"shared": shared, "told": told, "twin": twin}.items():
        own_app.add_url_rule(f"/v1/patient/{name}", name, view)
    assert {"shared", "told", "twin"} <= set(of_patients(own_app))
    assert gaps(own_app) == set()


def test_only_an_administrator_s_permission_does_not_help_at_the_window(own_app: Flask):
    own_app.add_url_rule("/v1/patient/x", "x", guarded("own:act", "staff:manage")(lambda: None))
    assert gaps(own_app) == {"x"}
