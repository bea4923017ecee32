"""What BigQuery's own discovery document allows: query parameters, bodies of requests, bodies of answers.

Put here: validators made from the document that `google-api-python-client` carries. Not here: what the server does
(`bigquery_server.py`).

The document lists optional keys only, and Google's servers refuse keys that it does not list: so do these validators.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson


@cache
def document() -> dict[str, Any]:
    """The discovery document of BigQuery v2."""
    path = files("googleapiclient") / "discovery_cache" / "documents" / "bigquery.v2.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def method(name: str) -> Mapping[str, Any]:
    """A method of the document by its name, e.g. `jobs.insert`."""
    resource, _, verb = name.partition(".")
    found: Mapping[str, Any] = document()["resources"][resource]["methods"][verb]
    return found


def wrong_query(name: str, query: Mapping[str, str]) -> str | None:
    """What is wrong with the parameters of a request, or None."""
    known = method(name).get("parameters", {}) | document()["parameters"]
    unknown = sorted(set(query) - set(known))
    return f"{name} has no parameter {unknown[0]}" if unknown else None


def wrong_request(name: str, body: Any) -> str | None:
    """What is wrong with the body of a request, or None. JSON's null is the same as leaving a key out."""
    return _wrong(method(name)["request"]["$ref"], body, name)


def wrong_answer(name: str, body: Any) -> str | None:
    """What is wrong with the body of an answer, or None."""
    return _wrong(method(name)["response"]["$ref"], body, name) if "response" in method(name) else None


def _wrong(schema: str, body: Any, name: str) -> str | None:
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    error = best_match(_validator(schema).iter_errors(_without_nulls(body)))
    return None if error is None else f"{name}, {error.json_path}: {error.message[:200]}"


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": _schemas()})


@cache
def _schemas() -> dict[str, Any]:
    return {name: _converted(schema) for name, schema in document()["schemas"].items()}


def _converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of the document as JSON Schema: closed objects, 64 bit numbers as text or number."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type", "any")
    if kind == "any":
        return {}
    if kind == "array":
        return {"type": "array", "items": _converted(schema["items"])}
    if kind == "object":
        rest = schema.get("additionalProperties")
        return {
            "type": "object",
            "properties": {name: _converted(found) for name, found in schema.get("properties", {}).items()},
            "additionalProperties": _converted(rest) if rest else False,
        }
    if schema.get("format") in ("int64", "uint64"):
        return {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"}
    if kind == "string" and "enum" in schema:
        return {"enum": schema["enum"]}
    return {"type": kind}


def _without_nulls(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _without_nulls(value) for key, value in body.items() if value is not None}
    if isinstance(body, list):
        return [_without_nulls(value) for value in body]
    return body
