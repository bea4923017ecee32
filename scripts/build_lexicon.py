# ruff: noqa: INP001
"""Build signals_assets/core/barrier/lexicon.txt: general English words, written by permissively licensed projects.

    python scripts/build_lexicon.py [--docs "NAME VERSION LICENCE=FOLDER" ...] [--check]

Put here: which sources are read, their licences, and the rule by which a word qualifies.
Not here: the words added by hand (see `words.txt` beside the lexicon) or what the lexicon is used for
(see `core/barrier/rules.py`).

A word qualifies when
  - it is prose: a run of letters between blanks or sentence punctuation, in a documentation file, docstring or comment;
  - at least three independent sources write it in lower case, and at least 80 % of its occurrences in mid-sentence are
    lower case (so names and products do not qualify);
  - it is three letters or longer, has a vowel, and occurs often enough (`LEAST_TOTAL`) not to be a slip;
  - or it is a regular inflection of such a word and one source at least writes it;
  - and it is not a given name or surname (`names.txt`).
Only the list of words leaves the sources: no sentence, no count, no order of theirs; the list itself has the licence of
this project. Sources are the installed Python distributions below and documentation folders given with --docs (those of
nodejs, MIT, and cmake, BSD-3-Clause, were used). `lexicon_sources.txt` beside the lexicon records name, version and
licence of each source of the last build. Nobody else's list of words is read: frequency lists are mostly share-alike.
"""

import argparse
import ast
import io
import re
import sys
import sysconfig
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

BARRIER = Path(__file__).resolve().parents[1] / "signals_assets" / "core" / "barrier"

DISTRIBUTIONS: dict[str, str] = {
    "numpy": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "scikit-learn": "BSD-3-Clause",
    "scikit-network": "BSD-3-Clause",
    "hdbscan": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "matplotlib": "Matplotlib licence (PSF style)",
    "fonttools": "MIT",
    "pillow": "MIT-CMU",
    "sympy": "BSD-3-Clause",
    "networkx": "BSD-3-Clause",
    "torch": "BSD-3-Clause",
    "transformers": "Apache-2.0",
    "sentence-transformers": "Apache-2.0",
    "huggingface_hub": "Apache-2.0",
    "pyarrow": "Apache-2.0",
    "duckdb": "MIT",
    "narwhals": "MIT",
    "sqlalchemy": "MIT",
    "alembic": "MIT",
    "dagster": "Apache-2.0",
    "pydantic": "MIT",
    "pydantic-settings": "MIT",
    "jsonschema": "MIT",
    "gql": "MIT",
    "graphql-core": "MIT",
    "gitpython": "BSD-3-Clause",
    "github3.py": "BSD-3-Clause",
    "cryptography": "Apache-2.0 or BSD-3-Clause",
    "requests": "Apache-2.0",
    "urllib3": "MIT",
    "httpx": "BSD-3-Clause",
    "anyio": "MIT",
    "starlette": "BSD-3-Clause",
    "uvicorn": "BSD-3-Clause",
    "websockets": "BSD-3-Clause",
    "multidict": "Apache-2.0",
    "yarl": "Apache-2.0",
    "grpcio": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "mako": "MIT",
    "markdown": "BSD-3-Clause",
    "markdown-it-py": "MIT",
    "pygments": "BSD-2-Clause",
    "click": "BSD-3-Clause",
    "typer": "MIT",
    "rich": "MIT",
    "prompt_toolkit": "BSD-3-Clause",
    "questionary": "MIT",
    "structlog": "MIT or Apache-2.0",
    "pytest": "MIT",
    "pytest-xdist": "MIT",
    "coverage": "Apache-2.0",
    "syrupy": "Apache-2.0",
    "mypy": "MIT",
    "setuptools": "MIT",
    "pip": "MIT",
    "packaging": "Apache-2.0 or BSD-2-Clause",
    "attrs": "MIT",
    "joblib": "BSD-3-Clause",
    "cloudpickle": "BSD-3-Clause",
    "fsspec": "BSD-3-Clause",
    "watchdog": "Apache-2.0",
    "tomlkit": "MIT",
    "ruff": "MIT",
}
"""Distribution and licence; each is one independent source. Those that are not installed are skipped and named."""

