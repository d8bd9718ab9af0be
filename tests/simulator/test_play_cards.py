"""The dump of the demonstration: 2,000 accounts, three known people, nobody at two hospitals."""

from datetime import date

from simulator.play_cards import an_old_system, as_of, wechat_payments

TODAY = date(2026, 11, 25)


def test_two_thousand_accounts_and_three_people() -> None:
    old = an_old_system(1, TODAY)
    assert len({card.number for card in old.cards}) == 2_000
    people = (old.wechat_only, old.mixed, old.late)
    assert [person.held_fen for person in people] == [11_260, 26_050, 8_880]
    assert all(card.balance_fen >= 0 for card in old.cards)
    numbers = {person.id_no for person in people}
    assert not numbers & {card.holder[1] for card in old.others}


def test_two_hospitals_share_no_card_phone_or_payment() -> None:
    one, two = an_old_system(1, TODAY), an_old_system(2, TODAY)
    for told in (
        lambda old: {card.number for card in old.cards},
        lambda old: {card.holder[2] for card in old.cards if card.holder[2]},
        lambda old: {paid["transaction_id"] for paid in wechat_payments(old.cards)},
    ):
        assert told(one) and not told(one) & told(two)


def test_wechat_pay_is_told_every_wechat_payment_and_what_went_back() -> None:
    old = an_old_system(1, TODAY)
    told = [*wechat_payments(old.cards)]
    top_ups = [top_up for card in old.cards for top_up in card.top_ups if top_up[3] == "微信"]
    assert sum(paid["total"] for paid in told) == sum(fen for _, fen, *_ in top_ups)
    numbers = {number for number, *_ in top_ups}
    back = [fen for card in old.cards for fen, _, of in card.refunds if of in numbers]
    assert sum(each["fen"] for paid in told for each in paid["refunds"]) == sum(back) > 0


def test_the_turnover_day_is_past_or_the_first_of_the_law() -> None:
    assert as_of(TODAY) == as_of(date(2025, 12, 20)) == date(2025, 12, 31)
    assert as_of(date(2027, 1, 2)) == date(2026, 12, 31)
