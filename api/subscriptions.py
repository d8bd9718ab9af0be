"""What a phone still accepts: each «allow» in the mini-program buys one message of a template."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.guard import current_actor, guarded
from api.routes import Routes
from journeys import words

blp = Routes("subscriptions", __name__, description="消息订阅")


class Accepted(Schema):
    """The templates that were just allowed, by our names; WeChat asks for at most three at once."""

    templates = fields.List(
        fields.String(validate=validate.Regexp(r"^[A-Z_]{3,40}\Z")),
        required=True,
        validate=validate.Length(min=1, max=3),
    )


@blp.route("/v1/patient/subscriptions", methods=["POST"])
@guarded("own:act", at_window="wards.print_queue")
@blp.arguments(Accepted)
@blp.response(204)
def accept(wish: dict[str, Any]) -> None:
    """Say that the phone accepts messages"""
    words.accept_messages(current_actor(), wish["templates"])
