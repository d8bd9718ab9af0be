"""Finance's queue of requests for stored money is read by a few statements, however long it is."""

from uuid import UUID

import pytest
from sqlalchemy import Engine, event

from journeys import refund_asking, refund_request_view
from payments.refund_asking import Wish
from tests.clearance import PREPAY, card_at, lot_at
from tests.stage import Stage

FEN = 20_000


@pytest.fixture
def asked(stage: Stage):
    """Somebody asks for the cash of a card of their own."""

    def ask() -> UUID:
        patient = stage.patient()
        account = card_at(stage, patient)
        lot_at(stage, account, FEN, "CASH", days=30)
        actor, wish = stage.patient_actor(patient), Wish(parts=((UUID(account), PREPAY, FEN),))
        (made,) = refund_asking.ask(actor, stage.outside, patient.id, wish, f"ask-{account}")
        return made["id"]

    return ask


def test_a_longer_queue_takes_no_more_statements(engine: Engine, stage: Stage, asked) -> None:
    maker, seen = stage.actor("FINANCE_MAKER"), []
    note = lambda *sent: seen.append(sent[2])  # noqa: E731

    def statements() -> tuple[int, int]:
        seen.clear()
        event.listen(engine, "before_cursor_execute", note)
        try:
            listed = refund_request_view.list_requests(maker, None)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(listed), len(seen)

    first = asked()
    alone, few = statements()
    asked(), asked(), asked()
    assert (alone, statements()) == (1, (4, few))
    assert few < 12
    shown = refund_request_view.list_requests(maker, None)
    assert shown[0] == refund_request_view.view_request(maker, first)
    assert [one["items"][0]["amount_fen"] for one in shown] == [FEN] * 4
    assert len({leg["why"] for one in shown for leg in one["items"][0]["legs"]}) == 1
