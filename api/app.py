"""The application: surroundings in, routes, and around them failures, logs, metrics, documents."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

import logs
from api import (
    access,
    admissions,
    audit,
    bank_batches,
    books,
    campaigns,
    census,
    clearance,
    cockpit,
    commands,
    daily_bills,
    devices,
    documents,
    expiry,
    filings,
    health,
    his_events,
    insurance_office,
    limits,
    metrics,
    money_kinds,
    notices,
    outpatient,
    paid_ahead,
    patient_access,
    patient_lookup,
    payments,
    prepay_consents,
    problems,
    reconciliation,
    refund_requests,
    refunds,
    requests_seen,
    settings,
    settlement_clock,
    settlements,
    staff_access,
    subscriptions,
    turnover,
    unreturnable,
    visits,
    wards,
    work,
    workdays,
)
from api.guard import BODY_LIMIT
from api.memory import Memory
from api.surroundings import Surroundings
from config import Settings

if TYPE_CHECKING:
    from journeys.counterparts import Counterparts

RESOURCES = (
    health,
    metrics,
    access,
    patient_access,
    patient_lookup,
    subscriptions,
    staff_access,
    devices,
    settings,
    audit,
    his_events,
    admissions,
    payments,
    daily_bills,
    wards,
    settlements,
    settlement_clock,
    workdays,
    refunds,
    refund_requests,
    visits,
    outpatient,
    filings,
    prepay_consents,
    campaigns,
    cockpit,
    unreturnable,
    turnover,
    census,
    clearance,
    money_kinds,
    paid_ahead,
    work,
    insurance_office,
    books,
    reconciliation,
    bank_batches,
    expiry,
    notices,
)
"""Every file of routes: a module with ``blp = Routes(...)``. A new resource adds its line here."""


def create_app(
    told: Settings,
    counterparts_of: "Callable[[str], Counterparts]",
    *,
    now: Callable[[], datetime] | None = None,
) -> Flask:
    """One process's application. Database and sealing keys are bound before (wsgi.py)."""
    app = Flask("xianzhen", static_folder=None)
    app.json = Json(app)
    app.url_map.merge_slashes = False  # "staff//wards" is nobody, not a member called "wards"
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=told.trusted_proxies, x_proto=0)  # type: ignore
    app.extensions["surroundings"] = Surroundings(
        told, now or told.now, counterparts_of, Memory(told.redis_url)
    )
    logs.configure()
    problems.install(app)
    requests_seen.install(app)
    limits.install(app, told.redis_url)
    metrics.install(app)
    documents.install(app, [resource.blp for resource in RESOURCES])
    commands.install(app)
    return app


class Json(DefaultJSONProvider):
    """Moments leave as ISO 8601 with offset, Chinese as itself, keys in the schema's order."""

    ensure_ascii = False
    sort_keys = False

    @staticmethod
    def default(value: Any) -> Any:
        """What the standard encoder does not know."""
        if isinstance(value, datetime):
            return value.isoformat()
        return DefaultJSONProvider.default(value)
