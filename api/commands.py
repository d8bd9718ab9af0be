"""The command line is an edge too: ``flask --app wsgi hospital create``, ``staff``, ``his-key``,
``keys``,
``audit``, ``notices``, ``census``."""

import base64
import binascii
import re
from pathlib import Path
from typing import Any

import click
import rich.console
import rich.progress
from flask import Flask
from flask.cli import AppGroup

from api import census_commands
from api.spoken import Spoken
from api.surroundings import clock, counterparts, settings
from journeys import audit_anchor, devices, founding, notices, resealing, staff_admin
from models import audit, sealing
from policies.refusals import Refusal

hospital = AppGroup("hospital", help="Hospitals.")
staff = AppGroup("staff", help="Staff.")
his_key = AppGroup("his-key", help="Signing keys of hospital systems.")
keys = AppGroup("keys", help="Key rings.")
trail = AppGroup("audit", help="The audit trail.")
inbox = AppGroup("notices", help="Notices of WeChat Pay.")

GROUPS = (hospital, staff, his_key, keys, trail, inbox, census_commands.group)


def install(app: Flask) -> None:
    """Give the app its commands."""
    for group in GROUPS:
        app.cli.add_command(group)


@hospital.command("create")
@click.option("--code", required=True)
@click.option("--name", required=True)
@click.option("--type", "kind", type=click.Choice(founding.INSTITUTION_TYPES), required=True)
@click.option("--county", required=True, help="Six-digit county code.")
@click.option("--packs", required=True, help="Rule packs, comma separated: national,guizhou")
def create_hospital(code: str, name: str, kind: str, county: str, packs: str) -> None:
    """Write a hospital down."""
    try:
        found = founding.found_hospital(code, name, kind, county, packs.split(","), clock())
    except Refusal as refusal:
        raise Spoken(refusal) from None
    click.echo(found)


@staff.command("create-administrator")
@click.option("--hospital", "code", required=True)
@click.option("--staff-no", required=True)
@click.option("--name", required=True)
def create_administrator(code: str, staff_no: str, name: str) -> None:
    """Create an administrator with a first password, and announce a first desk for them."""
    try:
        actor = founding.ourselves(code)
        password = staff_admin.create_staff(actor, staff_no, name, ["ADMINISTRATOR"], [], clock())
        _, enrolment, _ = devices.announce(actor, "管理员电脑", "DESK", "", "", clock())
    except Refusal as refusal:
        raise Spoken(refusal) from None
    click.echo(f"password {password}")
    click.echo(f"enrolment code {enrolment}")


@his_key.command("create")
@click.option("--hospital", "code", required=True)
@click.option("--system", "name", default="HIS", show_default=True)
def create_his_key(code: str, name: str) -> None:
    """Make a signing key; its secret is shown this once."""
    try:
        key_id, secret = founding.make_his_key(code, name, clock())
    except Refusal as refusal:
        raise Spoken(refusal) from None
    click.echo(f"key id {key_id}")
    click.echo(f"secret {secret}")


@his_key.command("retire")
@click.option("--hospital", "code", required=True)
@click.option("--key-id", required=True)
def retire_his_key(code: str, key_id: str) -> None:
    """Refuse a signing key from now on."""
    try:
        founding.retire_his_key(code, key_id, clock())
    except Refusal as refusal:
        raise Spoken(refusal) from None


@keys.command("check")
@click.option("--all", "everything", is_flag=True, help="Open every sealed value as well.")
def check_keys(everything: bool) -> None:
    """Check that every key of the rings has its length and opens what is stored; exit 1
    otherwise."""
    jwt, rings = settings().jwt_keys, settings().sealing_keys
    wrong = [f"jwt {name}: base64 of 32 bytes or more" for name in jwt if _length(jwt[name]) < 32]
    for name, told in rings.items():
        wanted = sealing.key_length(told)
        if _length(told.removeprefix(sealing.SM4)) != wanted:
            wrong.append(f"sealing {name}: base64 of {wanted}")
    held = resealing.values_by_key()
    for name in held.keys() - sealing.known_keys():
        wrong.append(f"sealing {name}: not in the ring, and {held[name]} values need it")
    opened, shut = founding.his_keys_that_open()
    wrong += [f"his-key {key_id}: sealed with a key that is not in the ring" for key_id in shut]
    if everything:
        wrong += [f"{place}: does not open" for place in resealing.shut_values()]
    for line in wrong:
        click.echo(line, err=True)
    if wrong:
        raise SystemExit(1)
    click.echo(f"{len(jwt)} jwt, {len(rings)} sealing, {opened} his keys: all good")
    if everything:
        click.echo(f"{sum(held.values())} sealed values: all open")