STDLIB_PARTS = (
    "email",
    "http",
    "json",
    "logging",
    "asyncio",
    "unittest",
    "idlelib",
    "pydoc_data",
    "distutils",
    "tkinter",
)
"""The standard library (PSF-2.0) counts as one source; its test folders are left out."""

TEXT_SUFFIXES = {".md", ".rst", ".txt", ".html", ".pyi", ".py"}
SKIPPED_FOLDERS = {"test", "tests", "site-packages", "__pycache__", "license_files", "licenses"}
SKIPPED_NAMES = re.compile(r"(?i)licen[cs]e|copying|authors|notice|top_level|entry_points|sources\.txt|requires")
HAND_WRITTEN = ("words.txt", "core.txt", "function_words.txt")
LEAST_SOURCES = 3
LEAST_LOWER_SHARE = 0.8
LEAST_TOTAL = 8
LARGEST_FILE = 4_000_000

WORD = re.compile(r"(?<![^\s(\"'])([A-Za-z]{2,24})(?=[\s,;:)\"'!?]|[.](?:\s|$)|$)")
SENTENCE_END = re.compile(r"(?:[.:!?]\s*|^\s*|[-*>#]\s*)$")


def prose_of(path: Path) -> Iterator[str]:
    """The prose of one file: everything in a text file, docstrings and comments of a module."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if path.suffix == ".html":
        yield re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(script|style|pre|code)\b.*?</\1>", " ", text))
    elif path.suffix in {".py", ".pyi"}:
        yield from _docstrings(text)
        yield from _comments(text)
    else:
        yield re.sub(r"(?s)```.*?```|`[^`\n]*`", " ", text)


def _docstrings(text: str) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield re.sub(r"`[^`\n]*`|^\s*(>>>|\.\.\.).*$", " ", node.value.value, flags=re.MULTILINE)


def _comments(text: str) -> Iterator[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string.lstrip("#! ")
    except (tokenize.TokenError, SyntaxError):
        return


def files_of(root: Path) -> Iterator[Path]:
    """Text and Python files below a folder, in sorted order, without tests and licences."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if (
            path.suffix in TEXT_SUFFIXES
            and not SKIPPED_FOLDERS.intersection(parts)
            and not SKIPPED_NAMES.search(path.name)
        ):
            yield path


def distribution_files(name: str) -> Iterator[Path]:
    """The files of an installed distribution, its description among them."""
    for file in sorted(metadata.distribution(name).files or [], key=str):
        path = Path(str(file.locate()))
        wanted = path.suffix in TEXT_SUFFIXES or path.name == "METADATA"
        if wanted and not SKIPPED_FOLDERS.intersection(file.parts) and not SKIPPED_NAMES.search(path.name):
            yield path


