"""The bill where a province fills the fund fields of the insurer's answer otherwise (I2)."""

import pytest

from models.ledger import AccountKind
from tests.journeys.test_discharge import amount, balance, proven, ready, settle


@pytest.mark.parametrize(
    "otherwise",
    [{"hifp_pay": "0.00"}, {"cvlserv_pay": "6000.00"}],
    ids=["in no field", "in two fields"],
)
def test_funds_in_other_fields_cost_the_patient_nothing(stage, monkeypatch, otherwise):
    """Total, cash and setldetail are right; the field of the head that a fund stands in is not."""
    platform = type(stage.outside.insurance._calls.platform)
    ask = platform.ask

    def filled_otherwise(self, infno, request):
        reply = ask(self, infno, request)
        if infno in ("2303", "2304"):
            reply.output["setlinfo"].update(otherwise)
        return reply

    monkeypatch.setattr(platform, "ask", filled_otherwise)
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    done = settle(stage, stay)
    assert (done["state"], done["personal_fen"]) == ("CLOSED", 300_000)
    assert (amount(done, "BASIC"), amount(done, "DEPOSIT")) == (600_000, 300_000)
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") == 600_000
    assert [(r["amount_fen"], r["state"]) for r in done["refunds"]] == [(50_000, "REQUESTED")]
    assert proven(stage)
