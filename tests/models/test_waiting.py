"""Threads that wait for somebody outside leave others free."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from models import waiting
from models.db import Session, TransactionOpen
from policies.outcome import NotNow


@pytest.fixture
def two_places() -> Iterator[None]:
    waiting.at_most(2)
    yield
    waiting.at_most(None)


@pytest.mark.usefixtures("two_places")
def test_a_third_thread_is_told_that_nothing_was_sent_and_comes_in_when_one_has_left() -> None:
    inside, leave = threading.Barrier(3), threading.Event()

    def wait() -> None:
        with waiting.outside():
            inside.wait(10)
            leave.wait(10)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with pytest.raises(NotNow) as told, waiting.outside():
        pass
    leave.set()
    for thread in threads:
        thread.join()
    with waiting.outside():
        pass
    assert told.value.code == "PLACES_TAKEN"


@pytest.mark.usefixtures("two_places")
def test_of_those_who_find_no_place_only_one_stands_in_line_and_holds_a_thread() -> None:
    waiting.at_most(4, patience_s=60)
    told: SimpleQueue[str] = SimpleQueue()
    leave = threading.Event()

    def go() -> None:
        try:
            with waiting.outside():
                told.put("inside")
                leave.wait(60)
        except NotNow as no:
            told.put(no.code)

    threads = [threading.Thread(target=go) for _ in range(7)]
    for thread in threads:
        thread.start()
    # Nobody leaves meanwhile, and patience lasts longer than this waits.
    at_once = sorted(told.get(timeout=20) for _ in range(6))
    leave.set()
    for thread in threads:
        thread.join()
    assert at_once == ["PLACES_TAKEN"] * 2 + ["inside"] * 4
    assert told.get(timeout=0) == "inside"


@pytest.mark.usefixtures("two_places")
def test_a_place_is_given_back_after_an_error() -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), waiting.outside():
            raise ZeroDivisionError


def test_nobody_waits_outside_with_a_transaction_open(engine: object) -> None:
    with Session.begin(), pytest.raises(TransactionOpen), waiting.outside():
        pass
