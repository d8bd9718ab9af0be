"""What must not be left when the dust has settled: neither final nor a person's task."""

from collections.abc import Iterable

from tests.prove.books import Books, Finding

UNFINISHED = {
    "payment orders": "SELECT id, state FROM payment_order WHERE state IN ('CREATED', 'WAITING')",
    "refunds": "SELECT id, state FROM refund r WHERE state NOT IN ('PAID', 'REJECTED', 'REQUESTED')"
    " AND NOT EXISTS (SELECT FROM work_item w WHERE w.subject = 'refund:' || r.id"
    " AND w.closed_at IS NULL) AND NOT EXISTS (SELECT FROM refund_leg l WHERE l.refund_id = r.id"
    " AND l.route <> 'WECHAT' AND l.state = 'PLANNED')",
    "settlements": "SELECT s.id, s.state FROM settlement s WHERE s.state IN"
    " ('CONFIRMED', 'INSURED', 'CLAIMED', 'UNDOING')"
    " AND s.admission_id NOT IN (TABLE with_the_office)",
    "trials": "SELECT s.id, s.admission_id FROM settlement s WHERE s.state = 'TRIAL'"
    " AND s.admission_id::text = ANY(%(home)s) AND s.admission_id NOT IN (TABLE with_the_office)",
    # A debt is the patient's to pay; one that the deposit covers, or that is none, is ours.
    "debts": "SELECT s.id, s.admission_id FROM settlement s WHERE s.state = 'DUE' AND ("
    " s.admission_id::text = ANY(%(home)s) OR (SELECT coalesce(sum(a.balance_fen), 0)"
    "  FROM account a WHERE a.kind IN ('PATIENT_RECEIVABLE', 'INPATIENT_DEPOSIT')"
    "  AND a.owner = s.admission_id::text) <= 0)",
    "stays": "SELECT s.id, s.inpatient_no, s.state FROM admission s WHERE s.state IN"
    " ('SLIP', 'IN_HOUSE', 'LEAVING') AND s.id::text = ANY(%(home)s)"
    " AND s.id NOT IN (TABLE with_the_office)",
    "insured stays": "SELECT s.id, s.admission_id, s.state FROM insurance_encounter s WHERE s.state"
    " IN ('CHOSEN', 'REGISTERED', 'DISCHARGED') AND s.admission_id::text = ANY(%(home)s)"
    " AND s.admission_id NOT IN (TABLE with_the_office)",
    "insurance calls": "SELECT c.id, c.infno, c.state FROM insurance_call c"
    " WHERE c.state IN ('ASKED', 'UNKNOWN')"
    " OR (c.state = 'HUMAN' AND NOT EXISTS (SELECT FROM work_item w WHERE"
    " w.subject = 'insurance-call:' || c.id AND w.closed_at IS NULL))",
    "notices": "SELECT id, event FROM channel_notice WHERE applied_at IS NULL",
    "messages": "SELECT id, state, route FROM message WHERE"
    " state IN ('QUEUED', 'SENDING', 'UNKNOWN')",
    "failed jobs": "SELECT id, task_name FROM procrastinate_jobs WHERE status = 'failed'",
    "unbilled days": "SELECT admission_id, day FROM unbilled_day",
}
"""What must not be left: neither final nor a person's task. ``home``: the stays that the play took
home; a trial, a debt or a stay that it left in the house waits for its patient."""


def unfinished(books: Books) -> Iterable[Finding]:
    """Every machine is in a final state or a named human task."""
    for what, sql in UNFINISHED.items():
        for row in books.rows(sql, home=sorted(books.book.home)):
            yield Finding("UNFINISHED", f"{what}: {row}")
