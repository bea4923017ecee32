"""Stage 3 · analysis. A session in as many tokens as one may pay for: reduced by structure, nothing cut silently.

Put here: the plan of what is cut first, the rendered text, its parts, and the session as the text's reader knows it.
Not here: how one text is cut (see `shortening.py`), what is asked about it (see `core/asking.py`).

A text is a row of blocks. Each begins with the number of its step and its kind; below it stand, indented, the step's
words, and not indented what is said about them:

    [12] user
      please fix the build
    [13] call Bash {"command":"make"}
    [14] result error Bash:
      make: *** no rule
    ... 120 lines omitted ...
    [15-40] omitted: 12 calls of Read ok, 1 agent message

The user's words are never cut. Everything else is reduced in the order of `CUTS`, within one cut from the session's
beginning, until the budget holds.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from signals_assets.core.detectors.context import OPEN_CALLS, Call, read_call
from signals_assets.core.detectors.failures import failure, stopped
from signals_assets.core.sessions import Feedback, Session, Step
from signals_assets.core.shortening import (
    WHOLE,
    arguments,
    indented,
    lines_only,
    output,
    weight,
    words,
)

LEAST_WINDOW: Final = 400
ROOM_BESIDE: Final = 160
"""Tokens of a part for headers and lines of folded steps beside a piece of the user's words."""
MOST_PER_CHARACTER: Final = 1.8
"""No text has more tokens per character, indentation included."""
BESIDE: Final = 0.25
"""Share of the budget that is left to everything else where the user's words alone take more than the budget."""
FOLD: Final = -1
"""The step is named in a line with its neighbours only."""
CHARACTERS_BACK: Final = 2.5
"""Characters that a token left over buys, on the safe side."""
REPEATED: Final = 3
"""Calls with the same name and argument from which on a reader must see that they repeat."""
SAME: Final = 160
"""Characters from which on an output that was shown before is named by its step."""
LEAST_PER_CHARACTER: Final = 0.2
"""No text of a session has fewer tokens per character: below this a cut is needed beyond doubt."""
BY_USER: Final = "... called by the user ..."
UNKNOWN: Final = "unknown"

CUTS: Final[tuple[tuple[str, int], ...]] = (
    ("material", 2000), ("call", 1200), ("output", 2000), ("material", 500), ("talk", 1500), ("output", 800),
    ("call", 400), ("failure", 2500), ("repeat", 400), ("material", 0), ("talk", 500), ("claim", 3000), ("stop", 1000),
    ("output", 300), ("call", 160), ("failure", 1200), ("talk", 200), ("output", 0), ("claim", 1200), ("repeat", 80),
    ("call", FOLD), ("failing call", 160), ("failure", 500), ("material", FOLD), ("output", FOLD), ("claim", 500),
    ("talk", FOLD), ("stop", 300), ("failure", 240), ("claim", 240), ("failing call", 80), ("stop", 80),
    ("failure", 120), ("repeat", FOLD), ("failing call", FOLD), ("claim", 120), ("stop", 0), ("failure", 0),
    ("claim", FOLD), ("failure", FOLD),
)  # fmt: skip
"""What is cut, to how many characters, in this order. What can be had again or guessed goes first: what tools printed
without failing. What a judge needs goes last: failures, stopped calls, the agent's words at the end of its turns."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is sent about one session in one request, and how much of the session that is.

    `steps_seen` counts steps of which something is shown (text, or a name and a status), `steps_whole` those without
    any cut, both in this part; the totals are of the whole session. Characters are of texts and arguments.
    """

    text: str
    number: int
    parts: int
    steps_seen: int
    steps_total: int
    steps_whole: int
    characters: int
    characters_total: int
    tokens: int


