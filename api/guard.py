"""Every route says who may call it: ``@guarded("permission", ...)`` or ``@public("why")``; nothing
else is served.

The credential chooses the way in: ``Authorization: Bearer`` is a patient, ``Authorization: DPoP``
is a
staff member on an enrolled device, ``X-Signature`` is the HIS. Having come in, the actor needs one
of the
route's permissions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import g, request
from werkzeug.exceptions import UnsupportedMediaType

from api import limits
from api.credentials import CameIn, of_his, of_patient, of_staff
from policies.access import Actor
from policies.refusals import Forbidden, NotFound, Unauthenticated

MIB = 1024 * 1024
BODY_LIMIT = 2 * MIB

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """What a route declared. No permissions: public, and ``why`` says why.

    ``at_window``: for a route that only patients may call, the endpoint with which staff do the
    same
    for somebody without a phone (GZ-20 T4), or a sentence why there is nothing to do at a window.
    """

    permissions: tuple[str, ...] = ()
    why: str = ""
    at_window: str = ""
    body_limit: int = BODY_LIMIT
    media: str = "application/json"
    even_if_password_due: bool = False

    @property
    def ways_in(self) -> frozenset[str]:
        """The OpenAPI security schemes that lead here."""
        return frozenset(_WAY_OF.get(name.split(":")[0], "staff") for name in self.permissions)


_WAY_OF = {"own": "patient", "his": "his"}


def guarded(
    *permissions: str,
    at_window: str = "",
    body_limit: int = BODY_LIMIT,
    even_if_password_due: bool = False,
) -> Callable[[View], View]:
    """Let in an authenticated actor who holds any one of the permissions; outermost below
    ``@blp.route``.

    ``own:…`` are patients' permissions, ``his:…`` the HIS's, all others staff's.
    """
    if not permissions:
        raise ValueError("a guarded route names at least one permission")
    access = Access(
        permissions,
        at_window=at_window,
        body_limit=body_limit,
        even_if_password_due=even_if_password_due,
    )

    def check() -> None:
        came_in = _authenticate()
        g.actor, g.hospital_code, g.session_id = came_in.actor, came_in.hospital, came_in.session_id
        limits.count_actor(came_in.actor)
        if came_in.password_due and not access.even_if_password_due:
            raise Forbidden("PASSWORD_DUE")
        if not any(came_in.actor.may(permission) for permission in access.permissions):
            raise Forbidden("PERMISSION_MISSING", permission=" / ".join(access.permissions))

    return _declare(access, check)


def public(
    why: str, *, body_limit: int = BODY_LIMIT, media: str = "application/json"
) -> Callable[[View], View]:
    """Let anybody in, and say why; ``media="*"`` takes any content type (notices that sign their
    body)."""
    return _declare(Access(why=why, body_limit=body_limit, media=media), lambda: None)


def current_actor() -> Actor:
    """On whose behalf this request runs; only behind ``@guarded``."""
    return cast(Actor, g.actor)


def _authenticate() -> CameIn:
    scheme = request.authorization.type if request.authorization else ""
    if scheme == "bearer":
        return of_patient()
    if scheme == "dpop":
        return of_staff()
    if "X-Signature" in request.headers:
        return of_his()
    raise Unauthenticated("NOT_LOGGED_IN")


def _declare(access: Access, check: Callable[[], None]) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        @wraps(view)
        def admitted(*args: Any, **kwargs: Any) -> Any:
            if "\0" in request.path:  # no stored text has one, and PostgreSQL would choke on it
                raise NotFound("ADDRESS_UNKNOWN")
            request.max_content_length = access.body_limit
            if request.get_data() and access.media not in ("*", request.mimetype):
                raise UnsupportedMediaType
            check()
            return view(*args, **kwargs)

        admitted.access = access  # type: ignore[attr-defined]
        admitted._apidoc = {**getattr(view, "_apidoc", {}), "access": access}  # type: ignore[attr-defined]
        return cast(View, admitted)

    return decorate
