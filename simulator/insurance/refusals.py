"""How a transaction is refused: infcode -1 with a Chinese sentence."""


class Declined(Exception):
    """The platform says no; the sentence becomes err_msg and names no person."""
