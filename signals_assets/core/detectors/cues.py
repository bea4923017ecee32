"""What a turn's words mean in a conversation: tone, complaint, praise, undoing, asking, refusing.

Put here: `Utterance` and the weighted cues behind its scores; each cue is a pattern of how people speak to an
agent, not a list of feelings.
Not here: thresholds and context (each detector has its own), words of a domain.

A score is the sum of the weights of the cues that occur (each once); around 1 is clear. Measured language: English.
"""

import re
from functools import cached_property, lru_cache
from typing import Final

from signals_assets.core import text as texts
from signals_assets.core.detectors import tone
from signals_assets.core.detectors.about_agent import CONFUSION
from signals_assets.core.detectors.patterns import score, weighted

POINT: Final = 480
"""Characters within which the point of a turn is looked for: what follows is detail, lists and quotations."""
STATEMENT: Final = 60
"""A longer turn is an explanation or a task, not a remark."""
UNDO_WITHIN: Final = 220
"""A wish to undo comes first in a turn; later the words are mostly about undoing as a subject."""
LACK_WORDS: Final = (
    "unable",
    "can't",
    "cannot",
    "unfortunately",
    "n't have",
    "not have",
    "not able",
    "supported",
    "policy",
)
"""One of these is in every refusal; a cheap test before the patterns."""