@keys.command("reseal")
@click.option("--batch", type=click.IntRange(1, 10_000), default=resealing.BATCH, show_default=True)
def reseal(batch: int) -> None:
    """Seal everything again with the last key of the ring, so that the others can be retired.

    While the API runs, as often as wanted; killed half-way, the next run goes on. Exit 1 while a
    value is left that another key sealed.
    """
    with rich.progress.Progress(console=rich.console.Console(stderr=True)) as bar:
        shown = bar.add_task("rows")
        for progress in resealing.reseal(batch):
            bar.update(shown, total=progress.found, completed=progress.done)
    held = resealing.values_by_key()
    for name in sorted(held.keys() | sealing.known_keys()):
        click.echo(f"key {name}: {held.get(name, 0)} values")
    for place in sorted(progress.shut):
        click.echo(f"{place}: does not open", err=True)
    if held.keys() - {sealing.current_key()}:
        raise SystemExit(1)


class Head(click.ParamType):
    """NO:HASH as an earlier run printed it."""

    name = "NO:HASH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, str]:
        """The number and the hash."""
        if isinstance(value, tuple):
            return value
        no, _, digest = str(value).partition(":")
        if not (no.isdecimal() and re.fullmatch("[0-9a-f]{64}", digest)):
            self.fail(f"{value} is no number:hash", param, ctx)
        return int(no), digest


@trail.command("verify")
@click.option("--hospital", "code", required=True)
@click.option("--anchor", "anchors", type=Head(), multiple=True, help="Printed by an earlier run.")
@click.option("--anchor-file", help="Instead of AUDIT_ANCHOR_FILE.")
def verify_trail(code: str, anchors: tuple[tuple[int, str], ...], anchor_file: str | None) -> None:
    """Name the first broken row and exit 1, or print the new head to keep somewhere else."""
    file = anchor_file or settings().audit_anchor_file
    try:
        hospital_id = founding.ourselves(code).hospital_id
        if file and not Path(file).exists():
            raise click.ClickException(f"{file}: there is no such file")
        kept = audit_anchor.kept(Path(file), code) if file else []
    except Refusal as refusal:
        raise Spoken(refusal) from None
    except audit_anchor.AnchorsBroken as broken:
        raise click.ClickException(f"{file}: {broken}") from None
    broken_at = audit.verify(hospital_id, *anchors, *kept)
    if broken_at is not None:
        click.echo(f"broken at row {broken_at}", err=True)
        raise SystemExit(1)
    if not (anchors or kept):
        click.echo("without an anchor: rows cut off the end would not be seen", err=True)
    click.echo("whole {}:{}".format(*audit.head(hospital_id)))


@trail.command("anchor")
@click.option("--hospital", "code", required=True)
def anchor_trail(code: str) -> None:
    """Add the present head to AUDIT_ANCHOR_FILE, as the timetable does every night."""
    try:
        hospital_id = founding.ourselves(code).hospital_id
        no = audit_anchor.anchor_trail(counterparts(code), hospital_id)
    except Refusal as refusal:
        raise Spoken(refusal) from None
    except audit_anchor.AnchorsBroken as broken:
        raise click.ClickException(str(broken)) from None
    if not no:
        raise click.ClickException("nothing to anchor, or AUDIT_ANCHOR_FILE is not set")
    click.echo(f"anchored row {no}")


@inbox.command("verify")
@click.option("--hospital", "code", required=True)
def verify_notices(code: str) -> None:
    """Prove every kept notice again from its stored bytes; name those that are not, and exit 1."""
    proven, doubted = 0, 0
    try:
        outside, hospital_id = counterparts(code), founding.ourselves(code).hospital_id
    except Refusal as refusal:
        raise Spoken(refusal) from None
    for notice_id, doubt in notices.prove_notices(outside, hospital_id):
        if doubt:
            click.echo(f"{notice_id}: {doubt}", err=True)
        proven, doubted = proven + (not doubt), doubted + bool(doubt)
    click.echo(f"{proven} proven, {doubted} not")
    if doubted:
        raise SystemExit(1)


def _length(key: str) -> int:
    try:
        return len(base64.b64decode(key))
    except (binascii.Error, ValueError):
        return 0
