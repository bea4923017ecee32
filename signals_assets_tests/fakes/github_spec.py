"""What GitHub's public specification allows: queries, bodies and answers.

Put here: validators made from the trimmed OpenAPI document, and the few operations on git objects that the trimmed
document leaves out, by hand from the whole one. Not here: what the server does with it (`github_server.py`).

The document lies beside a checkout and is not part of the project: without it only what stands here is compared.
Known defects are made good: `nullable` of OpenAPI 3.0 becomes a null type, and examples lack a required key.
"""

import copy
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_SHA = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
_TEXT = {"type": "string"}
_PERSON = {
    "type": "object", "properties": {"name": _TEXT, "email": _TEXT, "date": _TEXT}, "required": ["name", "email"],
}  # fmt: skip
_ENTRY = {
    "type": "object",
    "properties": {
        "path": _TEXT, "mode": {"enum": ["100644", "100755", "040000", "160000", "120000"]},
        "type": {"enum": ["blob", "tree", "commit"]}, "sha": {"anyOf": [_SHA, {"type": "null"}]}, "content": _TEXT,
    },
    "additionalProperties": False,
}  # fmt: skip


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required)}


_TREE = _object({"sha": _SHA, "truncated": {"type": "boolean"}, "tree": {"type": "array", "items": _object({
    "path": _TEXT, "mode": _TEXT, "type": _TEXT, "sha": _SHA})}})  # fmt: skip
_COMMIT = _object({
    "sha": _SHA, "node_id": _TEXT, "url": _TEXT, "author": _PERSON, "committer": _PERSON, "message": _TEXT,
    "tree": _object({"sha": _SHA, "url": _TEXT}), "parents": {"type": "array"}, "html_url": _TEXT,
    "verification": {"type": "object"},
})  # fmt: skip
_REF = _object({"ref": _TEXT, "node_id": _TEXT, "url": _TEXT, "object": _object({
    "type": _TEXT, "sha": _SHA, "url": _TEXT})})  # fmt: skip
_REPO = "/repos/{owner}/{repo}"
BY_HAND: dict[str, dict[str, Any]] = {
    f"GET {_REPO}": {"response": _object({"id": {"type": "integer"}, "full_name": _TEXT, "default_branch": _TEXT})},
    f"GET {_REPO}/git/ref/{{ref}}": {"response": _REF},
    f"POST {_REPO}/git/refs": {"request": _object({"ref": _TEXT, "sha": _SHA}), "response": _REF},
    f"GET {_REPO}/git/trees/{{tree_sha}}": {"query": {"recursive"}, "response": _TREE},
    f"POST {_REPO}/git/trees": {
        "request": _object({"tree": {"type": "array", "items": _ENTRY}}, base_tree=_SHA),
        "response": _TREE,
    },
    f"GET {_REPO}/git/blobs/{{file_sha}}": {"response": _object({
        "content": _TEXT, "encoding": _TEXT, "url": _TEXT, "sha": _SHA, "size": {"type": "integer"}, "node_id": _TEXT,
    })},
    f"POST {_REPO}/git/blobs": {
        "request": _object({"content": _TEXT}, encoding={"enum": ["utf-8", "base64"]}),
        "response": _object({"url": _TEXT, "sha": _SHA}),
    },
    f"GET {_REPO}/git/commits/{{commit_sha}}": {"response": _COMMIT},
    f"POST {_REPO}/git/commits": {
        "request": _object({"message": _TEXT, "tree": _SHA}, parents={"type": "array", "items": _SHA},
                           author=_PERSON, committer=_PERSON),
        "response": _COMMIT,
    },
}  # fmt: skip
"""REST API 2022-11-28 as `@octokit/openapi` 23.0.2 (MIT) describes it: operation -> query, request, response."""


class GitHubSpec:
    """Validators by operation, such as "GET /repos/{owner}/{repo}/pulls", each made when it is first needed."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self.present = document is not None
        self._paths: Mapping[str, Any] = (document or {}).get("paths", {})
        self._components: Any = _with_nulls((document or {}).get("components", {}))
        self._validators: dict[tuple[str, str], Any] = {}

    @classmethod
    def beside(cls) -> "GitHubSpec":
        """The document beside this checkout, or in the folder that SIGNALS_SPECS names."""
        folder = Path(os.environ.get("SIGNALS_SPECS", Path(__file__).resolve().parents[3] / "shared" / "specs"))
        return _loaded(folder / "github-trimmed.openapi.json")

    def example(self, name: str) -> Any:
        """A copy of an example body; an empty object without the document."""
        found = copy.deepcopy(self._components.get("examples", {}).get(name, {}).get("value", {}))
        return found[0] if isinstance(found, list) else found

    def query(self, operation: str, query: Mapping[str, str]) -> str | None:
        """What is wrong with a query, or None."""
        if operation in BY_HAND:
            known: Mapping[str, Any] = {name: {} for name in BY_HAND[operation].get("query", ())}
        elif not self.present:
            return None
        else:
            listed = [self._resolved(one) for one in self._operation(operation).get("parameters", [])]
            known = {one["name"]: one["schema"] for one in listed if one["in"] == "query"}
        for name, value in query.items():
            if name not in known:
                return f"{operation} has no parameter {name}"
            if value not in known[name].get("enum", [value]):
                return f"{operation}: {name} cannot be {value}"
        return None

    def request(self, operation: str, body: Any) -> str | None:
        """What is wrong with the body of a request, or None; keys that the service does not know are wrong, too."""
        return self._problem(operation, "request", body)

    def response(self, operation: str, body: Any) -> str | None:
        """What is wrong with the body of a successful answer, or None."""
        return self._problem(operation, "response", body)

    def _problem(self, operation: str, side: str, body: Any) -> str | None:
        from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

        if operation not in BY_HAND and not self.present:
            return None
        if (operation, side) not in self._validators:
            self._validators[operation, side] = self._validator(operation, side)
        validator, known = self._validators[operation, side]
        if unknown := sorted(set(body) - known) if side == "request" else []:
            return f"{operation}: no such key: {unknown[0]}"
        error = best_match(validator.iter_errors(body))
        return None if error is None else f"{operation}, {side}, {error.json_path}: {error.message[:200]}"

    def _validator(self, operation: str, side: str) -> tuple[Any, frozenset[str]]:
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

        schema = BY_HAND[operation][side] if operation in BY_HAND else self._schema(operation, side)
        whole = {**schema, "components": self._components}
        return Draft202012Validator(whole), frozenset(schema.get("properties", ()))

    def _schema(self, operation: str, side: str) -> Any:
        found = self._operation(operation)
        holder = (
            found["requestBody"] if side == "request" else found["responses"].get("200", found["responses"].get("201"))
        )
        return _with_nulls(holder["content"]["application/json"]["schema"])

    def _operation(self, operation: str) -> Mapping[str, Any]:
        method, _, path = operation.partition(" ")
        found: Mapping[str, Any] = self._paths[path][method.lower()]
        return found

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in node:
            return node
        _, kind, name = node["$ref"].removeprefix("#/").split("/")
        found: Mapping[str, Any] = self._components[kind][name]
        return found


@cache
def _loaded(path: Path) -> GitHubSpec:
    return GitHubSpec(orjson.loads(path.read_bytes()) if path.is_file() else None)


def _with_nulls(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: value if key == "examples" else _with_nulls(value) for key, value in node.items()}
    if made.pop("nullable", None) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made
