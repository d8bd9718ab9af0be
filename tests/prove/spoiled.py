"""Books spoiled on purpose, one fault after another, in transactions that are never kept: the
checker must find each. What wrong servers do to cash is in variants.py.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.prove.books import Books, Finding
from tests.prove.carried import words
from tests.prove.cast import Cast
from tests.prove.checker import daily_bills
from tests.prove.ends import unfinished
from tests.prove.insured import insurance
from tests.prove.notebook import Notebook
from tests.prove.report import Figure

Question = Callable[[Books], Iterable[Finding]]

SPOILED: tuple[tuple[str, Question, str, str], ...] = (
    (
        "a trial that nobody goes on with",
        unfinished,
        "trials",
        "UPDATE settlement SET state = 'TRIAL' WHERE state = 'CLOSED'",
    ),
    (
        "a bill that is never closed",
        unfinished,
        "debts",
        "UPDATE settlement SET state = 'DUE' WHERE state = 'CLOSED'",
    ),
    (
        "a patient who never leaves",
        unfinished,
        "stays",
        "UPDATE admission SET state = 'LEAVING' WHERE id ="
        " (SELECT id FROM admission WHERE state = 'SETTLED' LIMIT 1)",
    ),
    (
        "a stay that is open at the platform",
        unfinished,
        "insured stays",
        "UPDATE insurance_encounter SET state = 'DISCHARGED', setl_id = NULL, settlement = NULL"
        " WHERE state = 'SETTLED'",
    ),
    (
        "a message of which nobody knows",
        unfinished,
        "messages",
        "UPDATE message SET state = 'UNKNOWN' WHERE id = (SELECT min(id::text)::uuid FROM message)",
    ),
    (
        "a day without a bill",
        daily_bills,
        "daily bill",
        "DELETE FROM daily_bill b USING (SELECT admission_id, day FROM daily_bill"
        " WHERE line_count > 0 LIMIT 1) one"
        " WHERE (b.admission_id, b.day) = (one.admission_id, one.day)",
    ),
    (
        "a running total without a late line",
        daily_bills,
        "daily bill",
        "UPDATE daily_bill SET running_total_fen = running_total_fen - 1"
        " WHERE id = (SELECT id FROM daily_bill ORDER BY version DESC LIMIT 1)",
    ),
    (
        "a fund's share that became the patient's",
        insurance,
        "insurance cash_fen",
        "UPDATE settlement SET amounts = amounts || jsonb_build_object("
        " 'cash', (amounts ->> 'cash')::bigint + 1, 'funds', (amounts ->> 'funds')::bigint - 1)"
        " WHERE insured AND state = 'CLOSED'",
    ),
    (
        "a fund's share that is not in the ledger",
        insurance,
        "booked funds_fen",
        "DELETE FROM ledger_line l USING account a WHERE a.id = l.account_id"
        " AND a.kind = 'FUND_RECEIVABLE' AND a.owner <> 'ACCOUNT'",
    ),
    (
        "a fund that owes a fen too much",
        insurance,
        "the insurer owes",
        "UPDATE account SET balance_fen = balance_fen + 1 WHERE kind = 'FUND_RECEIVABLE'",
    ),
    (
        "a claim that only the platform knows",
        insurance,
        "settled at the platform",
        "DELETE FROM settlement WHERE insured AND state = 'CLOSED'",
    ),
    (
        "an SMS that we did not send",
        words,
        "message",
        "DELETE FROM state_move WHERE machine = 'Message' AND (why = 'SMS' OR there = 'DELIVERED')",
    ),
)
"""What was done, who must find it, with which word, and how it is done."""


def spoiled(cast: Cast, book: Notebook, seed: int) -> Figure:
    """Each in turn; besides, an SMS that was carried twice, and one that was not."""
    begun, missed, tried = time.monotonic(), [], 2
    books = Books(cast, book)
    try:
        for name, ask, word, sql in SPOILED:
            with suppress(LookupError), books.spoiled(sql):  # a short play may have no such row
                tried += 1
                if not _found(ask, books, word):
                    missed.append(name)
        sent = books.outbox
        for name, outbox in (("an SMS carried twice", [*sent, sent[0]]), ("one lost", sent[1:])):
            books.outbox = outbox
            if not _found(words, books, "message"):
                missed.append(name)
    finally:
        books.close()
    return Figure(
        "wrong: books spoiled by hand",
        "a row changed or taken away past all that guards it; an SMS carried twice, one lost",
        "the checker finds each",
        f"{len(missed)} of {tried} not found{f' {missed}' if missed else ''} with seed {seed}",
        seed,
        time.monotonic() - begun,
        not missed,
    )


def _found(ask: Question, books: Books, word: str) -> bool:
    return any(finding.what.startswith(word) for finding in ask(books))
