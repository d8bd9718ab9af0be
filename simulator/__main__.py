"""The other side of every wire, as a program: `init` makes its keys, `serve` answers."""

import argparse
import json
import threading
from pathlib import Path
from typing import Any

import yaml
from flask import Flask

from . import (
    control,
    medical_aid,
    mini_program,
    page,
    server,
    tencent_sms,
    wechat_bills,
    wechat_callbacks,
    wechat_history,
    wechat_limits,
    wechat_pay,
    wechat_payers,
    wechat_refunds,
    wechat_transfers,
)
from .insurance import wire as insurance
from .world import World

WIRES = (
    control,
    page,
    wechat_pay,
    wechat_payers,
    wechat_refunds,
    wechat_transfers,
    wechat_bills,
    wechat_callbacks,
    wechat_history,
    wechat_limits,
    mini_program,
    tencent_sms,
    insurance,
    medical_aid,
)


def main() -> None:
    """Read the command line and do as told."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    commands = parser.add_subparsers(required=True)
    init = commands.add_parser("init", help="make keys: connections.json for the application")
    init.add_argument("--dir", type=Path, required=True)
    init.add_argument("--port", type=int, required=True)
    init.add_argument("--hospital", action="append", required=True, metavar="CODE:NAME:PROFILE")
    init.add_argument("--sms-templates", type=Path, default=Path("notifications/texts/sms.yaml"))
    init.set_defaults(do=run_init)
    run = commands.add_parser("serve", help="answer on 127.0.0.1")
    run.add_argument("--dir", type=Path, required=True)
    run.add_argument("--port", type=int, required=True)
    run.add_argument("--callback-scale", type=float, default=0.02, help="0.02: 15 s last 0.3 s")
    run.add_argument("--app-url", default="", help="where SMS receipts are posted")
    run.set_defaults(do=run_serve)
    arguments = parser.parse_args()
    arguments.do(arguments)


def run_init(arguments: argparse.Namespace) -> None:
    """Write connections.json and world.json; a hospital already there keeps its keys."""
    arguments.dir.mkdir(parents=True, exist_ok=True)
    app_file, world_file = arguments.dir / "connections.json", arguments.dir / "world.json"
    root_url = f"http://127.0.0.1:{arguments.port}"
    texts = read_texts(arguments.sms_templates)
    app_sides = json.loads(app_file.read_text("utf8")) if app_file.exists() else {}
    world = json.loads(world_file.read_text("utf8")) if world_file.exists() else {"hospitals": {}}
    world["root_url"] = root_url
    for given in arguments.hospital:
        code, name, profile = given.split(":")
        if code not in app_sides:
            app_sides[code], world["hospitals"][code] = credentials(code, name, profile)
        tencent_sms.approve(app_sides[code]["sms"], world["hospitals"][code]["sms"], texts)
    for code, app_side in app_sides.items():
        point_at(app_side, code, root_url)
    for path, content in ((world_file, world), (app_file, app_sides)):
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf8")
        path.chmod(0o600)


def run_serve(arguments: argparse.Namespace) -> None:
    """Answer until the process is ended."""
    world = World(arguments.dir, callback_scale=arguments.callback_scale, app_url=arguments.app_url)
    app = application(world)
    stop = threading.Event()
    threading.Thread(target=world.live, args=(stop,), daemon=True).start()
    try:
        server.serve(app, arguments.port).serve_forever()
    except KeyboardInterrupt:
        stop.set()


def application(world: World) -> Flask:
    """The Flask application with every wire on it."""
    app = Flask(__name__)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    for wire in WIRES:
        app.register_blueprint(wire.blueprint(world))
    return app


def credentials(code: str, name: str, profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """New keys of one hospital: (what the application gets, what the world keeps)."""
    app_side: dict[str, Any] = {}
    world_side: dict[str, Any] = {"name": name, "profile": profile}
    for wire, made in (
        ("wechat_pay", wechat_pay.credentials),
        ("mini_program", mini_program.credentials),
        ("sms", tencent_sms.credentials),
        ("insurance", insurance.credentials),
        ("medical_aid", medical_aid.credentials),
    ):
        app_side[wire], world_side[wire] = made(code, name, profile)
    # One mini-program takes the payments: WeChat refuses an appid not bound to the merchant.
    app_side["wechat_pay"]["appid"] = app_side["mini_program"]["appid"]
    world_side["wechat_pay"]["appid"] = world_side["mini_program"]["appid"]
    return app_side, world_side


def point_at(app_side: dict[str, Any], code: str, root_url: str) -> None:
    """Fill in the addresses of this simulator."""
    app_side["wechat_pay"]["base_url"] = root_url
    app_side["mini_program"]["base_url"] = root_url
    app_side["sms"]["scheme"], _, app_side["sms"]["endpoint"] = root_url.partition("://")
    app_side["insurance"]["base_url"] = f"{root_url}/insurance/{code}"
    app_side["medical_aid"]["base_url"] = f"{root_url}/medical-aid/{code}"


def read_texts(path: Path) -> dict[str, str]:
    """Template name -> text, from the application's plain data file; none when there is no file."""
    if not path.exists():
        return {}
    return {name: entry["text"] for name, entry in yaml.safe_load(path.read_text("utf8")).items()}


if __name__ == "__main__":
    main()
