"""What the public specification allows: requests, answers, and schemas for strict structured output.

Put here: validators made from the OpenAPI document, and this server's own check of the strict subset (written apart
from the product's, so that one error is not in both). Not here: what the server does with it (`openai_state.py`).

The document lies beside a checkout and is not part of the project: without it nothing is compared with it, and the
server answers all the same. Known defects of the document are made good here: it forbids nulls that the service
answers, lets unknown keys pass that the service refuses, and its alternatives overlap.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson

_TEXTS = frozenset({"content", "text", "input", "instructions", "arguments"})
_ALLOWED = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
    "definitions", "description", "title", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
})  # fmt: skip
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_LEVELS, _PROPERTIES, _ENUM_VALUES, _CHARACTERS = 10, 5_000, 1_000, 120_000


class Spec:
    """Validators for every operation, each made when it is first needed."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self.present = document is not None
        self._paths: Mapping[str, Any] = (document or {}).get("paths", {})
        self._components = _closed((document or {}).get("components", {}))
        self._validators: dict[tuple[str, str], Any] = {}
        self._verdicts: dict[tuple[str, str, bytes], str | None] = {}

    @classmethod
    def beside(cls) -> "Spec":
        """The document beside this checkout, or in the folder that SIGNALS_SPECS names."""
        folder = Path(os.environ.get("SIGNALS_SPECS", Path(__file__).resolve().parents[3] / "shared" / "specs"))
        return _loaded(folder / "openai-trimmed.openapi.json")

    def request(self, operation: str, body: Any) -> str | None:
        """What is wrong with the body of a request such as "POST /responses", or None."""
        return _metadata(body) or self._judged(operation, "request", body)

    def response(self, operation: str, body: Any) -> str | None:
        """What is wrong with the body of a successful answer, or None."""
        return self._judged(operation, "response", body)

    def _judged(self, operation: str, side: str, body: Any) -> str | None:
        """One verdict for all bodies of one shape: the lines of a batch differ in texts that decide nothing."""
        if not self.present:
            return None
        shape = _shape(body, loose=side == "response")
        key = (operation, side, orjson.dumps(shape))
        if key not in self._verdicts:
            self._verdicts[key] = self._problem(operation, side, shape)
        return self._verdicts[key]

    def _problem(self, operation: str, side: str, body: Any) -> str | None:
        from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

        schema = self._schema(operation, side)
        if schema is None:
            return f"{operation} is not in the specification"
        if (operation, side) not in self._validators:
            self._validators[operation, side] = self._validator(schema)
        validator, known = self._validators[operation, side]
        if unknown := sorted(set(body) - known) if known and isinstance(body, Mapping) else []:
            return f"Unknown parameter: '{unknown[0]}'."
        error = best_match(validator.iter_errors(body))
        return None if error is None else f"{error.json_path}: {error.message[:300]}"

    def _schema(self, operation: str, side: str) -> Mapping[str, Any] | None:
        method, _, path = operation.partition(" ")
        found = self._paths.get(path, {}).get(method.lower(), {})
        holder = found.get("requestBody", {}) if side == "request" else found.get("responses", {}).get("200", {})
        content = holder.get("content", {})
        schema: Mapping[str, Any] | None = next((kind["schema"] for kind in content.values()), None)
        return schema

    def _validator(self, schema: Mapping[str, Any]) -> tuple[Any, frozenset[str]]:
        """The validator and the names of the properties at the top."""
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

        whole = {**schema, "components": self._components}
        return Draft202012Validator(whole), frozenset(self._names(schema))

    def _names(self, schema: Mapping[str, Any]) -> Iterator[str]:
        if "$ref" in schema:
            yield from self._names(self._components["schemas"][schema["$ref"].rpartition("/")[2]])
        yield from schema.get("properties", {})
        for part in schema.get("allOf", ()):
            yield from self._names(part)


@cache
def _loaded(path: Path) -> Spec:
    return Spec(orjson.loads(path.read_bytes()) if path.is_file() else None)


def _closed(components: Mapping[str, Any]) -> Any:
    """The components with nulls allowed, and with unknown keys forbidden in objects that no `allOf` combines."""
    open_ones: set[str] = set()
    waiting = [part for schema in components.get("schemas", {}).values() for part in _inside_all_of(schema)]
    while waiting:
        name = waiting.pop()
        if name not in open_ones:
            open_ones.add(name)
            waiting.extend(_references(components["schemas"][name]))

    def close(node: Any, shut: bool) -> Any:
        if isinstance(node, list):
            return [close(item, shut) for item in node]
        if not isinstance(node, dict):
            return node
        made = {
            ("anyOf" if key == "oneOf" and "anyOf" not in node else key): close(value, shut and key != "allOf")
            for key, value in node.items()
        }
        if isinstance(node.get("properties"), dict):
            made["properties"] = {name: _or_null(child) for name, child in made["properties"].items()}
        if shut and isinstance(node.get("properties"), dict) and not node.keys() & {"additionalProperties", "allOf"}:
            made["additionalProperties"] = False
        return made

    schemas = components.get("schemas", {})
    return {"schemas": {name: close(schema, name not in open_ones) for name, schema in schemas.items()}}


