"""One HTTP request to the outside: sent once, never inside a transaction, silence rightly named."""

import logging
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from models.waiting import outside
from policies.outcome import NoAnswer, NotNow

TIMEOUTS = (3.0, 15.0)
"""Seconds to connect, and to wait for the next byte of the answer."""

# At DEBUG these write whole URLs (with secrets and tokens) and bodies (with telephone numbers).
for _talkative in ("urllib3.connectionpool", "tencentcloud_sdk_common"):
    logging.getLogger(_talkative).setLevel(logging.INFO)


def new_session() -> requests.Session:
    """A session that keeps its connections and takes no proxy, password or cookie."""
    session = requests.Session()
    harden(session)
    return session


def harden(session: requests.Session) -> None:
    """Make a session (also an SDK's) ignore environment and cookies, and send nothing twice."""
    session.trust_env = False
    session.max_redirects = 0  # the first one is an error: following it would ask again
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=20, max_retries=0))


def send(
    session: requests.Session,
    request: requests.PreparedRequest,
    timeouts: tuple[float, float] = TIMEOUTS,
) -> requests.Response:
    """The answer, whatever its status.

    NotNow UNREACHABLE when surely nothing was sent; NoAnswer when something may have been. The
    errors of ``requests`` go no further: their texts contain URLs, and those contain tokens.
    """
    with outside():
        try:
            return session.send(request, timeout=timeouts, allow_redirects=False)
        except requests.RequestException as error:
            outcome = silence(error)
    raise outcome


def silence(error: BaseException) -> NotNow | NoAnswer:
    """What an error of ``requests`` means: only a connection never made proves nothing was sent."""
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return NotNow("UNREACHABLE", type(reason).__name__)
    return NoAnswer(type(error).__name__)
