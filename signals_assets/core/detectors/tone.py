"""How a person sounds who loses patience: families of expressions, each counted once.

Put here: the expressions, their weights, and loudness of writing.
Not here: when a tone is an event (see `escalation_tone.py`), calm complaints (see `cues.py`).

The families are those of impolite acts in conversation (reproach, rhetorical question, curse, dismissal, threat; after
Culpeper, "Impoliteness", 2011) as they are typed to a machine: not a list of feelings. Feelings ("frustrating") count
only where something had just gone wrong, since people speak of their feelings about third parties too. English.
"""

import re
from typing import Final

from signals_assets.core.text import STOP

Family = tuple[str, float, "re.Pattern[str]"]


def _family(name: str, weight: float, *patterns: str) -> Family:
    return name, weight, re.compile("|".join(patterns))


FAMILIES: Final[tuple[Family, ...]] = (
    _family(
        "curse",
        0.9,
        r"\b(?:mother)?f+u+c?k+(?:ing|ed|er|s|in|ign)?\b(?! (?:yes|yeah|yea|awesome|amazing|great|love|good|nice|cool"
        r"|brilliant|beautiful|perfect))|\bf\*+\w*|\b(?:bull)?(?<!holy )sh[i1]t+y?\b",
        r"\b(?:dumb|jack|lazy|bad)ass(?:hole)?\b|\basshole\b|\bgod ?damn\w*|\bbloody hell\b|\bpiss(?:ed|ing)\b"
        r"|\bscrew (?:this|you)\b",
    ),
    _family(
        "mild curse", 0.5, r"\b(?:omg|omfg)\b|\boh my god\b|\bdamn(?:ed|it)?\b|\bcrap(?:py)?\b|\bthe hell\b|\bscrewed\b"
    ),
    _family(
        "exasperation",
        0.9,
        r"\b(?:ugh+|argh+|gr{2,}|fml|wtf|wth|ffs|smh|jesus|jeez|sigh|facepalm)\b|🤦|😡|🤬|😤",
        r"\bgood grief\b|\bfor (?:god|christ|fuck|heaven)'?s? sake\b|\bfor the love of\b|\bcome on\b",
        r"what the (?:hell|heck|fuck|f)\b|\bwhy on earth\b|\b(?:how|what|where) the hell\b|\b(?:in"
        r"|on) (?:what|which) (?:world|planet)\b",
    ),
    _family("vocative", 0.5, r"\b(?:dude|bro|bruh|buddy)\b|(?:^|[,.!] )man\b(?=[,.!?]|$)|\bhello\?+|\blook\.\.\."),
    _family(
        "told_before",
        0.9,
        r"\bi(?:'ve| have)? (?:already |just |clearly |literally |specifically |explicitly "
        r"|repeatedly )+(?:told|said|asked|gave|given"
        r"|mentioned|wrote|explained|showed|sent)\b",
        r"\bi (?:told|asked) you\b|\b(?:as|like) i(?:'ve)? (?:already )?said\b|\byou were (?:told"
        r"|supposed|asked)\b|\bi said (?:we|you|not|no|to|that|an?|the|it|\d+)\b|\b(?:who|nobody|no one) (?:told"
        r"|asked) you\b",
        r"\b(?:did i not|didn't i|haven't i) \w+|\bhow many (?:more )?times\b|\b(?:i|you|me|same)\b.{0,60}"
        r"\b(?:over and over|again and again|time and again)\b",
        r"\bfor the (?:third|fourth|fifth|last|umpteenth|hundredth|millionth|\d+th) time\b|\b(?:yet"
        r"|once) again,? you\b|\bi (?:have to |had to |must )?keep"
        r" (?:telling|saying|asking|repeating|having)\b|\bstop making me\b",
        r"\bi (?:did not|didn't|never) (?:say|ask|tell|want|mean)\b",
        r"\b(?:this|that)(?:'s| is| was) (?:now |already )?the (?:third|fourth|fifth|\d+th) time\b",
    ),
    _family(
        "accusation",
        0.9,
        r"\byou(?:'re|'ve| are| have)? (?:just |literally |simply )?(?:keep|always|never|constantly"
        r"|continually|repeatedly|again|still) (?:\w+ ){0,2}"
        r"(?:break|broke|duplicat|repeat|ignor|miss|cop|delet|mak|chang|guess|sa[iy]|tell|forget|fail"
        r"|do|us|giv|add|remov|lie|rewrit|touch|us)\w*",
        r"\byou(?:'re| are)? (?:just |literally |clearly |completely )?(?:refus|ignor|lied|lying"
        r"|pretend|hallucinat|overcomplicat|guessing|wast|destroy"
        r"|ruin|repeating|mess(?:ed|ing) up|screw|break(?:ing)? everything|broke everything)\w*",
        r"\byou (?:literally|completely|totally) (?:did|made|changed|added|broke|removed|deleted|ignored|skipped|copied"
        r"|duplicated|repeated|destroyed)\b",
        r"\byou (?:have )?(?:broke|broken|ruined|deleted|removed|lost|undid)\b.{0,60}\bagain\b"
        r"|\b(?:did not|didn't) even (?:notice|check|try|look|bother)\b",
        r"\byou (?:just|only|even) (?:broke|ignored|skipped|copied|duplicated|repeated|destroyed)\b",
        r"\byou(?:'re| are| were)? (?:not|n't) (?:even )?(?:listen|read|follow|understand|helping"
        r"|paying|doing (?:what|your))\w*",
        r"\byou (?:didn't|did not|don't|do not|can't|cannot|couldn't|won't) (?:even )?(?:listen|read"
        r"|bother|care|understand|follow|remember|pay|get it|know what)\w*",
        r"(?<!did )(?<!do )(?<!let )\byou (?:should )?know (?:that|better)\b",
        r"\byou sure (?:didn't|did not|aren't|don't)\b"
        r"|\bno, you\b|\byou(?:'re| are) (?:wrong|useless|terrible|incompetent|stupid)\b",
        r"\b(?:broke|ruined|destroyed|killed|wiped|deleted) (?:everything|it all|all|all of)\b"
        r"|\bcaught you\b|\bdid the (?:exact )?opposite\b",
    ),
    _family(
        "why_you",
        0.5,
        r"\bwhy (?:the \w+ )?(?:did|do|would|are|have|can't|don't|didn't|aren't|must|on earth) (?:you"
        r"|u|i have to|i had to|i need to)\b|\bwhy did i have to\b",
        r"\bi(?:'m| am) aware\b|\bnot sure why you\b",
    ),
    _family(
        "why_still",
        0.9,
        r"\bwhy (?:are|do|did) (?:you|u) (?:so |always |getting |keep|still |constantly |again |struggling|confused)\w*"
        r"|\bwhat are you waiting\b|\bcan'?t you just\b|\bdid you (?:even )?miss\b"
        r"|\byou (?:just |still )?keep (?:on )?\w+ing\b",
    ),
    _family(
        "rhetorical",
        0.9,
        r"\b(?:are|is|were) (?:you|this|that) (?:kidding|serious|seriously|joking|blind|stupid"
        r"|mad|crazy|insane|dumb|even)\b"
        r"|\b(?:did|do|don't) you (?:even|not) \w+|\b(?:can|could) you (?:even|not (?:see|read|hear|listen|follow"
        r"|understand|just|even))\b"
        r"|\bdo you (?:even )?(?:understand|listen|read|hear|get it)(?: me)? ?\?|\byou (?:can|do|did"
        r"|are) (?:you )?not\?",
        r"\b(?:how hard (?:is|can)|(?:is|why is) (?:it|that) (?:really )?(?:so|that|this) hard)\b",
        r"\b(?:what|which) part of\b|\bin what world\b|\bso are you (?:telling|saying)\b",
        r"\bwhat(?:'s| is| are) (?:wrong with you|you (?:doing|smoking|thinking|even))\b",
        r"\bdon't you (?:read|see|understand|know|listen|get|remember)\b|\bis (?:that|it) too much\b",
    ),
    _family(
        "demand",
        0.8,
        r"\b(?:can|could|would|will) you (?:please |just |at least |finally |actually )*(?:listen"
        r"|pay attention|focus|stop|do your (?:job|work))\b",
        r"\bplease (?:just |actually |finally )*(?:listen|read (?:what|my|the (?:docs|instructions))"
        r"|do your|pay attention|focus|stop|follow (?:the|my))\b",
        r"\bstop (?:doing|adding|making|changing|guessing|saying|telling|asking|apologi[sz]ing|being"
        r"|lying|repeating|trying|touching|ignoring|wasting|with)\b",
        r"\bmake sure you know what\b|\bstop (?:complaining|making excuses)\b|, period\b"
        r"|\bpay attention\b|\bjust do (?:it|your|what i|as i|the)\b|\bplease do (?:your|what i|as i)\b",
        r"\bread (?:it|my|what|the)\b.{0,20}\b(?:again|carefully)\b|\bi (?:want|need) (?:it|this) (?:now|done now)\b",
    ),
    _family(
        "stop",
        0.5,
        r"(?:^|[.!?,] )(?:please )?stop \w+ing\b"
        r"|\b(?:do not|don't) (?:make|repeat) (?:a|any|the same|that|more) mistakes?\b"
        r"|\bno (?:more )?(?:mistakes|questions|excuses)\b",
    ),
    _family(
        "cost",
        0.9,
        r"\bwast(?:e|ed|es|ing) (?:of )?(?:my |our |all |so much |a lot of |more )*(?:time|credits?"
        r"|tokens?|money|hours|days|energy)\b",
        r"\b(?:burn(?:ed|t|ing|s)?|ate|cost me|used up) (?:\w+ ){0,3}(?:credits?|tokens?|money)\b"
        r"|\bhours? (?:lost|wasted)\b|\b(?:spent|lost|been) (?:\w+ ){0,3}(?:hours|days) (?:on|with|for"
        r"|trying|now)\b",
        r"\bwhat[`'’]?s taking\b|\btak(?:es|ing) (?:forever|so long|too long|ages)\b|\bhow (?:long"
        r"|often) (?:do|must|should) i\b",
    ),
    _family(
        "verdict",
        0.9,
        r"\b(?:ridiculous|unacceptable|nonsense|stupid|idiot\w*|dumb|moron\w*|pathetic"
        r"|absurd|insane|horrible|awful|terribl[ey]|disaster(?! recovery)"
        r"|nightmare|incompetent|unbelievable|flailing|hopeless|excuses|atrocious|abomination"
        r"|bs|spaghetti)\b",
        r"\bgarbage\b(?! collect)|(?<!the )\btrash\b(?! (?:can|bin|icon|folder))",
        r"\b(?:is|was|such|what)(?: this| it)? a (?:\w+ )?joke\b|'s a (?:\w+ )?joke\b",
        r"\buseless\b(?! (?:\w+ )?(?:imports?|variables?|files?|code|comments?|lines?|functions?|tests?"
        r"|class(?:es)?)\b)",
        r"\b(?:all kinds of|so|completely|totally|absolutely) wrong\b|\bmakes no sense\b|\bmiss(?:ed"
        r"|ing) the point\b|\b(?:isn't|not|nowhere near) (?:anywhere near )?(?:good enough"
        r"|acceptable)\b",
    ),
    _family(
        "distrust",
        0.9,
        r"\b(?:can't|cannot|don't|do not|won't|no longer|lost) (?:really |even )?(?:trust|believe"
        r"|rely on) (?:you|this|that|your|anything)\b|\b(?:liar|lied"
        r"|(?:lying|lies)(?! (?:around|about|in|on|at|with|within|under|behind|between|there)))\b",
        r"\b(?:you|yourself)\b.{0,30}\bcontradict\w*|\bcontradict\w* yourself\b|\byou (?:just "
        r"|have )?(?:made|make|making) (?:that|this|it|them|stuff|things) up\b",
    ),
    _family(
        "leaving",
        0.9,
        r"\b(?:i|me)\b.{0,40}\b(?:speak|talk) (?:to|with) (?:a|an|someone|somebody|your)\b",
        r"\b(?:i|me)\b.{0,40}\b(?:(?:your|a) (?:manager|supervisor)|(?:to|with) a real person"
        r"|someone (?:else|above|higher))\b",
        r"\btake my business\b|\bi(?:'m| am) (?:so |really )?(?:done(?=[.!]|$)|leaving|switching"
        r"|going back)\b(?! (?:with|by|for|here|now|today))|\bi(?:'ll| will) (?:just )?(?:do|fix"
        r"|write) it (?:all )?(?:my|by my)self\b",
        r"\bi(?:'m| am) (?:ending|closing|shutting|cancel+ing|uninstalling) (?:this|you|my|it)\b"
        r"|\bshut (?:up|your)\b|\bor i(?:'m| am|'ll)\b",
        r"\bnot ready to give up\b|\b(?:cancel|refund) my (?:subscription|plan|account)\b|\bgive up\b",
    ),
    _family(
        "patience",
        1.0,
        r"\b(?:fed up|sick of|sick and tired|tired of|had enough|enough is enough"
        r"|losing (?:my )?(?:mind|patience)|once and for all|driv(?:ing|es) me)\b|\bkills? me\b",
    ),
    _family(
        "again",
        0.4,
        r"^again\b|\b(?:same|this) (?:\w+ )?(?:error|issue|problem|mistake|thing|bug|result) (?:again"
        r"|still|as before|over)\b|\bstill (?:the )?same\b|\bonce again\b|\bconstantly\b"
        r"|\bevery (?:single )?time\b",
    ),
    _family(
        "properly",
        0.4,
        r"\bproperly\b|\bliterally\b|\bobviously\b|\bclearly\b|\bfinally\b|\bthis time\b"
        r"|\bsimple\b.{0,30}\b(?:task|request|thing|question)\b|^(?:no[.,!]? ){2,}|^(?:nope|no)!",
    ),
)
"""(name, weight, expressions). A weight near 1 is a clear sign by itself."""