COMPLAINT: Final = weighted(
    (
        (
            r"\b(?:does|do|did|is|are|was|were|has|have|would)(?:n't| not) (?:\w+ ){0,2}(?:work|show|appear"
            r"|match|happen|correct"
            r"|right|valid|display|do anything|updat|fix|render|compil|pass|look)\w*"
        ),
        1.0,
    ),
    (
        (
            r"\bstill\b.{0,50}\b(?:show|fail|not|get|see|display|broken|same|wrong|missing|happen|say|list"
            r"|error|appear)\w*"
        ),
        0.9,
    ),
    (
        r"\b(?:why|how come) (?:is|does|do|did|are|has) (?:\w+ ){1,3}still\b|\bstill (?:not|the same|doesn't|isn't)\b",
        0.5,
    ),
    (
        (
            r"\b(?:wrong|incorrect\w*|misleading|mis(?:interpret|underst|read|s the point)\w*|duplicat\w+"
            r"|regress\w*|pointless"
            r"|inconsisten\w+|unnecessar\w+|redundant|overkill|outdated|out of date|worse|nonsense|ignored|malformed)\b"
        ),
        0.7,
    ),
    (r"\b(?:strange|weird|odd(?:ity|ly)?|unexpected|confusing|suspicious|yuck|ugly|smell)\b", 0.6),
    (
        (
            r"\b(?:is|are|it's|was|were|seems?|now) (?:also |now |still |all |completely )?(?:failing|missing"
            r"|lost|gone|broken|off)\b"
        ),
        0.9,
    ),
    (r"^(?:no|nope|nah)\b(?! worries| problem| need| more)", 0.8),
    (r"^(?:yeah |ok |yes |so |and )?(?:but|wait|huh|nm)\b|\bbut (?:we|you|now|why|what|then|it|this|that|the)\b", 0.5),
    (r"^(?:yeah |ok |yes |so )?(?:hmm+|hm|uhh*)\b", 0.35),
    (
        r"\b(?:recheck|double[- ]check|check .{0,40}again|look (?:once more|again))\b|\bsomehow\b|\bend(?:s|ed) up\b",
        0.4,
    ),
    (
        r"\b(?:you (?:wrote|said)|i(?:'m| am) talking about|we (?:had|have had) this|no longer|previously|as before)\b",
        0.5,
    ),
    (
        (
            r"\b(?:now|i|can|we|also) (?:totally |still |only )?(?:see|get|have|show(?:s|ing)?) (?:now |an? "
            r"|a lot|no |any )"
        ),
        0.3,
    ),
    (
        (
            r"\bi (?:thought|meant|expected|would have (?:thought|expected)|was expecting|disagree|doubt"
            r"|question|wonder)\b"
        ),
        0.6,
    ),
    (r"\bi(?:'m| am| was) (?:questioning|not sure|less worried|confused|talking about|surprised)\b", 0.5),
    (r"\bi (?:don't|do not|can't|cannot) (?:get|see|like|think|understand|want|believe)\b", 0.5),
    (r"\bwhy (?:is|are|did|does|do|was|were|isn't|aren't|can't|couldn't|wouldn't|don't|not|would|only|so many)\b", 0.6),
    (r"\b(?:aren't|isn't|weren't|don't|didn't|doesn't|shouldn't|won't) (?:we|you|it|there|that|this|they)\b", 0.5),
    (r"\bshould(?:n't| not)\b|\bshould (?:still|always|actually|only|match|be consistent)\b|\bwe should always\b", 0.5),
    (r"\b(?:doesn't|don't|didn't|isn't|aren't|wasn't|won't|cannot|can't)\b", 0.25),
    (
        r"\bnot (?:quite|right|correct|what|really|true|yet|exactly|supposed|good)\b|\bnothing (?:happens|changed)\b",
        0.6,
    ),
    (r"\byou (?:missed|forgot|left|removed|dropped|lost|also said|said|put|ignored|changed|added|broke|made)\b", 0.6),
    (
        (
            r"\b(?:made? (?:it|that|this) up|invent(?:ed)?|assum(?:e|ed|ing|ption)|hallucinat\w*"
            r"|really testing|make sense)\b"
        ),
        0.4,
    ),
    (r"\b(?:error|errors|fails?|failed|failing|failure|exception|crash\w*|conflict\w*|broken|broke|bug)\b", 0.35),
    (r"\b(?:fails|is failing|failed|failing|broke|is broken|is gone|is missing)\b[^.?!]{0,20}$", 0.6),
    (
        r"\bfeedback\b|\breview (?:comment|finding)|\banother comment\b|\bcould lead to\b|\bpotential(?:ly)? \w+ issue",
        0.6,
    ),
    (r"\bdon't need\b|\bget rid\b|\binstead of\b|\brather than\b|\bagain\b|\bdouble\b|\btwice\b", 0.3),
    (r"\bactually\b|\bright ?\?|\byeah ?\?|\bthere is (?:now|no)\b|\bnothing\b|\bthe issue is\b|\bproblem\b", 0.25),
)
NEUTRAL: Final = weighted(
    (
        (
            r"^(?:yes|yep|yup|yeah|y|ok|okay|sure|great|perfect|cool|nice|thanks|good|excellent|awesome"
            r"|lgtm)\b(?!.{0,12}\bbut\b)"
        ),
        0.5,
    ),
    (
        (
            r"^(?:can|could|would) (?:you|we) (?:please )?(?:add|create|write|make|run|commit|push|show"
            r"|explain|also|help|look)\b"
        ),
        0.4,
    ),
    (
        r"^(?:let's|lets|please|now|next|add|create|implement|write|commit|run|update|also|i want|i'd like|i need)\b",
        0.4,
    ),
    (r"\bthank(?:s| you)\b|\bi appreciate\b", 0.4),
    (r"\b(?:my|user) (?:mistake|error|bad|fault)\b|\bsorry\b|\bi messed\b", 0.8),
)
PRAISE: Final = weighted(
    (
        (
            r"\bi (?:absolutely |really )?love (?:it|this|that|the|how)\b|\bwell done\b|\bgreat (?:job|work"
            r"|news)\b|\bnice (?:job|work)\b"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:amazing|awesome|fantastic|brilliant|incredible|wonderful|beautiful|impressive"
            r"|excellent work|superb|stellar)\b"
        ),
        0.9,
    ),
    (
        r"\bwow\b|\bwoo+(?:hoo+)?\b|\byay\b|\bholy\b|\b(?:it|that) worked!|\bnailed it\b|\bgoodness\b|🎉|🥳|😍|🙌|🔥",
        0.9,
    ),
    (r"\b(?:works?|working|is|that's|it's) (?:now )?(?:perfect(?:ly)?|great|beautifully|like a charm)\b", 0.7),
    (
        (
            r"\bexactly what i (?:need|want|was|had|hop)\w*|\bfinally\b.{0,40}\b(?:work|need|want)\w*"
            r"|\bsuch a relief|\brelief\b"
        ),
        0.7,
    ),
    (r"\b(?:thank you|thanks) so much\b|\b(?:really|truly|so) appreciate\b|\bhelp and patience\b", 0.6),
    (r"^(?:perfect|perfet|excellent|great|lovely|sweet|superb|brilliant)\b", 0.4),
    (r"!", 0.2),
)
LIKING: Final = weighted(
    (
        (
            r"(?:\b(?:is|are|was|were|looks?|feels?|makes?|made)|'s|'re) (?:\w+ ){0,4}?(?:best|great|lovely|nice|neat"
            r"|handy|helpful|useful|clever|elegant|pleasant|delightful|wonderful|brilliant|beautiful|fantastic|amazing"
            r"|awesome|excellent|superb|slick|favou?rite|welcome|clearer|easier)\b"
        ),
        1.0,
    ),
    (r"\bi (?:really |do |quite |also |especially |particularly )*(?:like|liked|love|loved|enjoy|enjoyed)\b", 1.0),
    (r"(?:^|[.!,] )(?:really |just |absolutely )*(?:love|loved|loving|enjoyed)\b", 1.0),
    (r"\b(?:nice|great|lovely|neat|good|clever) (?:touch|surprise|idea|bonus|addition|detail)\b", 1.0),
    (r"\b(?:helps|helped) (?:me |us |a lot|so much)|\b(?:pleasant|pleasantly) surpris\w+|\bthumbs up\b", 1.0),
)
"""Saying what one likes: milder than praise, and about something."""
PLEASANT: Final = texts.wordset("""
    admire adore amazing astonishing astounding awesome beautiful beautifully best bless blessing bravo
    breathtaking brilliant charming cheerful classy clean cleaner clear clearer clearly clever comfortable
    convenient convincing cute dazzling delight delighted delightful easier easiest easy effective effortless
    elegant enjoy enjoyable enjoyed enjoying excellent exceptional excited exciting exquisite fabulous fantastic
    fascinating favorite favourite flawless friendly fun gem genius glad glowing godsend gold golden gorgeous
    grateful gratitude great handier handy happy helpful hero impressed impressive incredible ingenious insightful
    intuitive invaluable joy joyful kudos lifesaver likable lovable lovely loves magical magnificent marvellous
    marvelous masterpiece miracle neat nice nicely nicer nicest nifty outstanding painless perfect perfectly
    phenomenal pleasant pleased pleasure polished praise precious priceless proud recommend refreshing relief
    relieved remarkable rewarding satisfied satisfying saver seamless sensational shines sleek slick smart smooth
    smoothly snappy spectacular splendid stellar stunning sublime superb sweet terrific thankful thanks thoughtful
    thrilled treasure useful valuable welcome whoa wonderful wow yay""")
