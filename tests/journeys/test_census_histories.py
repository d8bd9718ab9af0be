"""Random old cards: what comes in is what the source says, to the fen, by card and by channel; one
broken row anywhere, and nothing comes in.
"""

import os
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.db import rows
from policies.refusals import Refusal
from simulator.old_cards import CHANNELS, Card
from tests.old_dump import an_office

OURS = {"微信": "WECHAT", "现金": "CASH", "银行卡": "CARD", "支付宝": "ALIPAY"}
FIRST = datetime(2021, 3, 1, 9)  # noqa: DTZ001  (wall clock, as old systems write it)
MANY = int(os.environ.get("CENSUS_HISTORIES", "40"))


@st.composite
def card(draw, serial):
    """A card that topped up, spent and got refunds, never below zero."""
    made = Card(f"K{serial}", ["王一", "", "", "", ""], FIRST)
    left = {}
    for turn in range(draw(st.integers(0, 5))):
        at = FIRST + timedelta(days=draw(st.integers(0, 900)), seconds=turn)
        channel = draw(st.sampled_from(CHANNELS))
        number, fen = f"T{serial}-{turn}", draw(st.integers(0, 50_000))
        made.top_ups.append((number, fen, at, channel, f"42{serial}-{turn}"))
        left[number] = fen
    for number in draw(st.lists(st.sampled_from(sorted(left)), max_size=3)) if left else []:
        fen = draw(st.integers(0, min(left[number], made.balance_fen)))
        left[number] -= fen
        made.refunds.append(
            (fen, FIRST + timedelta(days=1000), number if draw(st.booleans()) else "")
        )
        if not made.refunds[-1][2]:
            left[number] += fen
    for _ in range(draw(st.integers(0, 3))):
        fen = draw(st.integers(0, made.balance_fen))
        made.spends.append((fen, FIRST + timedelta(days=1001), "西药费"))
    return made


@st.composite
def dump(draw):
    """A few cards."""
    return [draw(card(serial)) for serial in range(draw(st.integers(1, 6)))]


def by_channel(card):
    """What is left by channel: earlier refunds off their own top-up, the rest off the oldest."""
    taken = sum(fen for fen, *_ in card.spends) + sum(fen for fen, _, no in card.refunds if not no)
    left = Counter()
    for number, fen, _, channel, _ in sorted(card.top_ups, key=lambda top_up: top_up[2]):
        room = fen - sum(back for back, _, no in card.refunds if no == number)
        left[OURS[channel]] += room - min(room, taken)
        taken -= min(room, taken)
    return {channel: fen for channel, fen in left.items() if fen}


@pytest.fixture
def new_office(engine, tmp_path_factory):
    return lambda: an_office(tmp_path_factory.mktemp("census") / "dump")


@settings(
    max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cards=dump())
def test_what_comes_in_is_what_the_source_says(new_office, cards):
    office = new_office()
    office.write_cards(cards)
    office.imported()
    assert office.held() == {card.number: card.balance_fen for card in cards if card.balance_fen}
    for each in cards:
        lots = Counter()
        for lot in office.lots(each.number):
            lots[lot["channel"]] += lot["left_fen"]
        assert dict(lots) == by_channel(each)
    cash = rows(
        "SELECT owner, balance_fen FROM account WHERE hospital_id = :house AND kind = 'CASH'",
        house=office.hospital_id,
    )
    whole = Counter()
    for each in cards:
        whole.update(by_channel(each))
    assert {row["owner"]: row["balance_fen"] for row in cash} == dict(whole)
    assert office.proof() == []


@settings(
    max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cards=dump(), data=st.data())
def test_one_broken_row_anywhere_and_nothing_comes_in(new_office, cards, data):
    office = new_office()
    office.write_cards(cards)
    full = [
        name
        for name in ("accounts", "top_ups", "spends", "refunds")
        if (office.dump / f"{name}.csv").read_text("utf8").count("\n") > 1
    ]
    path = office.dump / f"{data.draw(st.sampled_from(full))}.csv"
    lines = path.read_text("utf8").splitlines()
    line = data.draw(st.integers(1, len(lines) - 1))
    cells = lines[line].split(",")
    place = {"accounts.csv": 1, "top_ups.csv": 2}.get(path.name, 1)
    cells[place] = data.draw(st.sampled_from(["", "-1", "1.001", "=1", "1E+2", "x", "99999999.99"]))
    lines[line] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n", "utf8")
    refused = office.check()
    assert refused["state"] == "REFUSED"
    with pytest.raises(Refusal, match="CENSUS_NOT_RELEASABLE"):
        office.release(refused["id"])
    left = [office.count(table) for table in ("patient", "account", "prepay_account", "old_top_up")]
    assert left == [0, 0, 0, 0]