FEELINGS: Final = re.compile(
    r"(?<!was )(?<!were )(?<!was just )(?<!was really )(?<!been )(?<!how )(?<!being )"
    r"\b(?:frustrat(?:ed|ing|ingly)|stressful|stressed|disappoint(?:ed|ing)|annoy(?:ed|ing)|upset|angry|furious"
    r"|irritat(?:ed|ing)|exhausted|(?:getting|become|becoming|starting to get) (?:\w+ ){0,2}(?:anxious|worried))\b"
    r"(?! (?:about|with|by|over|at|because|(?:right )?now because))"
)
"""Words for one's own bad feeling here and now; they count where something had just gone wrong.

Feelings about something named ("frustrated about the delay") and feelings of the past are about third parties.
"""

_SHOUT: Final = re.compile(r"\b[A-Z]{2,}(?:'[A-Z]+)?\b")
_RUN: Final = re.compile(r"(?:\b[A-Z]{2,}(?:'[A-Z]+)?\b[ ,!?]*){3,}")
_MARKS: Final = re.compile(r"\?{3,}|!{3,}|\?!|!\?")
_MANY_MARKS: Final = re.compile(r"[?!]{4,}")
_CRIES: Final = re.compile(r"(?:NO|NOPE|STOP|WRONG|WHY|WHAT|YOU|STILL|DON'T|DO NOT)\b(?! [a-z]+ing)")
_DOUBLED: Final = re.compile(r"\?\?|!!")
SHOUTED: Final = frozenset(word.upper() for word in STOP if len(word) > 1 and word not in ("us", "it", "ok", "id")) | {
    "NOPE", "NOTHING", "STOP", "WRONG", "CARE", "WON'T", "BROKEN", "EVERY", "MUST", "AGAIN",
    "READ", "FIX", "CORRECT", "WORK", "WORKS",
}  # fmt: skip
"""Plain words: acronyms and constants are written in capitals without any anger."""


def heat(low: str) -> float:
    """Sum of the weights of the families that occur in a text in lower case; around 1 is clear."""
    return sum(weight for _, weight, pattern in FAMILIES if pattern.search(low))


def loudness(own: str) -> float:
    """Capitals on plain words and repeated marks in a person's own words, 0 to 1.5."""
    shouted = sum(word in SHOUTED for word in _SHOUT.findall(own))
    run = _RUN.search(own)
    if run and sum(word in SHOUTED for word in _SHOUT.findall(run.group())) >= 2:
        capitals = 0.8
    else:
        capitals = 0.6 if _CRIES.match(own) else min(0.5, 0.25 * shouted)
    marks = 1.0 if _MANY_MARKS.search(own) else 0.7 if _MARKS.search(own) else 0.4 if _DOUBLED.search(own) else 0.0
    return min(1.5, capitals + marks)


def cries(own: str) -> bool:
    """Whether marks alone tell impatience: four and more in a row."""
    return bool(_MANY_MARKS.search(own))