def estimate(text: str) -> int:
    """Estimated tokens of a text: by kinds of characters, rounded up; see `shortening.weight`."""
    return -int(-weight(text) // 1)


def condense(session: Session, *, tokens: int, window: int) -> list[Part]:
    """The session in at most `tokens` tokens, in parts of at most `window`: one part wherever it fits.

    User's words are never dropped: where they alone take more than `tokens` the budget is exceeded, where they take
    more than `window` the session is split at turns of the user, and a message that is longer within itself.
    """
    if window < LEAST_WINDOW:
        raise ValueError(f"a request must hold at least {LEAST_WINDOW} tokens; raise `window`")
    plan = _Plan(_items(session), tokens)
    plans = [plan] if plan.total <= window else _split(session, tokens, window)
    total = sum(item.size for item in plan.items)
    return [_part(plan, number, len(plans), len(session.steps), total) for number, plan in enumerate(plans, start=1)]


def _part(plan: "_Plan", number: int, parts: int, steps: int, characters: int) -> Part:
    shown = [item for item in plan.items if not item.folded]
    told = [item.twin if item.twin is not None and item.room > 0 else item for item in shown]
    cut = {item.index for item, source in zip(shown, told, strict=True) if not source.whole}
    text = plan.text()
    return Part(
        text=text,
        number=number,
        parts=parts,
        steps_seen=len({item.index for item in shown}),
        steps_total=steps,
        steps_whole=len({item.index for item in shown} - cut),
        characters=sum(source.shown for source in told),
        characters_total=characters,
        tokens=estimate(text),
    )


# --- a session that one request does not hold


def _split(session: Session, tokens: int, window: int) -> "list[_Plan]":
    """Plans of consecutive turns, as many in each as fit. A part's budget is what the plan of all gave to its turns."""
    plan = _Plan(_pieces(_items(session), window), tokens)
    items = _pieces(_items(session), window)
    groups: list[tuple[list[_Item], float]] = []
    for start, stop, cost in plan.turns():
        cost = min(cost, window)
        before, spent = groups[-1] if groups else ([], math.inf)
        if spent + cost > window:
            groups.append((items[start:stop], cost))
        else:
            groups[-1] = (before + items[start:stop], spent + cost)
    return [_Plan(part, math.ceil(budget)) for part, budget in groups]


def _pieces(items: "Iterable[_Item]", window: int) -> "list[_Item]":
    """The items, words of the user that no request holds in pieces that one does, each a turn of its own."""
    found: list[_Item] = []
    for item in items:
        if item.kind != "user" or item.size * MOST_PER_CHARACTER < window or weight(item.text) < window - ROOM_BESIDE:
            found.append(item)
            continue
        length = int((window - ROOM_BESIDE) / MOST_PER_CHARACTER)
        starts = range(0, len(item.text), length)
        for number, start in enumerate(starts, start=1):
            text = item.text[start : start + length]
            found.append(_Item(item.index, "user", f"{item.header} {number} of {len(starts)}", text, size=len(text)))
    return found


# --- what a session consists of


@dataclass(slots=True, eq=False)
class _Item:
    """One step: what it is for the plan, and how it is shown at the moment."""

    index: int
    kind: str
    """Its place in `CUTS`; "user" is in none."""
    header: str
    text: str
    values: Any = None
    """Arguments of a call."""
    kept: bool = False
    """It is never folded, since words of the user belong to it."""
    named: str = ""
    """What it is called in a line of folded steps."""
    result: "_Item | None" = None
    twin: "_Item | None" = None
    """An earlier step with the same text."""
    followers: list["_Item"] = field(default_factory=list)
    size: int = 0
    room: int = WHOLE
    block: str = ""
    cost: float = 0.0
    shown: int = 0
    whole: bool = True
    folded: bool = False

    def render(self) -> float:
        """Show the step in its room; returns the change in tokens."""
        before = self.cost
        if self.values is not None:
            body, self.whole = arguments(self.values, self.room)
            self.shown, body = min(len(body), self.size), f" {body}{self.text}"
        elif self.twin is not None and self.room > 0:
            body, self.shown, self.whole = f" same as [{self.twin.index}]", self.twin.shown, self.twin.whole
        else:
            body, self.shown = (words if self.kind in WORDS else output)(self.text, self.room)
            self.whole = self.shown == len(self.text)
        self.block = f"{self.header}{body}\n"
        self.cost = weight(self.block)
        return self.cost - before


WORDS: Final = frozenset({"user", "talk", "claim"})
OUTPUTS: Final = frozenset({"output", "material", "failure"})


def _items(session: Session) -> list[_Item]:
    """The session's steps as the plan sees them, all shown whole but not rendered yet."""
    maker = _Maker(session)
    return [item for index, step in enumerate(session.steps) for item in maker.items(index, step)]


class _Maker:
    """Makes items in order; knows the open calls and the outputs seen."""

    def __init__(self, session: Session) -> None:
        self._steps = session.steps
        self._last_words = _ends_of_turns(session.steps)
        self._open: dict[str, tuple[_Item, Call]] = {}
        self._repeats: defaultdict[str, defaultdict[int, list[_Item]]] = defaultdict(lambda: defaultdict(list))
        self._feedback: defaultdict[int, list[Feedback]] = defaultdict(list)
        for given in session.feedback:
            self._feedback[len(session.steps) - 1 if given.step is None else given.step].append(given)

    def items(self, index: int, step: Step) -> Iterator[_Item]:
        """The items of a step: the step, and what else the user said of it. To be asked for in order."""
        make = _MAKERS.get(step.kind, _Maker._event)
        item = make(self, index, step)
        item.size = item.size or len(item.text)
        comment = step.user_comment
        words = [_Item(index, "user", f"[{index}] user comment", comment)] if comment else []
        words += [
            _Item(index, "user", f"[{index}] user thumb {'up' if given.rating > 0 else 'down'}", given.comment or "")
            for given in self._feedback.get(index, ())
        ]
        item.kept = bool(words)
        yield item
        for said in words:
            said.text = lines_only(said.text)
            said.size = len(said.text)
            yield said

    def _user(self, index: int, step: Step) -> _Item:
        return _Item(index, "user", f"[{index}] user", lines_only(step.text or ""), named="user message")

    def _agent(self, index: int, step: Step) -> _Item:
        kind = "claim" if index in self._last_words else "talk"
        return _Item(index, kind, f"[{index}] agent", lines_only(step.text or ""), named="agent message")

    def _call(self, index: int, step: Step) -> _Item:
        call = read_call(index, step)
        name = _word(step.tool_name)
        values = step.arguments or {}
        by_user = f"\n{BY_USER}" if call.by_user else ""
        item = _Item(index, "call", f"[{index}] call {name}", by_user, values)
        item.named = f"{'user call' if call.by_user else 'call'} of {name}"
        item.size = len(arguments(values, WHOLE)[0])
        if step.text:
            item.text += indented(lines_only(step.text))
        self._open[step.tool_call_id or f"{step.tool_name}#{index}"] = (item, call)
        if len(self._open) > OPEN_CALLS:
            del self._open[next(iter(self._open))]
        self._compare(item, call)
        return item

    def _compare(self, item: _Item, call: Call) -> None:
        """Find calls made before with the same arguments; after an edit of a file reading it again is no repeat."""
        if call.family == "file_edit":
            self._repeats.pop(call.path, None)
        elif call.family != "shell" and not call.by_user:
            same = self._repeats[call.path][call.key]
            same.append(item)
            for repeated in same if len(same) == REPEATED else same[REPEATED - 1 :][-1:]:
                repeated.kind = "repeat"

    def _result(self, index: int, step: Step) -> _Item:
        text = lines_only(step.text or "")
        asked, call = self._answered(step) or (None, None)
        name = _word(step.tool_name or (call.tool_name if call else None))
        item = _Item(index, self._kind(step, text, call), f"[{index}] result {_word(step.status)} {name}:", text)
        item.named = "failed result" if item.kind == "failure" else f"result of {name}"
        if asked is not None:
            asked.result = item
            asked.named += f" {_word(step.status)}"
            item.named = item.named if item.kind == "failure" else ""
            if item.kind in ("failure", "stop") and asked.kind == "call":
                asked.kind = "failing call"
        return item

    def _kind(self, step: Step, text: str, call: Call | None) -> str:
        family, command = (call.family, call.command) if call else ("", "")
        if stopped(step.status, text, family):
            return "stop"
        if failure(step.status, text, family, command):
            return "failure"
        return "material" if family in MATERIAL else "output"

    def _answered(self, step: Step) -> tuple[_Item, Call] | None:
        if step.tool_call_id:
            return self._open.pop(step.tool_call_id, None)
        for key, (item, call) in self._open.items():
            if call.tool_name == step.tool_name:
                del self._open[key]
                return item, call
        return None

    def _event(self, index: int, step: Step) -> _Item:
        name = _word(step.name)
        kind = EVENTS.get(name, "material")
        return _Item(index, kind, f"[{index}] event {name}", lines_only(step.text or ""), named="event of the harness")


_MAKERS: Final = {
    "user_message": _Maker._user,
    "assistant_message": _Maker._agent,
    "tool_call": _Maker._call,
    "tool_result": _Maker._result,
}
MATERIAL: Final = frozenset({"file_read", "search", "web"})
"""Families of tools whose output is material that was there before."""
EVENTS: Final = {
    "interrupt": "stop", "slash_command": "stop", "undo": "stop", "api_error": "failure", "compact_boundary": "stop",
    "compact_summary": "talk",
}  # fmt: skip
"""What events are in `CUTS`; others are material."""
_UNSAFE: Final = re.compile(r"[^\w.:/@$+-]+")


def _word(name: str | None) -> str:
    """A name as one word of a header."""
    return _UNSAFE.sub("_", name[:120]) if name else UNKNOWN


def _ends_of_turns(steps: Sequence[Step]) -> set[int]:
    """The agent's last words before each turn of the user, and at the end."""
    found: set[int] = set()
    last: int | None = None
    for index, step in enumerate(steps):
        if step.kind == "user_message" and last is not None:
            found.add(last)
            last = None
        elif step.kind == "assistant_message" and (step.text or "").strip():
            last = index
    return found | ({last} if last is not None else set())


# --- what is cut


class _Plan:
    """Items reduced until they fit a budget."""

    def __init__(self, items: Sequence[_Item], budget: float) -> None:
        self.items = items
        self.budget = budget
        self._runs = _Runs()
        self._of: defaultdict[str, list[_Item]] = defaultdict(list)
        for item in items:
            self._of[item.kind].append(item)
        _link(items)
        words = sum(weight(item.text) for item in self._of["user"])
        self.budget = budget if words <= budget else words + BESIDE * budget
        cuts = self._beyond_doubt()
        self._cost = sum(item.render() for item in items)
        for kind, room in cuts:
            self._cut(kind, room)
        if self.total > self.budget:
            self._runs.shorten()

    @property
    def total(self) -> float:
        """Estimated tokens of the text."""
        return self._cost + self._runs.cost

    def turns(self) -> Iterator[tuple[int, int, float]]:
        """(first item, item after the last, tokens) from each words of the user to the next."""
        lines = self._runs.lines()
        start, cost = 0, 0.0
        for place, item in enumerate(self.items):
            if item.kind == "user" and place:
                yield start, place, cost
                start, cost = place, 0.0
            cost += weight(lines.get(item.index, "")) if item.folded else item.cost
        yield start, len(self.items), cost

    def text(self) -> str:
        """The rendered steps."""
        return "".join(self._blocks()).rstrip("\n")

    def _blocks(self) -> Iterator[str]:
        lines = self._runs.lines()
        for item in self.items:
            if not item.folded:
                yield item.block
            elif item.index in lines:
                yield lines[item.index]

    def _beyond_doubt(self) -> Sequence[tuple[str, int]]:
        """Give items the room of those cuts that are needed whatever the texts are like; returns the cuts left."""
        least = {kind: sum(item.size for item in items) * LEAST_PER_CHARACTER for kind, items in self._of.items()}
        for done, (kind, room) in enumerate(CUTS):
            if room == FOLD:
                return CUTS[done:]
            after = sum(min(item.size, room) for item in self._of[kind]) * LEAST_PER_CHARACTER
            if sum(least.values()) - least.get(kind, 0.0) + after <= self.budget:
                return CUTS[done:]
            least[kind] = after
            for item in self._of[kind]:
                item.room = room
        return ()

    def _cut(self, kind: str, room: int) -> None:
        for item in self._of[kind]:
            if self.total <= self.budget:
                return
            if room == FOLD:
                self._fold(item)
            elif not item.folded:
                item.room = room
                if item.size > room:
                    self._cost += item.render()
                    self._give_back(item)

    def _give_back(self, item: _Item) -> None:
        """The last step to be cut takes what its cut has freed beyond need."""
        left = self.budget - self.total
        if left < 0 or item.twin is not None:
            return
        room, item.room = item.room, item.room + int(left * CHARACTERS_BACK)
        self._cost += item.render()
        if self.total > self.budget:
            item.room = room
            self._cost += item.render()

    def _fold(self, item: _Item) -> None:
        if item.folded or item.kept:
            return
        item.folded = True
        self._cost -= item.cost
        self._runs.add(item)
        left = [follower for follower in item.followers if not follower.folded]
        if left:
            first, *rest = left
            first.twin, first.followers = None, rest
            self._cost += first.render()
            for follower in rest:
                follower.twin = first
                self._cost += follower.render()
        if item.result is not None and item.result.kind in ("material", "output"):
            self._fold(item.result)


def _link(items: Iterable[_Item]) -> None:
    """Outputs that came before are told by their step."""
    first: dict[str, _Item] = {}
    for item in items:
        if item.kind in OUTPUTS and item.values is None and item.size >= SAME:
            twin = first.setdefault(item.text, item)
            if twin is not item:
                item.twin = twin
                twin.followers.append(item)


class _Runs:
    """Rows of folded steps, each told in one line."""

    def __init__(self) -> None:
        self.cost = 0.0
        self._short = False
        self._first: dict[int, tuple[int, Counter[str]]] = {}
        """First step of a row -> its last step, and what it holds."""
        self._last: dict[int, int] = {}

    def add(self, item: _Item) -> None:
        """One more step is folded; the rows beside it become one with it."""
        first = last = item.index
        held = Counter({item.named: 1})
        if first - 1 in self._last:
            first, last_before = self._last.pop(first - 1), first - 1
            held = _together(self._take(first, last_before), held)
        if last + 1 in self._first:
            after = last + 1
            last = self._first[after][0]
            held = _together(held, self._take(after, last))
            self._last.pop(last, None)
        self._first[first] = (last, held)
        self._last[last] = first
        self.cost += weight(self._line(first, last, held))

    def _take(self, first: int, last: int) -> Counter[str]:
        held = self._first.pop(first)[1]
        self.cost -= weight(self._line(first, last, held))
        return held

    def shorten(self) -> None:
        """Tell of every row only how long it is."""
        self._short = True
        self.cost = sum(weight(line) for line in self.lines().values())

    def lines(self) -> dict[int, str]:
        """The line of each row, by its first step."""
        return {first: self._line(first, last, held) for first, (last, held) in self._first.items()}

    def _line(self, first: int, last: int, held: Counter[str]) -> str:
        steps = f"[{first}]" if first == last else f"[{first}-{last}]"
        if self._short:
            return f"{steps} omitted\n"
        ranked = sorted((-number, name) for name, number in held.items() if name not in ("", OTHERS))
        named = [(name, -number) for number, name in ranked[:MOST_NAMED]]
        others = held[OTHERS] - sum(number for number, _ in ranked[MOST_NAMED:])
        if others or not named:
            named.append((OTHERS, others or held.total()))
        return f"{steps} omitted: {', '.join(_counted(name, number) for name, number in named)}\n"


MOST_NAMED: Final = 4
"""Kinds of steps that a line of folded steps names."""
MOST_HELD: Final = 12
"""Kinds of steps that are counted one by one in a row; further ones are others."""
OTHERS: Final = "other step"


def _together(held: Counter[str], more: Counter[str]) -> Counter[str]:
    """Two rows as one."""
    for name, number in more.items():
        held[name if name in held or not name or len(held) < MOST_HELD else OTHERS] += number
    return held


def _counted(name: str, number: int) -> str:
    """A number of what is called so: 12 calls of Read ok."""
    noun, of, rest = name.partition(" of ")
    return f"{number} {noun}{'' if number == 1 else 's'}{of}{rest}"


# --- the session as the text's reader knows it


def seen(part: Part | Sequence[Part], session: Session, *, counts: bool = True) -> Session:
    """The session as a reader of these parts could know it: steps keep their index, omitted ones are empty events.

    It is read from the text of the parts; of the session itself only id and number of steps are taken. A line of
    folded steps says what they were and how many, not where: calls and messages stand within the line's steps in the
    order of the line, without arguments and text; with `counts` false they are empty events as well. Used to measure
    what condensing costs, and nowhere else.
    """
    known = Session(session.session_id, steps=[Step("event") for _ in session.steps], segment=session.segment)
    for shown in [part] if isinstance(part, Part) else part:
        for folded in _FOLDED.finditer(shown.text) if counts else ():
            _unfold(known, int(folded[1]), int(folded[2] or folded[1]), folded[3])
        for found, lines in _blocks(shown.text):
            _read(known, int(found[1]), found[2], found[3], lines)
    return known


_HEADER: Final = re.compile(r"\[(\d+)\] (user|agent|call|result|event) ?(.*)")
_FOLDED: Final = re.compile(r"^\[(\d+)(?:-(\d+))?\] omitted: (.*)", re.MULTILINE)
_NAMED: Final = re.compile(r"(\d+) (?:(user )?calls? of (\S+?)(?: (\w+))?|agent messages?)(?=,|$)")
UNSAID: Final = "…"
"""A message of the agent of which no word is known."""
_TWIN: Final = re.compile(r"same as \[(\d+)\]\Z")


def _blocks(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Headers of steps that are shown, and the lines below each."""
    found: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if not line.startswith("["):
            lines.append(line)
            continue
        if found is not None:
            yield found, lines
        found, lines = _HEADER.match(line), []
    if found is not None:
        yield found, lines


def _read(known: Session, index: int, kind: str, rest: str, lines: Sequence[str]) -> None:
    """Write into the session what one block says."""
    step = known.steps[index]
    body = "\n".join(line[2:] for line in lines if line.startswith("  ")) or None
    name, _, more = rest.partition(" ")
    if kind == "user":
        _read_user(known, index, name, rest, body)
    elif kind == "agent":
        step.kind, step.text = "assistant_message", body
    elif kind == "call":
        step.kind, step.tool_name, step.arguments = "tool_call", _known(name), json.loads(more)
        step.text, step.by = body, "user" if BY_USER in lines else None
    elif kind == "result":
        tool, _, twin = more.partition(":")[0], "", _TWIN.search(more)
        step.kind, step.status, step.tool_name = "tool_result", _known(name), _known(tool)
        step.text = known.steps[int(twin[1])].text if twin else body
    else:
        twin = _TWIN.search(more)
        step.name, step.text = _known(name), known.steps[int(twin[1])].text if twin else body


def _unfold(known: Session, first: int, last: int, told: str) -> None:
    """What the line of a row of folded steps tells of them."""
    place = first
    for found in _NAMED.finditer(told):
        for _ in range(int(found[1])):
            steps = [Step("assistant_message", text=UNSAID)]
            if found[3]:
                by, status = ("user" if found[2] else None), _known(found[4])
                steps = [Step("tool_call", tool_name=_known(found[3]), by=by)]
                steps += [Step("tool_result", tool_name=_known(found[3]), status=status)] if found[4] else []
            if place + len(steps) > last + 1:
                return
            known.steps[place : place + len(steps)] = steps
            place += len(steps)


def _read_user(known: Session, index: int, what: str, rest: str, body: str | None) -> None:
    step = known.steps[index]
    if what == "comment":
        step.user_comment = (step.user_comment or "") + (body or "")
    elif what == "thumb":
        known.feedback.append(Feedback(index, 1 if rest.split()[1] == "up" else -1, body))
    else:
        step.kind, step.text = "user_message", (step.text or "") + (body or "")


def _known(name: str) -> str | None:
    return None if name == UNKNOWN else name
