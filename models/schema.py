"""Every table's module imported once, and the migrations that make a database like them."""

import importlib
import pkgutil
from pathlib import Path

from alembic import command
from alembic.config import Config

import models

MIGRATIONS = Path(__file__).parent / "migrations"


def import_all() -> None:
    """Import every module of this room, so that Base.metadata knows every table."""
    for module in pkgutil.iter_modules(models.__path__, "models."):
        if module.name != "models.migrations":
            importlib.import_module(module.name)


def upgrade(url: str) -> None:
    """Bring the database at this URL to the newest migration, as ``alembic upgrade head`` does."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    command.upgrade(config, "head")
