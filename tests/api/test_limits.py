"""How often anybody may ask: exact for one process, and nearly so for several that share a
count."""

from itertools import cycle

import pytest
import redis

from api.limits import BUNDLED, LIMITS, SHARE, Counts

ACTOR = LIMITS["actor"].amount


class Tick:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def processes(redis_url: str, number: int) -> list[Counts]:
    tick = Tick()
    return [Counts(redis_url, tick) for _ in range(number)]


def told(redis_client: redis.Redis, what: str, key: str) -> int:
    """What Redis knows of this key."""
    return int(redis_client.get(f"limit:{LIMITS[what].key_for(what, key)}") or 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", sorted(LIMITS))
def test_one_process_alone_keeps_every_limit_exactly(redis_url: str, what: str) -> None:
    (alone,) = processes(redis_url, 1)
    amount = LIMITS[what].amount
    assert [alone.allows(what, "one") for _ in range(amount + 3)] == [True] * amount + [False] * 3
    assert alone.allows(what, "another")


@pytest.mark.parametrize("number", [2, 8])
def test_several_processes_together_let_through_hardly_more(redis_url: str, number: int) -> None:
    sharing = cycle(processes(redis_url, number))
    passed = sum(next(sharing).allows("actor", "busy") for _ in range(3 * ACTOR))
    assert ACTOR <= passed <= ACTOR + 2 * number


@pytest.mark.parametrize("what", sorted(LIMITS.keys() - BUNDLED))
def test_what_guards_a_secret_is_told_each_time(
    redis_url: str, redis_client: redis.Redis, what: str
) -> None:
    one, other = processes(redis_url, 2)
    for number in range(1, LIMITS[what].amount + 1):
        assert (one if number % 2 else other).allows(what, "guessed")
        assert told(redis_client, what, "guessed") == number
    assert not one.allows(what, "guessed")
    assert not other.allows(what, "guessed")


def test_redis_is_told_in_bundles_and_a_second_later_at_the_latest(
    redis_url: str, redis_client: redis.Redis
) -> None:
    tick = Tick()
    process = Counts(redis_url, tick)
    room = (ACTOR - 1) // SHARE
    for _ in range(room):
        process.allows("actor", "someone")
    assert told(redis_client, "actor", "someone") == 1
    process.allows("actor", "someone")
    assert told(redis_client, "actor", "someone") == 1 + room
    process.allows("actor", "someone")
    assert told(redis_client, "actor", "someone") == 1 + room
    tick.at += 1
    process.allows("actor", "someone")
    assert told(redis_client, "actor", "someone") == 3 + room


def test_a_used_up_limit_is_known_to_whoever_comes_new(redis_url: str) -> None:
    first, second = processes(redis_url, 2)
    while first.allows("actor", "everywhere"):
        pass
    assert not second.allows("actor", "everywhere")


def test_each_process_counts_for_itself_while_redis_is_gone() -> None:
    one, other = processes("redis://127.0.0.1:1/0", 2)
    for process in (one, other):
        assert [process.allows("actor", "x") for _ in range(ACTOR + 1)] == [True] * ACTOR + [False]
