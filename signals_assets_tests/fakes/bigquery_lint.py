"""Words of BigQuery's SQL that the local server cannot be trusted with: BigQuery answers something else for them.

Put here: the list, and finding them in a statement. Not here: the server, which asks this of every statement.

Translated to DuckDB's SQL by sqlglot they fail or answer something else (a timestamp for a date, counting from 1,
another first day of the week, a lost zone, the pattern itself, other estimates).
"""

from functools import cache
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

BANNED_FUNCTIONS = frozenset(
    {"DATE_ADD", "DATE_SUB", "DATETIME_ADD", "DATETIME_SUB", "TIMESTAMP_ADD", "TIMESTAMP_SUB", "PARSE_TIMESTAMP",
     "PARSE_DATE", "PARSE_DATETIME", "FORMAT", "FORMAT_DATE", "FORMAT_TIMESTAMP", "APPROX_COUNT_DISTINCT",
     "APPROX_QUANTILES", "APPROX_TOP_COUNT", "APPROX_TOP_SUM", "FARM_FINGERPRINT", "GENERATE_UUID", "RAND",
     "SAFE_OFFSET", "SAFE_ORDINAL"}
)  # fmt: skip
BANNED_PAIRS = frozenset({("WITH", "OFFSET")})
BANNED_PARTS = frozenset({"DAYOFWEEK", "DAYOFYEAR", "WEEK", "ISOWEEK"})


@cache
def banned(sql: str) -> tuple[str, ...]:
    """What a statement holds that is not to be used, sorted; none in plain SQL. Texts and quoted names are no words."""
    tokens = [one for one in sqlglot.tokenize(sql, read="bigquery") if one.token_type is not TokenType.STRING]
    words = [one.text.upper() if one.token_type is not TokenType.IDENTIFIER else "" for one in tokens]
    called = {word for word, after in pairwise([*words, ""]) if word in BANNED_FUNCTIONS and after == "("}
    pairs = {" ".join(pair) for pair in pairwise(words) if pair in BANNED_PAIRS}
    extracted = {word for before, word in pairwise(words) if before == "(" and word in BANNED_PARTS}
    return tuple(sorted(called | pairs | extracted | _limited(sql, words)))


def _limited(sql: str, words: list[str]) -> set[str]:
    if "ARRAY_AGG" not in words:
        return set()
    lists = sqlglot.parse_one(sql, read="bigquery").find_all(exp.ArrayAgg)
    return {"ARRAY_AGG with LIMIT"} if any(one.find(exp.Limit) for one in lists) else set()
