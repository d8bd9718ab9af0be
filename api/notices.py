"""Where WeChat Pay and the SMS provider report: verified or secret paths, committed first, answered
after."""

from flask import Response, g, request

from api import metrics
from api.guard import public
from api.routes import Routes
from api.surroundings import counterparts
from journeys import notices, words
from payments.channels.wechat import NoticeRefused

blp = Routes("notices", __name__, description="渠道通知")

LARGEST = 64 * 1024
"""Of a notice of WeChat Pay, which is kept as it came; they are 1 to 2 KiB long."""


@blp.route("/wxpay/notify/<string:hospital>/<string:subject>", methods=["POST"])
@public(
    "WeChat Pay signs its notices; the signature is checked before anything is read",
    body_limit=LARGEST,
    media="*",
)
@blp.response(204)
@blp.alt_response(401, schema={"type": "object"}, description="不是微信支付此刻发来的通知")
def wechat(hospital: str, subject: str) -> Response:
    """Take a notice of WeChat Pay"""
    outside = counterparts(hospital)
    g.hospital_code = hospital
    try:
        notices.receive_notice(outside, request.headers, request.get_data())
    except NoticeRefused as refused:
        g.problem_code = refused.code  # for the log alone: whoever probes learns nothing from it
        metrics.count_refused_notice(refused.code)
        return Response('{"code":"FAIL","message":"失败"}', 401, mimetype="application/json")
    return Response(status=204)


@blp.route("/sms/receipts/<string:hospital>/<string:token>", methods=["POST"])
@public("Tencent does not sign receipts; the path is secret and what it says is a hint", media="*")
@blp.response(200, {"type": "object"})
def sms(hospital: str, token: str) -> Response:
    """Take receipts of the SMS carrier"""
    words.take_receipts(counterparts(hospital), token, request.get_data())
    return Response('{"result":0,"errmsg":"OK"}', mimetype="application/json")
