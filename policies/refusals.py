"""A refusal is named for what happened and knows nothing of HTTP; its words are in
texts/refusals.yaml.
"""

from typing import Any


class Refusal(Exception):
    """Something was not done, and nothing was changed. ``code`` is stable; ``facts`` fill the
    Chinese sentence.
    """

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


class Refused(Refusal):
    """A rule of the law or of the hospital says no."""


class NotFound(Refusal):
    """There is no such thing, or the asker may not know that there is."""

    def __init__(self, code: str = "NOT_FOUND", **facts: Any) -> None:
        super().__init__(code, **facts)


class Conflict(Refusal):
    """Another request got here first, or the same key came with other content."""


class Forbidden(Refusal):
    """The asker is known and may not do this."""


class Unauthenticated(Refusal):
    """The asker is not known."""


class Busy(Refusal):
    """Somebody we need is not answering; the same request may be repeated."""
