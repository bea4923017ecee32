import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals_assets.core.asking import answer_schema, revision_schema
from signals_assets.core.strict_schema import (
    MOST_CHARACTERS,
    MOST_ENUM_VALUES,
    MOST_LEVELS,
    MOST_PROPERTIES,
    lint,
)
from signals_assets.core.taxonomy import seed

STRING = {"type": "string"}


def an_object(_required=None, **properties):
    required = list(properties) if _required is None else _required
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def nested(levels):
    schema = an_object(end=STRING)
    for _ in range(levels - 1):
        schema = an_object(inner=schema)
    return schema


def test_every_schema_that_is_sent_is_in_the_strict_subset():
    assert lint(answer_schema(seed())) == []
    assert lint(revision_schema()) == []


@pytest.mark.parametrize(
    "part",
    [
        {"type": ["string", "null"]},
        {"anyOf": [STRING, {"type": "null"}]},
        {"type": "integer", "minimum": 0, "maximum": 5},
        {"type": "array", "items": STRING, "minItems": 1, "maxItems": 3},
        {"type": "string", "enum": ["a", "b"], "description": "one of two"},
        {"type": "string", "const": "a"},
        {"type": "string", "pattern": "^a", "format": "date"},
    ],
)
def test_what_the_subset_takes_is_no_violation(part):
    assert lint(an_object(a=part)) == []


def test_recursion_through_references_is_no_violation():
    tree = an_object(children={"type": "array", "items": {"$ref": "#/$defs/tree"}}, root={"$ref": "#"})
    assert lint(an_object(a={"$ref": "#/$defs/tree"}) | {"$defs": {"tree": tree}}) == []


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "integer", "default": 3}, "'default'"),
        ({"oneOf": [STRING]}, "'oneOf'"),
        ({"allOf": [STRING]}, "'allOf'"),
        ({"type": "string", "not": {"enum": ["a"]}}, "'not'"),
        ({"type": "array", "items": STRING, "uniqueItems": True}, "'uniqueItems'"),
        ({"type": "array", "prefixItems": [STRING], "items": STRING}, "'prefixItems'"),
        ({"type": "string", "if": {}, "then": {}, "else": {}}, "'if'"),
        (an_object(b=STRING) | {"dependentRequired": {}}, "'dependentRequired'"),
        (an_object(b=STRING) | {"dependentSchemas": {}}, "'dependentSchemas'"),
        (an_object(b=STRING) | {"patternProperties": {}}, "'patternProperties'"),
        ({"anyOf": [STRING], "discriminator": {}}, "'discriminator'"),
        ({"type": "string", "maxLength": 5}, "'maxLength'"),
        ({}, "untyped"),
        ({"enum": ["a", 1]}, "untyped"),
        ({"type": "text"}, "unknown type"),
        ({"type": "string", "enum": []}, "an enum needs values"),
        (True, "a schema must be an object"),
        ({"type": "array"}, "an array needs 'items'"),
        ({"type": "array", "items": {}}, "untyped"),
        ({"anyOf": [{}]}, "untyped"),
        ({"type": "object", "additionalProperties": False, "required": []}, "an object needs 'properties'"),
        ({"type": "object", "properties": {}, "required": []}, "'additionalProperties' must be false"),
        (an_object(b=STRING) | {"additionalProperties": True}, "'additionalProperties' must be false"),
        (an_object(b=STRING) | {"additionalProperties": STRING}, "'additionalProperties' must be false"),
        (an_object(["b"], b=STRING, c=STRING), "property 'c' must be required"),
        (an_object(["b", "c"], b=STRING), "not among the properties"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"$ref": "https://example.org/schema"}, "leads nowhere"),
        ({"$ref": "#", "description": "with a sibling"}, "stands alone"),
    ],
)
def test_a_violation_is_found_at_its_place(part, said):
    assert any(line.startswith("$.properties.a") and said in line for line in lint(an_object(a=part)))
    inner = {"type": "array", "items": an_object(deep=part)}
    assert any(line.startswith("$.properties.x.items.properties.deep") for line in lint(an_object(x=inner)))


def test_a_violation_in_a_definition_is_found():
    schema = an_object(a={"$ref": "#/$defs/b"}) | {"$defs": {"b": {"type": "integer", "default": 1}}}
    assert lint(schema) == ["$.$defs.b: 'default' is not permitted"]


@pytest.mark.parametrize("root", [{"anyOf": [an_object(a=STRING)]}, {"type": "array", "items": STRING}, STRING, {}])
def test_the_root_is_an_object(root):
    assert any("the root must be an object" in line for line in lint(root))


@pytest.mark.parametrize(
    ("most", "schema", "what"),
    [
        (MOST_LEVELS, nested, "levels"),
        (MOST_PROPERTIES, lambda n: an_object(**{f"p{i}": STRING for i in range(n)}), "properties"),
        (MOST_ENUM_VALUES, lambda n: an_object(a={"type": "integer", "enum": list(range(n))}), "enum values"),
        (
            MOST_CHARACTERS,
            lambda n: an_object(**{"p" * (n - 10): {"type": "string", "enum": ["v" * 10]}}),
            "characters",
        ),
    ],
)
def test_the_limits_hold_to_the_unit(most, schema, what):
    assert lint(schema(most)) == []
    assert [what in line for line in lint(schema(most + 1))] == [True]


def test_levels_are_counted_through_references_and_lists():
    schema = an_object(a={"$ref": "#/$defs/b"}) | {"$defs": {"b": nested(MOST_LEVELS)}}
    assert lint(schema) == [f"$: more than {MOST_LEVELS} levels"]
    listed = an_object(a={"type": "array", "items": nested(MOST_LEVELS - 1)})
    assert lint(listed) == [f"$: more than {MOST_LEVELS} levels"]


def test_linting_changes_nothing():
    schema = answer_schema(seed())
    before = copy.deepcopy(schema)
    lint(schema)
    assert schema == before


KEYWORDS = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "anyOf", "$ref", "$defs", "const", "default"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "array", "string", "#", "#/$defs/a", "a"])
)
SCHEMAS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.just("a"), inner, max_size=5)
)


@settings(deadline=None)
@given(SCHEMAS)
def test_any_json_is_judged_without_an_error(schema):
    assert all(isinstance(line, str) for line in lint(schema))
