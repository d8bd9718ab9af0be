"""Environment -> frozen settings. Production refuses what is sent in clear, loopback addresses,
short or simulator keys and a shifted clock.
"""

import json
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from environs import Env
from marshmallow.validate import Range
from psycopg.conninfo import conninfo_to_dict

SHANGHAI = ZoneInfo("Asia/Shanghai")
KEY_BYTES = 32
OTHERS = 0o007
"""Mode bits of a file that concern everybody."""


@dataclass(frozen=True, slots=True)
class WeChatPaySettings:
    """One merchant number at WeChat Pay, public-key mode. Keys are PEM text."""

    base_url: str
    mchid: str
    appid: str
    merchant_serial: str
    merchant_key: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    public_key_id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class MiniProgramSettings:
    """One mini-program at WeChat. ``state``: formal, trial or developer.

    ``templates``: our template name -> the number of the subscription template chosen for it.
    """

    base_url: str
    appid: str
    secret: str = field(repr=False)
    state: str = "formal"
    templates: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SmsSettings:
    """One Tencent Cloud SMS application. ``templates``: our template name -> the approved
    template's number.
    """

    scheme: str
    endpoint: str
    region: str
    secret_id: str
    secret_key: str = field(repr=False)
    sdk_app_id: str
    sign_name: str
    receipt_token: str = field(repr=False)
    templates: dict[str, str]


@dataclass(frozen=True, slots=True)
class InsuranceSettings:
    """The gateway of a province's insurance platform. ``profile`` names a file in
    payments/insurance/profiles/.
    """

    base_url: str
    profile: str
    access_key: str
    secret_key: str = field(repr=False)
    fixmedins_code: str
    fixmedins_name: str
    mdtrtarea_admvs: str


