"""The whole house on one machine: ``python local.py run`` serves, ``demo`` also plays.

PostgreSQL and Valkey (local_servers.py), the simulator as everybody outside, the API and a worker,
started and stopped together over ``var/``; a ``DATABASE_URL`` or ``REDIS_URL`` that is set wins.
For a trial and for development: docs/operations.md says how the parts run in production.
"""

import argparse
import base64
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from local_servers import Children, DidNotStart, free_port, start_postgres, start_valkey

ROOT = Path(__file__).resolve().parent
HOME = ROOT / "var"
CONNECTIONS = HOME / "simulator" / "connections.json"
HOSPITAL = {
    "name": "先诊示范医院",
    "type": "PUBLIC",
    "county": "520102",
    "packs": "national,guizhou",
}
INSURANCE_PROFILE = "csb-guizhou"
ADMINISTRATOR = {"staff-no": "A0001", "name": "管理员"}

say = Console()
loopback = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> int:
    """Read the command line, do as told, and leave no process behind."""
    parser = argparse.ArgumentParser(description=__doc__, prog="local.py")
    parser.add_argument("command", choices=["run", "demo"])
    parser.add_argument("--once", action="store_true", help="end after the play")
    parser.add_argument("--date", type=date.fromisoformat, help="rehearse this day")
    parser.add_argument("--port", type=int, default=8000, help="of the API, if it is free")
    told = parser.parse_args()
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if stop != signal.SIGHUP or signal.getsignal(stop) != signal.SIG_IGN:  # nohup
            signal.signal(stop, signal.default_int_handler)
    try:
        with only_one(), house(told.command == "demo", told.date, told.port) as place:
            children, scene, environment = place
            played = play(scene, environment) if told.command == "demo" else 0
            if told.once:
                return played
            show(scene)
            return keep_serving(children)
    except KeyboardInterrupt:
        return 0
    except DidNotStart as problem:
        say.print(str(problem), style="red", markup=False, soft_wrap=True)
        return 1


@contextlib.contextmanager
def house(
    new_hospital: bool, rehearsed: date | None, port: int
) -> Iterator[tuple[Children, dict[str, Any], dict[str, str]]]:
    """Start everything in order; yield the children, what a client must know, and what a command
    typed on this machine must."""
    with Children(HOME / "log") as children:
        url, outside = (f"http://127.0.0.1:{free_port(wanted)}" for wanted in (port, port + 1))
        environment = os.environ | {
            "ENVIRONMENT": "development",
            "DATABASE_URL": os.environ.get("DATABASE_URL") or start_postgres(children, HOME),
            "REDIS_URL": os.environ.get("REDIS_URL") or start_valkey(children, HOME),
            "PUBLIC_BASE_URL": url,
            "CONNECTIONS_FILE": str(CONNECTIONS),
            "AUDIT_ANCHOR_FILE": str(HOME / "audit-anchors.jsonl"),
            "NO_PROXY": "127.0.0.1",
            **keys(HOME / "keys.json"),
        }
        if rehearsed:
            environment["REHEARSAL_DATE"] = rehearsed.isoformat()
        code, is_new = hospital_code(new_hospital)
        start_outside(children, CONNECTIONS.parent, code, outside, url, rehearsed)
        run("-m", "alembic", "upgrade", "head", env=environment)
        start_app(children, url, environment)
        if is_new:
            write_secret(HOME / f"{code}.json", json.dumps(found(code, environment), indent=1))
        children.wait_for("api", lambda: answers(f"{url}/readyz"))
        write_environment(environment)
        known = json.loads((HOME / f"{code}.json").read_text("utf8"))
        scene = {"url": url, "simulator_url": outside, "hospital": code, **known}
        yield children, scene, environment


def start_outside(
    children: Children,
    directory: Path,
    code: str,
    outside: str,
    url: str,
    rehearsed: date | None = None,
) -> None:
    """Start the simulator, which keeps the keys that it once made, and set its clock."""
    place = ["--dir", str(directory), "--port", outside.rpartition(":")[2]]
    named = f"{code}:{HOSPITAL['name']}:{INSURANCE_PROFILE}"
    run("-m", "simulator", "init", *place, "--hospital", named)
    serve = [sys.executable, "-m", "simulator", "serve", *place, "--app-url", url]
    children.start("simulator", serve, cwd=ROOT)
    children.wait_for("simulator", lambda: answers(f"{outside}/_sim/health"))
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    shift = ((rehearsed or today) - today).total_seconds()
    body = json.dumps({"shift_seconds": shift}).encode()
    asked = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{outside}/_sim/clock", body, {"Content-Type": "application/json"}
    )
    loopback.open(asked).close()


