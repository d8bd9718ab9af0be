"""What people do in a night of refunds: finance, the bank, the window, and patients who tap. All of
it may be cut off anywhere and is simply done again.
"""

import csv
import io
from contextlib import suppress
from typing import Any

from journeys import bank_batches, refunds
from models.db import rows
from policies.bank_file import IN, PAID, REJECTED, TOTAL
from policies.money import fen, yuan
from policies.refusals import Refused
from policies.sheets import as_csv
from tests import till
from tests.prove.house import House
from tests.stage import Stage

BY_HAND = ["CASH", "NEXT_VISIT"]


class People:
    """Everybody, and what they know they paid: leg number -> fen."""

    def __init__(self, stage: Stage, here: House) -> None:
        self.stage, self.here = stage, here
        self.maker, self.checker = stage.actor("FINANCE_MAKER"), stage.actor("FINANCE_CHECKER")
        self.bank_paid: dict[str, int] = {}
        self.handed_over: dict[str, int] = {}
        self.rejected: set[str] = set()
        self.rerouted = 0

    @property
    def bank_rejected(self) -> int:
        """Rows of files that the bank did not pay."""
        return len(self.rejected)

    def do_theirs(self) -> None:
        """One round of everybody."""
        self._confirm()
        self._find_other_ways()
        self._release()
        self._answer()
        self._hand_over()

    def _confirm(self) -> None:
        """Every patient with an even amount taps; the others let the day go by."""
        waiting = rows(
            "SELECT openid, confirm_package FROM refund_leg WHERE route = 'TRANSFER'"
            " AND state = 'PROCESSING' AND confirm_package IS NOT NULL AND amount_fen % 2 = 0"
        )
        for leg in waiting:
            shown = self.stage.outside.wechat_pay.transfers.confirmation(leg["confirm_package"])
            tap = {**shown, "openid": leg["openid"]}
            self.here.world("POST", "/_sim/wxpay/transfers/confirm", tap)

    def _find_other_ways(self) -> None:
        for row in rows("SELECT id FROM refund WHERE state = 'STUCK' ORDER BY id"):
            with suppress(Refused):  # another leg of it failed or was paid meanwhile
                refunds.reroute_refund(self.maker, self.stage.outside, row["id"])
                self.rerouted += 1
        for row in rows("SELECT id FROM refund WHERE state = 'REQUESTED' ORDER BY id"):
            till.check(self.stage, row["id"])

    def _release(self) -> None:
        with suppress(Refused):  # nothing waits
            bank_batches.build_batch(self.maker, self.here.now)
        for batch in bank_batches.list_batches(self.checker, "BUILT"):
            try:
                bank_batches.release_batch(self.checker, batch["id"], self.here.now)
            except Refused:  # a refund of it is being sent another way: made anew the next time
                bank_batches.withdraw_batch(self.maker, batch["id"], self.here.now)

    def _answer(self) -> None:
        """The bank pays what it was sent, except every amount that ends in 7 or 3."""
        for batch in bank_batches.list_batches(self.checker, "RELEASED"):
            _, content = bank_batches.batch_file(self.checker, batch["id"], "csv", self.here.now)
            sent = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:-1]
            answered = [self._of_the_bank(row[1], fen(row[5])) for row in sent]
            total = yuan(sum(fen(row[5]) for row in sent))
            answer = as_csv(IN, [*answered, [TOTAL, total, str(len(sent)), ""]])
            bank_batches.take_answer(self.checker, batch["id"], answer, self.here.now)

    def _of_the_bank(self, number: str, amount_fen: int) -> list[Any]:
        leg = number.removeprefix("XZ")
        if amount_fen % 10 in (3, 7):
            self.rejected.add(leg)
            return [number, yuan(amount_fen), REJECTED, "账户状态异常"]
        self.bank_paid[leg] = amount_fen
        return [number, yuan(amount_fen), PAID, ""]

    def _hand_over(self) -> None:
        waiting = rows(
            "SELECT l.id, l.refund_id, l.amount_fen FROM refund_leg l JOIN refund r"
            " ON r.id = l.refund_id AND r.state = 'PAYING'"
            " WHERE l.route = ANY(:by_hand) AND l.state = 'PLANNED' ORDER BY l.id",
            by_hand=BY_HAND,
        )
        cashier = self.stage.actor("CASHIER")
        for leg in waiting:
            refunds.hand_over(
                cashier, self.stage.outside, leg["refund_id"], leg["id"], proof="signed-0001"
            )
            self.handed_over[str(leg["id"])] = leg["amount_fen"]
