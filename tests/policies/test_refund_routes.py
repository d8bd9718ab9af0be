"""How a patient is told which ways money came back."""

import pytest

from policies.refund_routes import route_words


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([], ""),
        (["CASH"], "窗口现金"),
        (["CASH", "WECHAT"], "原支付渠道和窗口现金"),
        (["BANK", "CASH", "WECHAT"], "原支付渠道、窗口现金和本人银行卡"),
    ],
)
def test_routes_in_plain_words(routes: list[str], said: str) -> None:
    assert route_words(routes) == said
