"""The words of refusals are there once, plain, and forgiving about facts that are missing."""

from collections import Counter

import pytest
import yaml

from policies.refusal_texts import FILES, catalogue, words_of


def test_no_code_has_words_twice() -> None:
    counted = Counter(
        code
        for file in FILES.glob("*.yaml")
        for code in (yaml.safe_load(file.read_text("utf8")) or {})
    )
    assert [code for code, times in counted.items() if times > 1] == []


def test_words_are_one_plain_chinese_sentence_and_a_next_step() -> None:
    for code, words in catalogue().items():
        for said in (words.say, words.next):
            assert said.endswith(("。", "？", "}")), code
            assert len(said) <= 90, code
            assert any("\u4e00" <= character <= "\u9fff" for character in said), code
        assert words.clause == "" or words.clause[:3] in ("GZ-", "CQ-"), code


@pytest.mark.parametrize(
    ("fen", "yuan"), [(0, "0.00"), (5, "0.05"), (123405, "1234.05"), (-205, "-2.05")]
)
def test_fen_are_said_in_yuan(fen: int, yuan: str) -> None:
    assert f"现在最多还可以交{yuan}元" in words_of("DEPOSIT_CAP_EXCEEDED", {"room_fen": fen}).say


def test_a_missing_fact_or_text_does_not_turn_a_refusal_into_a_crash() -> None:
    assert words_of("DEPOSIT_CAP_EXCEEDED", {}).say == "超过预交金额度了，现在最多还可以交元。"
    assert words_of("NEVER_WRITTEN", {}) == words_of("UNEXPLAINED", {})
