"""2601: takes back a transaction whose answer got lost, by the message id it was sent under."""

from simulator.insurance import settlements, stays
from simulator.insurance.counter import Counter, Doc, Done
from simulator.insurance.refusals import Declined


def reverse(counter: Counter, given: Doc) -> Done:
    """2601(psn_no, omsgid, oinfno). What never arrived, failed or is reversed is «not found»."""
    asked = given["data"]
    counter.person(asked["psn_no"])
    if asked["oinfno"] not in counter.profile.reversible:
        raise Declined(f"交易【{asked['oinfno']}】不支持冲正")
    sent = counter.get("message", asked["omsgid"])
    if (
        sent is None
        or not sent["about"]
        or (sent["infno"], sent["psn_no"]) != (asked["oinfno"], asked["psn_no"])
    ):
        raise Declined(f"未查询到原交易信息，原发送方报文ID【{asked['omsgid']}】")
    if asked["oinfno"] == "2401":
        visit = counter.get("visit", sent["about"]["mdtrt_id"]) or {}
        if visit["state"] == "CANCELLED":
            raise Declined("原交易已撤销，不能冲正")
        stays.cancel_visit(counter, visit)
    else:
        settlements.annul(counter, sent["about"]["setl_id"])
    counter.put("message", asked["omsgid"], sent | {"about": None})
    return Done()
