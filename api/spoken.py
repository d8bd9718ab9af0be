"""A refusal as a person at a terminal reads it."""

import click

from policies.refusal_texts import words_of
from policies.refusals import Refusal


class Spoken(click.ClickException):
    """Code, what happened and what to do next; the program ends with 1."""

    def __init__(self, refusal: Refusal) -> None:
        words = words_of(refusal.code, refusal.facts)
        super().__init__(f"{refusal.code}: {words.say} {words.next}")
