"""The settings a hospital decides itself: what each may be, which rest on a clause, and which must
be set before opening."""

import re
from dataclasses import dataclass

from policies.passwords import PasswordRules
from policies.quiet_hours import PATTERN


@dataclass(frozen=True, slots=True)
class Known:
    """One setting. ``pattern``: what a value looks like. ``default`` None and ``required``:
    somebody must decide."""

    says: str
    pattern: str
    clause: str = ""
    default: str | None = None
    required: bool = False

    def allows(self, value: str) -> bool:
        """Whether the value has the right form."""
        return re.fullmatch(self.pattern, value) is not None


_FEN = r"0|[1-9][0-9]{0,11}"
_ROUTE = "(BANK|TRANSFER|CASH|NEXT_VISIT)"
_FEW = r"[1-9][0-9]?"
_TEXT = r"\S.{0,199}"

KNOWN: dict[str, Known] = {
    "policy_document": Known("本院预交金管理制度的文号和版本", _TEXT, clause="GZ-4", required=True),
    "refund_limit_fen": Known(
        "退款复核岗可以批准的最高金额（分），超过须财务负责人批准",
        _FEN,
        clause="GZ-4",
        required=True,
    ),
    "refund.fallback_order": Known(
        "不能原路退时换路的顺序：BANK 银行，TRANSFER 微信转账，CASH 窗口，NEXT_VISIT 下次来院",
        rf"{_ROUTE}(,{_ROUTE})*",
        clause="GZ-7",
        default="CASH",
    ),
    "refund.bank_least_fen": Known(
        "银行转账一笔最低多少分，低于它的走下一条路", _FEN, clause="GZ-7", default="1"
    ),
    "refund.margin_minutes": Known(
        "原路退款在渠道期限前多少分钟不再发出",
        "[1-9][0-9]{0,3}",
        clause="GZ-7",
        default="15",
    ),
    "refund.alipay_goes_back": Known(
        "本院能否在支付宝商家后台把支付宝付的钱原路退回，由财务登记退款单号",
        "on|off",
        clause="GZ-7",
        default="off",
    ),
    "unreachable.attempts": Known(
        "至少联系几次没有结果，才能认定无法退还", _FEW, clause="GZ-8.1", default="3"
    ),
    "unreachable.channels": Known("这些联系至少用几种方式", "[1-5]", clause="GZ-8.1", default="2"),
    "unreachable.days": Known(
        "第一次和最后一次联系至少隔多少天", "0|" + _FEW, clause="GZ-8.1", default="30"
    ),
    "refund_window_limit_fen": Known(
        "收费员可以受理的最高退款申请（分），超过须财务受理",
        _FEN,
        clause="GZ-7",
        default="1000000",
    ),
    "refund.risk_limit_fen": Known(
        "退款申请超过多少（分）要暂停，由两人看过再办", _FEN, clause="GZ-7", default="500000"
    ),
    "refund.agent_limit_fen": Known(
        "代办退款超过多少（分）还要公证书", _FEN, clause="GZ-7", default="500000"
    ),
    "refund.heir_limit_fen": Known(
        "继承人退款超过多少（分）还要公证书或法院文书", _FEN, clause="GZ-7", default="1000000"
    ),
    "refund.own_account_only": Known(
        "是否只退到患者本人账户（继承人除外）", "on|off", clause="GZ-7", default="off"
    ),
    "consortium": Known("医联体名称；名称相同的医院，患者可以一次查看和申请退回全部余额", _TEXT),
    "notice.quiet_hours": Known(
        "群发通知不打扰患者的时段：晚上几点到早上几点", PATTERN, clause="GZ-7", default="21-8"
    ),
    "cost.sms_fen_per_hundred": Known(
        "每一百条短信的费用（分），用来算每退一元花多少钱", _FEN, clause="GZ-7", default="450"
    ),
    "cost.bank_fen_each": Known("每笔银行转账的手续费（分）", _FEN, clause="GZ-7", default="0"),
    "cost.window_fen_each": Known(
        "窗口办理一笔退款的人工成本（分）", _FEN, clause="GZ-7", default="0"
    ),
    "service_phone": Known("患者咨询电话", r"[0-9][0-9 -]{4,19}", clause="GZ-24", required=True),
    "payers.medical_aid_agency": Known(
        "医疗救助机构是否联网结算", "on|off", clause="CQ-5.2", default="off"
    ),
    "password_rules": Known(
        "口令规则：MLPS（等保三级）或 ASVS",
        "|".join(PasswordRules),
        default=PasswordRules.MLPS,
    ),
}
"""key -> what it is. Another part that needs a setting adds its line here."""


DUTIES: dict[str, str] = {
    "REFUND_CHECKER_MISSING": "refund:check",
    "REFUND_MAKER_MISSING": "refund:request",
    "ADMINISTRATOR_MISSING": "staff:manage",
    "AUDITOR_MISSING": "audit:read",
    "SETTLEMENT_CLERK_MISSING": "settlement:settle",
    "CASH_WINDOW_MISSING": "cash:handle",
}
"""what readiness reports when no active staff member holds the permission (GZ-4 T1; GZ-20 keeps the
window)."""
