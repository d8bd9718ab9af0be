"""Three pairs of books against each other: ours, the outside's, and what the clients were told.

Every question answers with findings; none is the good answer. ``LOST``: acknowledged and not
there. ``DOUBLED``: there more often than it happened. ``DRIFT``: amounts that should be equal and
are not. ``UNFINISHED``: neither in a final state nor in a person's list of tasks. ``WRONG``: a
client was shown what must not be.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from tests.prove.books import Books, Finding
from tests.prove.carried import words
from tests.prove.cast import Cast
from tests.prove.ends import unfinished
from tests.prove.house import HOSPITAL
from tests.prove.insured import insurance
from tests.prove.notebook import Notebook
from tests.prove.stubborn import Counts

KINDS = {
    "LOST": "lost",
    "DOUBLED": "doubled",
    "DRIFT": "with fen drift",
    "UNFINISHED": "unfinished",
    "WRONG": "shown wrong",
}


MANY = 20


def check(cast: Cast, book: Notebook) -> list[Finding]:
    """All findings."""
    books = Books(cast, book)
    try:
        found = [finding for ask in QUESTIONS for finding in ask(books)]
    finally:
        books.close()
    return [*found, *(Finding("WRONG", what) for what in cast.counts.wrongs)]


def never_done(counts: Counts) -> list[Finding]:
    """Acts and requests that a long run asked for again and again and never once got: whoever is
    always refused proves nothing. Of fewer than MANY none need have succeeded."""
    return [
        Finding("WRONG", f"never once of {asked} times: {kind}")
        for kind, (asked, yes) in sorted(counts.kinds.items())
        if asked >= MANY and not yes
    ]


def in_words(found: list[Finding]) -> str:
    """How many of each kind: «0 lost, 0 doubled, …»."""
    kinds = Counter(finding.kind for finding in found)
    return ", ".join(f"{kinds[kind]} {word}" for kind, word in KINDS.items())


def taken_by_hand(books: Books) -> Iterable[Finding]:
    """Cash and cards: what was acknowledged is booked, once, and nothing else is."""
    ours = Counter(
        (str(row["subject_id"]), row["route"], row["amount_fen"])
        for row in books.rows(
            "SELECT o.subject_id, o.route, o.amount_fen FROM payment_order o"
            " JOIN ledger_transaction t ON t.key = 'order:' || o.id"
            " WHERE o.route IN ('CASH', 'CARD')"
        )
    )
    theirs = books.book.paid_by_hand()
    return _compared(theirs, ours, "by hand")


def given_by_hand(books: Books) -> Iterable[Finding]:
    """What the window was told to give is booked, once, and nothing else is."""
    ours = Counter(
        (str(row["subject_id"]), row["route"], row["amount_fen"])
        for row in books.rows(
            "SELECT r.subject_id, l.route, l.amount_fen FROM refund_leg l"
            " JOIN refund r ON r.id = l.refund_id"
            " JOIN ledger_transaction t ON t.key = 'refund-leg:' || l.id WHERE l.route <> 'WECHAT'"
        )
    )
    return _compared(Counter(books.book.handed_over.values()), ours, "handed over")


def channel_has_what_we_have(books: Books) -> Iterable[Finding]:
    """WeChat Pay, order by order: paid there and here, given back there and here."""
    ours = books.rows(
        "SELECT replace(o.id::text, '-', '') AS number, o.state, o.amount_fen,"
        " (SELECT count(*) FROM ledger_transaction t WHERE t.key = 'order:' || o.id) AS booked,"
        " (SELECT coalesce(sum(l.amount_fen), 0) FROM refund_leg l WHERE l.state = 'PAID'"
        "  AND l.route = 'WECHAT' AND l.channel_transaction = o.channel_transaction) AS back_fen"
        " FROM payment_order o WHERE o.route NOT IN ('CASH', 'CARD')"
    )
    theirs = books.world["wxpay"]
    for row in ours:
        page = theirs.pop(row["number"], {"paid_fen": 0, "refunded_fen": 0, "state": "unknown"})
        said = f"order {row['number']} {row['state']}, there {page}"
        if row["state"] == "PAID":
            if row["booked"] != 1 or page["paid_fen"] != row["amount_fen"]:
                yield Finding("DOUBLED", f"{said}: booked {row['booked']} times")
            if page["refunded_fen"] != row["back_fen"]:
                yield Finding("DRIFT", f"{said}: given back here {row['back_fen']}")
        elif row["booked"] or page["paid_fen"] != page["refunded_fen"]:
            yield Finding("LOST", said)
    for number, page in theirs.items():
        if page["hospital"] == HOSPITAL:
            yield Finding("LOST", f"order {number} is there and not here: {page}")


def cash_accounts(books: Books) -> Iterable[Finding]:
    """The accounts of cash hold what came in less what went out."""
    for row in books.rows(
        "SELECT a.owner, a.balance_fen, (SELECT coalesce(sum(o.amount_fen), 0) FROM payment_order o"
        "  WHERE o.state = 'PAID' AND CASE WHEN o.route IN ('CASH','CARD') THEN o.route"
        "  ELSE 'WECHAT' END = a.owner)"
        " - (SELECT coalesce(sum(l.amount_fen), 0) FROM refund_leg l WHERE l.state = 'PAID'"
        "  AND l.route = a.owner) AS expected_fen FROM account a WHERE a.kind = 'CASH'"
    ):
        if row["balance_fen"] != row["expected_fen"]:
            yield Finding("DRIFT", f"cash {row}")


def charges(books: Books) -> Iterable[Finding]:
    """Every line that was acknowledged is on the bill once, with its amount, and no other is."""
    ours = {
        row["source_line_id"]: row
        for row in books.rows(
            "SELECT source_line_id, admission_id::text AS stay, amount_fen, count(*) OVER"
            " (PARTITION BY source_line_id) AS times FROM charge_line"
        )
    }
    for number, line in books.book.lines.items():
        row = ours.pop(number, None)
        if row is None:
            yield Finding("LOST", f"charge {number}")
        elif row["times"] != 1:
            yield Finding("DOUBLED", f"charge {number}")
        elif (row["stay"], row["amount_fen"]) != (line.stay, line.amount_fen):
            yield Finding("DRIFT", f"charge {number}: {row}, told {line}")
    for number in ours:
        yield Finding("DOUBLED", f"charge {number} that nobody was told of")


def daily_bills(books: Books) -> Iterable[Finding]:
    """Each day that had lines, and each day in the house whose night was made, has a bill; its last
    version has the day's lines, and the stay's up to this day as running total, to the fen."""
    nights = sorted(books.cast.house.nights)
    if not nights:
        return  # no day is over yet
    for row in books.rows(
        "WITH due AS (SELECT admission_id, occurred_on AS day FROM charge_line"
        "  WHERE occurred_on <= %(last)s UNION"
        "  SELECT inside.admission_id, night FROM hospital h, unnest(%(nights)s::date[]) night,"
        "  in_house_on(h.id, night) inside)"
        " SELECT due.* FROM due LEFT JOIN daily_bill b USING (admission_id, day)"
        " WHERE b.id IS NULL",
        last=nights[-1],
        nights=nights,
    ):
        yield Finding("LOST", f"daily bill {row}")
    for row in books.rows(
        "SELECT DISTINCT ON (b.admission_id, b.day) b.admission_id, b.day, b.total_fen,"
        " b.running_total_fen, lines.fen AS lines_fen, lines.running_fen"
        " FROM daily_bill b CROSS JOIN LATERAL ("
        "  SELECT coalesce(sum(amount_fen) FILTER (WHERE occurred_on = b.day), 0) AS fen,"
        "  coalesce(sum(amount_fen), 0) AS running_fen FROM charge_line"
        "  WHERE admission_id = b.admission_id AND occurred_on <= b.day) lines"
        " ORDER BY b.admission_id, b.day, b.version DESC"
    ):
        billed = (row["total_fen"], row["running_total_fen"])
        if billed != (row["lines_fen"], row["running_fen"]):
            yield Finding("DRIFT", f"daily bill {row}")


def settlements(books: Books) -> Iterable[Finding]:
    """A closed bill is the sum of its lines and of its payers, and the patient owes nothing."""
    for row in books.rows(
        "SELECT s.id::text, s.admission_id::text AS stay, s.state, s.total_fen,"
        " (SELECT coalesce(sum(c.amount_fen), 0) FROM charge_line c"
        "  WHERE c.admission_id = s.admission_id) AS lines_fen,"
        " (SELECT coalesce(sum(a.balance_fen), 0) FROM account a WHERE"
        "  a.kind = 'PATIENT_RECEIVABLE' AND a.owner = s.admission_id::text) AS owed_fen,"
        " (SELECT coalesce(-sum(l.amount_fen), 0) FROM ledger_line l JOIN account a"
        "  ON a.id = l.account_id AND a.kind = 'REVENUE' JOIN ledger_transaction t"
        "  ON t.id = l.transaction_id"
        "  WHERE t.key LIKE 'settlement:' || s.id || ':bill%%') AS earned_fen"
        " FROM settlement s WHERE s.state IN ('CLOSED', 'DUE', 'UNDONE')"
    ):
        undone = row["state"] == "UNDONE"
        told = books.book.settlements.get(row["id"], {})
        if not undone and row["total_fen"] != row["lines_fen"]:
            yield Finding("DRIFT", f"settlement {row}")
        if row["state"] == "CLOSED" and row["owed_fen"]:
            yield Finding("DRIFT", f"closed and still owed {row}")
        if undone and row["earned_fen"]:
            yield Finding("DOUBLED", f"undone and still earned {row}")
        if told.get("state") == "CLOSED" and told["total_fen"] != row["total_fen"]:
            yield Finding("WRONG", f"told {told['total_fen']}: {row}")


def receipts(books: Books) -> Iterable[Finding]:
    """One receipt for each payment with its amount; numbers without a gap; read as stored."""
    for row in books.rows(
        "SELECT o.id::text, o.amount_fen, count(r.id) AS papers,"
        " min((r.facts ->> 'amount_fen')::bigint) AS said_fen FROM payment_order o"
        " LEFT JOIN receipt r ON r.subject_id = o.id WHERE o.state = 'PAID'"
        " GROUP BY o.id, o.amount_fen"
    ):
        if row["papers"] != 1 or row["said_fen"] != row["amount_fen"]:
            yield Finding("WRONG", f"receipt of a payment: {row}")
    (numbers,) = books.rows(
        "SELECT count(*) AS papers, count(DISTINCT number) AS numbers,"
        " coalesce((SELECT max(last) FROM receipt_counter), 0) AS last FROM receipt"
    )
    if len(set(numbers.values())) != 1:
        yield Finding("LOST", f"receipt numbers have gaps: {numbers}")
    kept = {row["number"]: row["facts"] for row in books.rows("SELECT number, facts FROM receipt")}
    for number, facts in books.book.receipts.items():
        if kept.get(number) != facts:
            yield Finding("WRONG", f"receipt {number} was read as {facts}")


def refunds(books: Books) -> Iterable[Finding]:
    """Every refund that was acknowledged is there with its amount; asked for once, noted once."""
    kept = books.rows("SELECT id::text, amount_fen FROM refund")
    ours = {row["id"]: row["amount_fen"] for row in kept}
    for refund, fen in books.book.refunds.items():
        if refund not in ours:
            yield Finding("LOST", f"refund {refund}")
        elif ours[refund] != fen:
            yield Finding("DRIFT", f"refund {refund}: told {fen}, is {ours[refund]}")
    (steps,) = books.rows("SELECT count(*) AS n FROM admission_step WHERE step = 'deposit-refund'")
    (asked,) = books.rows("SELECT count(*) AS n FROM refund WHERE reason = 'PATIENT_WISH'")
    if steps["n"] != asked["n"]:
        yield Finding("DOUBLED", f"{steps['n']} steps for {asked['n']} refunds asked for")


def proof(books: Books) -> Iterable[Finding]:
    """The ledger proves itself, and all accounts together are nothing; asked over the API."""
    finance, chance = books.cast.staff["checker"][0], Random(0)
    for row in finance.ask("GET", "/v1/ledger/proof", chance=chance).body:
        yield Finding("DRIFT", f"the ledger's own proof: {row}")
    balances = finance.ask("GET", "/v1/ledger/balances", chance=chance).body
    if total := sum(row["balance_fen"] for row in balances):
        yield Finding("DRIFT", f"all accounts together are {total}")


QUESTIONS: tuple[Callable[[Books], Iterable[Finding]], ...] = (
    taken_by_hand,
    given_by_hand,
    channel_has_what_we_have,
    cash_accounts,
    charges,
    daily_bills,
    settlements,
    insurance,
    words,
    receipts,
    refunds,
    unfinished,
    proof,
)


def _compared(
    theirs: Counter[tuple[str, str, int]], ours: Counter[tuple[str, str, int]], what: str
) -> Iterable[Finding]:
    for movement, times in (theirs - ours).items():
        yield from [Finding("LOST", f"{what} {movement}")] * times
    for movement, times in (ours - theirs).items():
        yield from [Finding("DOUBLED", f"{what} {movement}")] * times