@dataclass(frozen=True, slots=True)
class AgencySettings:
    """The medical-aid office's claim interface (CQ-5.2)."""

    base_url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connections:
    """Everybody outside whom one hospital talks to."""

    wechat_pay: WeChatPaySettings
    mini_program: MiniProgramSettings
    sms: SmsSettings
    insurance: InsuranceSettings
    medical_aid: AgencySettings

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Connections":
        """From one hospital's entry of the connections file; a missing or unknown key raises
        TypeError.
        """
        return cls(
            WeChatPaySettings(**raw["wechat_pay"]),
            MiniProgramSettings(**raw["mini_program"]),
            SmsSettings(**raw["sms"]),
            InsuranceSettings(**raw["insurance"]),
            AgencySettings(**raw["medical_aid"]),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything this process was told."""

    production: bool
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    public_base_url: str
    connections: dict[str, Connections]
    jwt_keys: dict[str, str] = field(repr=False)
    sealing_keys: dict[str, str] = field(repr=False)
    index_key: str = field(repr=False)
    clock_shift: timedelta = timedelta()
    metrics_addresses: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    """Networks that may read /metrics."""
    audit_anchor_file: str = ""
    """Where the heads of the audit trails are kept, outside the database; empty: nowhere."""
    trusted_proxies: int = 0
    """How many reverse proxies of ours stand in front and add to X-Forwarded-For."""
    database_connections: int = 20
    """The most that this process opens to PostgreSQL."""
    outside_at_once: int = 4
    """How many requests of this process may wait for somebody outside at a time; jobs are not
    counted, they have a number of their own."""

    def now(self) -> datetime:
        """The one clock, in UTC: real time, or in a rehearsal real time moved by whole days."""
        return datetime.now(UTC) + self.clock_shift


def today(now: datetime) -> date:
    """The Shanghai calendar day of a moment."""
    return now.astimezone(SHANGHAI).date()


def read_settings() -> Settings:
    """Read the environment once, at start; raise with the name of what is missing or unsafe."""
    env = Env()
    rehearsal = env.date("REHEARSAL_DATE", None)
    outside = Path(env.str("CONNECTIONS_FILE"))
    settings = Settings(
        production=env.str("ENVIRONMENT", "production") == "production",
        database_url=env.str("DATABASE_URL"),
        redis_url=env.str("REDIS_URL"),
        public_base_url=env.str("PUBLIC_BASE_URL"),
        connections={
            code: Connections.read(raw)
            for code, raw in json.loads(outside.read_text("utf8")).items()
        },
        jwt_keys=dict(env.json("JWT_KEYS")),
        sealing_keys=dict(env.json("SEALING_KEYS")),
        index_key=env.str("INDEX_KEY"),
        clock_shift=(rehearsal - today(datetime.now(UTC))) if rehearsal else timedelta(),
        metrics_addresses=tuple(env.list("METRICS_ADDRESSES", ["127.0.0.1/32", "::1/128"])),
        audit_anchor_file=env.str("AUDIT_ANCHOR_FILE", ""),
        trusted_proxies=env.int("TRUSTED_PROXIES", 0),
        database_connections=env.int("DATABASE_CONNECTIONS", 20, validate=Range(min=1)),
        outside_at_once=env.int("OUTSIDE_AT_ONCE", 4, validate=Range(min=1)),
    )
    if settings.production:
        _refuse_unsafe(settings)
        if outside.stat().st_mode & OTHERS:
            raise ValueError(f"CONNECTIONS_FILE is refused in production: chmod 0600 {outside}")
    return settings


def _refuse_unsafe(settings: Settings) -> None:
    if settings.clock_shift:
        raise ValueError("REHEARSAL_DATE is refused in production")
    if not settings.audit_anchor_file:
        raise ValueError("AUDIT_ANCHOR_FILE is missing: production keeps the audit trails' heads")
    _refuse_short("JWT_KEYS", settings.jwt_keys.values())
    _refuse_short("INDEX_KEY", [settings.index_key])
    _refuse_clear_stores(settings)
    _refuse_address("PUBLIC_BASE_URL", settings.public_base_url)
    for code, outside in settings.connections.items():
        for url in (
            outside.wechat_pay.base_url,
            outside.mini_program.base_url,
            f"{outside.sms.scheme}://{outside.sms.endpoint}",
            outside.insurance.base_url,
            outside.medical_aid.base_url,
        ):
            _refuse_address(code, url)
        if "SIMULATOR" in json.dumps(asdict(outside)):  # the mark that all its keys carry
            raise ValueError(f"{code}: the simulator's keys are refused in production")


def _refuse_short(whose: str, keys: Iterable[str]) -> None:
    """A key shorter than its hash can be guessed from one token; sealing refuses its own."""
    if any(_length(key) < KEY_BYTES for key in keys):
        raise ValueError(f"{whose} is refused in production: {KEY_BYTES} random bytes, please")


def _length(key: str) -> int:
    try:
        return len(b64decode(key))
    except ValueError:
        return 0


def _refuse_clear_stores(settings: Settings) -> None:
    """PostgreSQL and Redis are reached by TLS that knows whom it talks to, or by a socket of this
    machine. The addresses hold passwords and are not repeated.
    """
    database = conninfo_to_dict(settings.database_url)
    hosts = str(database.get("host", "")).split(",")
    by_socket = all(host.startswith("/") for host in hosts)
    if database.get("sslmode") != "verify-full" and not by_socket:
        raise ValueError("DATABASE_URL is refused in production: sslmode=verify-full, please")
    redis = urlsplit(settings.redis_url)
    blind = {"ssl_cert_reqs", "ssl_check_hostname"} & parse_qs(redis.query).keys()
    if redis.scheme not in ("rediss", "unix") or blind:
        raise ValueError("REDIS_URL is refused in production: rediss:// that verifies, please")


def _refuse_address(whose: str, url: str) -> None:
    host = urlsplit(url).hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:  # a name
        here = host == "localhost" or host.endswith(".localhost")
    if here or not url.startswith("https://"):
        raise ValueError(f"{whose}: {url} is refused in production: https and another host, please")
