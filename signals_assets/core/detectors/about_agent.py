"""How people ask about the agent itself: its abilities, memory, costs, modes and surface.

Put here: the expressions and their weights.
Not here: when asking is an event (see `platform_confusion.py`).

People build agents with agents: words like "session", "token" or an agent's name are a task's words as often as
not. So an expression must speak of *this* conversation, of *you*, or ask for a place in the product's surface.
"""

from typing import Final

from signals_assets.core.detectors.patterns import weighted

_TOOLS: Final = (
    r"(?:aider|claude(?: code)?|codex|gemini|cursor|copilot|windsurf|cline|roo|chatgpt|"
    r"vs ?code|opencode)"
)
_ASKS: Final = (
    r"(?:how (?:do|can|could|would|should|to|does)|where (?:is|are|do|can|did)|is there (?:a|"
    r"an|any)|what (?:is|are|does|do|happens)|why (?:is|are|does|do|can't|don't|doesn't|did)|"
    r"can (?:i|we)|do (?:i|we) (?:have|need) to|which|when)"
)
CONFUSION: Final = weighted(
    (
        (
            r"\b(?:do|don't|dont) you (?:still |even )?(?:have|need|see|get|keep|store) (?:any |the |an? |my "
            r"|our |full )*(?:access|ability|way to|permission|memory|internet|tools?\b|context|history"
            r"|limits?)"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:are|aren't) you (?:still |even |not )?(?:able to|capable|allowed|connected to|limited"
            r"|running on|trained|using (?:the |my |an? )?(?:gpt|claude|sonnet|opus|gemini|model|internet|web"
            r"|mcp|tokens))\b"
        ),
        1.0,
    ),
    (
        (
            r"\bwhat (?:can|else can|tools do|commands do|are the limits) you\b(?! (?:think|mean|suggest"
            r"|recommend|say|tell|see|find|infer|make|conclude|do (?:about|for|with)))"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:what|who) are you\b(?= ?[?.]|$)|\b(?:which|what) (?:\w+ )?model (?:are (?:you|we)"
            r"|is (?:this|that|it|selected|active|running|being used|in use)|do (?:you|we|i)|am i"
            r"|version (?:are|is))\b|\bare you (?:an? )?(?:claude|gpt\S*|gemini|ai|bot|human|llm)\b"
        ),
        1.0,
    ),
    (
        (
            r"\b(?:can|could|do|did) you (?:even |actually |still |not )?(?:see|access|remember|hear|recall"
            r"|view|open|browse|read) (?:my|our|this|the) (?:\w+ )?(?:screen|images?|pictures?|screenshots?"
            r"|terminal|browser|chat|conversation|history|internet|web|desktop|previous)"
        ),
        0.9,
    ),
    (
        (
            r"\bcan you (?:browse|search the (?:web|internet)|access the (?:web|internet)|go online"
            r"|remember (?:things|what|our|this|me))\b"
        ),
        0.9,
    ),
    (
        (
            r"\bhow (?:do|did|can|would|will|come) you (?:know(?: (?:what i|my|me|that i|about me)| ?\?|$)|remember|see"
            r"|get access|work|learn|handle (?:memory|context))\b"
        ),
        0.8,
    ),
    (
        (
            r"\bwhy (?:can't|cannot|couldn't|don't|won't|aren't) you (?:able to )?(?:see|access|remember|open"
            r"|read|browse|run|do (?:it|that|this)|execute|edit|write)\b"
        ),
        0.9,
    ),
    (
        (
            r"\bdo(?:es)? (?:you|this|it) (?:cost|run locally|use (?:tokens|credits|the internet)"
            r"|work offline)\b|\byou run locally\b|\b(?:cost of|how (?:many|much)) (?:\w+ ){0,2}(?:tokens"
            r"|credits)\b(?! (?:do|does|are|is|in|per) (?:the|a|an|each|every|our|my|all)\b)"
        ),
        0.8,
    ),
    (
        (
            r"\byour (?:memory|context(?: window)?|settings|permissions|tools|training|knowledge|limits?"
            r"|capabilities|system prompt|instructions|features?)\b.{0,80}\?"
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
            r"\bhow (?:do|can|could|should) i (?:tell|switch|set|stop|teach|configure|allow|prevent|connect|give) you\b"
            r"|\bi thought (?:that )?you (?:could|can|were able to|had access)\b"
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
            r"\b(?:plan|agent|ask|chat|code|architect|edit|auto|yolo|party|read-?only) mode\b.{0,40}\b(?:mean"
            r"|do|does|enabled|on|off|work)\w*\b.{0,40}\?|\b(?:what|how).{0,30}\b(?:plan|agent|ask|architect"
            r"|party|auto|yolo) mode\b"
        ),
        0.8,
    ),
    ((r"\b(?:slash command|context window|auto-?accept)\b.{0,80}\?"), 0.8),
    (
        (
            r"\bin this (?:claude |codex |chat )?session\b.{0,40}\benabled\b|\bis (?:it|this|that) (?:enabled"
            r"|turned on|active)\b ?\?"
        ),
        0.7,
    ),
    (
        (
            r"\b(?:don't|do not|can't|cannot) (?:see|find|get) (?:the |any |an? "
            r"|that )?(?:\w+ ){0,4}(?:command|button|option|menu|setting|tab|panel|icon"
            r"|link)s?\b.{0,40}\b(?:menu|panel|chat|palette|sidebar|toolbar|extension)\b"
        ),
        0.9,
    ),
    (
        (
            r"\bi don't understand how to (?:see|use|find|open|get)\b|\bwhere (?:do|can|should) i (?:turn"
            r"|enable|click)\b"
        ),
        0.7,
    ),
    (
        (
            r"^what is this ?\??$|^tell me in more detail$|^help ?\??$|^(?:clear|exit|quit|undo|reset"
            r"|restart)$"
        ),
        0.7,
    ),
    (
        (
            r"^(?:ok(?:ay)?[,.]? |hey[,.]? |so[,.]? |but )*(?:can|could|do|did|are) you (?:still |now |even "
            r"|already |not )?(?:(?<=can you )see|(?<=could you )see|access|have(?: all)?(?: the)? access"
            r"|remember|hear|able to (?:see|access|open|read))\b(?! (?:why|what|how|if|whether|where|for|to it"
            r"|that|any (?:way|reason|problem|issue|bug)s?)\b)"
        ),
        0.8,
    ),
    (
        (
            r"\bdo you (?:still )?have (?:all )?(?:the )?(?:(?:\w+ )?access|permissions?|\S+\.\w{2,4}\b)"
            r"|\bdo you (?:remember|know) (?:me|us|our)\b|\bwere you helping\b"
        ),
        0.9,
    ),
    (
        (
            r"\b(?:can|could|does|do|will|is|are) (?:the )?"
            + _TOOLS
            + r"(?: agents?| chat| ai)?(?: able to| also| still)? \w+"
        ),
        0.8,
    ),
    (
        (
            r"\b(?:in|inside|on) "
            + _TOOLS
            + r"\b.{0,30}\b(?:where|how|can i|is there)\b|\b(?:is|are) "
            + _TOOLS
            + r" (?:chat|conversation|history)"
        ),
        0.8,
    ),
    (
        (
            r"\b(?:can|could|how (?:can|do|to|could)) (?:i|we) (?:import|export|save|share|preserve|restore"
            r"|resume|continue|delete|copy|download|keep|clear) (?:a |an |the |this |my |our "
            r"|these )*(?:ai )?(?:chats?|conversations?|canvas|session|history)\b"
        ),
        0.9,
    ),
    (
        (
            r"^(?:ok(?:ay)?[,.]? |so[,.]? )*can you (?:now )?(?:use|run|execute) (?:the )?(?:\w+ )?(?:tools?"
            r"|python|code|commands?|scripts?|terminal|shell|browser)\b(?: now| here| directly| yourself| or\b"
            r"|\s*\?)"
        ),
        0.8,
    ),
    (
        (
            r"\bcan you (?:now )?(?:read|open|edit|view|use|import) (?:an? |the |my )?(?:\.\w+|ms word"
            r"|word doc\w*|pdfs?|docx?|xlsx?|excel|google docs?|images?|videos?|(?:\w+ )?mcp)\b"
        ),
        0.8,
    ),
    (
        (
            r"\bhow (?:to|do i|can i) (?:get|export|see|find|copy|save) (?:the |my |an? )?(?:prompt|chat"
            r"|conversation) ?(?:export|history|log)?\b"
        ),
        0.9,
    ),
)
