"""``flask --app wsgi census check`` and ``census import``: two people, each with a password."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from api.spoken import Spoken
from api.surroundings import clock
from journeys import census
from journeys.console import at_console
from policies.census import words
from policies.money import yuan
from policies.refusals import Refusal

group = AppGroup("census", help="The census of old cards.")

DUMP = click.Path(exists=True, path_type=Path)


def people(command: Callable[..., None]) -> Callable[..., None]:
    """The options of whoever types: hospital, staff number, password, the dump and its mapping."""
    for option in (
        click.argument("dump", type=DUMP),
        click.option("--mapping", type=DUMP, required=True, help="docs/census.md"),
        click.password_option("--password", confirmation_prompt=False),
        click.option("--by", "staff_no", required=True, help="Your staff number."),
        click.option("--hospital", "code", required=True),
    ):
        command = option(command)
    return command


@group.command("check")
@people
def check(code: str, staff_no: str, password: str, mapping: Path, dump: Path) -> None:
    """Look at a dump and report; nothing is imported. Exit 1 when something stands in the way."""
    try:
        actor = at_console(code, staff_no, password, clock())
        with _bars() as told:
            made = census.check_dump(actor, dump, _text(mapping), clock(), told)
        shown = census.one_import(actor, made)
    except Refusal as refusal:
        raise Spoken(refusal) from None
    _print(shown)
    if shown["state"] != "CHECKED":
        raise SystemExit(1)


@group.command("import")
@click.option("--import-id", type=click.UUID, required=True, help="Printed by census check.")
@people
def release(
    code: str, staff_no: str, password: str, mapping: Path, dump: Path, import_id: UUID
) -> None:
    """Import what somebody else checked: all of it, or nothing and exit 1."""
    try:
        actor = at_console(code, staff_no, password, clock())
        with _bars() as told:
            shown = census.release_dump(actor, import_id, dump, _text(mapping), clock(), told)
    except Refusal as refusal:
        raise Spoken(refusal) from None
    _print(shown)
    if shown["state"] not in ("IMPORTED", "UNCHANGED"):
        raise SystemExit(1)


class _bars:
    """A line for each table with the rows read so far."""

    def __init__(self) -> None:
        self._shown = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.completed:,.0f}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._lines: dict[str, Any] = {}

    def __enter__(self) -> Callable[[str, int], None]:
        self._shown.start()
        return self._told

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def _told(self, table: str, rows: int) -> None:
        if table not in self._lines:
            self._lines[table] = self._shown.add_task(table, total=None)
        self._shown.advance(self._lines[table], rows)


def _text(mapping: Path) -> str:
    return mapping.read_bytes().decode("utf-8-sig", errors="replace")


def _print(shown: dict[str, Any]) -> None:
    totals = shown["report"]["totals"]
    click.echo(f"import id {shown['id']}")
    click.echo(f"state {shown['state']}")
    click.echo(f"accounts {totals['accounts']}, with money {totals['accounts_with_money']}")
    click.echo(f"balance {yuan(totals['balance_fen'])}")
    for band in ("by_channel", "by_age", "by_contact"):
        for each in totals[band]:
            click.echo(f"{band} {each['name']} {each['accounts']} {yuan(int(each['fen']))}")
    for code, count in shown["report"]["findings"].items():
        mark = "stops" if words()[code].blocks else "notes"
        click.echo(f"{mark} {code} {count} {words()[code].say}")