"""General words of strong good opinion, as opinion lexicons list them (Hu and Liu, 2004): alone only material."""
_AGREEABLE: Final = texts.wordset("""
    accept accepted accepts adds agree agrees approved checked complete completed confirmed correct correctly done
    fine finished fits fixed good okay passes passed ready resolved right solved succeeded thank works
    worked""")
"""Words that find work in order: what holds one, unnegated, is acceptance rather than a remark."""
_NEGATES: Final = re.compile(r"\b(?:not|no|never|nothing|without|wrong|but|only|too|\w+n't)\b")
APPROVAL: Final = weighted(
    (
        (
            r"^(?:yes|yep|yup|y|yeah|ok|okay|sure|perfect|great|excellent|awesome|cool|lgtm|nice|good|its"
            r"|it's|thanks|thank you)\b"
        ),
        0.5,
    ),
    (
        (
            r"\b(?:go ahead|proceed|do it|ship it|approved?|sounds (?:good|great|perfect|right|exactly)"
            r"|looks (?:good|great|perfect))\b"
        ),
        0.5,
    ),
    (
        (
            r"\b(?:that|it|all|everything)(?: was| is|'s)? (?:works?|worked|well|good|great|fine|perfect"
            r"|it)\b|\bthat covers\b"
        ),
        0.5,
    ),
)
APPRECIATION: Final = weighted(
    (r"\b(?:perfect|great|awesome|excellent|brilliant|love|beautiful|fantastic|amazing|nice)\b", 0.6),
    (r"\bappreciate\b|\bthank(?:s| you) (?:so|for|very)\b|\bexactly\b|^yes!|^yup!", 0.6),
)
UNDO: Final = weighted(
    (
        (
            r"(?<!the )(?<!an )(?<!a )\b(?:undo|revert|roll(?:ing)? back|back out|start over"
            r"|start (?:from scratch|fresh|again))\b(?! (?:command|feature|function|test|button|logic"
            r"|commit\b))"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:let's|lets|can we|could we|please|maybe we) (?:just )?go back\b|\b(?:change|put|switch"
            r"|move) (?:it|that|them|this) back\b"
        ),
        0.9,
    ),
    (
        (
            r"\b(?:restore|bring back|put back|reinstate)\b (?:\w+ )?(?:old|original|previous|former|removed"
            r"|it|that|them)\b"
        ),
        0.9,
    ),
    (r"\b(?:remove|delete|drop|take out|get rid of|yank)\b.{0,60}\bagain\b", 1.0),
    (
        (
            r"^(?:no[,.]? |nah[,.]? |please |ok[,.]? |can you |can we |let's |then )*(?:remove|delete|drop"
            r"|yank) (?:it|this|that|these|those|them|the (?:first|last|two|new|added))\b"
        ),
        0.9,
    ),
    (
        (
            r"\babandon (?:the|this|that)\b|\bi concede\b|\b(?:i've |i have )?(?:just )?reset (?:to"
            r"|the branch|it)\b|\bscrap (?:it|this|that|the)\b"
        ),
        0.9,
    ),
    (r"\b(?:leave|keep) (?:it|the others?|them|that) (?:as (?:it|they) (?:is|was|are|were)|then)\b", 0.6),
    (r"\bthis should still be\b|\bas it was before\b|\bthe way it was\b", 0.8),
)
INSISTS: Final = weighted(
    (r"\b(?:is|are) there (?:really |truly |absolutely )?(?:no|any|anything|nothing|another|someone|anyone)\b", 0.7),
    (r"\b(?:exception|any other (?:way|option)|anything (?:else )?you can do|at least|surely|double-?check)\b", 0.6),
    (r"\b(?:i|we) (?:really|truly|just|still) (?:need|want|would|prefer)\b|\bimportant (?:to|for) me\b|\binsist", 0.6),
    (
        (
            r"\bi (?:completely |totally )?understand\b.{0,60}\bbut\b|\bi appreciate\b.{0,60}\bbut\b"
            r"|\bi'd (?:really )?(?:prefer|rather)\b"
        ),
        0.6,
    ),
    (
        (
            r"\b(?:anything|something|what) else\b|\bstill (?:can't|cannot|not|isn't|doesn't|need|shows?)\b"
            r"|\breally need\b"
        ),
        0.4,
    ),
    (r"\bplease\b.{0,40}\b(?:remove|cancel|add|change|refund|check|help)\b", 0.4),
)
TIME_SAVED: Final = weighted(
    (
        (
            r"\bsav(?:ed|es|ing) (?:me |us )?(?:so much |a lot of |a ton of |hours|days|weeks|time|effort"
            r"|the trouble|loads)"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:would(?:'ve| have)) taken (?:me|us)\b|\bthat was (?:so |really |super )?(?:quick"
            r"|fast)\b.{0,30}\b(?:thank|than i)"
        ),
        0.9,
    ),
)
LEARNING: Final = weighted(
    (r"\b(?:ah+|oh+|aha)[,. !]+(?:ok[,. ]+)?(?:i see|got it|that (?:makes|explains)|now i|interesting|right)\b", 0.8),
    (
        (
            r"\b(?:i|we) (?:just )?learn(?:ed|t)\b|\b(?:didn't|did not|never) (?:know|realize"
            r"|realise) (?:that|you|it)\b|\btil\b"
        ),
        0.8,
    ),
    (r"\b(?:great|good|clear|nice|helpful|thanks for (?:the|that|your)|thank you for (?:the|your)) explanation\b", 0.9),
    (
        (
            r"\b(?:thanks|thank you) for explaining\b|\bthat (?:really )?(?:clears|helps me understand"
            r"|explains)\b|\bgood to know\b"
        ),
        0.8,
    ),
    (r"\bmakes (?:total |perfect |a lot of |so much )?sense now\b|\bnow i (?:get|understand)\b", 0.8),
)

REFUSES: Final = weighted(
    (
        r"\b(?:i'm|i am|we're|we are) (?:unable|not able|not allowed|not permitted)\b|\bi (?:can't|cannot|can not)\b",
        0.8,
    ),
    (r"\bunfortunately\b", 0.5),
    (
        (
            r"\b(?:is|are) (?:not|no longer) (?:possible|available|supported|permitted|allowed|eligible)\b"
            r"|\b(?:not|isn't) something i can\b"
        ),
        0.7,
    ),
    (
        (
            r"\b(?:no|don't have (?:a|any|the)) (?:tool|way|option|ability|access|exceptions?)\b"
            r"|\bpolicy\b.{0,60}\b(?:not|strict|no)\b"
        ),
        0.6,
    ),
)
LACKS: Final = weighted(
    (
        (
            r"\bi (?:don't|do not) have (?:a |any |the |direct )*(?:tool|way|ability|access|capability"
            r"|function|means|option)\w*\b"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:there(?:'s| is| isn't| is not)|have|has) (?:no|not any|a|any) (?:tool|api|endpoint"
            r"|built-?in|supported|native) ?(?:way|method|support|option|for|to|available)\b"
        ),
        0.7,
    ),
    (
        (
            r"\b(?:i'm|i am) (?:not able|unable) to (?:directly |currently )?(?:unlock|access|attach|delete"
            r"|upload|open|view|send|select|resume|add|change|create|browse|assist with)\b"
        ),
        0.8,
    ),
    (
        (
            r"\b(?:isn't|is not|aren't|not) (?:currently )?supported (?:by|in|through|via)\b"
            r"|\bnot something i can (?:do|help|assist)\b"
        ),
        0.9,
    ),
    (
        (
            r"\bi (?:can't|cannot) (?:directly |actually )?(?:access|attach|upload|open|view|see|browse"
            r"|unlock|delete|send|select|assign)\b"
        ),
        0.8,
    ),
)
ELIGIBILITY: Final = re.compile(r"\b(?:policy|policies|eligib\w+|not allowed|not permitted|fare rules?|terms)\b")
EXPECTS_FAILURE: Final = re.compile(
    r"\b(?:expect|should|will|must) (?:it |this |the test |tests? )?(?:to )?fail\b|\bfailing test\b"
    r"|\bred (?:step|phase)\b|\bverify (?:it|they|the tests?) fails?\b|\breproduc(?:e|es"
    r"|ing) the (?:bug|issue|problem|failure)\b"
)
_REPORT: Final = re.compile(
    r"(?:ok,? |okay,? |thanks?,? |thank you,? )*(?:here'?s what|here are"
    r"|i(?:'ve| have| followed| ran| checked| turned| changed| tried| reset| waited)\b)"
)
_SENTENCES: Final = re.compile(r"(?:[.!;](?=\s)|\n)\s*")
_LEAD_IN: Final = re.compile(
    r"(?:(?:hm+|ah+|oh+|so|well|also|and|but|fyi|btw|by the way|ok|okay|yeah|now|actually|interesting|wait|sorry|thanks"
    r"|thank you)\b[,:.!]* )+"
)
_FINITE: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|had|does|did|went|came|got|gets|goes|comes|seems?|looks?|shows?|says?|said|feels?"
    r"|appears?|ends?|starts?|makes?|made|took|takes|happens?|turns?|became|becomes|(?:is|are|was|were|has|had|do|does"
    r"|did)n't)\b|\w'(?:s|re|ve)\b"
)
_SUBJECT: Final = re.compile(
    r"(?:the|this|that|these|those|it|there|all|every\w*|both|some|half|most|each|my|our|your|we|i|you|they|he|she|people"
    r"|nobody|no one|one of)\b"
)
_SUBJECT_VERB: Final = re.compile(r"\w+(?: \w+){0,5}? (?:[a-z]{3,}ed|[a-z]{2,}[^s\W]s)\b")
"""A noun phrase, then a word that looks like a verb in the past or in the third person."""
_REQUESTS: Final = re.compile(
    r"\b(?:please|pls|let's|lets|should|must|needs? to|ought|instead|make sure)\b"
    r"|\b(?:can|could|would|will) (?:you|we|i)\b|\b(?:i|we)(?:'d| would)? (?:(?:just|also|really|still|only) )?"
    r"(?:want|wanted|need|needed|like to|love to|prefer|wish|ask|asked|have to|will|can|could)\b|\b(?:i|we)'(?:ll|d)\b"
    r"|\byou (?:should|can|could|must|may|need)\b|\bhow (?:about|do|to)\b"
)
_ORDERS: Final = re.compile(
    r"(?:^|[.,;:] (?:and |so |then )?)(?:add|allow|apply|avoid|bring|call|change|check|clean|create|delete|do|don't"
    r"|drop|explain|fetch|fix|forget|give|go|hide|ignore|include|keep|leave|let|make|merge|move|put|remove|rename|replace"
    r"|rewrite|run|set|show|skip|sort|split|stop|switch|take|tell|try|turn|undo|update|use|write) "
)
"""A clause that opens with a verb in its base form."""
_NO_SUBJECT: Final = texts.wordset("""
    add adjust allow analyse analyze answer apply arrange ask assume attach be begin bring build call cancel
    change check clean clear close combine commit compare complete compute configure confirm continue convert copy
    cover create cut debug define delete deploy describe disable do document double drop edit enable ensure
    examine execute exclude explain explore export extend extract fetch fill filter find finish fix focus follow
    forget format generate get give go group handle have help hide highlight hold identify ignore implement import
    improve include increase insert inspect install integrate investigate join keep leave link list load log look
    make mark merge move name note open optimise optimize order pass perform pick plan prepare print proceed
    provide publish pull push put raise read rebase rebuild reduce refactor refer release remember remind remove
    rename reorder replace report research reset resolve restart restore restructure return review rewrite run
    save scan search see select send separate set ship show simplify skip sort speed split start stop store
    suggest summarise summarize support swap switch take tell test think tidy track translate treat try turn undo
    uninstall update upgrade upload use validate verify wait walk wire wrap write can could would will shall may
    what why how when where who which whose does did if unless please let let's lets next then after before while
    once first second finally another instead yes yep yup no nope sure good great perfect fine right correct
    exactly cool nice done cache retry approved confirmed agreed same don't dont not never here for in on with to""")
