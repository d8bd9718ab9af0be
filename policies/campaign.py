"""When a notice campaign has done what article 7 asks: several channels and a hotline (GZ-7 T2)."""

from collections.abc import Collection
from enum import StrEnum

from policies.refusals import Refused


class NoticeChannel(StrEnum):
    """Where holders are told. SMS and SUBSCRIPTION reach one person each, the others the public."""

    SMS = "SMS"
    SUBSCRIPTION = "SUBSCRIPTION"
    OFFICIAL_ACCOUNT = "OFFICIAL_ACCOUNT"
    WEBSITE = "WEBSITE"
    SCREEN = "SCREEN"
    NOTICE_BOARD = "NOTICE_BOARD"
    MEDIA = "MEDIA"


PERSONAL = frozenset({NoticeChannel.SMS, NoticeChannel.SUBSCRIPTION})
CHANNELS_NEEDED = 2


def check_complete(used: Collection[str], hotline: str, under_way: int) -> None:
    """Refused CAMPAIGN_STILL_SENDING, CAMPAIGN_HOTLINE_MISSING or CAMPAIGN_NEEDS_CHANNELS."""
    if under_way:
        raise Refused("CAMPAIGN_STILL_SENDING", waiting=under_way)
    if not hotline:
        raise Refused("CAMPAIGN_HOTLINE_MISSING")
    if len(set(used)) < CHANNELS_NEEDED:
        raise Refused("CAMPAIGN_NEEDS_CHANNELS", needed=CHANNELS_NEEDED)
