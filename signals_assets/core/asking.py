"""Stage 3 · asking. The bodies of requests to a language model about sessions, and what its answers say.

Put here: bodies for both endpoints, the schemas of answers, the delimiter.
Not here: what is sent of a session (see `core/condensing.py`), reading an answer (see `core/answering.py`), transport
(see `resources/batches.py`), the wording of the prompts (see `prompts/*.md`), what may be kept (see `core/barrier`).

A body begins with what all requests of a day share, byte for byte (instructions with the taxonomy, the schema), and
ends with the session: providers charge less for a prefix they have seen. The session is data: it stands between two
lines of a delimiter that its author cannot guess, and the delimiter's value is in no shared part.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import orjson

from signals_assets.core.analysis import Answer
from signals_assets.core.answering import Reading, merged, read_answer, read_revision
from signals_assets.core.strict_schema import lint
from signals_assets.core.taxonomy import Taxonomy, TaxonomyType
from signals_assets.prompts import Prompt

if TYPE_CHECKING:
    from signals_assets.core.condensing import Part

__all__ = [
    "Endpoint",
    "Reading",
    "answer_schema",
    "delimiter",
    "instructions",
    "lint",
    "merged",
    "question_body",
    "read_answer",
    "read_revision",
    "revision_body",
    "revision_schema",
    "session_body",
    "shown_steps",
]

Endpoint = Literal["/v1/responses", "/v1/chat/completions"]

ANSWER_NAME: Final = "session_report"
REVISION_NAME: Final = "revised_texts"
EFFORT: Final = "low"
"""Reasoning effort: the task is reading and naming; every model that reasons and takes an effort takes this one."""
SEVERITIES: Final = ("low", "medium", "high")
OUTCOMES: Final[tuple[str, ...]] = get_args(Answer.model_fields["outcome"].annotation)

_OPENAI: Final = re.compile(r"(?:ft:)?(?:gpt-\d|o\d|chatgpt-)")
"""Names of OpenAI's own models ("gpt-oss" is not one: others serve it)."""
_REASONS: Final = re.compile(r"(?:gpt-[5-9]|o[34])(?![\w.-]*(?:chat|pro|search|preview))")
"""Those of them that take the effort above: chat models take none, the largest only higher ones."""
_HEADER: Final = re.compile(r"^\[(\d+)\] (?:user|agent|call|result|event)\b", re.MULTILINE)
"""How a step begins in a part's text; everything a session's author wrote is indented there."""


def delimiter(request_id: str, secret: bytes) -> str:
    """The line before and after a session: the same for the same request, not to be guessed without the secret."""
    return f"===={hmac.new(secret, f'delimiter {request_id}'.encode(), hashlib.sha256).hexdigest()[:32]}"


def shown_steps(part: "Part") -> frozenset[int]:
    """Indices of the steps that a part shows something of: what an answer about it may name as evidence.

    Not those that are only counted in a line of omitted ones.
    """
    return frozenset(int(number) for number in _HEADER.findall(part.text))


def instructions(prompt: Prompt, taxonomy: Taxonomy) -> str:
    """The prompt with the taxonomy's types: what all requests of one prompt and taxonomy version begin with."""
    return prompt.render(
        friction=_types(taxonomy.of_kind("friction")),
        delight=_types(taxonomy.of_kind("delight")),
    )


def session_body(
    part: "Part",
    *,
    prompt: Prompt,
    taxonomy: Taxonomy,
    model: str,
    endpoint: Endpoint,
    delimiter: str,
    max_output_tokens: int,
    service_tier: str | None = None,
) -> dict[str, Any]:
    """The request about (a part of) one session.

    Raises ValueError, without content, when the delimiter stands in the session or is no line, and PromptError when
    the prompt does not take the taxonomy (`analyze_session` from version 2 on does).
    """
    if not delimiter or len(delimiter.split()) != 1 or delimiter in part.text:
        raise ValueError("the delimiter must be one word that the session does not hold; derive it with `delimiter`")
    body = _body(
        model,
        endpoint,
        instructions=instructions(prompt, taxonomy),
        message=_message(part, delimiter),
        name=ANSWER_NAME,
        schema=answer_schema(taxonomy),
        cache_key=f"{prompt.id}-t{taxonomy.version}",
        max_output_tokens=max_output_tokens,
    )
    return body if service_tier is None else body | {"service_tier": service_tier}


def revision_body(
    fields: Sequence[tuple[str, str]],
    *,
    prompt: Prompt,
    model: str,
    endpoint: Endpoint,
    max_output_tokens: int,
) -> dict[str, Any]:
    """The request to write refused texts in other words.

    fields: the refused text and the code of the rule that refused it; nothing of the session and no reason beyond the
    code, so a model cannot learn from the barrier what it holds against it. The answer has as many texts, in order.
    """
    return _body(
        model,
        endpoint,
        instructions=prompt.render(),
        message=orjson.dumps([{"rule": rule, "text": text} for text, rule in fields]).decode(),
        name=REVISION_NAME,
        schema=revision_schema(),
        cache_key=prompt.id,
        max_output_tokens=max_output_tokens,
    )


