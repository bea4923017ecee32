"""The strict subset of JSON Schema that a provider's structured output accepts, and what breaks it.

Put here: `lint`. Not here: the schemas themselves (see `core/asking.py`).

A schema outside the subset is refused once per line of a batch, hours later. So every schema is linted before a body
is made of it. Source of the limits: the project's notes on OpenAI's structured outputs (baseline of February 2026).
What the sources disagree on (lengths of strings) counts as not allowed: lengths are judged when an answer is read.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST_PROPERTIES: Final = 5_000
MOST_LEVELS: Final = 10
MOST_ENUM_VALUES: Final = 1_000
MOST_CHARACTERS: Final = 120_000
"""Characters of all names of properties and definitions, enum values and constants together."""

_DEFINITIONS: Final = ("$defs", "definitions")
_TYPES: Final = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_ALLOWED: Final = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"),
        *("$ref", *_DEFINITIONS, "description", "title", "pattern", "format", "minItems", "maxItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
)
Node = tuple[str, Any]
"""A place in the schema ("$.properties.a") and what stands there."""


def lint(schema: Mapping[str, Any]) -> list[str]:
    """What the strict subset does not allow in a schema, one line per violation, in order; empty is fine. Never raises.

    A line names the place ("$.properties.a") and the rule. Recursion through `$ref` is allowed and read once.
    """
    nodes = list(_walk(("$", schema)))
    found = [f"$: {text}" for text in _root(schema)]
    found += [f"{place}: {text}" for place, node in nodes for text in _violations(node, schema)]
    return found + [f"$: {text}" for text in _sizes(schema, [node for _, node in nodes if isinstance(node, Mapping)])]


def _root(schema: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(schema, Mapping) and ("anyOf" in schema or schema.get("type") != "object"):
        yield "the root must be an object, not a union or anything else"


def _walk(root: Node) -> Iterator[Node]:
    """Every schema in the schema, itself first, as written."""
    waiting = [root]
    while waiting:
        place, node = waiting.pop()
        yield place, node
        waiting.extend(reversed(list(_children(place, node))))


def _children(place: str, node: Any) -> Iterator[Node]:
    if not isinstance(node, Mapping):
        return
    for keyword in ("properties", *_DEFINITIONS):
        for name, child in _mapping(node, keyword).items():
            yield f"{place}.{keyword}.{name}", child
    if "items" in node:
        yield f"{place}.items", node["items"]
    for number, child in enumerate(_list(node, "anyOf")):
        yield f"{place}.anyOf.{number}", child


def _violations(node: Any, root: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(node, Mapping):
        yield "a schema must be an object"
        return
    for keyword in node:
        if keyword not in _ALLOWED:
            yield f"'{keyword}' is not permitted"
    if "$ref" in node:
        yield from _reference(node, root)
        return
    types = _types(node)
    if not types and not _list(node, "anyOf"):
        yield "untyped"
    elif not _TYPES.issuperset(types):
        yield "unknown type"
    if "enum" in node and not _list(node, "enum"):
        yield "an enum needs values"
    if "object" in types or "properties" in node:
        yield from _object(node)
    if "array" in types and "items" not in node:
        yield "an array needs 'items'"


def _reference(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    if len(node) > 1:
        yield "'$ref' stands alone"
    if _resolved(node, root) is None:
        yield "'$ref' leads nowhere"


def _object(node: Mapping[str, Any]) -> Iterator[str]:
    names = dict.fromkeys(_mapping(node, "properties"))
    required = dict.fromkeys(map(str, _list(node, "required")))
    if node.get("additionalProperties") is not False:
        yield "'additionalProperties' must be false"
    if not isinstance(node.get("properties"), Mapping):
        yield "an object needs 'properties'"
    for name in names:
        if name not in required:
            yield f"property '{name}' must be required"
    for name in required:
        if name not in names:
            yield "a required property is not among the properties"


def _sizes(schema: Any, nodes: list[Mapping[str, Any]]) -> Iterator[str]:
    names = [name for node in nodes for name in _mapping(node, "properties")]
    values = [value for node in nodes for value in _list(node, "enum")]
    defined = [name for node in nodes for keyword in _DEFINITIONS for name in _mapping(node, keyword)]
    constants = [node["const"] for node in nodes if "const" in node]
    characters = sum(len(str(text)) for text in (*names, *values, *defined, *constants))
    levels = _levels(schema, schema)
    for much, most, what in (
        (len(names), MOST_PROPERTIES, "properties"),
        (len(values), MOST_ENUM_VALUES, "enum values"),
        (characters, MOST_CHARACTERS, "characters of names and enum values"),
        (levels, MOST_LEVELS, "levels"),
    ):
        if much > most:
            yield f"more than {most} {what}"


def _levels(schema: Any, root: Any) -> int:
    """Objects and arrays within each other, references followed once; one more than the limit where there are more."""
    deepest, waiting = 0, [(schema, 0, frozenset[str]())]
    while waiting and deepest <= MOST_LEVELS:
        node, level, followed = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        target = node.get("$ref")
        if isinstance(target, str):
            if target not in followed:
                waiting.append((_resolved(node, root), level, followed | {target}))
            continue
        level += not _types(node).isdisjoint({"object", "array"})
        deepest = max(deepest, level)
        inner = (*_mapping(node, "properties").values(), node.get("items"), *_list(node, "anyOf"))
        waiting.extend((child, level, followed) for child in inner)
    return deepest


def _resolved(node: Mapping[str, Any], root: Any) -> Any:
    """What a reference within the schema leads to, or None."""
    target = node.get("$ref")
    if target == "#":
        return root
    kind, _, name = str(target).removeprefix("#/").partition("/")
    inside = str(target).startswith("#/") and kind in _DEFINITIONS and isinstance(root, Mapping)
    return _mapping(root, kind).get(name) if inside else None


def _types(node: Mapping[str, Any]) -> frozenset[str]:
    said = node.get("type")
    return frozenset(map(str, said)) if isinstance(said, list) else frozenset({said} if isinstance(said, str) else ())


def _mapping(node: Mapping[str, Any], keyword: str) -> Mapping[str, Any]:
    found = node.get(keyword)
    return found if isinstance(found, Mapping) else {}


def _list(node: Mapping[str, Any], keyword: str) -> list[Any]:
    found = node.get(keyword)
    return found if isinstance(found, list) else []