def _or_null(schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _inside_all_of(node: Any) -> Iterator[str]:
    """Names of the schemas that are combined somewhere."""
    if isinstance(node, list):
        for item in node:
            yield from _inside_all_of(item)
    elif isinstance(node, dict):
        for part in node.get("allOf", ()):
            yield from _references(part)
        for value in node.values():
            yield from _inside_all_of(value)


def _references(node: Mapping[str, Any]) -> Iterator[str]:
    """Names of the schemas that a schema is, itself or by combination."""
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2]
    for part in node.get("allOf", ()):
        yield from _references(part)


def _shape(value: Any, *, loose: bool, key: str = "") -> Any:
    """A value with stand-ins for what decides nothing: texts; in answers (loose) also numbers, names and repeats."""
    if isinstance(value, Mapping):
        if loose and key == "metadata":
            return {"key": "value"}
        return {name: _shape(item, loose=loose, key=name) for name, item in value.items()}
    if isinstance(value, list):
        return _items(value, loose, key)
    if isinstance(value, str) and key == "embedding":
        return [1]  # the document knows vectors as numbers only, not the packed form
    if isinstance(value, str):
        named = loose and (key in ("id", "filename", "model", "message") or key.endswith("_id"))
        return "text" if named or key in _TEXTS else value
    return 1 if loose and isinstance(value, int | float) and not isinstance(value, bool) else value


def _items(values: list[Any], loose: bool, key: str) -> list[Any]:
    if not loose:
        return [_shape(value, loose=loose, key=key) for value in values]
    if values and isinstance(values[0], float):
        return [1]
    shapes = (_shape(value, loose=loose, key=key) for value in values)
    return list({orjson.dumps(shape): shape for shape in shapes}.values())


def _metadata(body: Any) -> str | None:
    """Limits on metadata that the document tells in words only."""
    given = body.get("metadata") if isinstance(body, Mapping) else None
    if not isinstance(given, Mapping):
        return None
    fits = all(isinstance(value, str) and len(key) <= 64 and len(value) <= 512 for key, value in given.items())
    return None if fits and len(given) <= 16 else "Invalid 'metadata': at most 16 pairs of 64 and 512 characters."


def lint(name: str | None, schema: Any) -> str | None:
    """The first reason why a strict schema is refused, or None."""
    return _linted(name, orjson.dumps(schema))


@lru_cache(maxsize=256)
def _linted(name: str | None, raw: bytes) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name or ""):
        return "the name must be 1 to 64 letters, digits, underscores or dashes"
    return next(_Lint(orjson.loads(raw)).problems(), None)


class _Lint:
    """One reading of one schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._properties = self._values = self._characters = 0

    def problems(self) -> Iterator[str]:
        root = self._root
        if not isinstance(root, dict) or root.get("type") != "object" or "anyOf" in root:
            yield "schema must be a JSON Schema of 'type: \"object\"' without 'anyOf' at the root"
            return
        yield from self._node(root, "", 1)
        for most, have, what in (
            (_PROPERTIES, self._properties, "properties"),
            (_ENUM_VALUES, self._values, "enum values"),
            (_CHARACTERS, self._characters, "characters of names and values"),
        ):
            if have > most:
                yield f"{have} {what}, at most {most} are supported"

    def _node(self, node: Any, place: str, level: int) -> Iterator[str]:
        if not isinstance(node, dict):
            yield f"In context={place or '/'}: a schema must be an object"
            return
        if level > _LEVELS:
            yield f"In context={place}: more than {_LEVELS} levels of nesting"
            return
        for word in sorted(node.keys() - _ALLOWED):
            yield f"In context={place or '/'}: '{word}' is not permitted."
        yield from self._own(node, place or "/")
        for group in ("$defs", "definitions"):
            for name, child in node.get(group, {}).items():
                self._characters += len(name)
                yield from self._node(child, f"{place}/{group}/{name}", 1)
        for name, child in node.get("properties", {}).items():
            self._properties += 1
            self._characters += len(name)
            yield from self._node(child, f"{place}/{name}", level + 1)
        if "items" in node:
            yield from self._node(node["items"], f"{place}/items", level + 1)
        for number, child in enumerate(node.get("anyOf", ())):
            yield from self._node(child, f"{place}/{number}", level)

    def _own(self, node: Mapping[str, Any], place: str) -> Iterator[str]:
        """What one schema says of itself, apart from its children."""
        kinds = node.get("type", [])
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        if not kinds <= _TYPES or not (kinds or node.keys() & {"$ref", "anyOf", "enum", "const"}):
            yield f"In context={place}: schema must have a known 'type' key."
        if "$ref" in node and not self._resolves(node["$ref"]):
            yield f"In context={place}: reference can not be resolved."
        if "array" in kinds and "items" not in node:
            yield f"In context={place}: array schema missing items."
        if "object" in kinds or "properties" in node:
            if node.get("additionalProperties") is not False:
                yield f"In context={place}: 'additionalProperties' is required to be supplied and to be false."
            if set(node.get("required", ())) != set(node.get("properties", {})):
                yield f"In context={place}: 'required' is required to be supplied and to hold every key in properties."
        values = [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]
        self._values += len(values)
        self._characters += sum(len(value) for value in values if isinstance(value, str))

    def _resolves(self, reference: Any) -> bool:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        node = self._root
        for part in reference[1:].strip("/").split("/"):
            if part:
                node = node.get(part) if isinstance(node, dict) else None
        return node is not None
