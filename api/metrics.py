"""Prometheus figures: requests by route, the queue, and what is still open with the outside; for
configured addresses."""

import os
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import prometheus_client
from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.guard import public
from api.requests_seen import route
from api.routes import Routes
from api.surroundings import settings
from models.db import Base, rows
from models.machine import Machine
from policies.refusals import NotFound

blp = Routes("operations", __name__, description="运行状况：给值班人员和监控系统")

OPEN = [
    "CREATED",
    "ASKED",
    "UNKNOWN",
    "HUMAN",
    "PROCESSING",
    "ABNORMAL",
    "CONFIRMED",
    "CLAIMED",
    "UNDOING",
]
"""States in which something outside has not answered, or answered what only a person can settle."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def install(app: Flask) -> None:
    """Measure every request of this app."""
    registry = CollectorRegistry()
    seconds = Histogram(
        "xianzhen_request_seconds",
        "Time to answer, by route",
        ("method", "route", "status"),
        buckets=BUCKETS,
        registry=registry,
    )
    app.extensions["refused_notices"] = Counter(
        "xianzhen_notices_refused",
        "Notices of WeChat Pay that were not believed, by reason",
        ("reason",),
        registry=registry,
    )
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # several processes, one page
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(Stores())
    app.extensions["figures"] = registry

    def measure(answer: Response) -> Response:
        labels = (request.method, route(), str(answer.status_code))
        seconds.labels(*labels).observe(time.perf_counter() - g.started)
        return answer

    app.after_request(measure)


def count_refused_notice(reason: str) -> None:
    """One more notice that was not believed; ``reason`` is one of NoticeRefused's codes."""
    current_app.extensions["refused_notices"].labels(reason).inc()


@blp.route("/metrics")
@public("monitoring; only configured addresses get an answer", media="*")
@blp.response(200, {"type": "string"}, content_type="text/plain")
@blp.alt_response(404, "Problem")
def figures() -> Response:
    """Show the figures"""
    caller = request.remote_addr  # none: over a socket without a proxy that says who asks
    if not caller or not _may_read(caller):
        raise NotFound("ADDRESS_UNKNOWN")
    page = prometheus_client.generate_latest(current_app.extensions["figures"])
    return Response(page, content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read(caller: str) -> bool:
    return any(ip_address(caller) in ip_network(net) for net in settings().metrics_addresses)


class Stores(Collector):
    """What the database says at the moment of asking."""

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first scrape: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Queue depth by state, age of the oldest waiting job, open entities by machine and
        state."""
        yield _gauge(
            "xianzhen_queue_jobs",
            "Jobs by state",
            ("status",),
            "SELECT status::text AS status, count(*) AS n FROM procrastinate_jobs"
            " WHERE status IN ('todo', 'doing', 'failed') GROUP BY 1",
        )
        yield GaugeMetricFamily(
            "xianzhen_queue_age_seconds", "Age of the oldest due job", value=queue_age_s()
        )
        tables = [
            f"SELECT '{m.class_.__name__}' AS machine, state, count(*) AS n"  # noqa: S608 - names
            f" FROM {m.local_table.name} WHERE state = ANY(:open) GROUP BY 1, 2"
            for m in Base.registry.mappers
            if issubclass(m.class_, Machine)
        ]
        yield _gauge(
            "xianzhen_open",
            "Entities that wait for somebody outside",
            ("machine", "state"),
            " UNION ALL ".join(tables) or "SELECT '' AS machine, '' AS state, 0 AS n WHERE false",
            open=OPEN,
        )


def queue_age_s() -> float:
    """Seconds since the oldest job that is due was due; 0 when none waits. PostgreSQL's clock on
    both sides."""
    found = rows(
        "SELECT coalesce(extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))), 0) AS age"
        "  FROM procrastinate_jobs j JOIN procrastinate_events e"
        "    ON e.job_id = j.id AND e.type = 'deferred'"
        " WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())"
    )
    return float(found[0]["age"])


def _gauge(name: str, says: str, labels: tuple[str, ...], sql: str, **values: object) -> Metric:
    gauge = GaugeMetricFamily(name, says, labels=labels)
    for row in rows(sql, **values):
        gauge.add_metric([row[label] for label in labels], row["n"])
    return gauge
