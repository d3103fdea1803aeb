"""What an evaluator has said of events that it has not accounted for yet. Pure.

More detections than one message holds, and what was left undecided, arrive before the frame that
moves the position of their ring past the events they are about. Until then they don't count: if the
evaluator dies in between, its successor evaluates these events again and says it all again.
"""

from dataclasses import dataclass, field

from agent.channel import Message
from agent.supervisor.limits import LIMITS


@dataclass(slots=True)
class Held:
    """Of one ring. `dropped` counts detections that found no room here."""

    undecided: int = 0
    dropped: int = 0
    _frames: list[Message] = field(default_factory=list)
    _bytes: int = 0

    def keep(self, frame: Message) -> None:
        """A frame that does not move the position."""
        size = len(frame.payload)
        if self._bytes + size > LIMITS.held_bytes or len(self._frames) >= LIMITS.held_frames:
            self.dropped += frame["detections"]
            return
        self._frames.append(frame)
        self._bytes += size

    def release(self) -> list[Message]:
        """The position has moved: all frames, in order; nothing is held any more."""
        frames, self._frames, self._bytes = self._frames, [], 0
        self.undecided = self.dropped = 0
        return frames
