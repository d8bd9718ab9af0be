"""Settings come from the environment, and production refuses what only a rehearsal may have."""

import copy
import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

import config
from config import read_settings, today

KEY = "A" * 43 + "="
SAFE = {
    "wechat_pay": {
        "base_url": "https://api.mch.weixin.qq.com",
        "mchid": "1900000001",
        "appid": "wx0000000000000001",
        "merchant_serial": "AB",
        "merchant_key": "PEM",
        "apiv3_key": "k" * 32,
        "public_key_id": "PUB_KEY_ID_01",
        "public_key": "PEM",
    },
    "mini_program": {"base_url": "https://api.weixin.qq.com", "appid": "wx1", "secret": "s"},
    "sms": {
        "scheme": "https",
        "endpoint": "sms.tencentcloudapi.com",
        "region": "ap-guangzhou",
        "secret_id": "id",
        "secret_key": "key",
        "sdk_app_id": "1400",
        "sign_name": "示范医院",
        "receipt_token": "t",
        "templates": {},
    },
    "insurance": {
        "base_url": "https://gateway.example",
        "profile": "csb-guizhou",
        "access_key": "AK",
        "secret_key": "SK",
        "fixmedins_code": "H52010200001",
        "fixmedins_name": "示范医院",
        "mdtrtarea_admvs": "520102",
    },
    "medical_aid": {"base_url": "https://aid.example", "secret": "s"},
}


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Write the connections and the environment; read the settings."""

    def read(connections=SAFE, mode=0o600, **environment):
        file = tmp_path / "connections.json"
        file.write_text(json.dumps({"H1": connections}), "utf8")
        file.chmod(mode)
        usual = {
            "ENVIRONMENT": "production",
            "DATABASE_URL": "postgresql://a,b/x?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "REDIS_URL": "rediss://cache",
            "PUBLIC_BASE_URL": "https://pay.hospital.example",
            "CONNECTIONS_FILE": str(file),
            "JWT_KEYS": json.dumps({"a": KEY}),
            "SEALING_KEYS": json.dumps({"a": KEY}),
            "INDEX_KEY": KEY,
            "AUDIT_ANCHOR_FILE": "/mnt/anchors/audit.jsonl",
        }
        for name, value in (usual | environment).items():
            monkeypatch.setenv(name, value)
        return read_settings()

    return read


def test_a_safe_production(told):
    settings = told()
    assert settings.production
    assert settings.clock_shift == timedelta()
    assert abs(settings.now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("wire", "field", "value"),
    [
        ("wechat_pay", "base_url", "http://api.mch.weixin.qq.com"),
        ("wechat_pay", "base_url", "https://127.0.0.1:9000"),
        ("wechat_pay", "public_key_id", "PUB_KEY_ID_SIMULATOR_1"),
        ("mini_program", "base_url", "https://localhost"),
        ("mini_program", "secret", "SIMULATOR00"),
        ("sms", "scheme", "http"),
        ("sms", "secret_id", "SIMULATOR"),
        ("insurance", "base_url", "http://gateway.example"),
        ("insurance", "access_key", "SIMULATOR-AK"),
        ("medical_aid", "base_url", "https://[::1]/aid"),
        ("medical_aid", "secret", "SIMULATOR"),
    ],
)
def test_production_refuses_what_is_not_real(told, wire, field, value):
    connections = copy.deepcopy(SAFE)
    connections[wire][field] = value
    with pytest.raises(ValueError, match="refused in production"):
        told(connections)
    assert told(connections, ENVIRONMENT="development").production is False


def test_production_refuses_a_shifted_clock_and_plain_callbacks(told):
    with pytest.raises(ValueError, match="REHEARSAL_DATE"):
        told(REHEARSAL_DATE="2025-12-20")
    with pytest.raises(ValueError, match="refused in production"):
        told(PUBLIC_BASE_URL="http://pay.hospital.example")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://app:hush@db/x"),
        ("DATABASE_URL", "postgresql://app:hush@db/x?sslmode=require"),
        ("DATABASE_URL", "postgresql://app:hush@127.0.0.1/x?sslmode=verify-ca"),
        ("DATABASE_URL", "postgresql:///x"),
        ("DATABASE_URL", "postgresql://app:hush@%2Frun%2Fpostgresql,db/x"),
        ("REDIS_URL", "redis://:hush@cache"),
        ("REDIS_URL", "rediss://:hush@cache?ssl_cert_reqs=none"),
        ("REDIS_URL", "rediss://:hush@cache?ssl_check_hostname=false"),
    ],
)
def test_production_reaches_its_stores_by_tls_that_verifies(told, name, url):
    with pytest.raises(ValueError, match=f"{name} is refused in production") as refused:
        told(**{name: url})
    assert "hush" not in str(refused.value)
    told(ENVIRONMENT="development", **{name: url})


def test_a_socket_of_this_machine_needs_no_tls(told):
    told(DATABASE_URL="postgresql://app@/x?host=/run/postgresql", REDIS_URL="unix:///run/valkey")


@pytest.mark.parametrize(
    ("name", "value"),
    [("JWT_KEYS", json.dumps({"a": KEY, "b": KEY[:40]})), ("INDEX_KEY", ""), ("INDEX_KEY", "x")],
)
def test_production_refuses_keys_that_can_be_guessed(told, name, value):
    with pytest.raises(ValueError, match=f"{name} is refused in production: 32 random bytes"):
        told(**{name: value})
    told(ENVIRONMENT="development", **{name: value})


def test_production_refuses_a_connections_file_that_everybody_may_read(told):
    with pytest.raises(ValueError, match="CONNECTIONS_FILE is refused in production: chmod 0600"):
        told(mode=0o644)
    told(mode=0o640)  # the group of the service
    told(mode=0o644, ENVIRONMENT="development")


def test_production_keeps_the_heads_of_the_audit_trails(told):
    with pytest.raises(ValueError, match="AUDIT_ANCHOR_FILE is missing"):
        told(AUDIT_ANCHOR_FILE="")
    assert told(AUDIT_ANCHOR_FILE="", ENVIRONMENT="development").audit_anchor_file == ""


def test_a_rehearsal_moves_the_clock_by_whole_days(told):
    settings = told(ENVIRONMENT="development", REHEARSAL_DATE="2025-12-20")
    assert str(today(settings.now())) == "2025-12-20"
    moved = settings.now() - datetime.now(UTC)
    assert abs(moved - settings.clock_shift) < timedelta(seconds=5)
    assert settings.clock_shift % timedelta(days=1) == timedelta()


def test_secrets_do_not_show_when_settings_are_printed(told):
    shown = repr(told())
    for secret in ("k" * 32, "'SK'", "'s'", "postgresql://"):
        assert secret not in shown


def test_every_field_that_may_hold_a_secret_is_kept_out_of_repr():
    """Names of ids and public keys are listed; a new field is a secret by its name until it is."""
    shown = {"access_key", "secret_id", "public_key", "public_key_id"}
    secret = re.compile("key|secret|token|password|database_url|redis_url")
    fields = [
        field
        for kind in vars(config).values()
        if dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
    ]
    leaks = {f.name for f in fields if secret.search(f.name) and f.repr and f.name not in shown}
    assert leaks == set()