def start_app(children: Children, url: str, environment: dict[str, str]) -> None:
    """Start the API and a worker; they need some seconds until they can be given work."""
    port = url.rpartition(":")[2]
    serve = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--port", port]
    serve += ["--host", "127.0.0.1", "--blocking-threads", "8", "wsgi:app"]
    children.start("api", serve, cwd=ROOT, env=environment)
    children.start("worker", [sys.executable, "-m", "jobs"], cwd=ROOT, env=environment)


def hospital_code(new: bool) -> tuple[str, bool]:
    """The last hospital of this machine, or the next one; whether it has yet to be founded."""
    known = sorted(HOME.glob("DEMO*.json"), key=lambda file: int(file.stem.removeprefix("DEMO")))
    if known and not new:
        return known[-1].stem, False
    return f"DEMO{len(known) + 1}", True


def found(code: str, environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """Create the hospital, its first administrator and the HIS's key; what both need to come in."""
    options = [part for name, value in HOSPITAL.items() for part in (f"--{name}", value)]
    someone = [part for name, value in ADMINISTRATOR.items() for part in (f"--{name}", value)]
    command = ["-m", "flask", "--app", "wsgi"]
    run(*command, "hospital", "create", "--code", code, *options, env=environment)
    staff = ["staff", "create-administrator", "--hospital", code, *someone]
    first = told_by(run(*command, *staff, env=environment))
    his = told_by(run(*command, "his-key", "create", "--hospital", code, env=environment))
    return {
        "administrator": {
            "staff_no": ADMINISTRATOR["staff-no"],
            "password": first["password"],
            "enrolment_code": first["enrolment code"],
        },
        "his": {"key_id": his["key id"], "secret": his["secret"]},
    }


def play(scene: dict[str, Any], environment: dict[str, str]) -> int:
    """Both acts over public HTTP, by another process; 0 if every step and balance was right. The
    census is a command, which is typed on this machine.
    """
    scene["dump"] = str(HOME / f"{scene['hospital']}-dump")
    write_secret(HOME / "scene.json", json.dumps(scene, indent=1))
    command = [sys.executable, "-m", "simulator.play", "--scene", str(HOME / "scene.json")]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def show(scene: dict[str, Any]) -> None:
    """Where everything is."""
    places = Table(show_header=False, box=None, padding=(0, 2))
    for what, where in (
        ("接口文档 API documents", f"{scene['url']}/documents"),
        ("模拟的外部世界 simulator", f"{scene['simulator_url']}/"),
        ("短信发件箱 SMS outbox", f"{scene['simulator_url']}/_sim/sms/outbox"),
        ("医院和口令 hospital and secrets", f"var/{scene['hospital']}.json"),
        ("环境变量 environment", "var/environment"),
        ("日志 logs", "var/log/"),
    ):
        places.add_row(what, where)
    say.print()
    say.print(places)
    say.print("[dim]Ctrl-C 结束 ends everything[/]")


def keep_serving(children: Children) -> int:
    """Until Ctrl-C (0), or until something ended by itself (1)."""
    while (name := children.ended()) is None:
        time.sleep(0.5)
    say.print(f"[red]{name} ended: see var/log/{name}.log[/]")
    return 1


def keys(file: Path) -> dict[str, str]:
    """The key rings of this machine, made on the first start."""
    if not file.exists():
        made = {"JWT_KEYS": json.dumps({"local-1": fresh_key()})}
        made["SEALING_KEYS"] = json.dumps({"local-1": fresh_key()})
        made["INDEX_KEY"] = fresh_key()
        write_secret(file, json.dumps(made, indent=1))
    known: dict[str, str] = json.loads(file.read_text("utf8"))
    return known


def fresh_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def write_environment(environment: dict[str, str]) -> None:
    """For another terminal: ``set -a; . var/environment; set +a``."""
    ours = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in ours.items()]
    write_secret(HOME / "environment", "".join(lines))


def write_secret(file: Path, content: str) -> None:
    """Write a file that only its owner may read."""
    file.touch(mode=0o600)
    file.write_text(content, "utf8")


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Refuse a second house over the same var/."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DidNotStart("it runs already over this var/: see var/environment") from None
        yield


def run(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Run one of our own programs to its end; its output, or DidNotStart with it."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DidNotStart(f"{' '.join(arguments[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def told_by(output: str) -> dict[str, str]:
    """``password x`` lines as a dictionary: the value is the last word."""
    return {
        name: value for name, _, value in (line.rpartition(" ") for line in output.splitlines())
    }


def answers(url: str) -> bool:
    """Whether a GET answers with success."""
    try:
        with loopback.open(url, timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
