"""Insured bills: the platform's settlements against ours and against the ledger, one by one."""

from collections.abc import Iterable
from decimal import Decimal

from tests.prove.books import Books, Finding

FUNDS = (
    "SELECT coalesce(sum(balance_fen) FILTER (WHERE NOT personal), 0)::bigint AS funds_fen,"
    " coalesce(sum(balance_fen) FILTER (WHERE personal), 0)::bigint AS account_fen FROM insurer"
)
INSURED = (
    "SELECT s.id::text, s.state, s.total_fen, s.amounts ->> 'setl_id' AS setl_id,"
    " (s.amounts ->> 'cash')::bigint AS cash_fen, (s.amounts ->> 'funds')::bigint AS funds_fen,"
    " (s.amounts ->> 'account')::bigint AS account_fen, (SELECT e.setl_id FROM"
    "  insurance_encounter e WHERE e.admission_id = s.admission_id AND e.state = 'SETTLED')"
    "  AS encounter, booked.* FROM settlement s CROSS JOIN LATERAL ("
    "  SELECT coalesce(sum(l.amount_fen) FILTER (WHERE NOT i.personal), 0)::bigint"
    "   AS booked_funds_fen, coalesce(sum(l.amount_fen) FILTER (WHERE i.personal), 0)::bigint"
    "   AS booked_account_fen FROM ledger_line l JOIN insurer i ON i.id = l.account_id"
    "  JOIN ledger_transaction t ON t.id = l.transaction_id"
    "  WHERE t.key LIKE 'settlement:' || s.id || ':bill%%') booked"
    " WHERE s.insured AND s.state IN ('INSURED', 'CLAIMED', 'DUE', 'CLOSED')"
)
"""Our insured bills, with what the funds and the patient's insurance account owe for each."""


def insurance(books: Books) -> Iterable[Finding]:
    """The platform has settled exactly the bills that we have settled there, with the same shares
    of each, and its funds owe in our ledger what it says that they pay."""
    theirs = {
        row["setl_id"]: {
            "total_fen": _fen(row["amounts"]["medfee_sumamt"]),
            "cash_fen": _fen(row["amounts"]["psn_cash_pay"]),
            "account_fen": _fen(row["amounts"]["acct_pay"]),
            "funds_fen": _fen(row["amounts"]["fund_pay_sumamt"]),
        }
        for row in books.world_settlements
        if row["state"] == "ACTIVE" and not row["undoes"]
    }
    owed = dict.fromkeys(("funds_fen", "account_fen"), 0)
    for run in books.rows(INSURED):
        there = theirs.pop(run["setl_id"], None)
        if there is None:
            yield Finding("LOST", f"settled here and not at the platform: {run}")
            continue
        for name, fen in there.items():
            if run[name] != fen:
                yield Finding("DRIFT", f"insurance {name}: there {fen}, here {run}")
        if run["state"] in ("DUE", "CLOSED"):  # in the books
            for name in owed:
                owed[name] += there[name]
                if run[f"booked_{name}"] != there[name]:
                    yield Finding("DRIFT", f"booked {name}: there {there[name]}, here {run}")
        if run["encounter"] != run["setl_id"]:
            yield Finding("DRIFT", f"the stay's own number at the platform: {run}")
    for setl_id in theirs:
        yield Finding("LOST", f"settled at the platform and not here: {setl_id}")
    (ours,) = books.rows(FUNDS)
    if ours != owed:
        yield Finding("DRIFT", f"the insurer owes {ours} here, {owed} there")


def _fen(yuan: str) -> int:
    return int(Decimal(yuan) * 100)
