"""How people ask about the agent itself: its abilities, memory, costs, modes and surface.

Put here: the expressions and their weights.
Not here: when asking is an event (see `platform_confusion.py`).

People build agents with agents: words like "session", "token" or an agent's name are a task's words as often as
not. So an expression must speak of *this* conversation, of *you*, or ask for a place in the product's surface.
"""

import re
from typing import Final

Cues = tuple[tuple["re.Pattern[str]", float], ...]


def _cues(*pairs: tuple[str, float]) -> Cues:
    return tuple((re.compile(pattern), weight) for pattern, weight in pairs)


_TOOLS: Final = (
    r"(?:aider|claude(?: code)?|codex|gemini|cursor|copilot|windsurf|cline|roo|chatgpt|"
    r"vs ?code|opencode)"
)
_ASKS: Final = (
    r"(?:how (?:do|can|could|would|should|to|does)|where (?:is|are|do|can|did)|is there (?:a|"
    r"an|any)|what (?:is|are|does|do|happens)|why (?:is|are|does|do|can't|don't|doesn't|did)|"
    r"can (?:i|we)|do (?:i|we) (?:have|need) to|which|when)"
)
CONFUSION: Final = _cues(
    (
        (
            r"\b(?:do|don't|dont) you (?:still |even )?(?:have|need|see|get|keep|store) (?:any |the |"
            r"an? |my |our |full )*(?:access|ability|way to|permission|memory|internet|tools?\b|"
            r"context|history|limits?)"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:are|aren't) you (?:still |even |not )?(?:able to|capable|allowed|connected to|"
            r"limited|running on|using|trained)\b"
        ),
        1.0,
    ),
    (
        (
            r"\bwhat (?:can|else can|tools do|commands do|are the limits) you\b(?! (?:think|mean|"
            r"suggest|recommend|say|tell|see|find|infer|make|conclude|do (?:about|for|with)))"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:what|who) are you\b(?= ?[?.]|$)|\b(?:which|what) (?:\w+ )?model (?:are (?:you|we)|is "
            r"(?:this|that|it|selected|active|running|being used|in use)|do (?:you|we|i)|am i|version (?:are|is))\b"
            r"|\bare you (?:an? )?(?:claude|gpt\S*|gemini|ai|bot|human|llm)\b"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:can|could|do|did) you (?:even |actually |still |not )?(?:see|access|remember|hear|"
            r"recall|view|open|browse|read) (?:my|our|this|the) (?:\w+ )?(?:screen|images?|pictures?|"
            r"screenshots?|terminal|browser|chat|conversation|history|internet|web|desktop|previous)"
        ),
        0.9,
    ),
    (
        (
            r"\bcan you (?:browse|search the (?:web|internet)|access the (?:web|internet)|go online|"
            r"remember (?:things|what|our|this|me))\b"
        ),
        0.9,
    ),
    (
        (
            r"\bhow (?:do|did|can|would|will|come) you (?:know|remember|see|get access|work|learn|"
            r"handle (?:memory|context))\b"
        ),
        0.8,
    ),
    (
        (
            r"\bwhy (?:can't|cannot|couldn't|don't|won't|aren't) you (?:able to )?(?:see|access|"
            r"remember|open|read|browse|run|do (?:it|that|this)|execute|edit|write)\b"
        ),
        0.9,
    ),
    (
        (
            r"\bdo(?:es)? (?:you|this|it) (?:cost|run locally|use (?:tokens|credits|the internet)|"
            r"work offline)\b|\byou run locally\b|\b(?:cost of|how (?:many|"
            r"much)) (?:\w+ ){0,2}(?:tokens|credits)\b"
            r"(?! (?:do|does|are|is|in|per) (?:the|a|an|each|every|our|my|all)\b)"
        ),
        0.8,
    ),
    (
        (
            r"\byour (?:memory|context(?: window)?|settings|permissions|tools|training|knowledge|"
            r"limits?|capabilities|system prompt|instructions|features?)\b.{0,80}\?"
        ),
        0.8,
    ),
    (
        (
            r"\b"
            + _ASKS
            + r"\b.{0,60}\b(?:this|the|our|my|ai|your|each|previous|past|old) (?:ai |"
            + _TOOLS
            + r" )?(?:chats?|conversations?|chat (?:history|session|window|panel))\b"
        ),
        0.9,
    ),
    (
        (
            r"\b(?:chat|conversation) (?:session |history )?with you\b|\b"
            + _ASKS
            + r"\b.{0,40}\b(?:chat|conversation) (?:history|export|window|panel|session)s?\b"
        ),
        0.9,
    ),
    (
        (
            r"\b"
            + _ASKS
            + r"\b.{0,60}\b(?:in|inside|with|from|on) "
            + _TOOLS
            + r"\b.{0,30}\?|\b(?:how|where) (?:do|can|to) (?:i |we )?(?:\w+ ){0,3}"
            + _TOOLS
            + r"\b.{0,40}\?"
        ),
        0.7,
    ),
    (
        (
            r"\b(?:plan|agent|ask|chat|code|architect|edit|auto|yolo|party|"
            r"read-?only) mode\b.{0,40}\b(?:mean|do|does|enabled|on|off|work)\w*\b.{0,40}\?|\b(?:what|"
            r"how).{0,30}\b(?:plan|agent|ask|architect|party|auto|yolo) mode\b"
        ),
        0.8,
    ),
    ((r"\b(?:slash command|context window|auto-?accept)\b.{0,80}\?"), 0.8),
    (
        (
            r"\bin this (?:claude |codex |chat )?session\b.{0,40}\benabled\b|\bis (?:it|this|"
            r"that) (?:enabled|turned on|active)\b ?\?"
        ),
        0.7,
    ),
    (
        (
            r"\b(?:don't|do not|can't|cannot) (?:see|find|get) (?:the |any |an? |"
            r"that )?(?:\w+ ){0,4}(?:command|button|option|menu|setting|tab|panel|icon|"
            r"link)s?\b.{0,40}\b(?:menu|panel|chat|palette|sidebar|toolbar|extension)\b"
        ),
        0.9,
    ),
    (
        (
            r"\bi don't understand how to (?:see|use|find|open|get)\b|\bwhere (?:do|can|"
            r"should) i (?:turn|enable|click)\b"
        ),
        0.7,
    ),
    (
        (
            r"^what is this ?\??$|^tell me in more detail$|^help ?\??$|^(?:clear|exit|quit|undo|reset|"
            r"restart)$"
        ),
        0.7,
    ),
)
