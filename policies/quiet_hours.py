"""When nobody is disturbed by what can wait: notices to many, not news of one's own money."""

from datetime import datetime, time, timedelta

from config import SHANGHAI

PATTERN = r"(1[89]|2[0-3])-([6-9]|10)"
"""From an hour of the evening to an hour of the morning: 21-8."""


def allowed_from(moment: datetime, hours: str) -> datetime:
    """The moment itself, or the end of the quiet hours (PATTERN, Shanghai) that it lies in."""
    evening, morning = map(int, hours.split("-"))
    here = moment.astimezone(SHANGHAI)
    if morning <= here.hour < evening:
        return moment
    day = here.date() + timedelta(days=here.hour >= evening)
    return datetime.combine(day, time(morning), SHANGHAI)