def stdlib_files() -> Iterator[Path]:
    """The modules of the running standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    yield from sorted(root.glob("*.py"))
    for part in STDLIB_PARTS:
        if (root / part).is_dir():
            yield from files_of(root / part)


def count(paths: Iterator[Path]) -> tuple[Counter[str], Counter[str]]:
    """Lower-case occurrences and mid-sentence capitalised occurrences of each word in one source."""
    lower: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for path in paths:
        if path.stat().st_size > LARGEST_FILE:
            continue
        for prose in prose_of(path):
            for match in WORD.finditer(prose):
                word = match.group(1)
                if word.islower():
                    lower[word] += 1
                elif not SENTENCE_END.search(prose, max(0, match.start() - 8), match.start()):
                    capital[word.lower()] += 1
    return lower, capital


def sources(folders: dict[str, Path]) -> Iterator[tuple[str, Iterator[Path]]]:
    """Every independent source with its files."""
    yield "python", stdlib_files()
    for name in DISTRIBUTIONS:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            sys.stderr.write(f"not installed, skipped: {name}\n")
            continue
        yield name, distribution_files(name)
    for name, folder in folders.items():
        yield name, files_of(folder)


def version_of(name: str) -> str:
    """The version of a source: of the running Python, or of the installed distribution."""
    return sys.version.split()[0] if name == "python" else metadata.version(name)


def inflections(word: str) -> Iterator[str]:
    """Regular inflections and derivations of a word (a superset: only those that a source writes are kept)."""
    stem = word[:-1] if word.endswith("e") else word
    yield from (
        word + "s",
        word + "es",
        word + "ed",
        word + "ing",
        word + "er",
        word + "ly",
        word + "ness",
        word + "able",
    )
    yield from (
        stem + "ed",
        stem + "ing",
        stem + "er",
        stem + "able",
        stem + "ation",
        stem + "ions",
        "un" + word,
        "re" + word,
    )
    yield from (word + word[-1] + "ed", word + word[-1] + "ing", word + "ment", word + "ments")
    if word.endswith("y"):
        yield from (word[:-1] + "ies", word[:-1] + "ied", word[:-1] + "ier", word[:-1] + "ily")


def words_of(path: Path) -> set[str]:
    """The words of a data file: one or more per line, # starts a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word for line in lines for word in line.partition("#")[0].split()}


def build(folders: dict[str, Path]) -> tuple[list[str], list[str]]:
    """The words that qualify, sorted, and the names of the sources that were read."""
    lower: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    written_by: defaultdict[str, set[str]] = defaultdict(set)
    read: list[str] = []
    for name, paths in sources(folders):
        low, high = count(paths)
        lower += low
        capital += high
        for word in low:
            written_by[word].add(name)
        read.append(name)

    def prose(word: str) -> bool:
        shape = len(word) >= 3 and any(vowel in word for vowel in "aeiouy") and not re.search(r"(.)\1\1", word)
        return shape and lower[word] / (lower[word] + capital[word]) >= LEAST_LOWER_SHARE

    names = words_of(BARRIER / "names.txt")
    base = {
        word
        for word, by in written_by.items()
        if len(by) >= LEAST_SOURCES and lower[word] >= LEAST_TOTAL and prose(word) and word not in names
    }
    hand = set().union(*(words_of(BARRIER / name) for name in HAND_WRITTEN))
    inflected = {form for word in base | hand for form in inflections(word) if form in written_by and prose(form)}
    return sorted((base | inflected) - names - hand), read


def main() -> int:
    """Write the lexicon, or with --check say whether the committed one is what the sources give."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", action="append", default=[], metavar="NAME=FOLDER", help="a documentation folder")
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    arguments = parser.parse_args()
    given = {item.partition("=")[0]: Path(item.partition("=")[2]) for item in arguments.docs}
    described = {text.split(maxsplit=2)[0]: text.split(maxsplit=2) for text in given}
    if any(len(parts) != 3 for parts in described.values()):
        parser.error('--docs needs "NAME VERSION LICENCE=FOLDER"')
    words, read = build({text.split()[0]: folder for text, folder in given.items()})
    recorded = [
        described.get(name) or [name, version_of(name), {"python": "PSF-2.0", **DISTRIBUTIONS}[name]] for name in read
    ]
    files = {
        "lexicon.txt": [
            "# General English words for the abstraction barrier, built by scripts/build_lexicon.py (the rule is",
            "# there): do not edit, add words to words.txt. Sources, versions and licences: lexicon_sources.txt.",
            f"# Version 2. Words: {len(words)}. Sources: {len(read)}. Licence: this project's (LICENSE).",
            *words,
        ],
        "lexicon_sources.txt": [
            "# What lexicon.txt was derived from: name | version | licence. Written by scripts/build_lexicon.py.",
            *(" | ".join(parts) for parts in recorded),
        ],
    }
    texts = {BARRIER / name: "\n".join(lines) + "\n" for name, lines in files.items()}
    if arguments.check:
        same = all(path.exists() and path.read_text(encoding="utf-8") == text for path, text in texts.items())
        sys.stdout.write("same\n" if same else "differs\n")
        return 0 if same else 1
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(words)} words from {len(read)} sources\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