"""Openers of orders, questions, conditions, answers and continuations: what begins so is no statement of fact."""
_OWN_MISTAKE: Final = re.compile(
    r"\b(?:my|user) (?:mistake|error|bad|fault)\b|\bi (?:messed up|misread|misunderstood|mistyped"
    r"|was wrong|forgot to)\b|\bon my (?:side|end)\b"
)
_PASTED_ERROR: Final = re.compile(
    r"^\s*(?:\S+:\d+(?::\d+)?: )?(?:\w+ )?(?:error|failed|fatal|panic|traceback|exception"
    r"|failed to compile|type ?error)\b"
    r"|\bfailed to compile\b|\berror:|--- FAIL|\bTraceback \(most",
    re.I | re.M,
)


class Utterance:
    """What a user said in one turn. Scores are sums of cue weights, each measured when first asked for."""

    def __init__(self, raw: str, comment: bool = False) -> None:
        """`comment` is true for words typed with a rejection, which complain by nature."""
        self._raw = raw
        self._comment = comment

    @cached_property
    def _own(self) -> str:
        return texts.own_words(self._raw)

    @cached_property
    def text(self) -> str:
        """The user's own words in lower case."""
        return self._own.lower()

    @cached_property
    def _point(self) -> str:
        text = self.text
        return text if len(text) <= POINT else f"{text[:POINT]} {text[-POINT // 4 :]}"

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The words, in order."""
        return tuple(texts.words(self.text))

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the words that carry a topic."""
        return texts.content(self.tokens)

    @cached_property
    def language(self) -> str:
        """Two-letter language as guessed, or "other"."""
        return texts.language(self.tokens[:200])

    @property
    def asks(self) -> bool:
        """Holds a question mark."""
        return "?" in self.text

    @cached_property
    def pasted_error(self) -> bool:
        """Begins with an error message from a screen."""
        return bool(_PASTED_ERROR.search(self._raw[:600]))

    @cached_property
    def reports(self) -> bool:
        """Begins as a report of what the user did or saw, as one gives to a question or an instruction."""
        return bool(_REPORT.match(self.text))

    @cached_property
    def complaint(self) -> float:
        """How much the turn says that something is wrong."""
        weight = score(COMPLAINT, self._point) - score(NEUTRAL, self._point)
        return weight + (0.7 if self.pasted_error else 0.0) + (0.3 if self._comment else 0.0)

    @cached_property
    def anger(self) -> float:
        """Reproach, exasperation, emphasis; the last weighs less where words carry neither these nor a complaint."""
        heat, loud = tone.heat(self._point), tone.loudness(self._own)
        return heat + (loud if heat or self.complaint >= 0.4 or tone.cries(self._own) else 0.6 * loud)

    @cached_property
    def own_mistake(self) -> bool:
        """Says that the mistake was the writer's."""
        return bool(_OWN_MISTAKE.search(self._point))

    @cached_property
    def feeling(self) -> bool:
        """Speaks of one's own bad feeling, whoever caused it."""
        return bool(tone.FEELINGS.search(self._point))

    @cached_property
    def praise(self) -> float:
        """Pleasure beyond politeness."""
        return score(PRAISE, self._point)

    @cached_property
    def liking(self) -> float:
        """Saying that one likes something."""
        return score(LIKING, self._point)

    @cached_property
    def pleasant(self) -> bool:
        """Holds a word of good opinion."""
        return self.liking >= 0.9 or not PLEASANT.isdisjoint(self.tokens)

    @cached_property
    def accepts(self) -> bool:
        """Finds the work in order, without a word of negation."""
        return not _AGREEABLE.isdisjoint(self.tokens) and _NEGATES.search(self.text) is None

    @cached_property
    def states(self) -> bool:
        """Is a statement of fact throughout: no sentence asks, orders, wishes, answers or approves."""
        if self.asks or self.pasted_error or self.approval >= 0.5 or len(self.tokens) > STATEMENT:
            return False
        if self.language != "en" or _REQUESTS.search(self.text) or _ORDERS.search(self.text):
            return False
        return all(_declares(sentence) for sentence in _SENTENCES.split(self.text) if sentence.strip(" ."))

    @cached_property
    def approval(self) -> float:
        """Saying yes, or that it is right."""
        return score(APPROVAL, self._point)

    @cached_property
    def appreciation(self) -> float:
        """Warmth in an approval."""
        return score(APPRECIATION, self._point)

    @cached_property
    def undo(self) -> float:
        """Wanting work taken back."""
        return score(UNDO, self.text[:UNDO_WITHIN])

    @cached_property
    def confusion(self) -> float:
        """Asking about the agent itself."""
        return score(CONFUSION, self._point)

    @cached_property
    def insists(self) -> float:
        """Asking again for what was refused or did not help."""
        return score(INSISTS, self._point)

    @cached_property
    def time_saved(self) -> float:
        """Saying that time or effort was saved."""
        return score(TIME_SAVED, self._point)

    @cached_property
    def learning(self) -> float:
        """Insight, or thanks for an explanation."""
        return score(LEARNING, self._point)


@lru_cache(maxsize=256)
def utterance(raw: str, comment: bool = False) -> Utterance:
    """What a user said, measured on demand and once.

    The cache holds the few turns that several passes over the same session ask for; it is bounded.
    """
    return Utterance(raw, comment)


def _declares(sentence: str) -> bool:
    """Whether a sentence has a subject and, soon after it, a finite verb."""
    lead = _LEAD_IN.match(sentence)
    plain = sentence[lead.end() :] if lead else sentence
    opener, _, _ = plain.partition(" ")
    if opener.strip(",:") in _NO_SUBJECT:
        return False
    start = " ".join(plain.split()[:12])
    return bool(_FINITE.search(start)) or bool(_SUBJECT.match(start) and _SUBJECT_VERB.match(start))
