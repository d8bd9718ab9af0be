"""What the published OpenAPI document promises of an answer, and what no answer may ever tell."""

import json
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from simulator.clients import Answer


@dataclass
class Contract:
    """The document, and ``secrets``: what is known of the people in the database."""

    spec: dict[str, Any]
    secrets: frozenset[str]
    _validators: dict[str, Any] = field(default_factory=dict)

    def breaks(self, method: str, path: str, answer: Answer) -> str:
        """Why this answer must not be; empty when it may.

        ``default`` promises nothing: each status must be named.
        """
        if answer.status >= 500:
            return f"{answer.status}"
        if answer.status >= 400 and (told := {one for one in self.secrets if one in answer.text}):
            return f"{answer.status} tells {told}"
        promised = self.spec["paths"][path][method.lower()]["responses"].get(str(answer.status))
        if promised is None:
            return f"{answer.status} is not in the document"
        return self._differs(self._resolved(promised).get("content", {}), answer)

    def _differs(self, content: dict[str, Any], answer: Answer) -> str:
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if not content:
            return f"{answer.status} has a body" if answer.text else ""
        if kind not in content:
            return f"{answer.status} as {kind}"
        schema = content[kind].get("schema", {})
        if kind.endswith("json") and not self._validator(schema).is_valid(json.loads(answer.text)):
            return f"{answer.status} has another schema"
        return ""

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        if reference := node.get("$ref"):
            for part in reference.removeprefix("#/").split("/"):
                node = (self.spec if node.get("$ref") else node)[part]
        return node

    def _validator(self, schema: dict[str, Any]) -> Any:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = schema | {"components": self.spec["components"]}
            self._validators[key] = jsonschema.Draft202012Validator(whole)
        return self._validators[key]
