"""What the edge stands on in one process: settings, the one clock, Redis, and the hospitals'
counterparts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from flask import current_app, g

from api.memory import Memory
from config import Settings
from policies.refusals import NotFound

if TYPE_CHECKING:
    from journeys.counterparts import Counterparts


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Given once to ``create_app``; read everywhere in ``api`` through the functions below."""

    settings: Settings
    now: Callable[[], datetime]
    counterparts_of: "Callable[[str], Counterparts]"
    memory: Memory


def here() -> Surroundings:
    """The surroundings of the running app."""
    found: Surroundings = current_app.extensions["surroundings"]
    return found


def clock() -> Callable[[], datetime]:
    """The injected clock, for journeys that take ``now``."""
    return here().now


def settings() -> Settings:
    """The process's settings."""
    return here().settings


def counterparts(hospital_code: str | None = None) -> "Counterparts":
    """The outside of the caller's hospital, or of the named one; NotFound if it has no
    connections."""
    try:
        return here().counterparts_of(hospital_code or g.hospital_code)
    except KeyError:
        raise NotFound("HOSPITAL_UNKNOWN") from None
