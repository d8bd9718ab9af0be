"""What an outside system can answer: yes is a value; these are the three other answers, and silence
is not a no.
"""


class Declined(Exception):
    """The counterpart surely did not do it and will not: final. ``code`` is ours or theirs,
    ``detail`` is for staff, never a person's data.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code, self.detail = code, detail


class NotNow(Exception):
    """The counterpart surely did not do it, but may later: repeat the same request with the same
    number.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code, self.detail = code, detail


class NoAnswer(Exception):
    """Nobody knows whether it was done: ask, do not repeat blindly."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
