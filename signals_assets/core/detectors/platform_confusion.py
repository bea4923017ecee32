"""Friction: the user asks how the agent or its product works, or misunderstands what it can do.

Put here: questions about the agent itself.
Not here: questions about the user's own task.
"""

from typing import ClassVar, Final

from signals_assets.core.detectors.context import Detected, Detector, Seen

ABOUT_AGENT: Final = 0.7
LONGEST: Final = 60


class PlatformConfusion(Detector):
    """Short questions about the agent's abilities, limits, modes and memory."""

    type: ClassVar[str] = "platform_confusion"
    looks_at: ClassVar[str] = "questions about what the agent is, can do, knows or has access to"
    ignores: ClassVar[str] = "requests in the form of a question, questions about the task, disputes over a policy"

    def update(self, seen: Seen) -> list[Detected]:
        """Judge one message of the user."""
        said = seen.said
        if said is None or seen.step.kind != "user_message" or len(said.tokens) > LONGEST:
            return []
        if said.confusion < ABOUT_AGENT:
            return []
        return [self.found([seen.index], "low", min(0.9, 0.2 + 0.4 * said.confusion))]
