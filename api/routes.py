"""A flask-smorest blueprint whose documents tell, for every operation, who may call it and how it
can fail."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Request, Response, current_app
from flask_smorest import Blueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest

from api.guard import Access
from policies.sheets import TYPES

BYTES = {"type": "string", "format": "binary"}
View = TypeVar("View", bound=Callable[..., Any])


class Reader(FlaskParser):
    """Bodies nested a thousand deep or with numbers of thousands of digits are malformed too."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body as JSON; 400 where Python's parser gives up."""
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError):
            raise BadRequest from None


class Routes(Blueprint):
    """``blp = Routes("admissions", __name__, description="住院登记")``; paths are written whole:
    ``/v1/…``."""

    ARGUMENTS_PARSER = Reader()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_tell_access_and_problems)

    def arguments(self, schema: Any, **about: Any) -> Any:
        """Read what came by this schema; one object of it for all requests, not one for each."""
        one = schema() if isinstance(schema, type) else schema
        return super().arguments(one, **about)

    def sheet(self, view: View) -> View:
        """Say that the view answers with a table, as CSV or for Excel."""
        for kind in TYPES.values():
            media = kind.partition(";")[0]
            view = self.alt_response(200, schema=BYTES, content_type=media, success=True)(view)
        return view


def as_sheet(content: bytes, name: str) -> Response:
    """A table to keep; the ending of its name says in which form it is."""
    answer = Response(content, content_type=TYPES[name.rpartition(".")[2]])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def as_they_are(view: dict[str, Any], **written: str) -> Response:
    """Write JSON values without a schema's dump for each: ten times faster for a list of lines.

    ``written``: members that are JSON already; they come last.
    """
    text = current_app.json.dumps(view, separators=(",", ":"))
    for name, value in written.items():
        text = f'{text[:-1]},"{name}":{value}}}'
    return current_app.response_class(f"{text}\n", mimetype="application/json")


def _tell_access_and_problems(
    doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **_: Any
) -> dict[str, Any]:
    access = doc_info.get("access")
    if access is None:
        raise ValueError(f"{doc_info['docstring']}: an operation without @guarded or @public")
    doc["security"] = [{way: []} for way in sorted(access.ways_in)]
    doc["x-permissions"] = list(access.permissions)
    if access.why:
        doc["x-public-because"] = access.why
    told = doc.get("responses", {})
    own = {str(status) for status, answer in told.items() if isinstance(answer, dict)}
    failures = [status for status in _failures(doc, access, method) if status not in own]
    doc["responses"] = told | dict.fromkeys(failures, "Problem")
    return doc


def _failures(doc: dict[str, Any], access: Access, method: str) -> list[str]:
    found = ["429", "500", "503", "default"]
    if access.permissions:
        found += ["403"]
    if access.permissions or method != "get":  # what is public takes a credential in its body
        found += ["401", "404"]
    if method != "get":
        found += ["409"]
    if method != "get" or "parameters" in doc:
        found += ["422"]
    if "requestBody" in doc:
        found += ["400", "413", "415"]
    return found
