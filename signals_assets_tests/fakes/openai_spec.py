"""What the public specification allows: requests, answers, and schemas for strict structured output.

Put here: validators made from the OpenAPI document and the server's own check of the strict subset. Not here: what the
server does (see `openai_server.py`). The document lies beside a checkout and is not part of the project; without it
the server checks by hand what it must know and answers all the same.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_LONG_TEXT = ("content", "text", "input", "instructions")
_REFUSED = {"allOf", "not", "if", "then", "else", "oneOf", "dependentRequired", "dependentSchemas", "default"} | {
    "patternProperties", "prefixItems", "uniqueItems", "contains", "propertyNames", "unevaluatedProperties",
    "discriminator",
}  # fmt: skip
_LEVELS, _PROPERTIES, _ENUM_VALUES, _NAME_CHARACTERS = 10, 5_000, 1_000, 120_000


class Spec:
    """Validators for every operation, made when first needed. `present` is False where the document is absent."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self._document = document
        self._verdicts: dict[tuple[str, bytes], str | None] = {}
        self.present = document is not None

    @classmethod
    def beside(cls) -> "Spec":
        """The document beside this checkout, or wherever SIGNALS_SPECS points to."""
        folder = Path(os.environ.get("SIGNALS_SPECS", Path(__file__).resolve().parents[3] / "shared" / "specs"))
        return _loaded(folder / "openai-trimmed.openapi.json")

    def request(self, operation: str, body: Any) -> str | None:
        """What is wrong with a request's body ("POST /responses"), or None.

        Judged once per shape: long texts say nothing about validity, so the bodies of a batch share one verdict.
        """
        return None  # replaced below


@cache
def _loaded(path: Path) -> Spec:
    return Spec(orjson.loads(path.read_bytes()) if path.is_file() else None)


def lint(schema: Any) -> str | None:
    """The first violation of the strict subset in a schema, or None."""
    return None
