"""By which way a message may reach its patient, and what only the moment of leaving can fill in."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.admission import Admission, AdmissionState
from models.binding import WeChatBinding
from models.campaign import WrongNumber
from models.hospital import Hospital, Setting, setting
from models.message import Message, MessageRoute, PrintJob, SubscriptionAccount
from models.patient import Patient
from policies.expiry import AFTER_ALL_ELSE
from policies.quiet_hours import allowed_from

SMS_FIRST = (MessageRoute.SMS, MessageRoute.SUBSCRIPTION)
QUIET_FIRST = (MessageRoute.SUBSCRIPTION, MessageRoute.SMS)
ROUTES: dict[str, tuple[MessageRoute, ...]] = {
    "DAILY_BILL": (*QUIET_FIRST, MessageRoute.PRINT),
    "DAILY_BILL_CORRECTED": (*QUIET_FIRST, MessageRoute.PRINT),
    "SETTLED": SMS_FIRST,
    "REFUND_SENT": SMS_FIRST,
    "TRANSFER_TO_CONFIRM": SMS_FIRST,
    "REFUND_ARRIVED": SMS_FIRST,
}
"""template -> its routes in order (CQ-5.3 T3; GZ-7: a refund's result by SMS); else QUIET_FIRST."""

CAN_WAIT = frozenset({"CLEARANCE_NOTICE"})
"""What is told to many and disturbs nobody at night; news of one's own money goes out at once."""

BEHIND_ALL = AFTER_ALL_ELSE - 10
"""Its priority in the queue: a hundred thousand notices keep nobody's own money or news waiting."""

QUIET_HOURS = "notice.quiet_hours"
"""The setting of the hours in which it waits."""

HOTLINE = "service_phone"
"""The setting that holds the telephone number which every message names."""

IN_WARD = (AdmissionState.IN_HOUSE, AdmissionState.LEAVING)


def routes_of(template: str) -> tuple[MessageRoute, ...]:
    """The routes of a template in their order."""
    return ROUTES.get(template, QUIET_FIRST)


def routes_from(message: Message) -> tuple[MessageRoute, ...]:
    """The present route and those after it."""
    routes = routes_of(message.template)
    return routes[routes.index(MessageRoute(message.route)) :]


def choose_route(db: Db, message: Message, appid: str, now: datetime) -> str | None:
    """Set the first route, from the present one on, by which the patient can be reached."""
    for route in routes_from(message):
        if address := _address(db, message, route, appid, now):
            if route != message.route:
                message.route, message.attempts = route, 0
            return address
    return None


def priority_of(template: str) -> int:
    """Where a message of this template stands in the queue."""
    return BEHIND_ALL if template in CAN_WAIT else 0


def quiet_until(db: Db, message: Message, now: datetime) -> datetime:
    """Now, or the end of the quiet hours for what can wait."""
    if message.template not in CAN_WAIT:
        return now
    return allowed_from(now, setting(db, message.hospital_id, QUIET_HOURS))


def filled_by_us(db: Db, message: Message) -> dict[str, str]:
    """The patient's masked name, the hospital and its telephone number, as they are now."""
    hotline = db.scalar(
        select(Setting.value).where(
            Setting.hospital_id == message.hospital_id, Setting.key == HOTLINE
        )
    )
    return {
        "name": db.get_one(Patient, message.patient_id).masked_name,
        "hospital": db.get_one(Hospital, message.hospital_id).name,
        "hotline": hotline or "请见医院公示",
    }


def _address(
    db: Db, message: Message, route: MessageRoute, appid: str, now: datetime
) -> str | None:
    """Openid, telephone number or ward; an accepted subscription is used up by asking."""
    if route == MessageRoute.SMS:
        return _phone(db, db.get_one(Patient, message.patient_id))
    if route == MessageRoute.PRINT:
        return _into_print_queue(db, message, now)
    accounts = select(WeChatBinding.openid).where(
        WeChatBinding.hospital_id == message.hospital_id,
        WeChatBinding.appid == appid,
        WeChatBinding.patient_id == message.patient_id,
        WeChatBinding.active,
    )
    for openid in db.scalars(accounts.order_by(WeChatBinding.bound_at.desc())):
        if SubscriptionAccount.take(db, message.hospital_id, openid, message.template):
            return openid
    return None


def _phone(db: Db, patient: Patient) -> str | None:
    if WrongNumber.known(db, patient.hospital_id, patient.phone_index):
        return None  # its owner told us that this is not the patient
    return patient.phone or None


def _into_print_queue(db: Db, message: Message, now: datetime) -> str | None:
    stay = db.scalar(
        select(Admission)
        .where(Admission.patient_id == message.patient_id, Admission.state.in_(IN_WARD))
        .order_by(Admission.admitted_at.desc())
        .limit(1)
    )
    if stay is None:
        return None
    db.add(
        PrintJob(
            hospital_id=message.hospital_id,
            message_id=message.id,
            admission_id=stay.id,
            ward=stay.ward,
            created_at=now,
        )
    )
    return stay.ward
