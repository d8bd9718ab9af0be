"""What is known of a request for stored money when its risk is judged (policies/refund_risk.py)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session as Db

from models.binding import WeChatBinding
from models.patient import Patient
from models.payee import Payee
from models.refund_request import RefundRequest
from policies.access import Channel
from policies.real_name import same_name
from policies.refund_papers import Asker
from policies.refund_risk import (
    BURST_WINDOW,
    CARD_WINDOW,
    PHONE_WINDOW,
    ROUND_TRIP_WINDOW,
    Facts,
)

PHONE, STAFF = "patient:", "staff:"
"""How the names of those who ask begin."""


def facts_of(
    db: Db, request: RefundRequest, now: datetime, *, by: str, device_id: UUID | None
) -> Facts:
    """The facts at this moment; ``by`` and ``device_id``: who is about to take a step."""
    payee = db.get(Payee, request.payee_id) if request.payee_id else None
    elsewhere = _elsewhere(db, request, now)
    binding = _binding(db, request)
    return Facts(
        amount_fen=request.amount_fen,
        card_patients=_card_patients(db, payee, now) if payee else 0,
        phone_patients=_phone_patients(db, request, now),
        burst=_burst(db, request),
        staff_is_payee=_is_staff(db, request, payee, by),
        one_desk=device_id is not None
        and device_id == request.device_id
        and by != request.accepted_by,
        recent_elsewhere_fen=elsewhere["recent_fen"],
        others_elsewhere_fen=elsewhere["others_fen"],
        leaves_remotely=payee is not None or bool(elsewhere["remote"]),
        bound_for=now - binding.bound_at if binding and binding.bound_at else None,
        bound_twice=binding is not None and _bound_twice(db, binding),
    )


_CARD = text(
    """
    SELECT count(DISTINCT coalesce(encode(p.id_no_index, 'hex'), p.id::text))
    FROM payee y
    JOIN refund_request r ON r.payee_id = y.id
    JOIN patient p ON p.id = r.patient_id
    WHERE y.hospital_id = :hospital_id AND y.card_no_index = :card AND r.accepted_at > :since
    """
)


def _card_patients(db: Db, payee: Payee, now: datetime) -> int:
    values = {"hospital_id": payee.hospital_id, "card": payee.card_no_index}
    return int(db.scalar(_CARD, values | {"since": now - CARD_WINDOW}) or 0)


_PHONE = text(
    """
    SELECT count(DISTINCT patient_id) FROM refund_request
    WHERE accepted_by = :name AND accepted_at > :since
    """
)


def _phone_patients(db: Db, request: RefundRequest, now: datetime) -> int:
    if not request.accepted_by.startswith(PHONE):
        return 0
    values = {"name": request.accepted_by, "since": now - PHONE_WINDOW}
    return int(db.scalar(_PHONE, values) or 0)


_BURST = text(
    """
    SELECT count(*) FROM refund_request
    WHERE hospital_id = :hospital_id AND accepted_by = :name AND asker <> 'HOSPITAL' AND off_hours
      AND accepted_at BETWEEN :first AND :last
    """
)


def _burst(db: Db, request: RefundRequest) -> int:
    """Those before and after it: once it is one, all of them are looked at again."""
    by_staff = request.accepted_by.startswith(STAFF) and request.asker != Asker.HOSPITAL
    if not (request.off_hours and by_staff):
        return 0
    values = {
        "hospital_id": request.hospital_id,
        "name": request.accepted_by,
        "first": request.accepted_at - BURST_WINDOW,
        "last": request.accepted_at + BURST_WINDOW,
    }
    return int(db.scalar(_BURST, values) or 0)


_NAMES = text(
    "SELECT name FROM staff WHERE hospital_id = :hospital_id AND staff_no = ANY(:numbers)"
)


def _is_staff(db: Db, request: RefundRequest, payee: Payee | None, by: str) -> bool:
    """Whether somebody in the chain is called like the one who is paid, or who asks."""
    chain = (request.accepted_by, request.reviewed_by, by)
    numbers = [name.removeprefix(STAFF) for name in chain if name and name.startswith(STAFF)]
    values = {"hospital_id": request.hospital_id, "numbers": numbers}
    staff = list(db.scalars(_NAMES, values)) if numbers else []
    paid = [payee.name] if payee else []
    asking = [db.get_one(Patient, request.patient_id).name, request.asker_name]
    return any(same_name(one, other) for one in staff for other in (*paid, *asking))


_ELSEWHERE = text(
    """
    WITH took AS (
        SELECT l.id, l.channel, l.paid_at, l.order_id, u.amount_fen, i.refund_id
        FROM refund_request_item i
        JOIN ledger_transaction t
          ON t.hospital_id = i.hospital_id AND t.key = 'refund:' || i.refund_id
        JOIN lot_use u ON u.transaction_id = t.id
        JOIN lot l ON l.id = u.lot_id
        WHERE i.request_id = :request_id
    ), goes_elsewhere AS (
        SELECT took.* FROM took
        WHERE channel <> 'CASH' AND NOT EXISTS (
            SELECT 1 FROM refund_leg g
            WHERE g.refund_id = took.refund_id AND g.lot_id = took.id AND g.route = took.channel
        )
    )
    SELECT coalesce(sum(e.amount_fen) FILTER (WHERE e.paid_at > :since), 0)::bigint AS recent_fen,
           coalesce(sum(e.amount_fen) FILTER (
               WHERE o.payer_openid IS NOT NULL AND o.payer_openid NOT IN (
                   SELECT openid FROM wechat_binding WHERE patient_id = :patient_id
               )
           ), 0)::bigint AS others_fen,
           EXISTS (
               SELECT 1 FROM refund_request_item i
               JOIN refund_leg g ON g.refund_id = i.refund_id
               WHERE i.request_id = :request_id AND g.route IN ('BANK', 'TRANSFER')
           ) AS remote
    FROM goes_elsewhere e LEFT JOIN payment_order o ON o.id = e.order_id
    """
)


def _elsewhere(db: Db, request: RefundRequest, now: datetime) -> dict[str, int]:
    """Of the money that does not go back the way it came; cash always does, at the window."""
    values = {
        "request_id": request.id,
        "patient_id": request.patient_id,
        "since": now - ROUND_TRIP_WINDOW,
    }
    return dict(db.execute(_ELSEWHERE, values).mappings().one())


def _binding(db: Db, request: RefundRequest) -> WeChatBinding | None:
    if request.channel != Channel.PHONE or not request.accepted_by.startswith(PHONE):
        return None
    return db.get(WeChatBinding, UUID(request.accepted_by.removeprefix(PHONE)))


_OTHERS = text(
    """
    SELECT EXISTS (
        SELECT 1 FROM wechat_binding
        WHERE patient_id = :patient_id AND active AND id <> :id
    )
    """
)


def _bound_twice(db: Db, binding: WeChatBinding) -> bool:
    return bool(db.scalar(_OTHERS, {"patient_id": binding.patient_id, "id": binding.id}))
