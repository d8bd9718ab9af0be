"""The words of a daily bill, as they are shown and spoken."""

import json
from datetime import date

import pytest

from policies.bill_words import (
    Spoken,
    category_name,
    estimate_note,
    line_words,
    read_aloud,
    spoken_yuan,
)
from policies.charges import CATEGORIES, LEVELS


@pytest.mark.parametrize(
    ("fen", "spoken"),
    [
        (0, "0元"),
        (1, "0元零1分"),
        (10, "0元1角"),
        (312472, "3124元7角2分"),
        (10005, "100元零5分"),
        (-8546, "负85元4角6分"),
    ],
)
def test_money_as_a_voice_says_it(fen: int, spoken: str) -> None:
    assert spoken_yuan(fen) == spoken


def test_every_class_and_level_has_words() -> None:
    assert category_name("01") == "床位费"
    assert len({category_name(code) for code in CATEGORIES}) == 14
    assert category_name("99") == "其他费用"
    words = json.loads(line_words())
    assert words["categories"] == {code: category_name(code) for code in CATEGORIES}
    assert all(words["levels"][level] for level in LEVELS)


def test_an_estimate_says_that_it_is_one() -> None:
    assert estimate_note(None) == "暂无"
    assert "仅供参考" in estimate_note(0)


def test_a_quiet_day_and_a_first_day() -> None:
    quiet = Spoken(date(2025, 7, 3), 0, 0, 0, 8546, 8546, 0, None, ())
    assert read_aloud(quiet).startswith("7月3日没有新的住院费用。比前一天少85元4角6分。")
    first = Spoken(date(2025, 7, 3), 1, 0, 8546, None, 8546, 200000, 1282, (("11", 8546),))
    assert read_aloud(first) == (
        "7月3日的住院费用，一共1项，合计85元4角6分。中成药费85元4角6分。"
        "住院到这一天，累计85元4角6分，预交金还有2000元。"
        "预计您个人要付12元8角2分，这是预结算的结果，仅供参考。"
        "对哪一项不明白，可以点那一项旁边的“问一问”，也可以直接问护士。"
    )
    same = Spoken(date(2025, 7, 3), 1, 0, 8546, 8546, 8546, 0, None, ())
    assert "和前一天一样多。" in read_aloud(same)


def test_a_corrected_day_says_what_was_corrected() -> None:
    seen = (date(2025, 7, 3), 1, 0, 8546, None, 17_092, 0, None, ())
    assert "更正" not in read_aloud(Spoken(*seen))
    assert "这一天的费用没有变" in read_aloud(Spoken(*seen, corrected=True))
    added = read_aloud(Spoken(date(2025, 7, 3), 2, 1, 17_092, None, 17_092, 0, None, (), True))
    assert "后来补记了1项" in added
    assert "没有变" not in added
