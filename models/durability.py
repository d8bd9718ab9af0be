"""Whether this PostgreSQL keeps what it has acknowledged through a power cut."""

from sqlalchemy.exc import OperationalError

from models.db import rows

SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
"""Off in any of these, a committed payment may be gone, or torn, after the power comes back."""


class NotDurable(RuntimeError):
    """The database would forget; the message names the settings."""


def switched_off() -> list[str]:
    """The names of those settings that are off for our sessions."""
    found = rows(
        "SELECT name FROM pg_settings WHERE name = ANY(:names) AND setting = 'off' ORDER BY name",
        names=list(SETTINGS),
    )
    return [row["name"] for row in found]


def refuse_forgetful() -> None:
    """Raise NotDurable, for a start in production. A database that is away is left to /readyz."""
    try:
        off = switched_off()
    except OperationalError:
        return
    if off:
        raise NotDurable(f"refused in production: PostgreSQL with {', '.join(off)} off")