def question_body(question: str, *, model: str, endpoint: Endpoint, max_output_tokens: int) -> dict[str, Any]:
    """One free question, answered in words; `question` holds admitted text only."""
    return _body(
        model,
        endpoint,
        instructions="Answer in one short line, without quotation marks and without an explanation.",
        message=question,
        cache_key="question",
        max_output_tokens=max_output_tokens,
    )


def answer_schema(taxonomy: Taxonomy) -> dict[str, Any]:
    """The schema of an answer in the strict subset. Raises ValueError when a taxonomy is too large for it.

    It is not the storage model's (`core.analysis.Answer`): types are the taxonomy's, delight has no severity, and the
    moments stand first, so that a model writes its summary after it named the evidence. Bounds are not in it, since
    not every server takes them; they are judged when the answer is read.
    """
    moments = {"citation": _STRING, "confidence": {"type": "number"}}
    friction = {"type": _enum(_slugs(taxonomy, "friction")), "severity": _enum(SEVERITIES)}
    delight = {"type": _enum(_slugs(taxonomy, "delight"))}
    steps = {"steps": _list_of({"type": "integer"})}
    schema = _object(
        {
            "friction": _list_of(_object(steps | friction | moments)),
            "delight": _list_of(_object(steps | delight | moments)),
            "unmet_needs": _list_of(_STRING),
            "primary_intent": _intent(taxonomy),
            "programming_languages": _list_of(_STRING),
            "frameworks": _list_of(_STRING),
            "tool_call_confirmations": {"type": "integer"},
            "specification_drift": {"type": "boolean"},
            "outcome": _enum(OUTCOMES),
            "summary": _STRING,
        }
    )
    violations = lint(schema)
    if violations:
        raise ValueError(f"taxonomy version {taxonomy.version} makes no strict schema: {violations[0]}; retire types")
    return schema


def revision_schema() -> dict[str, Any]:
    """The schema of revised texts in the strict subset."""
    return _object({"texts": _list_of(_STRING)})


_STRING: Final[Mapping[str, str]] = {"type": "string"}


def _intent(taxonomy: Taxonomy) -> dict[str, str]:
    """A string; where a person accepted intents, with their names: an answer in these words counts as that intent.

    The names stand in the schema, which every model gets, and not in the prompt, which is locked.
    """
    names = sorted(item.name.lower() for item in taxonomy.of_kind("intent"))
    if not names:
        return dict(_STRING)
    return {"type": "string", "description": f"Where one of these fits, exactly its words: {'; '.join(names)}."}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


def _enum(values: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _slugs(taxonomy: Taxonomy, kind: str) -> tuple[str, ...]:
    """The kind's types; "other" where all are retired, since an enum needs a value."""
    return taxonomy.slugs(kind) or ("other",)


def _types(types: Sequence[TaxonomyType]) -> str:
    """The types as lines of the prompt."""
    return "\n".join(
        f"- {item.slug}: {_sentence(item.definition)}{f' Not: {_sentence(item.is_not)}' if item.is_not else ''}"
        for item in types
    )


def _sentence(text: str) -> str:
    return f"{' '.join(text.split()).rstrip('.')}."


def _message(part: "Part", delimiter: str) -> str:
    place = f"part {part.number} of {part.parts}"
    return f"Record, {place}. Its delimiter is {delimiter}\n{delimiter}\n{part.text}\n{delimiter}\nEnd of the record."


def _body(
    model: str,
    endpoint: Endpoint,
    *,
    instructions: str,
    message: str,
    cache_key: str,
    max_output_tokens: int,
    name: str = "",
    schema: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One request for either endpoint. Other servers get nothing but what they need: some refuse what they do not know.

    `store` is false everywhere: the provider keeps no answer for later retrieval.
    """
    bare = model.rpartition("/")[2]
    reasons = _REASONS.match(bare) is not None
    form = {"name": name, "strict": True, "schema": schema}
    shared = {"store": False, "prompt_cache_key": cache_key}
    if endpoint == "/v1/responses":
        return {
            "model": model,
            "instructions": instructions,
            "input": [{"role": "user", "content": message}],
            **({"text": {"format": {"type": "json_schema", **form}}} if schema else {}),
            "max_output_tokens": max_output_tokens,
            **({"reasoning": {"effort": EFFORT}} if reasons else {}),
            **shared,
        }
    ours = _OPENAI.match(bare) is not None
    return {
        "model": model,
        "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": message}],
        **({"response_format": {"type": "json_schema", "json_schema": form}} if schema else {}),
        "max_completion_tokens" if ours else "max_tokens": max_output_tokens,
        **({"reasoning_effort": EFFORT} if reasons else {}),
        **(shared if ours else {}),
    }
