"""Messages: what the carriers have carried against what we believe that they have."""

from collections import Counter
from collections.abc import Iterable

from tests.prove.books import Books, Finding


def words(books: Books) -> Iterable[Finding]:
    """What carriers have carried: all that we believe sent, nothing that we do not know of, and
    twice only what nobody could know of: an SMS, which can be asked about, never."""
    carried = Counter(("SMS", row["session"], "") for row in books.outbox)
    carried += Counter(("SUBSCRIPTION", row["openid"], row["template_id"]) for row in books.shown)
    sure, perhaps = _tries(books)
    for about in sorted(carried.keys() | sure.keys()):
        there, said = carried[about], f"{about}: carried {carried[about]} times, sent {sure[about]}"
        most = sure[about] + perhaps[about]
        if there < sure[about]:
            yield Finding("LOST", f"message {said}")
        elif there > most or (about[0] == "SMS" and there > 1):
            yield Finding("DOUBLED", f"message {said}, perhaps {perhaps[about]} more")
    known = {(row["serial_no"], row["session"]) for row in books.outbox}
    for row in books.rows("SELECT serial_no, id::text FROM message WHERE serial_no IS NOT NULL"):
        if (row["serial_no"], row["id"]) not in known:
            yield Finding("LOST", f"SMS {row}")


About = tuple[str, str, str]
"""(SMS, message id, nothing), or (SUBSCRIPTION, openid, template): WeChat knows no id of ours."""


def _tries(books: Books) -> tuple[Counter[About], Counter[About]]:
    """How many tries the carrier took for sure, and of how many nobody knows."""
    sure: Counter[About] = Counter()
    perhaps: Counter[About] = Counter()
    route, doubt = "", {}
    for row in books.rows(
        "SELECT v.entity_id::text AS id, v.there, v.why, m.template, coalesce((SELECT min(b.openid)"
        "  FROM wechat_binding b WHERE b.patient_id = m.patient_id), '') AS openid"
        " FROM state_move v JOIN message m ON m.id = v.entity_id"
        " WHERE v.machine = 'Message' ORDER BY v.entity_id, v.id"
    ):
        if row["there"] == "SENDING":
            route = row["why"]
        sms = ("SMS", row["id"], "")
        about = sms if route == "SMS" else (route, row["openid"], row["template"])
        if row["there"] == "UNKNOWN":
            perhaps[about] += 1
            doubt[row["id"]] = about
        elif row["there"] == "SENT" and row["why"] in ("SMS", "SUBSCRIPTION"):
            perhaps[about] -= doubt.pop(row["id"], None) == about
            sure[about] += 1
        elif row["there"] == "DELIVERED":
            # Only an SMS has receipts; if nobody had known of it, it is sure now.
            perhaps[sms] -= doubt.pop(row["id"], None) == sms
            sure[sms] = 1
    return sure, perhaps
